"""XLSX: each sheet row by row, as its cells show them; formulas are not computed, their last values are taken."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

from mmsearch.errors import Corrupt
from mmsearch.media.documents.flow import Flow
from mmsearch.media.documents.packages import OfficePackage, Relation, related, relations
from mmsearch.media.documents.parts import Part, label
from mmsearch.media.documents.slides import chart_words
from mmsearch.media.documents.xml import attribute

MOST = 1000
"""Sheets."""

_DATES = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
"""Formats of numbers that are dates and times, by the numbers that Office gives them."""
_QUOTED = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]|_.|\*.')
_LONGEST_FORMAT = 255


class SheetDocument(OfficePackage):
    def parts(self) -> Iterator[Part]:
        book, strings, styles = _Book(), _Strings(), _Styles()
        self._archive.parse(self._main, book)
        known = relations(self._archive, self._main)
        self._archive.check_room(one.target for one in known.values() if one.kind in ("worksheet", "sharedStrings"))
        for kind, reader in (("sharedStrings", strings), ("styles", styles)):
            for name in related(known, kind):
                with suppress(Corrupt):
                    self._archive.parse(name, reader)
        for number, (title, relation) in enumerate(book.sheets[:MOST], 1):
            if relation in known and known[relation].target in self._archive:
                yield self._sheet(
                    known[relation].target, label(title), number, _Cells(strings.values, styles.dates(), book)
                )

    def _sheet(self, name: str, title: str, number: int, cells: "_Cells") -> Part:
        with suppress(Corrupt):
            self._archive.parse(name, cells)
        rows, beside = cells.rows, relations(self._archive, name)
        comments = _Comments()
        for other in related(beside, "comments", "threadedComment"):
            with suppress(Corrupt):
                self._archive.parse(other, comments)
        rows = sorted([*rows, *comments.rows], key=lambda row: row[0])
        marks: list[tuple[int, int]] = []
        pieces, at = [title], len(title) + 1
        for row, line in rows:
            marks.append((at, row))
            pieces.append(line)
            at += len(line) + 1
        drawn, pictures = self._drawn(beside)
        text = "\n".join([*pieces, *drawn]) if rows or drawn else ""
        return Part(text, number, f"sheet {title}", marks, [partial(self._archive.picture, one) for one in pictures])

    def _drawn(self, beside: Mapping[str, Relation]) -> tuple[list[str], list[str]]:
        """Words of boxes and charts, and the files of pictures."""
        lines: list[str] = []
        pictures: list[str] = []
        for drawing in related(beside, "drawing"):
            flow, further = Flow(), relations(self._archive, drawing)
            with suppress(Corrupt):
                self._archive.parse(drawing, flow)
            lines += [flow.words, *(chart_words(self._archive, one) for one in related(further, "chart"))]
            pictures += [further[one].target for one in flow.pictures if one in further]
        return [line for line in lines if line], pictures


class _Book:
    """(name, id of relation) of the sheets."""

    def __init__(self) -> None:
        self.sheets: list[tuple[str, str]] = []
        self.from_1904 = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "sheet":
            relation = next((value for key, value in attributes.items() if key.endswith(":id")), "")
            self.sheets.append((attributes.get("name", ""), relation))
        elif name == "workbookPr":
            self.from_1904 = attributes.get("date1904") in ("1", "true")

    def end(self, name: str) -> None:
        pass

    def text(self, data: str) -> None:
        pass


class _Strings:
    """The strings that cells name by number."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self._pieces: list[str] = []
        self._taking = self._read = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "t":
            self._taking = not self._read
        elif name == "rPh":
            self._read = True  # how it is spoken

    def end(self, name: str) -> None:
        if name == "t":
            self._taking = False
        elif name == "rPh":
            self._read = False
        elif name == "si":
            self.values.append("".join(self._pieces))
            self._pieces = []

    def text(self, data: str) -> None:
        if self._taking:
            self._pieces.append(data)


class _Styles:
    """Which styles of cells show a number as a date."""

    def __init__(self) -> None:
        self._formats: dict[str, bool] = {}
        self._styles: list[str] = []
        self._within = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "numFmt":
            code = _QUOTED.sub("", attributes.get("formatCode", "")[:_LONGEST_FORMAT]).lower()
            self._formats[attributes.get("numFmtId", "")] = any(sign in code for sign in "dmyh")
        elif name == "cellXfs":
            self._within = True
        elif name == "xf" and self._within:
            self._styles.append(attributes.get("numFmtId", ""))

    def end(self, name: str) -> None:
        if name == "cellXfs":
            self._within = False

    def text(self, data: str) -> None:
        pass

    def dates(self) -> frozenset[str]:
        """Numbers of the styles, as cells have them."""
        return frozenset(str(n) for n, one in enumerate(self._styles) if self._formats.get(one, one in _BUILT_IN))


_BUILT_IN = frozenset(map(str, _DATES))


class _Cells:
    """(number, line) of each row that has something to show."""

    def __init__(self, strings: list[str], dates: frozenset[str], book: _Book) -> None:
        self.rows: list[tuple[int, str]] = []
        self._strings = strings
        self._dates = dates
        self._epoch = datetime(1904, 1, 1) if book.from_1904 else datetime(1899, 12, 30)
        self._row = 0
        self._line: list[str] = []
        self._kind = self._style = ""
        self._taking = False
        self._pieces: list[str] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "c":
            self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "")
        elif name == "v" or name == "t":
            self._taking = True
        elif name == "row":
            given = attributes.get("r", "")
            self._row = int(given) if given.isdecimal() and len(given) < 9 else self._row + 1

    def text(self, data: str) -> None:
        if self._taking:
            self._pieces.append(data)

    def end(self, name: str) -> None:
        if name == "v" or name == "t":
            self._taking = False
        elif name == "c":
            if self._pieces:
                value = self._shown("".join(self._pieces))
                self._pieces = []
                if value:
                    self._line.append(value)
        elif name == "row" and self._line:
            self.rows.append((self._row, "\t".join(self._line)))
            self._line = []

    def _shown(self, value: str) -> str:
        if self._kind == "s":
            shown = self._strings[int(value)] if value.isdecimal() and int(value[:9]) < len(self._strings) else ""
            return " ".join(shown.split())
        if self._kind == "b":
            return "TRUE" if value == "1" else "FALSE"
        if self._kind == "e":
            return ""
        if self._kind in ("str", "inlineStr", "d"):
            return " ".join(value.split())
        with suppress(ValueError, OverflowError):
            number = float(value)
            return self._date(number) if self._style in self._dates else f"{number:.12g}"
        return ""

    def _date(self, days: float) -> str:
        moment = self._epoch + timedelta(seconds=round(days * 86400))
        if 0 <= days < 1:
            return moment.time().isoformat()
        return moment.date().isoformat() if days == int(days) else moment.isoformat(" ")


class _Comments:
    """(number of the row, line) of what people wrote beside cells."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, str]] = []
        self._pieces: list[str] = []
        self._row = 0
        self._taking = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name in ("comment", "threadedComment"):
            digits = re.sub(r"\D", "", attribute(attributes, "ref") or "")
            self._row = int(digits[:8] or 0)
        self._taking = name in ("t", "text")

    def text(self, data: str) -> None:
        if self._taking:
            self._pieces.append(data)

    def end(self, name: str) -> None:
        self._taking = False
        if name in ("comment", "threadedComment"):
            line = " ".join("".join(self._pieces).split())
            if line:
                self.rows.append((self._row, line))
            self._pieces = []

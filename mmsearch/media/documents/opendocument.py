"""OpenDocument (ISO/IEC 26300): texts by headings, presentations by slides, spreadsheets by sheets and rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

from mmsearch.errors import Corrupt, Unsupported
from mmsearch.media.documents.archive import Archive
from mmsearch.media.documents.facts import read_properties
from mmsearch.media.documents.flow import HEADINGS, MOST_SECTIONS
from mmsearch.media.documents.parts import Part, label
from mmsearch.media.documents.xml import attribute
from mmsearch.types import Metadata

# Deleted text, and what is not written by whoever wrote the text.
_UNSEEN = frozenset(
    {*("tracked-changes", "forms", "scripts", "settings", "automatic-styles", "styles", "page-number", "creator")}
    | {"date-string"}
)
_BREAKS = {"tab": "\t", "line-break": "\n"}
_MOST_SPACES = 100


@dataclass(slots=True)
class _Stretch:
    place: str | None
    lines: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    """Of a sheet, the number of each line's row."""
    pictures: list[str] = field(default_factory=list)


class OpenDocument:
    tells_facts: ClassVar[bool] = False

    def __init__(self, archive: Archive, kind: str) -> None:
        """`kind`: "text", "presentation", "spreadsheet" or "graphics"."""
        self._archive = archive
        self._kind = kind

    def facts(self) -> Metadata:
        return read_properties(self._archive, "meta.xml")

    def parts(self) -> Iterator[Part]:
        self._check_open()
        content = _Content(self._kind)
        self._archive.parse("content.xml", content)
        page = 0
        for stretch in content.stretches:
            pictures = [one for one in stretch.pictures if one in self._archive]
            if not pictures and not any(map(str.strip, stretch.lines)) and self._kind == "text":
                continue
            page += 1
            yield _part(stretch, page, [partial(self._archive.picture, one) for one in pictures])

    def _check_open(self) -> None:
        """Raises: Unsupported where the manifest says that it is encrypted."""
        try:
            manifest = self._archive.read("META-INF/manifest.xml")
        except Corrupt:
            return
        if b"encryption-data" in manifest:
            raise Unsupported("protected by a password")


def _part(stretch: _Stretch, page: int, pictures: list[partial[bytes]]) -> Part:
    if not stretch.rows:
        return Part("\n".join(stretch.lines).strip(), page, stretch.place, pictures=pictures)
    title = (stretch.place or "").removeprefix("sheet ")
    marks, at = [], len(title) + 1
    for row, line in zip(stretch.rows, stretch.lines, strict=True):
        marks.append((at, row))
        at += len(line) + 1
    return Part("\n".join([title, *stretch.lines]), page, stretch.place, marks, pictures)


class _Content:
    """Takes the events of content.xml."""

    def __init__(self, kind: str) -> None:
        self.stretches = [_Stretch(None)] if kind == "text" else []
        self._kind = kind
        self._unseen = 0
        self._level = HEADINGS + 1
        self._paragraphs: list[list[str]] = []
        self._cells: list[list[str]] = []
        self._rows: list[list[str]] = []
        self._tables = 0
        self._row = 0
        self._repeated = 1

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if self._unseen or name in _UNSEEN:
            self._unseen += 1
        elif name in ("p", "h"):
            level = attribute(attributes, "outline-level") or "1"
            self._level = int(level[:3]) if name == "h" and level.isdecimal() else HEADINGS + 1
            self._paragraphs.append([])
        elif name == "s" and self._paragraphs:
            count = attribute(attributes, "c") or "1"
            self._paragraphs[-1].append(" " * min(int(count[:4]) if count.isdecimal() else 1, _MOST_SPACES))
        elif name in _BREAKS and self._paragraphs:
            self._paragraphs[-1].append(_BREAKS[name])
        elif name == "image":
            self._note_picture(attribute(attributes, "href") or "")
        elif name == "page" and self._kind in ("presentation", "graphics"):
            slide = f"slide {len(self.stretches) + 1}"
            self.stretches.append(_Stretch(slide if self._kind == "presentation" else None))
        else:
            self._start_table(name, attributes)

    def _start_table(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "table":
            self._tables += 1
            if self._kind == "spreadsheet" and self._tables == 1:
                self.stretches.append(_Stretch(f"sheet {label(attribute(attributes, 'name') or '')}"))
                self._row = 0
        elif name == "table-row":
            if self._tables == 1:
                repeated = attribute(attributes, "number-rows-repeated") or "1"
                self._row, self._repeated = self._row + 1, int(repeated[:8]) if repeated.isdecimal() else 1
            self._rows.append([])
        elif name == "table-cell":
            self._cells.append([])

    def text(self, data: str) -> None:
        if self._paragraphs and not self._unseen:
            self._paragraphs[-1].append(data)

    def end(self, name: str) -> None:
        if self._unseen:
            self._unseen -= 1
        elif name in ("p", "h") and self._paragraphs:
            line = " ".join("".join(self._paragraphs.pop()).split(" "))
            self._add(line, self._level if name == "h" else HEADINGS + 1)
        elif name == "table-cell" and self._cells:
            cell = " ".join(self._cells.pop())
            if self._rows and cell:
                self._rows[-1].append(cell)
        elif name == "table-row" and self._rows:
            self._end_row("\t".join(self._rows.pop()))
        elif name == "table" and self._tables:
            self._tables -= 1

    def _end_row(self, line: str) -> None:
        if line.strip() and self._is_sheet():
            self.stretches[-1].lines.append(line.replace("\n", " "))
            self.stretches[-1].rows.append(self._row)
        elif line.strip():
            self._add(line)
        if self._tables == 1:
            self._row += self._repeated - 1

    def _is_sheet(self) -> bool:
        return self._kind == "spreadsheet" and self._tables == 1 and not self._cells and bool(self.stretches)

    def _add(self, line: str, level: int = HEADINGS + 1) -> None:
        if self._cells:
            if line.strip():
                self._cells[-1].append(line)
        elif self._kind == "text" and level <= HEADINGS and line.strip() and len(self.stretches) < MOST_SECTIONS:
            self.stretches.append(_Stretch(f"section {label(line)}", [line]))
        elif self.stretches and not self.stretches[-1].rows and self._kind != "spreadsheet":
            self.stretches[-1].lines.append(line)

    def _note_picture(self, href: str) -> None:
        # What begins otherwise lies elsewhere, or is what an embedded program last looked like.
        name = href.removeprefix("./")
        if self.stretches and name.startswith("Pictures/"):
            self.stretches[-1].pictures.append(name)


def document_kind(mimetype: bytes) -> str | None:
    """The kind of OpenDocument that the file `mimetype` names; None for another."""
    name = mimetype.strip().decode("ascii", "replace")
    kind = name.removeprefix("application/vnd.oasis.opendocument.").removesuffix("-template")
    known = kind if kind in ("text", "presentation", "spreadsheet", "graphics") else None
    return "text" if kind in ("text-master", "text-web") else known

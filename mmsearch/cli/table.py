"""Tables on a terminal: columns where they fit, records of a few lines where they don't. No column is ever lost.

What fits is decided for the whole table: paths are shortened in their middle, texts are folded between words, and
nothing else is cut. Where a path or a text would get less than it takes to be read, and on terminals of less than
`NARROW` columns, each row becomes a record: its short cells in a line, then its path and its texts.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.style import Style
from rich.text import Text

from mmsearch.cli import output, surroundings
from mmsearch.cli.cells import Cell
from mmsearch.cli.fitting import beginning, cut_lines, folded, shortened_path
from mmsearch.cli.output import printable

NARROW = 60
"""Columns from which a table of paths is one."""

PATHS = ("path", "file", "sample")
"""Columns that are shortened in the middle."""

LEAST_PATH, LEAST_TEXT = 20, 16
"""Columns that a path and a folded text need to be read."""

CUT = {"where": 2}
"""Columns whose cells end after so many lines: a passage is found again with --json. Others are never cut."""

NUMERIC = ("#", "confidence", "cosine", "words", "tries", "size", "vectors", "since", "dim", "bytes of 384 dimensions")

GUTTER = "  "
INDENT = "   "

PLAIN = ("dumb", "linux", "unknown")
"""Terminals that get no links: they would show the address."""

_UNEVEN = re.compile(
    "[\u0300-\u036f\u0590-\u08ff\u0900-\u0eff\u200c-\u200d\u20d0-\u20ff\u2600-\u27bf\ufe00-\ufe0f\U0001f000-\U0001ffff]"
)
"""What terminals give different widths: joined and coloured emoji, marks, scripts whose letters combine."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Text in one colour."""

    text: str
    cell: str = ""
    """The whole cell, with its colour and its link."""
    bold: bool = False

    @property
    def width(self) -> int:
        return cell_len(self.text)


Line = list[Piece]


def terminal() -> Console:
    """Standard output for tables; without colours and links where NO_COLOR is set or the terminal has none."""
    stream = output.bar(sys.stdout)
    environment = surroundings.terminal()
    color: Literal["auto"] | None = None if environment.get("NO_COLOR") else "auto"
    return Console(file=stream, color_system=color, highlight=False, markup=False, emoji=False, _environ=environment)


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    texts: Sequence[str],
    below: Mapping[int, RenderableType] = MappingProxyType({}),
) -> None:
    """Print rows on a terminal.

    Args:
        texts: Columns that may be folded.
        below: Place of a row -> what is drawn below it.
    """
    console = terminal()
    header, records = laid_out(columns, [[_shown(cell) for cell in row] for row in rows], texts, console.width)
    linked = _shows_links()
    _print(console, header, linked)
    for place, lines in enumerate(records):
        _print(console, lines, linked)
        if place in below:
            console.print(below[place])
    # What scrolled out of sight is said again.
    if len(header) + sum(map(len, records)) >= console.height:
        _print(console, header, linked)


def _print(console: Console, lines: Iterable[Line], linked: bool) -> None:
    for line in lines:
        console.print(_text(line, linked), soft_wrap=True)


def laid_out(
    columns: Sequence[str], rows: Sequence[Sequence[str]], texts: Sequence[str], width: int
) -> tuple[list[Line], list[list[Line]]]:
    """The lines of the header, and those of each row."""
    layout = _Layout(columns, rows, texts)
    paths = [name for name in columns if name in PATHS]
    if not (paths and width < NARROW) and (widths := layout.fitted(width)) is not None:
        return layout.header(widths), [[*layout.row(row, widths)] for row in rows]
    return layout.records(width)


def _shown(cell: str) -> str:
    if isinstance(cell, Cell):
        text = cell if cell.short is None else cell.short
        return Cell(printable(text), cell.style, cell.link)
    return printable(cell)


def _steered() -> bool:
    """Whether the terminal takes more than text."""
    term = surroundings.terminal().get("TERM", "")
    return bool(term) and term not in PLAIN


def _shows_links() -> bool:
    environment = surroundings.terminal()
    if not _steered() or environment.get("NO_COLOR"):
        return False
    return not environment["TERM"].startswith("screen") or "TMUX" in environment


def _text(line: Line, linked: bool) -> Text:
    made, column, uneven = Text(end=""), 0, False
    for piece in line:
        style = Style(bold=True) if piece.bold else None
        if isinstance(piece.cell, Cell):
            link = piece.cell.link.as_uri() if linked and piece.cell.link is not None else None
            style = Style(color=piece.cell.style or None, link=link)
        if uneven and not piece.text.isspace():
            # Terminals differ in how wide they draw some of what came before: go to the column.
            made.append(f"\x1b[{column + 1}G")
            uneven = False
        made.append(piece.text, style)
        column += piece.width
        uneven = uneven or (_steered() and _UNEVEN.search(piece.text) is not None)
    made.rstrip()
    made.end = "\n"
    return made


class _Layout:
    def __init__(self, columns: Sequence[str], rows: Sequence[Sequence[str]], texts: Sequence[str]) -> None:
        self._columns, self._rows = columns, rows
        self._paths = [n for n, name in enumerate(columns) if name in PATHS]
        self._texts = [n for n, name in enumerate(columns) if name in texts and name not in PATHS]
        self._fixed = [n for n in range(len(columns)) if n not in (*self._paths, *self._texts)]
        longest = [max((cell_len(row[n]) for row in rows), default=0) for n in range(len(columns))]
        heads = [max(map(cell_len, name.split()), default=0) for name in columns]
        self._wholes = [max(cell_len(name), size) for name, size in zip(columns, longest, strict=True)]
        self._leasts = [max(head, size) for head, size in zip(heads, longest, strict=True)]
        """With a header of several lines, and nothing else cut or folded."""

    def fitted(self, width: int) -> list[int] | None:
        """The width of each column; None if no table fits."""
        gaps = len(GUTTER) * (len(self._columns) - 1)
        if sum(self._wholes) + gaps <= width:
            return list(self._wholes)
        room = width - gaps
        for keep_names in (True, False):
            widths = [min(self._leasts[n], self._needed(n, keep_names)) for n in range(len(self._columns))]
            if sum(widths) <= room:
                return self._filled(widths, room - sum(widths))
        return None

    def _needed(self, column: int, keep_names: bool) -> int:
        """What a column can't do without."""
        if column in self._texts:
            return LEAST_TEXT
        if column not in self._paths:
            return self._leasts[column]
        names = (cell_len(row[column].rpartition("/")[2]) for row in self._rows)
        return max(LEAST_PATH, max(names) + len(GUTTER) if keep_names else 0)

    def _filled(self, widths: list[int], room: int) -> list[int]:
        """Each column gets what it wants, or an equal share of what the others leave; headers come last."""
        for wanted in (self._leasts, self._wholes):
            waiting = sorted(range(len(widths)), key=lambda n: wanted[n] - widths[n])
            for place, n in enumerate(waiting):
                more = min(wanted[n] - widths[n], room // (len(waiting) - place))
                widths[n], room = widths[n] + more, room - more
        return widths

    def header(self, widths: Sequence[int]) -> list[Line]:
        cells = [folded(name, size) for name, size in zip(self._columns, widths, strict=True)]
        return [
            self._line([(lines[n] if n < len(lines) else "", "") for lines in cells], widths, bold=True)
            for n in range(max(map(len, cells)))
        ]

    def row(self, row: Sequence[str], widths: Sequence[int]) -> Iterator[Line]:
        cells = [self._cell(n, cell, widths[n]) for n, cell in enumerate(row)]
        for n in range(max(map(len, cells))):
            yield self._line(
                [(lines[n] if n < len(lines) else "", cell) for lines, cell in zip(cells, row, strict=True)], widths
            )

    def _cell(self, column: int, cell: str, width: int) -> list[str]:
        if column in self._paths:
            return [shortened_path(cell, width)]
        if column not in self._texts:
            return [cell]
        lines = folded(cell, width)
        most = CUT.get(self._columns[column])
        return lines if most is None else cut_lines(lines, most, width)

    def _line(self, cells: Sequence[tuple[str, str]], widths: Sequence[int], *, bold: bool = False) -> Line:
        line: Line = []
        for n, ((text, cell), size) in enumerate(zip(cells, widths, strict=True)):
            gap, pad = GUTTER if n else "", " " * (size - cell_len(text))
            left, right = (gap + pad, "") if self._columns[n] in NUMERIC else (gap, pad)
            line += [Piece(left), Piece(text, cell, bold), Piece(right)]
        return line

    def records(self, width: int) -> tuple[list[Line], list[list[Line]]]:
        """Each row in a few lines: the columns that fit side by side, and below them its path and its texts."""
        beside = next((some for some in (self._others(), self._fixed) if self._fit(some, width)), None)
        if not self._paths or not beside:
            head = [Piece(self._columns[self._title()], bold=True)]
            return [head], [[*self._pairs(row, width)] for row in self._rows]
        first = _Layout([self._columns[n] for n in beside], [[row[n] for n in beside] for row in self._rows], ())
        widths = [self._wholes[n] for n in beside]
        others = [n for n in self._texts if n not in beside]
        records = [
            [*first.row([row[n] for n in beside], widths), *self._below(row, width, others)] for row in self._rows
        ]
        below = GUTTER.join(self._columns[n] for n in (*self._paths, *others))
        return [*first.header(widths), [Piece(INDENT), Piece(below, bold=True)]], records

    def _others(self) -> list[int]:
        return [n for n in range(len(self._columns)) if n not in self._paths]

    def _fit(self, columns: Sequence[int], width: int) -> bool:
        return bool(columns) and sum(self._wholes[n] + len(GUTTER) for n in columns) - len(GUTTER) <= width

    def _below(self, row: Sequence[str], width: int, texts: Sequence[int]) -> Iterator[Line]:
        """A row's path, with what may be cut beside it, and its texts."""
        room = width - len(INDENT)
        beside = [row[n] for n in texts if self._columns[n] in CUT and row[n]]
        for n in self._paths:
            said = " ".join(beside)
            left = room if not said else max(room - len(GUTTER) - min(cell_len(said), LEAST_TEXT), room // 2)
            path = shortened_path(row[n], left)
            line = [Piece(INDENT), Piece(path, row[n])]
            if said and path:
                line.append(Piece(GUTTER + beginning(said, room - len(GUTTER) - cell_len(path))))
            elif said:
                line.append(Piece(beginning(said, room)))
            beside = []
            if path or said:
                yield line
        for n in texts:
            if self._columns[n] not in CUT and row[n]:
                yield from ([Piece(INDENT), Piece(line, row[n])] for line in folded(row[n], room))

    def _title(self) -> int:
        """The column whose cells begin the records of `_pairs`."""
        return next((n for n, name in enumerate(self._columns) if name), 0)

    def _pairs(self, row: Sequence[str], width: int) -> Iterator[Line]:
        """The first cell, and below it each other one after the name of its column."""
        room = width - len(INDENT)
        first = self._title()
        yield [Piece(shortened_path(row[first], width) if first in self._paths else row[first], row[first], True)]
        line: Line = []
        for n, cell in enumerate(row):
            if n == first or not cell:
                continue
            name = f"{self._columns[n]} " if self._columns[n] else ""
            kept = shortened_path(cell, room - cell_len(name)) if n in self._paths else cell
            used = sum(piece.width for piece in line[1:])
            if line and used + len(GUTTER) + cell_len(name + kept) > room:
                yield line
                line = []
            if cell_len(name + kept) <= room:
                line += [Piece(GUTTER if line else INDENT), Piece(name), Piece(kept, cell)]
                continue
            for place, part in enumerate(folded(name + kept, room)):
                yield [Piece(INDENT), Piece(part)] if not place else [Piece(INDENT * 2), Piece(part)]
        if line:
            yield line

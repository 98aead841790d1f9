"""What documents are made of: parts, each with its text, its place and its pictures."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from mmsearch.types import Metadata

LONGEST = 80
"""Characters of a heading or a name in a place."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A stretch of a document: a page, a slide, a sheet, a chapter, a section, an attachment."""

    text: str
    page: int | None = None
    """Its 1-based number, if the document has such."""
    place: str | None = None
    """Where it is in words, unless it is a page."""
    rows: Sequence[tuple[int, int]] = ()
    """Of a sheet, (where its line begins in the text, its 1-based number) of each row, in order."""
    pictures: Sequence[Callable[[], bytes]] = ()
    """What reads the file of each picture in it. Raises: MediaError."""
    marks: Sequence[bytes] = ()
    """What tells of contents that are neither its words nor its pictures."""

    def place_of(self, start: int, end: int) -> str | None:
        """Where a passage of the text is, in words.

        Args:
            start, end: Offsets of characters.
        """
        first = max(0, bisect_right(self.rows, start, key=lambda row: row[0]) - 1)
        within = [number for at, number in self.rows[first : first + end - start + 1] if at < end]
        if not within:
            return self.place
        rows = f"row {within[0]}" if within[0] == within[-1] else f"rows {within[0]}-{within[-1]}"
        return f"{self.place}, {rows}"


class Document(Protocol):
    """An opened document."""

    tells_facts: ClassVar[bool]
    """Whether what it says of itself is a part of its text."""

    def facts(self) -> Metadata:
        """What it says of itself. Raises: MediaError."""
        ...

    def parts(self) -> Iterator[Part]:
        """In reading order. Raises: MediaError."""
        ...


def label(words: str) -> str:
    """A heading or a name, short and in one line."""
    line = " ".join("".join(c if c.isprintable() else " " for c in words[: 8 * LONGEST]).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"

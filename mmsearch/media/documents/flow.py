"""Running text in the XML of Microsoft's formats: paragraphs and tables of documents, slides, notes and comments."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mmsearch.media.documents.parts import label
from mmsearch.media.documents.xml import attribute

# What other programs are to show instead, what was deleted, and the codes of fields.
_UNSEEN = frozenset({"Fallback", "del", "moveFrom", "instrText", "delText", "delInstrText"})
_FIELDS = ("slidenum", "datetime", "ftr")
_BREAKS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}

HEADINGS = 3
"""Levels of headings that begin a section."""

MOST_SECTIONS = 5000


@dataclass(slots=True)
class Section:
    """What follows a heading, or stands before the first."""

    heading: str | None = None
    lines: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    """Ids of relations."""

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


class Flow:
    """Takes the events of a file and collects its sections.

    Args:
        levels: Style -> level of the headings that it makes, 1 the highest.
    """

    def __init__(self, levels: Mapping[str, int] | None = None) -> None:
        self.sections = [Section()]
        self._levels = levels or {}
        self._unseen = 0
        self._properties = 0
        self._taking = False
        self._paragraphs: list[tuple[list[str], list[int]]] = []
        """(words, level of a heading) of each that is open: a text box stands in a paragraph."""
        self._rows: list[list[str]] = []
        self._cells: list[list[str]] = []

    @property
    def words(self) -> str:
        """All of it."""
        return "\n".join(section.text for section in self.sections).strip()

    @property
    def pictures(self) -> list[str]:
        return [picture for section in self.sections for picture in section.pictures]

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if self._unseen or name in _UNSEEN or (name == "fld" and attributes.get("type", "").startswith(_FIELDS)):
            self._unseen += 1
        elif name == "t":
            self._taking = True
        elif name == "p":
            self._paragraphs.append(([], []))
        elif self._properties or name == "pPr":
            self._properties += 1
            self._note_style(name, attributes)
        elif name in _BREAKS and self._paragraphs:
            self._paragraphs[-1][0].append(_BREAKS[name])
        elif name == "tr":
            self._rows.append([])
        elif name == "tc":
            self._cells.append([])
        elif name in ("blip", "imagedata"):
            picture = attribute(attributes, "embed" if name == "blip" else "id")
            if picture:
                self.sections[-1].pictures.append(picture)

    def text(self, data: str) -> None:
        if self._taking and not self._unseen:
            if self._paragraphs:
                self._paragraphs[-1][0].append(data)
            else:
                self.sections[-1].lines.append(data)

    def end(self, name: str) -> None:
        if self._unseen:
            self._unseen -= 1
        elif name == "t":
            self._taking = False
        elif name == "p" and self._paragraphs:
            words, levels = self._paragraphs.pop()
            self._add("".join(words), min(levels, default=HEADINGS + 1))
        elif self._properties:
            self._properties -= 1
        elif name == "tc" and self._cells:
            cell = " ".join(self._cells.pop())
            self._rows[-1].append(cell) if self._rows else self._add(cell)
        elif name == "tr" and self._rows:
            self._add("\t".join(self._rows.pop()).rstrip("\t"))

    def _note_style(self, name: str, attributes: Mapping[str, str]) -> None:
        value = attribute(attributes, "val") or ""
        if not self._paragraphs:
            return
        if name == "pStyle" and value in self._levels:
            self._paragraphs[-1][1].append(self._levels[value])
        elif name == "outlineLvl" and value.isdecimal():
            self._paragraphs[-1][1].append(int(value[:3]) + 1)

    def _add(self, line: str, level: int = HEADINGS + 1) -> None:
        if self._cells:
            if line.strip():
                self._cells[-1].append(line.replace("\n", " "))
            return
        if level <= HEADINGS and line.strip() and len(self.sections) < MOST_SECTIONS:
            self.sections.append(Section(label(line)))
        self.sections[-1].lines.append(line)

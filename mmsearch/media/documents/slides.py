"""PPTX: each slide with its tables, charts, diagrams and notes."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial

from mmsearch.errors import Corrupt
from mmsearch.media.documents.archive import Archive
from mmsearch.media.documents.flow import Flow
from mmsearch.media.documents.packages import OfficePackage, related, relations
from mmsearch.media.documents.parts import Part

MOST = 5000
"""Slides."""


class SlideDocument(OfficePackage):
    def parts(self) -> Iterator[Part]:
        order = _Order()
        self._archive.parse(self._main, order)
        known = relations(self._archive, self._main)
        names = [known[one].target for one in order.slides if one in known]
        self._archive.check_room(names)
        for number, name in enumerate(names[:MOST], 1):
            if name in self._archive:
                yield self._slide(name, number)

    def _slide(self, name: str, number: int) -> Part:
        flow, beside = Flow(), relations(self._archive, name)
        # A slide that is damaged leaves the others as they are.
        with suppress(Corrupt):
            self._archive.parse(name, flow)
        lines = [flow.words]
        for other in related(beside, "diagramData", "notesSlide"):
            words = Flow()
            with suppress(Corrupt):
                self._archive.parse(other, words)
            lines.append(words.words)
        lines += [chart_words(self._archive, other) for other in related(beside, "chart", "chartEx")]
        pictures = [beside[one].target for one in flow.pictures if one in beside and beside[one].kind == "image"]
        return Part(
            "\n".join(line for line in lines if line), number, f"slide {number}",
            pictures=[partial(self._archive.picture, one) for one in pictures],
        )  # fmt: skip


class _Order:
    """The slides in the order in which they are shown, by their ids of relations."""

    def __init__(self) -> None:
        self.slides: list[str] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "sldId":
            # It has an id of its own, too, without a prefix.
            own = next((value for key, value in attributes.items() if key.endswith(":id")), None)
            if own:
                self.slides.append(own)

    def end(self, name: str) -> None:
        pass

    def text(self, data: str) -> None:
        pass


class _Chart:
    """Titles and names of rows, which are kept as words; not the numbers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._cached = 0
        self._taking = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._cached += name in ("strCache", "strLit")
        self._taking = name == "t" or (name == "v" and self._cached > 0)

    def end(self, name: str) -> None:
        self._cached -= name in ("strCache", "strLit")
        self._taking = False

    def text(self, data: str) -> None:
        if self._taking:
            self.lines.append(data)


def chart_words(archive: Archive, name: str) -> str:
    """The words of a chart, a line each."""
    chart = _Chart()
    with suppress(Corrupt):
        archive.parse(name, chart)
    return "\n".join(dict.fromkeys(chart.lines))

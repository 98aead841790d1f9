"""DOCX: a section for each heading, then notes, comments, headers and footers."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial

from mmsearch.errors import Corrupt
from mmsearch.media.documents.flow import Flow
from mmsearch.media.documents.packages import OfficePackage, Relation, related, relations
from mmsearch.media.documents.parts import Part
from mmsearch.media.documents.xml import attribute

_BESIDE = {
    "footnotes": "footnotes", "endnotes": "endnotes", "comments": "comments", "header": "header", "footer": "footer",
}  # fmt: skip
"""Kind of relation -> place."""


class WordDocument(OfficePackage):
    def parts(self) -> Iterator[Part]:
        known = relations(self._archive, self._main)
        styles = _Styles()
        for name in related(known, "styles"):
            with suppress(Corrupt):
                self._archive.parse(name, styles)
        flow = Flow(styles.levels())
        self._archive.parse(self._main, flow)
        page = 0
        for section in flow.sections:
            pictures = [known[one].target for one in section.pictures if one in known and known[one].kind == "image"]
            if section.text.strip() or pictures:
                page += 1
                place = None if section.heading is None else f"section {section.heading}"
                yield Part(
                    section.text, page, place, pictures=[partial(self._archive.picture, name) for name in pictures]
                )
        yield from self._beside(known, page)

    def _beside(self, known: Mapping[str, Relation], page: int) -> Iterator[Part]:
        seen: set[str] = set()
        for kind, place in _BESIDE.items():
            for name in related(known, kind):
                flow = Flow()
                with suppress(Corrupt):
                    self._archive.parse(name, flow)
                # The same header is there for the first page, for even and for odd ones.
                if flow.words and flow.words not in seen:
                    seen.add(flow.words)
                    page += 1
                    yield Part(flow.words, page, place)


class _Styles:
    """Which styles are headings: by their names, which are English in every language, or by what they are based on."""

    def __init__(self) -> None:
        self._own: dict[str, int] = {}
        self._based: dict[str, str] = {}
        self._style = ""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        value = attribute(attributes, "val") or ""
        if name == "style":
            self._style = attribute(attributes, "styleId") or ""
        elif name == "name" and value.lower().startswith("heading ") and value[8:].isdecimal():
            self._own[self._style] = int(value[8:11])
        elif name == "outlineLvl" and value.isdecimal() and self._style:
            self._own.setdefault(self._style, int(value[:3]) + 1)
        elif name == "basedOn":
            self._based[self._style] = value

    def end(self, name: str) -> None:
        if name == "style":
            self._style = ""

    def text(self, data: str) -> None:
        pass

    def levels(self) -> dict[str, int]:
        found = dict(self._own)
        for style in self._based:
            based, steps = style, 0
            while based not in self._own and based in self._based and steps < 10:
                based, steps = self._based[based], steps + 1
            if based in self._own:
                found[style] = self._own[based]
        return found

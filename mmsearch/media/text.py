"""Documents: passages of texts, web pages, PDFs, office files, e-books and mails, with the place each was found at."""

import re
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

from mmsearch.errors import LimitExceeded, MediaError, Unsupported
from mmsearch.media import html, kinds, pdf, plaintext, sidecar, sniff, subtitles
from mmsearch.media.documents import facts as document_facts
from mmsearch.media.documents.album import Album
from mmsearch.media.documents.formats import is_document, opened_document
from mmsearch.media.documents.parts import Part
from mmsearch.media.front_matter import front_matter
from mmsearch.media.machine_text import LeftOut, Numbers, without_encoded
from mmsearch.media.written import Policy
from mmsearch.types import Limits, Metadata, Modality, Segment, Span, Windowing

# Scripts written without spaces: each sign counts as a word. Of other runs, what is longer than any word is cut.
_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
    r"|[^\s\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]{1,64}"
)
_LETTER = re.compile(r"\w")
_UNDERLINE = re.compile(r"[=~#*]{3,}")
_TITLE_LENGTH = 200
_TITLE_WITHIN = 4096
"""Characters within which a document's first heading stands."""
_TITLE_BYTES = 2**16  # divisible by four, for UTF-32


class TextDecoder:
    """Plain text of any kind (Markdown, reStructuredText, CSV, JSON, source code, ...), HTML, PDF by page, and what
    `media.documents` reads, with the pictures in it."""

    modality: Modality = "text"

    def __init__(self, windowing: Windowing, limits: Limits) -> None:
        self._windowing = windowing
        self._limits = limits

    def accepts(self, path: Path, head: bytes) -> bool:
        return pdf.is_pdf(head) or is_document(path, head) or (plaintext.is_text(head) and kinds.kind_of(head) is None)

    def describe(self, path: Path) -> Metadata:
        """title; for PDFs author and pages; of a sidecar what it says (`media.sidecar`), and of front matter and
        documents too (`media.documents`)."""
        head = sniff.read_head(path, self._limits)
        if pdf.is_pdf(head):
            return pdf.pdf_facts(path)
        if is_document(path, head):
            with opened_document(path, head, self._limits) as document:
                return document.facts()
        text = _beginning(path)
        if sidecar.is_sidecar(text):
            return sidecar.read_sidecar(self._text(path)).metadata
        title = html.html_title(text) if html.is_html(text) else heading(text)
        return ({"title": title[:_TITLE_LENGTH]} if title else {}) | front_matter(text)

    def decode(self, path: Path) -> Generator[Segment, None, Metadata]:
        """Passages of `passage_words` words; neighbours share `passage_overlap`. Offsets count characters of the
        extracted text, of the page's in a PDF, and span.text == data == text[char_start:char_end]. Of subtitles each
        line is a passage, with the time at which it is said. What no person wrote is left out (`media.machine_text`),
        and its hash returned as {"left_out": ...}. Pictures in documents are uint8 (height, width, 3), sRGB, after the
        passages of their page, slide or chapter.
        """
        head = sniff.read_head(path, self._limits)
        empty, numbers, left_out = True, Numbers(), LeftOut()
        for segment in self._passages(path, head, left_out):
            if isinstance(segment.data, str):
                if not _LETTER.search(segment.data):
                    continue
                if not numbers.keeps(segment.data):
                    left_out.add(segment.data)
                    continue
            empty = False
            yield segment
        if empty:
            raise Unsupported("no text in it")
        return left_out.facts()

    def _passages(self, path: Path, head: bytes, left_out: LeftOut) -> Iterator[Segment]:
        if pdf.is_pdf(head):
            for page, text in pdf.pdf_pages(path, self._limits):
                yield from self._cut(Part(text, page))
            if self._windowing.page_side:
                for page, drawn in pdf.pdf_pictures(path, self._windowing.page_side, self._limits):
                    # What else a document is compared by are its words.
                    yield Segment("image", drawn, Span(page=page), part=True)
            return
        if is_document(path, head):
            yield from self._document(path, head, left_out)
            return
        text = self._text(path)
        if sidecar.is_sidecar(text):
            yield from self._cut(Part(sidecar.read_sidecar(text).words))
            return
        words = without_encoded(html.html_text(text) if html.is_html(text) else text, left_out.add)
        lines = subtitles.lines_of(words) if subtitles.are_subtitles(words) else []
        if lines:
            # What differs in its times alone is another file.
            left_out.add(" ".join(f"{line.start} {line.end}" for line in lines))
            yield from subtitles.subtitle_segments(lines)
        else:
            yield from self._cut(Part(words))

    def _document(self, path: Path, head: bytes, left_out: LeftOut) -> Iterator[Segment]:
        """What it says of itself, then its parts with their pictures."""
        album = Album(self._windowing.image_side, self._limits)
        with opened_document(path, head, self._limits) as document:
            if not document.tells_facts:
                yield from self._cut(Part(document_facts.words(Policy.keeping.kept(document.facts()))))
            for part in document.parts():
                for mark in part.marks:
                    left_out.add(mark.hex())
                # The rows of a sheet are where they are.
                text = part.text if part.rows else without_encoded(part.text, left_out.add)
                yield from self._cut(replace(part, text=text))
                for picture in album.pictures(part, lambda digest: left_out.add(digest.hex())):
                    yield Segment("image", picture, Span(page=part.page, place=part.place))

    def _cut(self, part: Part) -> Iterator[Segment]:
        for start, end in passages(part.text, self._windowing.passage_words, self._windowing.passage_overlap):
            passage = part.text[start:end]
            place = part.place_of(start, end)
            yield Segment("text", passage, Span(None, None, part.page, start, end, passage, place))

    def _text(self, path: Path) -> str:
        try:
            with open(path, "rb") as file:
                data = file.read(self._limits.text_bytes + 1)
        except OSError as error:
            raise sniff.from_os_error(error) from error
        if len(data) > self._limits.text_bytes:
            raise LimitExceeded(f"more than {self._limits.text_bytes:,} bytes of text")
        return plaintext.decoded_text(data)


def _beginning(path: Path) -> str:
    """Enough of a document to find its title; empty if that can't be read by itself."""
    try:
        with open(path, "rb") as file:
            data = file.read(_TITLE_BYTES)
        if len(data) == _TITLE_BYTES and not plaintext.has_mark(data):
            data = data[: data.rfind(b"\n") + 1]
        return plaintext.decoded_text(data)
    except OSError as error:
        raise sniff.from_os_error(error) from error
    except MediaError:
        return ""


def heading(text: str) -> str | None:
    """The first heading of a Markdown or reStructuredText document: # words, or words over a line of signs."""
    above = ""
    for line in text[:_TITLE_WITHIN].split("\n"):
        bare = line.rstrip()
        marks = len(bare) - len(bare.lstrip("#"))
        words = bare[marks:].rstrip("#").strip() if marks in (1, 2) and bare[marks : marks + 1].isspace() else ""
        if words:
            return words
        if above and _UNDERLINE.fullmatch(bare):
            return above
        above = "" if line[:1].isspace() else bare
    return None


def passages(text: str, words: int, overlap: int) -> Iterator[tuple[int, int]]:
    """(start, end) character offsets of passages of `words` words each, the last one shorter.

    Each begins `words - overlap` words after the one before; the last is the first to reach the end.
    """
    step = max(1, words - overlap)
    held: deque[tuple[int, int]] = deque()
    fresh = 0  # words in `held` that no passage has had
    for match in _WORD.finditer(text):
        held.append(match.span())
        fresh += 1
        if len(held) == words:
            yield held[0][0], held[-1][1]
            fresh = 0
            for _ in range(min(step, len(held))):
                held.popleft()
    if fresh:
        yield held[0][0], held[-1][1]

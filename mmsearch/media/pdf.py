"""PDF documents through PDFium, page by page."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2 as pdfium
from numpy.typing import NDArray

from mmsearch.errors import Corrupt, LimitExceeded, Unsupported
from mmsearch.media import sniff
from mmsearch.media.documents import facts as documents_facts
from mmsearch.types import Limits, Metadata

SLENDER = 4
"""Longer side of a page's picture to the shorter, at most."""
MOST_PICTURES = 2000
"""Pages of one document that are drawn."""

_DATE = re.compile(r"D:(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?(?:(Z|[+-]\d\d)'?(\d\d)?'?(?:00'?)?)?)?", re.ASCII)


def is_pdf(head: bytes) -> bool:
    # The header may stand behind a mail header or a blank line.
    return b"%PDF-" in head[:1024]


def pdf_facts(path: Path) -> Metadata:
    """pages, title, author, created (ISO 8601, UTC if it says where)."""
    with _opened(path) as document:
        known: Metadata = {"pages": len(document)}
        for name in ("Title", "Author"):
            value = " ".join("".join(c if c.isprintable() else " " for c in document.get_metadata_value(name)).split())
            if value:
                known[name.lower()] = value[:200]
        moment = _DATE.fullmatch(document.get_metadata_value("CreationDate").strip())
        created = moment and documents_facts.moment(_iso(moment))
        return {**known, "created": created} if created else known


def _iso(moment: re.Match[str]) -> str:
    """D:20240501102030+02'00' as ISO 8601."""
    year, month, day, hour, minute, second, zone, zone_minutes = moment.groups()
    if hour is None:
        return f"{year}-{month}-{day}"
    where = "" if zone is None else "+00:00" if zone == "Z" else f"{zone}:{zone_minutes or '00'}"
    return f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}{where}"


def pdf_pages(path: Path, limits: Limits) -> Iterator[tuple[int, str]]:
    """(1-based number, text) of every page with a text layer; a damaged page is skipped. Raises: LimitExceeded."""
    total = 0
    with _opened(path) as document:
        for index in range(len(document)):
            text = _text(document, index)
            total += len(text)
            if total > limits.text_bytes:
                raise LimitExceeded(f"more than {limits.text_bytes:,} characters of text")
            if text.strip():
                yield index + 1, text


SCANNED_LETTERS = 20
"""A page with fewer letters and digits in its text layer is taken for a picture of one: a stamp is no text."""


def scanned_pages(path: Path, limits: Limits, side: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(1-based number, picture) of every page without usable text: uint8 (height, width, 3), sRGB.

    Args:
        side: Pixels of the longer side.

    A damaged page is skipped. Raises: LimitExceeded.
    """
    if side * side > limits.pixels:
        raise LimitExceeded(f"{side} x {side} pixels, the limit is {limits.pixels:,}")
    with _opened(path) as document:
        for index in range(len(document)):
            if sum(character.isalnum() for character in _text(document, index)) >= SCANNED_LETTERS:
                continue
            with suppress(pdfium.PdfiumError):
                yield index + 1, _drawn(document[index], side)


def _drawn(page: Any, side: int) -> NDArray[np.uint8]:
    try:
        return _rendered(page, side / max(*page.get_size(), 1.0))
    finally:
        page.close()


def _rendered(page: Any, scale: float) -> NDArray[np.uint8]:
    """A page as it is printed: uint8 (height, width, 3), sRGB."""
    bitmap = page.render(scale=scale, rev_byteorder=True, draw_annots=True)
    try:
        drawn = np.array(bitmap.to_numpy())
    finally:
        bitmap.close()
    return np.ascontiguousarray(drawn[:, :, :3] if drawn.ndim == 3 else np.dstack([drawn] * 3))


def pdf_pictures(path: Path, side: int, limits: Limits) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(1-based number, uint8 (height, width, 3), sRGB) of every page as it is printed, the shorter side `side` pixels
    and the longer one at most `SLENDER` times that; a damaged or empty page is skipped."""
    with _opened(path) as document:
        for index in range(min(len(document), MOST_PICTURES)):
            pixels = _picture(document, index, side, limits)
            if pixels is not None:
                yield index + 1, pixels


def _picture(document: Any, index: int, side: int, limits: Limits) -> NDArray[np.uint8] | None:
    try:
        page = document[index]
    except pdfium.PdfiumError:
        return None
    try:
        width, height = page.get_size()
        if not (math.isfinite(width * height) and min(width, height) > 0):
            return None
        scale = min(side / min(width, height), SLENDER * side / max(width, height))
        if max(1, width * scale) * max(1, height * scale) > limits.pixels:
            return None
        pixels = _rendered(page, scale)
        return pixels if pixels.min() != pixels.max() else None
    except (pdfium.PdfiumError, ValueError):
        return None
    finally:
        page.close()


def _text(document: Any, index: int) -> str:
    try:
        page = document[index]
    except pdfium.PdfiumError:
        return ""
    try:
        layer = page.get_textpage()
        try:
            text: str = layer.get_text_bounded()
        finally:
            layer.close()
        return text.replace("\r\n", "\n").replace("\ufffe", "").replace("\x00", "")
    except pdfium.PdfiumError:
        return ""
    finally:
        page.close()


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        # By handle: PDFium itself takes only names that are valid UTF-8.
        with open(path, "rb") as file:
            document = pdfium.PdfDocument(file)
            try:
                yield document
            finally:
                document.close()
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower():
            raise Unsupported("protected by a password") from error
        raise Corrupt("its PDF structure is damaged") from error
    except OSError as error:
        raise sniff.from_os_error(error) from error

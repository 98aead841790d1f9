"""Pictures without what is written beside their pixels, whose bytes stay as they are: for who may see no more.

What is not known to be needed for showing is left out, and whatever follows the picture's end.
"""

import struct
from collections.abc import Callable, Iterator

from mmsearch.errors import Corrupt

JPEG, PNG, RIFF = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF"

_ICC, _ADOBE, _JFIF = b"ICC_PROFILE\0", b"Adobe", b"JFIF\0"

_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))
"""Marks of JPEG without a length."""

_SHOWN = frozenset(
    (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"pHYs",
     b"acTL", b"fcTL", b"fdAT", b"cICP")
)  # fmt: skip
"""Chunks of PNG that say how it is shown."""

_WEBP = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"))

_ORIENTATION = 0x0112


def strip_of(head: bytes) -> Callable[[bytes], bytes] | None:
    """What strips a picture that begins so; None for what is none of these: JPEG, PNG, WebP."""
    if head.startswith(JPEG):
        return strip_jpeg
    if head.startswith(PNG):
        return strip_png
    return strip_webp if head.startswith(RIFF) and head[8:12] == b"WEBP" else None


def strip_jpeg(data: bytes) -> bytes:
    """With its profile of colours and the way up. Raises: Corrupt."""
    made, turned = bytearray(data[:2]), 1
    parts: list[bytes] = []
    for mark, part, body in _jpeg_parts(data):
        if mark == 0xE1 and body.startswith(b"Exif\0\0"):
            turned = _orientation(body[6:])
        if _is_shown(mark, body):
            parts.append(part)
    if turned != 1:
        tag = struct.pack(">HHHIHHI", 1, _ORIENTATION, 3, 1, turned, 0, 0)
        exif = b"Exif\0\0MM\0*\0\0\0\x08" + tag
        made += b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    return bytes(made + b"".join(parts))


def _is_shown(mark: int, body: bytes) -> bool:
    if mark == 0xFE:
        return False  # a comment
    if 0xE0 <= mark <= 0xEF:
        return (mark, True) in ((0xE0, body.startswith(_JFIF)), (0xE2, body.startswith(_ICC)),
                                (0xEE, body.startswith(_ADOBE)))  # fmt: skip
    return True


def _jpeg_parts(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Mark, whole part and body of each, up to the end of the picture; the coded pixels go with their header."""
    at = 2
    while at + 2 <= len(data):
        if data[at] != 0xFF:
            raise Corrupt("its JPEG has no mark where one should be")
        mark = data[at + 1]
        if mark == 0xFF:
            at += 1
            continue
        if mark == 0xD9:
            yield mark, data[at : at + 2], b""
            return
        if mark in _ALONE:
            end = at + 2
        else:
            if at + 4 > len(data):
                break
            end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : end]
        if mark == 0xDA:
            end = _after_pixels(data, end)
        yield mark, data[at:end], body
        at = end
    raise Corrupt("its JPEG does not end")


def _after_pixels(data: bytes, at: int) -> int:
    """Where the next part begins after coded pixels."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            raise Corrupt("its JPEG does not end")
        following = data[at + 1]
        if following not in (0x00, 0xFF) and following not in _ALONE:
            return at
        at += 2 if following != 0xFF else 1


def _orientation(tiff: bytes) -> int:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return 1
    (at,) = struct.unpack_from(f"{order}I", tiff, 4)
    if at + 2 > len(tiff):
        return 1
    (count,) = struct.unpack_from(f"{order}H", tiff, at)
    for entry in range(at + 2, min(at + 2 + 12 * count, len(tiff) - 11), 12):
        tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
        if tag == _ORIENTATION:
            return value if 1 <= value <= 8 else 1
    return 1


def strip_png(data: bytes) -> bytes:
    """Raises: Corrupt."""
    made, at = bytearray(PNG), len(PNG)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        if kind in _SHOWN:
            made += data[at:end]
        if kind == b"IEND":
            return bytes(made)
        at = end
    raise Corrupt("its PNG does not end")


def strip_webp(data: bytes) -> bytes:
    """Raises: Corrupt."""
    made, at, end = bytearray(), 12, min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while at + 8 <= end:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        after = at + 8 + size + size % 2
        if data[at : at + 4] in _WEBP:
            part = bytearray(data[at:after])
            if part[:4] == b"VP8X" and len(part) > 8:
                part[8] &= ~0x0C  # says that EXIF and XMP follow
            made += part
        at = after
    if not made:
        raise Corrupt("its WebP holds no picture")
    return RIFF + (len(made) + 4).to_bytes(4, "little") + b"WEBP" + bytes(made)

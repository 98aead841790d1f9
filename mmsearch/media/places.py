"""Whether a picture holds where it was taken, by its beginning alone: no decoder is run."""

import os
import struct
from pathlib import Path

HEAD = 2**17
"""Bytes in which a picture's EXIF begins."""

SUFFIXES = frozenset((".jpg", ".jpeg", ".heic", ".heif", ".png", ".webp", ".tif", ".tiff", ".avif", ".dng"))

_PLACE = 0x8825
"""The tag of the directory of the place."""

_ENTRIES = 512


def tells_place(path: Path) -> bool | None:
    """Whether it does; None for what is no picture that could, or can't be read."""
    if path.suffix.lower() not in SUFFIXES:
        return None
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            head = os.read(handle, HEAD)
        finally:
            os.close(handle)
    except OSError:
        return None
    return any(_has_place(head, start) for start in _beginnings(head))


def _beginnings(head: bytes) -> list[int]:
    """Where TIFF's header may stand: at the beginning, and where EXIF is wrapped in another format."""
    found, at = [0], 0
    for mark in (b"II*\0", b"MM\0*"):
        at = 0
        while (at := head.find(mark, at)) >= 0 and len(found) < 16:
            found.append(at)
            at += 4
    return found


def _has_place(head: bytes, start: int) -> bool:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(head[start : start + 4])
    if order is None or len(head) < start + 8:
        return False
    (first,) = struct.unpack_from(f"{order}I", head, start + 4)
    at = start + first
    if at + 2 > len(head):
        return False
    (count,) = struct.unpack_from(f"{order}H", head, at)
    tags = (struct.unpack_from(f"{order}H", head, at + 2 + 12 * n)[0] for n in range(min(count, _ENTRIES))
            if at + 4 + 12 * n <= len(head))  # fmt: skip
    return _PLACE in tags

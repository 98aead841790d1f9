"""The directories of a TIFF, as cameras use them: for the sensor's picture, for previews, and for what is known of it.

Pillow reads the pictures of a TIFF; which of several is the one a camera took, no library tells.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MOST_DIRECTORIES = 64
MOST_TAGS = 1024
"""Tags of one directory."""
MOST_VALUES = 4096
"""Values of one tag that are read; of a strip's place there may be thousands."""

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4, 13: 4}
"""Type -> bytes, of whole numbers, texts and bytes."""
_CODES = {1: "B", 2: "B", 3: "H", 4: "I", 6: "B", 7: "B", 8: "H", 9: "I", 13: "I"}

_WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC = 256, 257, 259, 262
_STRIPS, _STRIP_BYTES, _SUB, _JPEG, _JPEG_BYTES, _DNG = 273, 279, 330, 513, 514, 50706
_TILE_BYTES = 325
_MOSAIC, _LINEAR = 32803, 34892
"""Photometric interpretations of a sensor's picture."""
_JPEGS = (6, 7, 34892)
"""Compressions; the last is a DNG's lossy one."""

Directory = Mapping[int, tuple[int, ...]]
"""Tag -> values."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a TIFF of a camera holds."""

    raw: bool
    """Whether one of its pictures is a sensor's."""
    size: tuple[int, int] | None
    """Width and height of the sensor's picture; None if none says so."""
    packed: int | None
    """Bytes that the sensor's pictures take; None if none says so."""
    previews: tuple[tuple[int, int], ...]
    """(offset, length) of each JPEG, the longest first."""


NOTHING = Layout(False, None, None, ())


def layout_of(path: Path) -> Layout:
    """Raises: OSError."""
    with open(path, "rb") as file:
        found = list(directories(file))
    sensor = [one for one in found if one.get(_PHOTOMETRIC, (0,))[0] in (_MOSAIC, _LINEAR)]
    sizes = [(one[_WIDTH][0], one[_HEIGHT][0]) for one in sensor if one.get(_WIDTH) and one.get(_HEIGHT)]
    return Layout(
        bool(sensor) or any(_DNG in one for one in found),
        max(sizes, key=lambda size: size[0] * size[1], default=None),
        _packed(sensor),
        tuple(sorted({place for one in found for place in _jpegs(one)}, key=lambda place: (-place[1], place[0]))),
    )


def _packed(sensor: Sequence[Directory]) -> int | None:
    lengths = [one.get(_STRIP_BYTES) or one.get(_TILE_BYTES) or () for one in sensor]
    told = bool(lengths) and all(0 < len(one) < MOST_VALUES for one in lengths)
    return sum(map(sum, lengths)) if told else None


def _jpegs(directory: Directory) -> Iterator[tuple[int, int]]:
    if directory.get(_PHOTOMETRIC, (0,))[0] in (_MOSAIC, _LINEAR):
        return  # a sensor's picture, whatever packs it
    if directory.get(_JPEG) and directory.get(_JPEG_BYTES):
        yield directory[_JPEG][0], directory[_JPEG_BYTES][0]
    strips, sizes = directory.get(_STRIPS, ()), directory.get(_STRIP_BYTES, ())
    if directory.get(_COMPRESSION, (0,))[0] in _JPEGS and len(strips) == len(sizes) == 1:
        yield strips[0], sizes[0]


def directories(file: BinaryIO) -> Iterator[Directory]:
    """Those of the chain and those below them, each once; nothing of what is no TIFF, and what can be read of a damaged
    one."""
    order = {b"II": "<", b"MM": ">"}.get(head[:2]) if len(head := file.read(8)) == 8 else None
    if order is None:
        return
    waiting, seen = [struct.unpack(f"{order}I", head[4:])[0]], set[int]()
    while waiting and len(seen) < MOST_DIRECTORIES:
        at = waiting.pop(0)
        if at in seen or at < 8:
            continue
        seen.add(at)
        directory, following = _directory(file, at, order)
        waiting += [*directory.get(_SUB, ()), *following]
        yield directory


def _directory(file: BinaryIO, at: int, order: str) -> tuple[Directory, list[int]]:
    """Its tags, and where the next one is."""
    file.seek(at)
    (count,) = struct.unpack(f"{order}H", _exactly(file, 2))
    entries = _exactly(file, 12 * count) if count <= MOST_TAGS else b""
    last = _exactly(file, 4)
    found: dict[int, tuple[int, ...]] = {}
    for tag, kind, number, value in struct.iter_unpack(f"{order}HHI4s", entries):
        length = _SIZES.get(kind, 0) * min(number, MOST_VALUES)
        if length > 4:
            file.seek(struct.unpack(f"{order}I", value)[0])
            value = _exactly(file, length)
        if length:
            found[tag] = struct.unpack(f"{order}{length // _SIZES[kind]}{_CODES[kind]}", value[:length])
    return found, [struct.unpack(f"{order}I", last)[0]] if entries else []


def _exactly(file: BinaryIO, length: int) -> bytes:
    """As many bytes, with zeros for those beyond the end."""
    return file.read(length).ljust(length, b"\0")

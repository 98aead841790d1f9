"""Small raw pictures, made by hand as cameras lay them out: a TIFF with a thumbnail, a mosaic and a preview."""

import io
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.media_files import quarters

Tags = dict[int, tuple[int, Any]]
"""Tag -> (type, value): whole numbers of type 3 or 4, texts of type 2, bytes of types 1 and 7, rationals of type 5."""


def jpeg(width: int, height: int, *, mode: str = "RGB", quality: int = 95) -> bytes:
    data = io.BytesIO()
    Image.fromarray(quarters(width, height)).convert(mode).save(data, "JPEG", quality=quality)
    return data.getvalue()


def mosaic(width: int, height: int) -> NDArray[np.uint16]:
    """`quarters` as a sensor under a filter of red, green, green and blue sees them, 14 bits."""
    colours = quarters(width, height).astype(np.uint16) * 60 + 200
    seen = colours[:, :, 1].copy()
    seen[::2, ::2], seen[1::2, 1::2] = colours[::2, ::2, 0], colours[1::2, 1::2, 2]
    return seen


def raw_file(
    path: Path,
    *,
    size: tuple[int, int] = (800, 600),
    preview: tuple[int, int] | None = (640, 480),
    thumbnail: tuple[int, int] = (64, 48),
    tags: Tags | None = None,
    camera: Tags | None = None,
    place: Tags | None = None,
    dng: bool = True,
    order: str = "<",
    sensor: Mapping[int, tuple[int, Any]] | None = None,
    data: bytes | None = None,
) -> Path:
    """A DNG, or a NEF where `dng` is False.

    Args:
        sensor: Tags of the sensor's directory, over those that it has.
        data: What is written in the place of the mosaic.
    """
    files = _File(order)
    width, height = size
    small = np.zeros((thumbnail[1], thumbnail[0], 3), np.uint8).tobytes()
    pixels = mosaic(width, height).astype(f"{order}u2").tobytes() if data is None else data
    subs: list[Tags] = [
        {
            254: (4, 0), 256: (4, width), 257: (4, height), 258: (3, 16), 259: (3, 1), 262: (3, 32803),
            273: (4, files.put(pixels)), 277: (3, 1), 278: (4, height), 279: (4, len(pixels)),
            33421: (3, (2, 2)), 33422: (1, b"\0\1\1\2"), 50714: (4, 200), 50717: (4, 15_500), **(sensor or {}),
        }
    ]  # fmt: skip
    if preview is not None:
        shown = jpeg(*preview)
        subs.append(
            {
                254: (4, 1), 256: (4, preview[0]), 257: (4, preview[1]), 258: (3, (8, 8, 8)), 259: (3, 7),
                262: (3, 6), 273: (4, files.put(shown)), 277: (3, 3), 278: (4, preview[1]), 279: (4, len(shown)),
            }
        )  # fmt: skip
    main: Tags = {
        254: (4, 1), 256: (4, thumbnail[0]), 257: (4, thumbnail[1]), 258: (3, (8, 8, 8)), 259: (3, 1), 262: (3, 2),
        271: (2, "NIKON CORPORATION"), 272: (2, "NIKON D5300"), 273: (4, files.put(small)), 277: (3, 3),
        278: (4, thumbnail[1]), 279: (4, len(small)), 330: (4, tuple(files.directory(one) for one in subs)),
        **(tags or {}),
    }  # fmt: skip
    if dng:
        main |= {50706: (1, b"\1\4\0\0"), 50708: (2, "NIKON D5300"), 50721: (10, (1, 0, 0, 0, 1, 0, 0, 0, 1))}
    if camera:
        main[34665] = (4, files.directory(camera))
    if place:
        main[34853] = (4, files.directory(place))
    path.write_bytes(files.finished(files.directory(main)))
    return path


class _File:
    """A TIFF as it grows."""

    def __init__(self, order: str) -> None:
        self._order = order
        self._data = bytearray(8)

    def put(self, data: bytes) -> int:
        """Where it lies."""
        self._data += b"\0" * (len(self._data) % 2)
        self._data += data
        return len(self._data) - len(data)

    def directory(self, tags: Tags) -> int:
        entries = b""
        for tag, (kind, value) in sorted(tags.items()):
            packed, count = self._packed(kind, value)
            held = packed.ljust(4, b"\0") if len(packed) <= 4 else self._pack("I", [self.put(packed)])
            entries += self._pack("HHI", [tag, kind, count]) + held
        return self.put(self._pack("H", [len(tags)]) + entries + b"\0\0\0\0")

    def _packed(self, kind: int, value: Any) -> tuple[bytes, int]:
        if isinstance(value, str):
            value = value.encode() + b"\0"
        if isinstance(value, bytes):
            return value, len(value)
        values = list(value) if isinstance(value, tuple) else [value]
        if kind in (5, 10):
            return self._pack("II" * len(values), [part for one in values for part in (one, 1)]), len(values)
        return self._pack({3: "H", 4: "I"}[kind] * len(values), values), len(values)

    def _pack(self, code: str, values: Sequence[int]) -> bytes:
        return struct.pack(self._order + code, *values)

    def finished(self, first: int) -> bytes:
        self._data[:8] = (b"II*\0" if self._order == "<" else b"MM\0*") + self._pack("I", [first])
        return bytes(self._data)

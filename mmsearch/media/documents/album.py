"""Pictures inside documents, as those of picture files: few, and none that is only an ornament."""

import hashlib
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmsearch.errors import MediaError, OutOfMemory
from mmsearch.media import pixels
from mmsearch.media.documents.parts import Part
from mmsearch.types import Limits

MOST = 100
"""Pictures of a document; the first ones are taken."""

SMALLEST = 64
"""Pixels of the shorter side: below are bullets, icons and lines."""

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "HEIF", "AVIF", "MPO")
"""What is decoded. Windows metafiles, which are drawn by a program, are not."""


class Album:
    """Decodes the pictures of one document, each once: a logo stands on every slide."""

    def __init__(self, side: int, limits: Limits) -> None:
        """`side`: as `Windowing.image_side`."""
        self._side = side
        self._limits = limits
        self._seen: set[bytes] = set()
        self._count = 0

    def pictures(self, part: Part, note: Callable[[bytes], None]) -> Iterator[NDArray[np.uint8]]:
        """uint8 (height, width, 3), sRGB, of those of a part that can be decoded.

        Args:
            note: Told of each file that is there, decoded or not.
        """
        for read in part.pictures:
            try:
                data = read()
                digest = hashlib.sha256(data).digest()
                note(digest)
                if digest not in self._seen and self._count < MOST:
                    self._seen.add(digest)
                    shown = self._decoded(data)
                    if shown is not None:
                        self._count += 1
                        yield shown
            except OutOfMemory:
                raise
            except MediaError:
                # The words around it are there all the same.
                continue

    def _decoded(self, data: bytes) -> NDArray[np.uint8] | None:
        with pixels.guarded(self._limits):
            image: Any = Image.open(io.BytesIO(data), formats=FORMATS)
            pixels.check_size(image.size, self._limits)
            return pixels.upright_rgb(image, self._side) if min(image.size) >= SMALLEST else None

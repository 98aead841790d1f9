"""The tiny space with an image encoder that sees regions: a quarter of a picture is one if its colour is another.

A picture is the mean of its quarters' colours on the axes red, green and blue; a region is of its quarter's colour
alone, in the order left and right above, then below.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.types import Prepared, SeenRegion, Space, Vectors, Windowing
from tests import tiny

MOST, ALIKE = 3, 0.9
BOXES = ((0.0, 0.0, 0.5, 0.5), (0.5, 0.0, 1.0, 0.5), (0.0, 0.5, 0.5, 1.0), (0.5, 0.5, 1.0, 1.0))


class QuarterImage(tiny.TinyImage):
    def __init__(self, version: str) -> None:
        super().__init__(version)
        self.spec = replace(self.spec, name="quarter-image")

    def _prepared(self, data: Any, rate: int | None) -> Prepared:
        top, left = data.shape[0] // 2, data.shape[1] // 2
        quarters = (data[:top, :left], data[:top, left:], data[top:, :left], data[top:, left:])
        return np.array([one.reshape(-1, 3).mean(axis=0) for one in quarters], np.float32) / 255

    def _vector(self, prepared: Prepared) -> NDArray[np.float32]:
        return np.concatenate([prepared.reshape(-1, 3).mean(axis=0), np.zeros(tiny.DIM - 3, np.float32)])

    def encode_regions(self, batch: Sequence[Prepared], most: int) -> tuple[Vectors, list[list[SeenRegion]]]:
        whole = self.encode(batch)
        found = []
        for quarters, vector in zip(batch, whole, strict=True):
            rows = [self._vector(one) for one in quarters]
            unit = [np.asarray(row / np.linalg.norm(row), np.float32) for row in rows]
            other: list[SeenRegion] = []
            for box, row in zip(BOXES, unit, strict=True):
                if all(row @ known < ALIKE for known in (vector, *(one.vector for one in other))):
                    other.append(SeenRegion(box, row))
            found.append(other[:most])
        return whole, found


def space(device: str = "auto", precision: str = "auto") -> Space:
    plain = tiny.space()
    return Space("quarters", tiny.DIM, Windowing(regions=MOST), {**plain.encoders, "image": QuarterImage("1")})

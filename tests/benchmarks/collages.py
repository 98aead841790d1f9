"""A part of a picture, by itself, finds the picture: `python -m tests.benchmarks.collages --shared ../shared`.

200 collages are made of photos of Flickr8k's dev split: two or three side by side (a row that is long is cut into
squares), four or six in a grid, one inside another. One of a collage's photos is the query, among all collages and as
many other photos as make a thousand items. Counted is how often the collage comes first, and of those how often the box
of the segment that brought it and the photo's place overlap by half (intersection over union).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmsearch.core import registry
from mmsearch.encoders.explaining import Box
from mmsearch.media.image import ImageDecoder
from mmsearch.types import Limits, SeesRegions, Segment, Space
from tests.benchmarks.quality import rows

COLLAGES, ITEMS = 200, 1000
LAYOUTS = ((1, 2), (1, 3), (2, 2), (2, 3), (0, 0))
"""Rows and columns; (0, 0) is a photo inside another."""
SIDE = 224
INSET: Box = (0.5, 0.5, 0.95, 0.95)
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


class Collage(NamedTuple):
    pixels: NDArray[np.uint8]
    part: int
    """Of the photos it is made of, the one that is asked for."""
    box: Box


def opened(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path).convert("RGB").resize((SIDE, SIDE)))


def made(photos: Sequence[NDArray[np.uint8]], layout: tuple[int, int], draw: np.random.Generator) -> Collage:
    down, across = layout
    if not down:
        left, top, right, bottom = (round(edge * 2 * SIDE) for edge in INSET)
        pixels = np.array(Image.fromarray(photos[0]).resize((2 * SIDE, 2 * SIDE)))
        pixels[top:bottom, left:right] = np.asarray(Image.fromarray(photos[1]).resize((right - left, bottom - top)))
        return Collage(pixels, 1, INSET)
    lines = [np.concatenate(photos[row * across : (row + 1) * across], axis=1) for row in range(down)]
    part = int(draw.integers(down * across))
    y, x = divmod(part, across)
    return Collage(np.concatenate(lines), part, (x / across, y / down, (x + 1) / across, (y + 1) / down))


def segments(space: Space, pixels: NDArray[np.uint8]) -> list[tuple[Box, NDArray[np.float32]]]:
    """As an ingest makes them of one picture: the whole, squares, and regions of the whole."""
    encoder, most = space.encoders["image"], space.windowing.regions
    decoder = ImageDecoder(space.windowing, Limits())
    found = decoder._with_parts(pixels)
    places = [one.span.box or WHOLE for one in found]
    batch = [encoder.prepare(one) for one in found]
    if len(batch) > 1 or not (most and isinstance(encoder, SeesRegions)):
        return list(zip(places, encoder.encode(batch), strict=True))
    vectors, regions = encoder.encode_regions(batch, most)
    return [*zip(places, vectors, strict=True), *((one.box, one.vector) for one in regions[0])]


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return both / (sum(areas) - both)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--space", default="starter")
    parser.add_argument("--collages", type=int, default=COLLAGES)
    parser.add_argument("--items", type=int, default=ITEMS)
    options = parser.parse_args(arguments)
    space: Space = registry.load_part("spaces", options.space)("cpu")
    folder = options.shared / "data" / "flickr8k"
    names = sorted({row["filename"] for row in rows(folder / "captions.tsv") if row["split"] == "dev"})
    draw = np.random.default_rng(0)
    order = draw.permutation(len(names))
    pool, others = order[: len(order) // 2], order[len(order) // 2 :]
    owners: list[int] = []
    boxes: list[Box] = []
    vectors: list[NDArray[np.float32]] = []

    def add(owner: int, pixels: NDArray[np.uint8]) -> None:
        for box, vector in segments(space, pixels):
            owners.append(owner)
            boxes.append(box)
            vectors.append(vector)

    queries, wanted, layouts = [], [], []
    for number in range(options.collages):
        layout = LAYOUTS[number % len(LAYOUTS)]
        chosen = draw.choice(pool, max(layout[0] * layout[1], 2), replace=False)
        photos = [opened(folder / "images" / names[one]) for one in chosen]
        collage = made(photos, layout, draw)
        add(number, collage.pixels)
        encoder = space.encoders["image"]
        queries.append(encoder.encode([encoder.prepare(Segment("image", photos[collage.part]))])[0])
        wanted.append(collage.box)
        layouts.append(layout)
    for number in range(options.collages, options.items):
        add(number, opened(folder / "images" / names[others[(number - options.collages) % len(others)]]))
    report(np.stack(queries) @ np.stack(vectors).T, np.array(owners), boxes, wanted, layouts)
    return 0


def report(
    scores: NDArray[np.float32],
    owners: NDArray[np.int64],
    boxes: Sequence[Box],
    wanted: Sequence[Box],
    layouts: Sequence[tuple[int, int]],
) -> None:
    best = scores.argmax(axis=1)
    first = owners[best] == np.arange(len(scores))
    placed = np.array([overlap(boxes[one], box) >= 0.5 for one, box in zip(best, wanted, strict=True)])
    for layout in (None, *LAYOUTS):
        some = np.array([layout in (None, one) for one in layouts])
        if some.any():
            share = placed[some & first].mean() if (some & first).any() else 0.0
            sys.stdout.write(
                f"{layout or 'all'}: {some.sum()} collages, first {100 * first[some].mean():.0f} %, "
                f"of those in its place {100 * share:.0f} %\n"
            )
    sys.stdout.write(f"{len(owners) / len(set(owners.tolist())):.2f} vectors an item\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The steps of rapidocr one after the other, with a vote on which way the lines of a picture run.

Its classifier judges each line by itself, and errs with short ones; its order is that of the page's top, wherever the
text's is. Here the lines of a picture agree on their direction, and are ordered along it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TALL = 1.5
"""Height by width of a box whose line runs down or up: rapidocr turns it by 90 degrees before it is read."""

LEAST_SCORE = 0.5
"""Mean probability of a line's characters below which it is nothing."""

WELL_READ = 0.8
"""A score from which a line is as all lines run, whichever way it seems to run by itself: "MIN" is "NIW", too."""

Corners = NDArray[np.float64]
"""(4, 2), x and y in pixels, clockwise."""


@dataclass(frozen=True, slots=True)
class ReadLine:
    """A line as it was read."""

    corners: Corners
    text: str
    score: float


def read_lines(engine: Any, pixels: NDArray[np.uint8], side: int) -> list[ReadLine]:
    """The lines of a picture, uint8 (height, width, 3), in reading order.

    Args:
        engine: A RapidOCR.
        side: Pixels of the longer side at which lines are looked for.
    """
    from rapidocr.main import RapidOCRError
    from rapidocr.utils.process_img import map_boxes_to_original

    engine._load_det_model().limit_side_len = side
    # It takes blue, green, red.
    image, record = engine.preprocess_img(np.ascontiguousarray(pixels[:, :, ::-1]))
    try:
        crops, found = engine.detect_and_crop(image, record)
    except RapidOCRError:
        return []  # no line
    boxes = [np.asarray(one, np.float64) for one in found.boxes]
    judged = [
        (score - 0.5) * (-1.0 if label == "180" else 1.0) for label, score in engine._load_cls_model()(crops).cls_res
    ]
    ahead = _agreed(boxes, judged)
    texts = _read(engine, crops, judged, ahead)
    placed = map_boxes_to_original(np.array(boxes, np.float32), record, *pixels.shape[:2])
    return [
        ReadLine(np.asarray(placed[n], np.float64), *texts[n])
        for n in reading_order(boxes, ahead)
        if texts[n][1] >= LEAST_SCORE and texts[n][0].strip()
    ]


def _read(engine: Any, crops: Sequence[Any], judged: Sequence[float], ahead: Sequence[bool]) -> list[tuple[str, float]]:
    """Text and score of each line: as all run; if that gives little, as it seems to run by itself, which is better."""
    ways = [crop if ahead[n] else crop[::-1, ::-1] for n, crop in enumerate(crops)]
    texts = _recognized(engine, ways)
    other = [n for n, one in enumerate(judged) if (one >= 0) != ahead[n] and texts[n][1] < WELL_READ]
    for n, second in zip(other, _recognized(engine, [ways[n][::-1, ::-1] for n in other]), strict=True):
        texts[n] = max(texts[n], second, key=lambda one: one[1])
    return texts


def _recognized(engine: Any, crops: Sequence[Any]) -> list[tuple[str, float]]:
    if not crops:
        return []
    read = engine.recognize_txt([np.ascontiguousarray(one) for one in crops])
    return [(text, float(score)) for text, score in zip(read.txts, read.scores, strict=True)]


def _is_tall(corners: Corners) -> bool:
    width, height = _sides(corners)
    return height >= TALL * width


def _sides(corners: Corners) -> tuple[float, float]:
    (a, b, c, d) = corners
    return (
        max(float(np.linalg.norm(a - b)), float(np.linalg.norm(c - d)), 1.0),
        max(float(np.linalg.norm(a - d)), float(np.linalg.norm(b - c)), 1.0),
    )


def _agreed(boxes: Sequence[Corners], judged: Sequence[float]) -> list[bool]:
    """Whether each line runs to the right, or down if it is tall, as most of its like do: long ones tell best."""
    votes = {True: 0.0, False: 0.0}
    tall = [_is_tall(box) for box in boxes]
    for box, down, one in zip(boxes, tall, judged, strict=True):
        sides = _sides(box)
        votes[down] += one * min(max(sides) / min(sides), 10.0)
    return [votes[down] >= 0 for down in tall]


def reading_order(boxes: Sequence[Corners], ahead: Sequence[bool]) -> list[int]:
    """The places of lines, row by row along the direction of most of their length.

    Args:
        ahead: Of each line, whether it runs to the right, or down if it is tall.
    """
    ways = [
        (box[3] - box[0] + box[2] - box[1] if _is_tall(box) else box[1] - box[0] + box[2] - box[3])
        * (1 if forward else -1)
        for box, forward in zip(boxes, ahead, strict=True)
    ]
    lengths = {down: sum(max(_sides(box)) for box in boxes if _is_tall(box) == down) for down in (False, True)}
    main = lengths[True] > lengths[False]
    along = np.sum([way for way, box in zip(ways, boxes, strict=True) if _is_tall(box) == main], axis=0)
    along = along / max(float(np.linalg.norm(along)), 1e-9)
    across = np.array([-along[1], along[0]])
    depth = [float(box.mean(axis=0) @ across) for box in boxes]
    rows: list[list[int]] = []
    for n in sorted(range(len(boxes)), key=depth.__getitem__):
        height = min(min(_sides(boxes[n])), min(_sides(boxes[rows[-1][-1]]))) if rows else 0.0
        if rows and depth[n] - depth[rows[-1][-1]] < height / 2:
            rows[-1].append(n)
        else:
            rows.append([n])
    return [n for row in rows for n in sorted(row, key=lambda n: float((boxes[n] @ along).min()))]

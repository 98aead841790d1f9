"""What two pictures prove: grey copies laid over each other, and the largest difference that is left.

Lossy compression and another size change every place a little; another number, a moved person or another screen changes
one place much. So it is the largest difference of a neighbourhood that decides, in grey levels and against what the
rest of the picture differs by, after what a tone curve changes everywhere was taken out.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmsearch.media.sameness.evidence import PictureEvidence

Grey: TypeAlias = NDArray[np.float32]
PictureChange: TypeAlias = Literal["same", "recoloured", "cropped", "burst"]

ROUGHLY = 0.8
"""Correlation of the means of eighths, at least, before anything finer is looked at."""

BLANK = 3.0
"""Standard deviation, in grey levels, up to which a picture shows nothing that could be compared."""

SAME_LEVELS = {48: 7.0, 96: 10.0, 128: 12.0, 256: 20.0}
"""Side that two pictures are compared at -> what four neighbouring cells may differ by in the mean, in grey levels."""
OUTSTANDING = {48: 9.0, 96: 9.0, 128: 9.0, 256: 12.0}
"""Side -> how many times what the picture differs by as a whole."""
SAME_GAIN, SAME_OFFSET = 0.06, 10.0
"""A tone that is nearly the same: contrast and brightness that JPEG and colour profiles change."""
SAME_CHROMA = 10.0
"""What the colour of a sixteenth may differ by."""

NEEDED = {96: 220, 256: 280}
"""Side -> pixels of the shorter side below which a picture lacks the detail that such copies are compared by."""

DRAWN = 0.4
"""What a page, a screen or a drawing has of flat ground, at least: it is compared in full detail or not at all."""

CROP_SIDE, CROP_FROM, CROP_LEVELS = 48, 0.97, 32.0
"""Side at which a part is laid over the whole; the correlation there, at least; the largest difference, at most."""
CROPPED_FROM = 0.5
"""Share of each side that a crop leaves, at least."""
BURST_FROM = 0.9
"""Correlation of two shots of one scene, at least."""


@dataclass(frozen=True, slots=True)
class PictureShape:
    """Pixels of the picture that evidence was made of; 0 where they are not known."""

    width: int = 0
    height: int = 0

    @property
    def shorter(self) -> int:
        return min(self.width, self.height)


@dataclass(frozen=True, slots=True)
class PictureProof:
    """How two pictures are related."""

    change: PictureChange
    figure: float
    """same, recoloured, cropped: the largest difference in grey levels; burst: the correlation."""


def same_picture(
    one: PictureEvidence, other: PictureEvidence, shapes: tuple[PictureShape, PictureShape]
) -> PictureProof | None:
    """Whether both show the same from edge to edge, in the same tone ("same") or another ("recoloured")."""
    found = _laid_over(one, other, shapes) if float(one.coarse @ other.coarse) >= ROUGHLY else None
    if found is None:
        return None
    a, b = found
    if min(float(a.std()), float(b.std())) <= BLANK or _correlation(a, b) < 0.9:
        return None
    gain, offset = _tone(a, b)
    side = len(a)
    if abs(gain - 1) <= SAME_GAIN and abs(offset + (gain - 1) * float(b.mean())) <= SAME_OFFSET:
        worst = _worst(a - (gain * b + offset), side)
        if worst is None:
            return None
        return PictureProof("same" if _same_colours(one, other) else "recoloured", worst)
    worst = _worst(a - _toned(a, b), side)
    return None if worst is None else PictureProof("recoloured", worst)


def related_picture(
    one: PictureEvidence, other: PictureEvidence, shapes: tuple[PictureShape, PictureShape]
) -> PictureProof | None:
    """What `same_picture` says, or whether one is a part of the other, or a shot of the same scene."""
    found = same_picture(one, other, shapes)
    if found is not None:
        return found
    if max(one.flat, other.flat) >= DRAWN:
        return None  # pages share their layout, which proves nothing
    return _cropped(one, other, shapes) or _burst(one, other)


def _laid_over(
    one: PictureEvidence, other: PictureEvidence, shapes: tuple[PictureShape, PictureShape]
) -> tuple[Grey, Grey] | None:
    """Both at the side that they can be compared at; None if only one of them was kept in the detail it needs, or if
    they are of different shapes."""
    if not _same_aspect(*shapes):
        return None
    side = min(one.side, other.side)
    drawn = max(one.flat, other.flat) >= DRAWN
    if side < max(one.side, other.side) and drawn:
        return None
    small = min(shapes[0].shorter or NEEDED[256], shapes[1].shorter or NEEDED[256])
    if drawn and shapes[0] == shapes[1]:
        small = NEEDED[256]  # nothing was lost by another size
    while side > 48 and small < NEEDED[side]:
        if drawn:
            return None  # it might differ in what the smaller one can't show
        side = 96 if side > 96 else 48
    return reduced(one.grey, side), reduced(other.grey, side)


def _same_aspect(one: PictureShape, other: PictureShape) -> bool:
    if not one.shorter or not other.shorter:
        return one == other
    # A side of so few pixels is rounded by so much.
    slack = max(0.01, 1.5 / min(one.shorter, other.shorter))
    return abs(one.width * other.height / (one.height * other.width) - 1) <= slack


def reduced(grey: NDArray[np.uint8], side: int) -> Grey:
    """A copy of another side, float32 (side, side): every cell is the mean of what it covers."""
    values = grey.astype(np.float32)
    return values if len(grey) == side else _means(values, side)


def _means(values: Grey, side: int) -> Grey:
    if len(values) % side == 0:
        part = len(values) // side
        return np.asarray(values.reshape(side, part, side, part).mean(axis=(1, 3)), np.float32)
    weights = _cover(len(values), side)
    return np.asarray(weights @ values @ weights.T, np.float32)


@lru_cache(maxsize=8)
def _cover(large: int, small: int) -> NDArray[np.float32]:
    """(small, large): the share of each large cell in each small one."""
    edges = np.arange(small + 1) * (large / small)
    cells = np.arange(large)
    held = np.minimum(edges[1:, np.newaxis], cells + 1) - np.maximum(edges[:-1, np.newaxis], cells)
    return np.asarray(np.clip(held, 0, None) * (small / large), np.float32)


def _correlation(a: Grey, b: Grey) -> float:
    x, y = a.ravel() - a.mean(), b.ravel() - b.mean()
    return float(x @ y / np.sqrt(max(float(x @ x) * float(y @ y), 1e-9)))


def _tone(a: Grey, b: Grey) -> tuple[float, float]:
    """(gain, offset): a is nearly gain * b + offset."""
    y = b.ravel() - b.mean()
    gain = float((a.ravel() - a.mean()) @ y / max(float(y @ y), 1e-9))
    return gain, float(a.mean()) - gain * float(b.mean())


def _toned(a: Grey, b: Grey) -> Grey:
    """b as a curve of three bends makes it most like a."""
    x = b.ravel() / 255
    terms = np.stack([np.ones_like(x), x, x * x, x * x * x], axis=1)
    weights = np.linalg.lstsq(terms, a.ravel(), rcond=None)[0]
    return np.asarray(terms @ weights, np.float32).reshape(b.shape)


def _worst(rest: Grey, side: int) -> float | None:
    """The largest difference of four neighbouring cells; None if it stands out."""
    if side == 256 and _worst(_means(rest, 128), 128) is None:
        return None
    worst, usual = _largest(rest), float(np.sqrt((rest * rest).mean()))
    if worst > SAME_LEVELS[side] or worst > OUTSTANDING[side] * (usual + 0.4):
        return None
    return worst


def residual(a: Grey, b: Grey) -> tuple[float, float]:
    """What is left of a when b in its tone is taken off: the largest difference, and the root mean square."""
    gain, offset = _tone(a, b)
    rest = a - (gain * b + offset)
    return _largest(rest), float(np.sqrt((rest * rest).mean()))


def _largest(rest: Grey) -> float:
    """The largest mean of four neighbouring cells, below or above 0."""
    return float(np.abs(rest[1:, 1:] + rest[:-1, 1:] + rest[1:, :-1] + rest[:-1, :-1]).max()) / 4


def _same_colours(one: PictureEvidence, other: PictureEvidence) -> bool:
    if not (one.colours.size and other.colours.size):
        return True
    return int(np.abs(one.colours.astype(np.int16) - other.colours).max()) <= SAME_CHROMA


COARSE = 32
"""Side of the copies that are laid over each other first."""


def _cropped(
    one: PictureEvidence, other: PictureEvidence, shapes: tuple[PictureShape, PictureShape]
) -> PictureProof | None:
    """The second a part of the first, which has more pixels."""
    a, b = reduced(other.grey, COARSE), reduced(one.grey, COARSE)
    if min(float(a.std()), float(b.std())) <= BLANK:
        return None
    guess, likeness = _best_guess(a, b)
    if likeness < BURST_FROM:
        return None
    shown, held = _blurred(reduced(other.grey, CROP_SIDE)), _blurred(reduced(one.grey, CROP_SIDE))
    ratio = CROP_SIDE / COARSE
    place, likeness = _registered(shown, held, guess * np.array([1, ratio, 1, ratio]), 6)
    if likeness < CROP_FROM or not _is_crop(place, *shapes):
        return None
    there = _shifted(held, place)
    gain, offset = _tone(shown, there)
    worst = _largest((shown - (gain * there + offset))[1:-1, 1:-1])
    return PictureProof("cropped", likeness) if worst <= CROP_LEVELS and abs(gain - 1) <= 0.2 else None


def _best_guess(a: Grey, b: Grey) -> tuple[NDArray[np.float64], float]:
    found, likeness = np.array([1.0, 0.0, 1.0, 0.0]), -1.0
    for scale, x, y in _STARTS:
        place, alike = _registered(a, b, np.array([scale, x, scale, y]), 6)
        if alike > likeness:
            found, likeness = place, alike
        if likeness > 0.94 or likeness < 0.5:
            break
    return found, likeness


def _blurred(grey: Grey) -> Grey:
    """What the resampling of one of two pictures takes from it, taken from both."""
    for _ in range(2):
        padded = np.pad(grey, ((1, 1), (0, 0)), "edge")
        grey = np.asarray(((padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4).T, np.float32)
    return np.ascontiguousarray(grey)


_STARTS = tuple(
    (scale, x * (1 - scale) * COARSE / 2, y * (1 - scale) * COARSE / 2)
    for scale, places in ((0.92, ((0, 0),)), (0.8, ((0, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))), (0.65, ((0, 0),)))
    for x, y in places
)
"""Guesses at (scale, shift across, shift down) of a part in the whole."""


def _is_crop(place: NDArray[np.float64], large: PictureShape, small: PictureShape) -> bool:
    """Whether a place (scale and shift across, scale and shift down) lies inside, and keeps the pixels' shape."""
    for scale, shift in ((place[0], place[1]), (place[2], place[3])):
        if not CROPPED_FROM <= scale <= 1.01 or abs(shift) > (1 - scale) * CROP_SIDE / 2 + 1:
            return False
    if place[0] * place[2] > 0.98:
        return False
    if not large.shorter or not small.shorter:
        return False
    across, down = place[0] * large.width / small.width, place[2] * large.height / small.height
    return bool(abs(across / down - 1) <= 0.04)


def _burst(one: PictureEvidence, other: PictureEvidence) -> PictureProof | None:
    """A shot of the same scene: as a whole it is alike, if it is moved a little. Pages that differ are no burst."""
    if max(one.flat, other.flat) >= 0.5:
        return None
    a, b = reduced(one.grey, COARSE), reduced(other.grey, COARSE)
    if min(float(a.std()), float(b.std())) <= BLANK:
        return None
    _, correlation = _registered(a, b, np.array([1.0, 0.0, 1.0, 0.0]), 6)
    return PictureProof("burst", correlation) if correlation >= BURST_FROM else None


def _registered(a: Grey, b: Grey, place: NDArray[np.float64], steps: int) -> tuple[NDArray[np.float64], float]:
    """(scale and shift across, scale and shift down) at which b is most like a, from a first guess on, by Gauss and
    Newton; and the correlation there."""
    side = len(a)
    middle = (side - 1) / 2
    along = ((np.arange(side) - middle) / side).astype(np.float32)
    found = place
    for _ in range(steps):
        shown = _shifted(b, found)
        down, across = np.gradient(shown)
        terms = np.stack(
            [
                (across * along * side).ravel(), across.ravel(), (down * along[:, np.newaxis] * side).ravel(),
                down.ravel(), shown.ravel(), np.ones(side * side, np.float32),
            ],
            axis=1,
        )  # fmt: skip
        squares = (terms.T @ terms).astype(np.float64)
        squares[np.diag_indices(6)] = squares[np.diag_indices(6)] * 1.0001 + 1e-3
        step = np.linalg.solve(squares, terms.T @ a.ravel())
        limit = np.array([0.1, side / 16, 0.1, side / 16])
        found = found + np.clip(step[:4] / max(abs(float(step[4])), 0.3), -limit, limit)
        found[[0, 2]] = np.clip(found[[0, 2]], 0.3, 1.5)
        if np.abs(step[:4]).max() < 0.01:
            break
    return found, _correlation(a, _shifted(b, found))


def _shifted(b: Grey, place: NDArray[np.float64]) -> Grey:
    rows, columns = _between(len(b), place[2], place[3]), _between(len(b), place[0], place[1])
    first, share = rows
    across = b[first] * (1 - share[:, np.newaxis]) + b[first + 1] * share[:, np.newaxis]
    first, share = columns
    return np.asarray(across[:, first] * (1 - share) + across[:, first + 1] * share, np.float32)


def _between(side: int, scale: float, shift: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The cells before each place, and how far beyond them it is."""
    middle = (side - 1) / 2
    places = np.clip((np.arange(side) - middle) * scale + middle + shift, 0, side - 1)
    first = np.minimum(places.astype(np.int64), side - 2)
    return first, (places - first).astype(np.float32)

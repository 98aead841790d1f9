"""Why a hit was found: what an explanation is made of, and what an encoder must offer to be explained."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders.explaining import Box
from mmsearch.types import Modality


@dataclass(frozen=True, slots=True)
class ConceptTie:
    """A concept that ties a query and a hit."""

    name: str
    weight: float
    """In [0, 1]: its share of what the encoder saw or heard."""
    amount: float
    """What it adds to the score. Over all concepts, named here or not, this sums up to the score."""


@dataclass(frozen=True, slots=True)
class TextCue:
    """A sentence or a word, and how much the score drops without it."""

    text: str
    drop: float


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a picture or a sound, and how much the score drops without it."""

    box: Box
    drop: float
    start: float | None = None
    """Seconds, in a sound."""
    end: float | None = None


@dataclass(frozen=True, slots=True)
class PartShare:
    """What one part of a mixed query adds to the score; below zero for what is not wanted, or far away."""

    name: str
    amount: float


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Why a hit was found. What its encoder can't tell is empty."""

    score: float | None
    """Raw cosine in [-1, 1]; None if words alone brought it."""
    by: tuple[str, ...]
    """Which lists brought it: "vector", "keywords" or both."""
    matched: Modality | None = None
    start: float | None = None
    """Seconds: the moment of a sound or a video that matched, up to `end`."""
    end: float | None = None
    ties: tuple[ConceptTie, ...] = ()
    """The concepts that add most, best first."""
    cues: tuple[TextCue, ...] = ()
    """Of a passage, the sentences (of a single one, the words) that count most."""
    regions: tuple[Region, ...] = ()
    """Of a picture or a sound, the parts that count most."""
    parts: tuple[PartShare, ...] = ()
    """Of a mixed query, what each part adds."""
    heat: NDArray[np.float32] | None = None
    """(rows, columns): score drop as that part of the picture (or, in one row, of the sound) is hidden."""
    picture: NDArray[np.uint8] | None = None
    """(height, width, 3): the picture as the encoder saw it."""
    shown: tuple[float, float, float, float] | None = None
    """Which part of the picture that is, and `heat` is of, where a square of a panorama matched: left, top, right and
    bottom in [0, 1]. None: all of it."""

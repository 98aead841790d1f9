"""What an encoder may offer beside its vectors: so that a hit can be explained, or several kinds be one input."""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mmsearch.types import Modality, Prepared, Vectors

Box: TypeAlias = tuple[float, float, float, float]
"""(left, top, right, bottom) as shares of width and height, in [0, 1]; of a sound, left and right are times."""


@runtime_checkable
class ExplainsConcepts(Protocol):
    """An encoder whose vectors are sums of named ones; optional."""

    def concepts(self, prepared: Prepared) -> Sequence[tuple[str, float, NDArray[np.float32]]]:
        """(name, weight > 0, vector float32 (dim,)): weight times vector, summed up, is what `encode` gives."""
        ...


@runtime_checkable
class OccludesRegions(Protocol):
    """An encoder that can do without a part of its input; optional."""

    def occluded(self, prepared: Prepared, box: Box) -> Prepared:
        """A copy with the part inside the box hidden: grey in a picture, silent in a sound."""
        ...


@runtime_checkable
class JoinsKinds(Protocol):
    """An encoder of words that takes other kinds beside them as one input; optional."""

    @property
    def joins(self) -> Sequence[Modality]:
        """The kinds that may stand beside each other; none if it can't after all."""
        ...

    def encode_joint(self, parts: Mapping[Modality, Prepared]) -> Vectors:
        """float32 (1, dim), of length 1: a query of several kinds, of each what its encoder's `prepare` gave."""
        ...

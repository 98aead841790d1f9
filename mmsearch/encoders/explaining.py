"""What an encoder may offer beside its vectors, so that a hit can be explained."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mmsearch.types import Prepared

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

"""What may enter an index: checked once, at the boundary."""

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.errors import InvalidInput
from mmsearch.types import Ids, Selection, Vectors

UNIT_TOLERANCE = 1e-3
"""How far a row's L2 norm may be from 1: what half-precision storage and fp16 models leave is well below."""


def checked_vectors(given: NDArray[Any], dim: int) -> Vectors:
    """The rows as C-contiguous float32 (n, dim), L2 norm 1 +- UNIT_TOLERANCE.

    Raises: InvalidInput for another dtype or shape, for NaN, infinite, zero or other non-unit rows.
    """
    if not isinstance(given, np.ndarray) or given.dtype != np.float32:
        raise InvalidInput(f"vectors must be a float32 array, not {getattr(given, 'dtype', type(given).__name__)}")
    if given.ndim != 2 or given.shape[1] != dim:
        raise InvalidInput(f"vectors must have shape (n, {dim}), not {given.shape}")
    norms = np.sqrt(np.einsum("ij,ij->i", given, given, dtype=np.float64))
    # Written so that NaN, which compares false to everything, counts as wrong.
    wrong = np.flatnonzero(~(np.abs(norms - 1.0) <= UNIT_TOLERANCE))
    if wrong.size:
        raise InvalidInput(
            f"{wrong.size} of {len(given)} vectors are not of unit length; row {wrong[0]} has norm {norms[wrong[0]]:g}",
            hint="normalise rows to L2 norm 1; NaN and zero rows mean that the encoder failed",
        )
    return np.ascontiguousarray(given)


def checked_ids(given: NDArray[Any], count: int) -> Ids:
    """int64 (count,), >= 0, each once. Raises: InvalidInput."""
    ids = checked_id_array(given)
    if len(ids) != count:
        raise InvalidInput(f"{len(ids)} ids for {count} vectors")
    if count and ids.min() < 0:
        raise InvalidInput(f"ids must be 0 or more; {ids.min()} is not")
    if len(np.unique(ids)) != count:
        raise InvalidInput("an id occurs twice in one call")
    return ids


def checked_id_array(given: NDArray[Any]) -> Ids:
    """int64 (n,), any values. Raises: InvalidInput."""
    if not isinstance(given, np.ndarray) or given.dtype != np.int64 or given.ndim != 1:
        raise InvalidInput("ids must be an int64 array of shape (n,)")
    return np.ascontiguousarray(given)


def checked_selection(selection: Selection) -> Ids:
    """The selection's ids, ascending. Raises: InvalidInput if they are not sorted and unique."""
    ids = checked_id_array(selection.ids)
    if np.any(ids[1:] <= ids[:-1]):
        raise InvalidInput("the ids of a selection must be sorted and unique")
    return ids


def checked_count(k: int) -> int:
    """k as an int >= 1. Raises: InvalidInput."""
    try:
        count = operator.index(k)
    except TypeError as error:
        raise InvalidInput(f"k must be a whole number, not {k!r}") from error
    if count < 1:
        raise InvalidInput(f"k must be 1 or more, not {count}")
    return count


def checked_dim(dim: int) -> int:
    """dim as an int >= 1. Raises: InvalidInput."""
    if dim < 1:
        raise InvalidInput(f"an index needs a dimension of 1 or more, not {dim}")
    return dim

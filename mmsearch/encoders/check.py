"""The one gate every vector passes on its way out of an encoder."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.errors import EncodeError
from mmsearch.types import EncoderSpec, Vectors

NORM_TOLERANCE = 1e-3


def checked_output(vectors: NDArray[Any], count: int, spec: EncoderSpec) -> Vectors:
    """The vectors as contiguous float32 (count, spec.dim).

    Raises: EncodeError for another shape or dtype, NaN or infinity, or a row whose L2 norm is not 1.
    """
    if vectors.shape != (count, spec.dim):
        raise EncodeError(f"{spec.name} gave vectors of shape {vectors.shape}, not {(count, spec.dim)}")
    if vectors.dtype != np.float32:
        raise EncodeError(f"{spec.name} gave {vectors.dtype} vectors, not float32")
    norms = np.linalg.norm(vectors, axis=1)
    # NaN and infinity make the norm NaN or infinite, and so fail the comparison too.
    wrong = np.flatnonzero(~(np.abs(norms - 1) <= NORM_TOLERANCE))
    if len(wrong) and not np.isfinite(norms[wrong]).all():
        raise EncodeError(
            f"{spec.name} gave {len(wrong)} of {count} vectors with numbers that are none (NaN or infinity; "
            f"first: row {wrong[0]})",
            hint="its weights need a wider precision: --precision bf16 on a GPU, or --precision fp32",
        )
    if len(wrong):
        raise EncodeError(
            f"{spec.name} gave {len(wrong)} of {count} vectors whose norm is not 1 (first: row {wrong[0]}, "
            f"norm {norms[wrong[0]]})",
            hint="try precision fp32",
        )
    return np.ascontiguousarray(vectors)

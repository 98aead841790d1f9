"""Indexes searched on a GPU, where FAISS can do that. Written from FAISS's sources; nobody has run it on a GPU yet.

A GPU gets a copy of what lies in memory, for the searches that it can do. It can't leave ids out (FAISS's GPU code
passes over selectors without a word), finds some 2,000 neighbours at most, in as many cells, and has neither graphs
nor fast scan nor RaBitQ: all that is still searched in memory. What it finds are proposals like any other.

FAISS wants that no two threads use a `StandardGpuResources` at once. Here is one for the process, used in turns: with
one for each thread there would have to be a copy for each thread, too, since a copy lives in its resources' memory.
"""

import logging
from functools import cache
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.core import forks
from mmsearch.errors import InvalidInput
from mmsearch.types import Vectors
from mmsearch.vectors.faiss_module import faiss
from mmsearch.vectors.rank import Scores

MAX_RESULTS = 2047
"""Neighbours and cells that a search may ask for. Releases of FAISS differ in whether 2,048 is one too many."""

_LEAKED: list[Any] = []
"""What a forked child must never free."""

_log = logging.getLogger(__name__)


class Gpu:
    """The first GPU. Thread safety: any number of threads; they take turns."""

    in_child = False
    """A forked child can't use its parent's GPU, nor free anything there."""
    _resources: Any = None

    def __init__(self) -> None:
        """Raises: InvalidInput if FAISS sees none, or is a build without."""
        seen = faiss.get_num_gpus() if hasattr(faiss, "StandardGpuResources") else 0
        if not seen:
            raise InvalidInput(
                "index_device is gpu, but FAISS sees no GPU",
                hint="set index_device to cpu; or install faiss-gpu in the place of faiss-cpu, and check the driver "
                "with `nvidia-smi`",
            )
        self.lock = RLock()
        """Held by whoever uses the GPU, and re-entrant, since a copy may be collected in the middle of that."""
        self._resources = faiss.StandardGpuResources()
        forks.reset_in_child(self)

    def forked(self) -> None:
        """Nothing is searched on it in a child."""
        self.lock, self.in_child = RLock(), True
        _LEAKED.append(self._resources)

    def copy(self, index: Any) -> "GpuCopy | None":
        """What searches an index of FAISS on the GPU; None if a GPU can't search its kind."""
        index = faiss.downcast_index(index)
        taken = isinstance(index, faiss.IndexFlat | faiss.IndexIVFFlat | faiss.IndexIVFScalarQuantizer)
        return GpuCopy(self, index) if taken else None

    def to_gpu(self, index: Any) -> Any:
        """A copy in the GPU's memory. Raises: RuntimeError, FAISS's own, if there is no room."""
        options = faiss.GpuClonerOptions()
        # Builds with cuVS take other paths by default, which lack some of these indexes.
        options.use_cuvs = False
        return faiss.index_cpu_to_gpu(self._resources, 0, index, options)


@cache
def find_gpu() -> Gpu:
    """The one of this process. Raises: InvalidInput."""
    return Gpu()


class GpuCopy:
    """An index on the GPU, put there when it is first searched. The index itself may not change any more."""

    score_error = 2.0**-9
    """By how much more than on a CPU two cosines may be in the wrong order: that is for TensorFloat-32, whose factors
    have 10 bits after the point."""

    def __init__(self, gpu: Gpu, index: Any) -> None:
        self._gpu = gpu
        self._index = index
        self._gpu_index: Any = None
        self._failed = False

    def __del__(self) -> None:
        if self._gpu.in_child:
            _LEAKED.append(self._gpu_index)
            return
        with self._gpu.lock:
            self._gpu_index = None

    def search(self, queries: Vectors, want: int, nprobe: int = 0) -> tuple[Scores, NDArray[np.int64]] | None:
        """Rough scores and places (q, want), -1 where there is none; None if it has to be searched in memory.

        Args:
            nprobe: Cells to probe, of an index that has cells.
        """
        if self._failed or self._gpu.in_child or max(want, nprobe) > MAX_RESULTS:
            return None
        with self._gpu.lock:
            try:
                if self._gpu_index is None:
                    self._gpu_index = self._gpu.to_gpu(self._index)
                options = faiss.SearchParametersIVF(nprobe=nprobe) if nprobe else None
                scores, places = self._gpu_index.search(queries, want, params=options)
            except RuntimeError as error:
                self._failed = True
                _log.warning("an index of %d vectors is not searched on the GPU", self._index.ntotal)
                _log.debug("%s", error)
                return None
        return scores, places

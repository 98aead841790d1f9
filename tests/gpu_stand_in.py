"""Takes a GPU's place where there is none: real indexes of FAISS in memory, refusing what those on a GPU can't do."""

from threading import Lock, RLock
from typing import Any

from mmsearch.core import forks
from mmsearch.vectors.faiss_module import faiss
from mmsearch.vectors.gpu import Gpu

MAX_RESULTS = 2048
"""Neighbours, and cells, as FAISS documents it."""


class StandIn(Gpu):
    """A GPU without a GPU."""

    def __init__(self, room: int = 100) -> None:
        """`room`: indexes that can be moved to it."""
        self.lock = RLock()
        self.room = room
        self.moves: list[str] = []
        """Classes of what was moved to it."""
        self.searches: list[tuple[int, int]] = []
        """(neighbours, cells) asked for."""
        self.busy = Lock()
        forks.reset_in_child(self)

    def to_gpu(self, index: Any) -> Any:
        if len(self.moves) == self.room:
            raise RuntimeError("cudaMalloc error out of memory")
        self.moves.append(type(index).__name__)
        return _GpuIndex(self, faiss.clone_index(index))


class _GpuIndex:
    def __init__(self, device: StandIn, index: Any) -> None:
        self._device = device
        self._index = index

    def search(self, queries: Any, k: int, *, params: Any = None) -> Any:
        assert self._device.busy.acquire(blocking=False), "two threads use the GPU's resources"
        try:
            cells = params.nprobe if params is not None else 0
            assert (params is None) == isinstance(self._index, faiss.IndexFlat)
            assert params is None or params.sel is None
            assert max(k, cells) <= MAX_RESULTS
            self._device.searches.append((k, cells))
            return self._index.search(queries, k, params=params)
        finally:
            self._device.busy.release()

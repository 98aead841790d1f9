"""Exact search by FAISS: its flat scan proposes candidates, `rank` decides. A small index does without FAISS."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mmsearch.core import forks
from mmsearch.core.atomic import replacing
from mmsearch.errors import IndexDamaged
from mmsearch.types import Ids, Neighbours, Selection, Vectors
from mmsearch.vectors import rank
from mmsearch.vectors.check import (
    checked_count,
    checked_dim,
    checked_id_array,
    checked_ids,
    checked_selection,
    checked_vectors,
)

if TYPE_CHECKING:
    from mmsearch.vectors.gpu import Gpu, GpuCopy
from mmsearch.vectors.faiss_module import faiss, is_loaded
from mmsearch.vectors.plain_rows import SMALL, PlainRows


class _Threads:
    """OpenMP's, of which none is left in a forked child: GNU's waits for them for ever."""

    def forked(self) -> None:
        # Only for the thread that forked: others there get threads of their own.
        if is_loaded():
            faiss.omp_set_num_threads(1)


_THREADS = forks.reset_in_child(_Threads())

_FEW = 1024
"""Up to so many selected rows are gathered and scanned: cheaper than FAISS's pass over all of them with a bitmap."""

_SPARE = 32
"""Candidates asked for beyond k at first, so that ties and rounding at the k-th place seldom need a second pass."""


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """Which id lies where. Places are row numbers of the FAISS index."""

    ids: Ids
    """(n,), by place."""
    ascending: Ids
    """(n,), sorted."""
    place: NDArray[np.int64]
    """(n,), the place of each id of `ascending`."""

    def of(self, ids: Ids) -> NDArray[np.int64]:
        """Places of those ids (any order) that are in the index."""
        at = np.searchsorted(self.ascending, ids)
        found = at < len(self.ascending)
        found[found] = self.ascending[at[found]] == ids[found]
        return self.place[at[found]]


class FaissFlatIndex:
    """`IndexIDMap2` over `IndexFlatIP`; plain arrays as long as it is small.

    Thread safety: none of its own. FAISS may be read by many threads but not while it changes; `LayeredIndex`, which
    is the backend, has the lock for that.
    """

    def __init__(self, dim: int) -> None:
        self._dim = checked_dim(dim)
        self._gpu: Gpu | None = None
        self._plain: PlainRows | None = PlainRows(dim)
        """None: all is in FAISS."""
        self._beyond: int | None = 0
        """Every id is less; None: nobody has looked."""
        self._index: Any = None
        self._flat: Any = None
        self._changed()

    def _set_index(self, index: Any) -> None:
        self._plain, self._index = None, index
        self._flat = faiss.downcast_index(index.index)
        self._changed()

    def _leave_plain(self) -> None:
        """From now on all is in FAISS."""
        if self._plain is not None:
            index = faiss.IndexIDMap2(faiss.IndexFlatIP(self._dim))
            index.add_with_ids(self._plain.rows, self._plain.ids)
            self._set_index(index)

    def _changed(self) -> None:
        self._places_cache: _Places | None = None
        self._gpu_copy: GpuCopy | None = None if self._gpu is None else self._gpu.copy(self._flat)

    def use_gpu(self, gpu: "Gpu") -> None:
        """Search on a GPU from now on, where it can."""
        self._leave_plain()
        self._gpu = gpu
        self._changed()

    @property
    def dim(self) -> int:
        return self._dim

    def __len__(self) -> int:
        return int(self._index.ntotal) if self._plain is None else len(self._plain)

    def ids(self) -> Ids:
        """(n,), every id in the index, ascending."""
        return self._places().ascending.copy()

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Insert; a known id is replaced. Raises: InvalidInput, and then nothing is changed."""
        vectors = checked_vectors(vectors, self._dim)
        ids = checked_ids(ids, len(vectors))
        if self._beyond is None:
            self._beyond = int(self._ids().max(initial=-1)) + 1
        # FAISS itself would keep both rows of an id. What is read from a catalog comes by ascending ids: nothing to
        # look for, where each chunk of a long list would cost a sort of all that came before.
        if ids.min(initial=self._beyond) < self._beyond:
            self._remove_known(ids)
        self._beyond = max(self._beyond, int(ids.max(initial=-1)) + 1)
        if len(self) + len(ids) > SMALL:
            self._leave_plain()
        if self._plain is None:
            self._index.add_with_ids(vectors, ids)
        else:
            self._plain.add(ids, vectors)
        self._changed()

    def remove(self, ids: Ids) -> int:
        """Forget ids; unknown ones are ignored. Returns how many were there."""
        ids = checked_id_array(ids)
        return self._remove_known(ids)

    def search(self, queries: Vectors, k: int, *, selection: Selection | None = None) -> Neighbours:
        """The k nearest of each query (q, dim), exactly min(k, matches). Raises: InvalidInput."""
        queries, k = checked_vectors(queries, self._dim), checked_count(k)
        chosen = None if selection is None else checked_selection(selection)
        places = self._places()
        at = None if chosen is None else places.of(chosen)
        matches = len(places.ids) if at is None else len(at)
        k = min(k, matches)
        if self._plain is not None or matches <= _FEW or 2 * k >= matches:
            found = self._scan(queries, k, places, at)
        else:
            found = self._propose(queries, k, places, at)
        return rank.stacked(found, k)

    def save(self, path: Path) -> None:
        """Write atomically, in FAISS's own format. Raises: LibraryError."""
        with replacing(path) as temporary, temporary.open("xb") as file:
            if self._plain is not None:
                self._plain.write(file)
            else:
                # Through a Python file, since FAISS opens no path that isn't UTF-8.
                faiss.write_index(self._index, faiss.PyCallbackIOWriter(file.write))

    @classmethod
    def load(cls, path: Path, dim: int) -> "FaissFlatIndex":
        """Read what `save` wrote; bytes after it are ignored. Raises: IndexDamaged."""
        try:
            with path.open("rb") as file:
                return cls.read(file, path, dim)
        except OSError as error:
            raise IndexDamaged(f"{path} can't be read: {error}") from error

    @classmethod
    def read(cls, file: BinaryIO, path: Path, dim: int) -> "FaissFlatIndex":
        """The same from an open file, which is then at the end of it. Raises: IndexDamaged."""
        index = cls(dim)
        if (plain := PlainRows.read(file, dim)) is not None:
            index._plain, index._beyond = plain, None
            return index
        try:
            read = faiss.read_index(faiss.PyCallbackIOReader(file.read))
        except (RuntimeError, MemoryError) as error:
            raise IndexDamaged(f"{path} can't be read: {error}") from error
        flat = isinstance(read, faiss.IndexIDMap2) and faiss.downcast_index(read.index)
        if not isinstance(flat, faiss.IndexFlatIP) or read.d != dim:
            raise IndexDamaged(f"{path} holds {type(read).__name__} of dimension {read.d}, not a flat one of {dim}")
        index._set_index(read)
        index._beyond = None
        return index

    def _remove_known(self, ids: Ids) -> int:
        """Remove known ids."""
        gone = self._places().of(np.unique(ids))
        if not len(gone):
            return 0
        ids = self._ids()[gone]
        removed = int(self._index.remove_ids(ids)) if self._plain is None else self._plain.remove(ids)
        self._changed()
        return removed

    def _ids(self) -> Ids:
        """(n,), by place."""
        if self._plain is not None:
            return self._plain.ids
        return np.asarray(faiss.vector_to_array(self._index.id_map), np.int64)

    def _places(self) -> _Places:
        """Built after a change by whoever needs it first; two readers at once build the same one."""
        known = self._places_cache
        if known is None:
            ids = self._ids()
            order = np.argsort(ids)
            known = self._places_cache = _Places(ids, ids[order], order)
        return known

    def _rows(self) -> Vectors:
        """(n, dim), in FAISS its own memory: valid until the index changes."""
        if self._plain is not None:
            return self._plain.rows
        count = len(self)
        if not count:
            return np.empty((0, self._dim), np.float32)
        rows: Vectors = faiss.rev_swig_ptr(self._flat.get_xb(), count * self._dim).reshape(count, self._dim)
        return rows

    def _scan(
        self, queries: Vectors, k: int, places: _Places, at: NDArray[np.int64] | None
    ) -> list[tuple[Ids, rank.Scores]]:
        """Each query against the rows at `at` (all if None), without FAISS."""
        ids, rows = (places.ids, self._rows()) if at is None else (places.ids[at], self._rows()[at])
        return [rank.nearest(query, ids, rows, k) for query in queries]

    def _propose(
        self, queries: Vectors, k: int, places: _Places, at: NDArray[np.int64] | None
    ) -> list[tuple[Ids, rank.Scores]]:
        """Ask FAISS for more than k, until what it left out can't belong to the k best."""
        matches = len(places.ids) if at is None else len(at)
        options = None if at is None else faiss.SearchParameters(sel=_selector(at, len(places.ids)))
        found: dict[int, tuple[Ids, rank.Scores]] = {}
        rows, want = self._rows(), k + _SPARE
        while waiting := [number for number in range(len(queries)) if number not in found]:
            if 2 * want >= matches:
                # So many near-ties that a plain scan is cheaper.
                found.update(zip(waiting, self._scan(queries[waiting], k, places, at), strict=True))
                break
            there = self._gpu_copy.search(queries[waiting], want) if self._gpu_copy and options is None else None
            rough, near = there or self._flat.search(queries[waiting], want, params=options)  # (waiting, want) each
            rough = np.clip(rough, -1.0, 1.0)
            bars = (
                rough[:, k - 1]
                - rank.slack(self._dim)
                - (self._gpu_copy.score_error if self._gpu_copy and there else 0)
            )
            for row, number in enumerate(waiting):
                if rough[row, -1] < bars[row]:
                    keep = near[row][rough[row] >= bars[row]]
                    found[number] = rank.ranked(queries[number], places.ids[keep], rows[keep], k)
            want *= 4
        return [found[number] for number in range(len(queries))]


def _selector(at: NDArray[np.int64], count: int) -> Any:
    """A FAISS selector of places: a bitmap, which answers in constant time per row."""
    mask = np.zeros(count, bool)
    mask[at] = True
    return faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))

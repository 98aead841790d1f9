"""An ANN index and what has changed since, searched as one index.

Three layers: the ANN index, which never changes; a mark at each of its places that has been removed or replaced; and
an exact index of what was added. The ANN index only proposes: every score is computed from the catalog's vector, or
from the ANN index's where it holds whole vectors. So it can miss a neighbour, but not invent one, and not its score.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmsearch.core.atomic import replacing
from mmsearch.errors import IndexDamaged
from mmsearch.types import Ids, Neighbours, Selection, Vectors
from mmsearch.vectors import rank
from mmsearch.vectors.ann import AnnIndex, Places, selector
from mmsearch.vectors.check import checked_count, checked_id_array, checked_ids, checked_selection, checked_vectors
from mmsearch.vectors.faiss_flat import FaissFlatIndex
from mmsearch.vectors.lock import ReadWriteLock

if TYPE_CHECKING:
    from mmsearch.vectors.gpu import Gpu

Fetch: TypeAlias = Callable[[Ids], Vectors]
"""From ids (n,) to the catalog's vectors of them, float32 (n, dim) in the same order."""

MAX_COMPARED = 256
"""Up to so many vectors that match are fetched and compared, whatever the ANN index."""

FILTER_EXPONENT = 0.5
"""An ANN index is searched harder by the inverse share that matches, to this power."""

MIN_PROBED_SHARE = 0.5
"""Where a filter leaves less than this share of what the ANN index looks at for a query, next to its share of all, what
matches lies elsewhere: then all of it is compared."""

TUNED_K = 64
"""Neighbours for which the measured effort is enough; more need more."""

CHUNK = 8192
"""Vectors fetched at once when very many are wanted."""

_Found: TypeAlias = tuple[Ids, rank.Scores]


class LayeredIndex:
    """See above. Without an ANN index, everything is in the exact index.

    Thread safety: searches share a lock; `add`, `remove` and `use_gpu` have it alone, and wait for running searches.
    """

    def __init__(self, dim: int, ann: AnnIndex | None = None) -> None:
        self._exact = FaissFlatIndex(dim)
        self._lock = ReadWriteLock()
        self.ann = ann
        self._gpu: Gpu | None = None
        self._gone: NDArray[np.bool_] = np.zeros(len(ann) if ann else 0, bool)
        if ann is not None:
            self._gone[ann.places(ann.absent)] = True
        self._left = len(self._gone) - int(self._gone.sum())
        """Places that are not gone."""
        self._remaining: tuple[Places, Any] | None = None
        """Those places and their selector, once they were asked for; None after each change."""

    @property
    def dim(self) -> int:
        return self._exact.dim

    @property
    def exact_size(self) -> int:
        """Vectors that are searched by comparing all of them."""
        return len(self._exact)

    @property
    def changed_since_build(self) -> int:
        """Vectors added, and removed from the ANN index, since it was built."""
        return 0 if self.ann is None else len(self._exact) + len(self._gone) - self._left - len(self.ann.absent)

    @property
    def gone(self) -> int:
        """Vectors that the ANN index's file holds, and that were removed or replaced since it was built."""
        return 0 if self.ann is None else len(self._gone) - self._left - len(self.ann.absent)

    @property
    def needs_fetch(self) -> bool:
        """Whether `search` has to be given the catalog's vectors."""
        return self.ann is not None and self.ann.preset.coded

    def __len__(self) -> int:
        return len(self._exact) + self._left

    def ids(self) -> Ids:
        """(n,), every id in the index, ascending."""
        with self._lock.reading():
            exact = self._exact.ids()
            return exact if self.ann is None else np.union1d(exact, self.ann.ids[~self._gone])

    def use_gpu(self, gpu: "Gpu") -> None:
        """Search on a GPU from now on, where it can."""
        if gpu is self._gpu:
            return
        with self._lock.writing():
            self._gpu = gpu
            self._exact.use_gpu(gpu)
            if self.ann is not None:
                self.ann.use_gpu(gpu)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Insert; a known id is replaced. Raises: InvalidInput, and then nothing is changed."""
        vectors = checked_vectors(vectors, self.dim)
        ids = checked_ids(ids, len(vectors))
        with self._lock.writing():
            self._mark_gone(ids)
            self._exact.add(ids, vectors)

    def remove(self, ids: Ids) -> int:
        """Forget ids; unknown ones are ignored. Returns how many were there."""
        ids = checked_id_array(ids)
        with self._lock.writing():
            return self._exact.remove(ids) + self._mark_gone(ids)

    def _mark_gone(self, ids: Ids) -> int:
        """Note what is gone from the ANN index; the caller holds the lock for writing."""
        if self.ann is None:
            return 0
        places = self.ann.places(np.unique(ids))
        places = places[~self._gone[places]]
        self._gone[places] = True
        self._left -= len(places)
        self._remaining = None
        return len(places)

    def search(
        self, queries: Vectors, k: int, *, selection: Selection | None = None, fetch: Fetch | None = None
    ) -> Neighbours:
        """The k nearest of each query (q, dim), exactly min(k, matches) of them; those that are returned have their
        exact scores.

        Args:
            fetch: Gives the catalog's vectors, which an ANN index of codes needs.

        Raises: InvalidInput.
        """
        queries, k = checked_vectors(queries, self.dim), checked_count(k)
        chosen = None if selection is None else checked_selection(selection)
        with self._lock.reading():
            if self.ann is None:
                return self._exact.search(queries, k, selection=selection)
            found = _AnnSearch(self.ann, self._places(self.ann, chosen), fetch).nearest(queries, k)
            if not len(self._exact):
                return found
            exact = self._exact.search(queries, k, selection=selection)
        ids, scores = np.hstack([exact.ids, found.ids]), np.hstack([exact.scores, found.scores])
        order = np.lexsort((ids, -scores), axis=1)[:, :k]
        return Neighbours(np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1))

    def _places(self, ann: AnnIndex, chosen: Ids | None) -> tuple[Places, Any] | None:
        """The places that count, and the selector where there is one already; None if all count."""
        if chosen is not None:
            places = ann.places(chosen)
            return places[~self._gone[places]], None
        if self._left == len(self._gone):
            return None
        if self._remaining is None:
            places = np.flatnonzero(~self._gone)
            self._remaining = places, selector(places, len(ann))
        return self._remaining

    def save(self, path: Path) -> None:
        """Write atomically what changed since the ANN index was built: the exact index, then the ids that are gone,
        as an .npy record. The ANN index has a file of its own. Raises: LibraryError."""
        with self._lock.reading(), replacing(path) as temporary:
            self._exact.save(temporary)
            ann = self.ann
            gone = np.empty(0, np.int64) if ann is None else np.setdiff1d(ann.ids[self._gone], ann.absent)
            with temporary.open("ab") as file:
                np.save(file, gone)

    @classmethod
    def load(cls, path: Path, dim: int, ann: AnnIndex | None = None) -> "LayeredIndex":
        """Read what `save` wrote; bytes after it are ignored. Raises: IndexDamaged."""
        index = cls(dim, ann)
        try:
            with path.open("rb") as file:
                index._exact = FaissFlatIndex.read(file, path, dim)
                gone = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise IndexDamaged(f"{path} can't be read: {error}") from error
        if gone.dtype != np.int64 or index._mark_gone(gone) != len(gone):
            raise IndexDamaged(f"{path} lists other vectors than its approximate index holds")
        return index


class _AnnSearch:
    """One search of an ANN index, by whatever finds the most in the least time."""

    def __init__(self, ann: AnnIndex, selection: tuple[Places, Any] | None, fetch: Fetch | None) -> None:
        self._ann = ann
        self._selection: Places | None = None if selection is None else selection[0]
        self._selector: Any = None if selection is None else selection[1]
        self._fetch = fetch
        self._matches = len(ann) if self._selection is None else len(self._selection)

    def nearest(self, queries: Vectors, k: int) -> Neighbours:
        k = min(k, self._matches)
        want = k + self._ann.preset.spare
        if k == 0 or self._matches <= max(MAX_COMPARED, 4 * want):
            found = self._compare_all(queries, k)
        elif self._selection is not None and self._matches <= self._scan_limit():
            found = self._rescore(queries, k, self._scan_codes(queries, want, self._selection))
        else:
            found = self._search_ann(queries, k, want)
        return rank.stacked(found, k)

    def _rows(self, places: Places) -> Vectors:
        """(m, dim), the true vectors."""
        if not self._ann.preset.coded:
            return self._ann.rows(places)
        if self._fetch is None:
            raise TypeError("an index of codes is searched with the catalog's vectors at hand")
        return self._fetch(self._ann.ids[places])

    def _compare_all(self, queries: Vectors, k: int) -> list[_Found]:
        """Every vector that counts is compared."""
        places = np.arange(len(self._ann)) if self._selection is None else self._selection
        best: list[_Found] = [(np.empty(0, np.int64), np.empty(0, np.float32))] * len(queries)
        for start in range(0, len(places), CHUNK):
            part = places[start : start + CHUNK]
            ids, rows = self._ann.ids[part], self._rows(part)
            best = [
                _merge_best(known, rank.nearest(query, ids, rows, k), k)
                for known, query in zip(best, queries, strict=True)
            ]
        return best

    def _scan_limit(self) -> float:
        count, share = self._ann.preset.scan
        return max(count, share * len(self._ann))

    def _scan_codes(self, queries: Vectors, want: int, selection: Places) -> Places:
        """(q, want) places, by the ANN index's own rows of all that count."""
        scores = self._ann.rows(selection) @ queries.T  # (m, q)
        return selection[np.argpartition(-scores, want - 1, axis=0)[:want].T]

    def _search_ann(self, queries: Vectors, k: int, want: int) -> list[_Found]:
        """By the ANN index's own search, harder and harder until every query has k."""
        ann, found = self._ann, dict[int, _Found]()
        filtered = self._selection is not None and self._selector is None
        if self._selection is not None and self._selector is None:
            self._selector = selector(self._selection, len(ann))
        # Where a part of all counts, its nearest are spread further; where many are wanted, too.
        search_effort = (
            ann.facts.search_effort * (len(ann) / self._matches) ** FILTER_EXPONENT * max(1.0, k / TUNED_K) ** 0.5
        )
        if filtered and len(misled := self._to_compare(queries, int(search_effort))):
            found.update(zip(misled.tolist(), self._compare_all(queries[misled], k), strict=True))
        while waiting := [number for number in range(len(queries)) if number not in found]:
            propose = ann.propose(queries[waiting], want, int(search_effort), self._selector)
            enough = (propose >= 0).sum(axis=1) >= k
            asked = [number for number, is_enough in zip(waiting, enough, strict=True) if is_enough]
            found.update(zip(asked, self._rescore(queries[asked], k, propose[enough]), strict=True))
            if search_effort >= ann.max_search_effort and len(found) < len(queries):
                rest = [number for number in waiting if number not in found]
                found.update(zip(rest, self._compare_all(queries[rest], k), strict=True))
            search_effort *= 4
        return [found[number] for number in range(len(queries))]

    def _to_compare(self, queries: Vectors, search_effort: int) -> NDArray[np.int64]:
        """The numbers of the queries for which the ANN index would not find enough of what a filter leaves."""
        ann, share = self._ann, self._matches / len(self._ann)
        if self._selection is None or ann.filtered_recall(share) < ann.facts.target:
            return np.arange(len(queries))
        return np.flatnonzero(ann.probed_share(queries, search_effort, self._selection) < MIN_PROBED_SHARE * share)

    def _rescore(self, queries: Vectors, k: int, propose: Places) -> list[_Found]:
        """The k best of the places proposed (q, want), -1 for none, by their true vectors."""
        places = np.unique(propose)
        places = places[places >= 0]
        ids, rows = self._ann.ids[places], self._rows(places)
        if len(queries) == 1:
            return [rank.ranked(queries[0], ids, rows, k)]
        found: list[_Found] = []
        for query, own in zip(queries, propose, strict=True):
            at = np.searchsorted(places, own[own >= 0])
            found.append(rank.ranked(query, ids[at], rows[at], k))
        return found


def _merge_best(one: _Found, other: _Found, k: int) -> _Found:
    ids, scores = np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1]])
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], scores[order]

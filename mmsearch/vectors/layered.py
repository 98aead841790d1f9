"""A built structure and what has changed since, searched as one index.

Three layers: the structure, which never changes; a mark at each of its places that has been removed or replaced; and
an exact index of what was added. The structure only proposes: every score is computed from the catalog's vector, or
from the structure's where it holds whole vectors. So it can miss a neighbour, but not invent one, and not its score.
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

FEW = 256
"""Up to so many vectors that match are fetched and compared, whatever the structure."""

SPREAD = 0.5
"""A structure is searched harder by the inverse share that matches, to this power."""

APART = 0.5
"""Where a filter leaves less than this share of what the structure looks at for a query, next to its share of all, what
matches lies elsewhere: then all of it is compared."""

USUAL = 64
"""Neighbours for which the measured effort is enough; more need more."""

CHUNK = 8192
"""Vectors fetched at once when very many are wanted."""

_Found: TypeAlias = tuple[Ids, rank.Scores]


class LayeredIndex:
    """See above. Without a structure, everything is in the exact index.

    Thread safety: searches share a gate; `add` and `remove` have it alone.
    """

    def __init__(self, dim: int, built: AnnIndex | None = None) -> None:
        self._exact = FaissFlatIndex(dim)
        self._gate = ReadWriteLock()
        self.built = built
        self._gpu: Gpu | None = None
        self._gone: NDArray[np.bool_] = np.zeros(len(built) if built else 0, bool)
        if built is not None:
            self._gone[built.places(built.absent)] = True
        self._left = len(self._gone) - int(self._gone.sum())
        """Places that are not gone."""
        self._standing: tuple[Places, Any] | None = None
        """Those places and their selector, once they were asked for; None after each change."""

    @property
    def dim(self) -> int:
        return self._exact.dim

    @property
    def exact_size(self) -> int:
        """Vectors that are searched by comparing all of them."""
        return len(self._exact)

    @property
    def since(self) -> int:
        """Vectors added, and removed from the structure, since it was built."""
        return 0 if self.built is None else len(self._exact) + len(self._gone) - self._left - len(self.built.absent)

    @property
    def needs_fetch(self) -> bool:
        """Whether `search` has to be given the catalog's vectors."""
        return self.built is not None and self.built.preset.coded

    def __len__(self) -> int:
        return len(self._exact) + self._left

    def ids(self) -> Ids:
        """(n,), every id in the index, ascending."""
        with self._gate.reading():
            held = self._exact.ids()
            return held if self.built is None else np.union1d(held, self.built.ids[~self._gone])

    def use(self, gpu: "Gpu") -> None:
        """Search on a GPU from now on, where it can."""
        if gpu is not self._gpu:
            self._gpu = gpu
            self._exact.use(gpu)
            if self.built is not None:
                self.built.use(gpu)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Insert; a known id is replaced. Raises: InvalidInput, and then nothing is changed."""
        vectors = checked_vectors(vectors, self.dim)
        ids = checked_ids(ids, len(vectors))
        with self._gate.writing():
            self._mark(ids)
            self._exact.add(ids, vectors)

    def remove(self, ids: Ids) -> int:
        """Forget ids; unknown ones are ignored. Returns how many were there."""
        ids = checked_id_array(ids)
        with self._gate.writing():
            return self._exact.remove(ids) + self._mark(ids)

    def _mark(self, ids: Ids) -> int:
        """Note what is gone from the structure; the caller holds the gate for writing."""
        if self.built is None:
            return 0
        places = self.built.places(np.unique(ids))
        places = places[~self._gone[places]]
        self._gone[places] = True
        self._left -= len(places)
        self._standing = None
        return len(places)

    def search(
        self, queries: Vectors, k: int, *, selection: Selection | None = None, fetch: Fetch | None = None
    ) -> Neighbours:
        """The k nearest of each query (q, dim), exactly min(k, matches) of them; those that are returned have their
        exact scores.

        Args:
            fetch: Gives the catalog's vectors, which a structure of codes needs.

        Raises: InvalidInput.
        """
        queries, k = checked_vectors(queries, self.dim), checked_count(k)
        chosen = None if selection is None else checked_selection(selection)
        with self._gate.reading():
            if self.built is None:
                return self._exact.search(queries, k, selection=selection)
            found = _Search(self.built, self._places(self.built, chosen), fetch).nearest(queries, k)
            if not len(self._exact):
                return found
            exact = self._exact.search(queries, k, selection=selection)
        ids, scores = np.hstack([exact.ids, found.ids]), np.hstack([exact.scores, found.scores])
        order = np.lexsort((ids, -scores), axis=1)[:, :k]
        return Neighbours(np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1))

    def _places(self, built: AnnIndex, chosen: Ids | None) -> tuple[Places, Any] | None:
        """The places that count, and the selector where there is one already; None if all count."""
        if chosen is not None:
            places = built.places(chosen)
            return places[~self._gone[places]], None
        if self._left == len(self._gone):
            return None
        if self._standing is None:
            places = np.flatnonzero(~self._gone)
            self._standing = places, selector(places, len(built))
        return self._standing

    def save(self, path: Path) -> None:
        """Write atomically what changed since the structure was built: the exact index, then the ids that are gone,
        as an .npy record. The structure has a file of its own. Raises: LibraryError."""
        with self._gate.reading(), replacing(path) as temporary:
            self._exact.save(temporary)
            built = self.built
            gone = np.empty(0, np.int64) if built is None else np.setdiff1d(built.ids[self._gone], built.absent)
            with temporary.open("ab") as file:
                np.save(file, gone)

    @classmethod
    def load(cls, path: Path, dim: int, built: AnnIndex | None = None) -> "LayeredIndex":
        """Read what `save` wrote; bytes after it are ignored. Raises: IndexDamaged."""
        index = cls(dim, built)
        try:
            with path.open("rb") as file:
                index._exact = FaissFlatIndex.read(file, path, dim)
                gone = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise IndexDamaged(f"{path} can't be read: {error}") from error
        if gone.dtype != np.int64 or index._mark(gone) != len(gone):
            raise IndexDamaged(f"{path} tells of other vectors than its structure holds")
        return index


class _Search:
    """One search of a structure, by whatever finds the most in the least time."""

    def __init__(self, built: AnnIndex, selection: tuple[Places, Any] | None, fetch: Fetch | None) -> None:
        self._built = built
        self._among: Places | None = None if selection is None else selection[0]
        self._selector: Any = None if selection is None else selection[1]
        self._fetch = fetch
        self._matches = len(built) if self._among is None else len(self._among)

    def nearest(self, queries: Vectors, k: int) -> Neighbours:
        k = min(k, self._matches)
        want = k + self._built.preset.spare
        if k == 0 or self._matches <= max(FEW, 4 * want):
            found = self._all(queries, k)
        elif self._among is not None and self._matches <= self._scanned_up_to():
            found = self._rescored(queries, k, self._scanned(queries, want, self._among))
        else:
            found = self._walked(queries, k, want)
        return rank.stacked(found, k)

    def _rows(self, places: Places) -> Vectors:
        """(m, dim), the true vectors."""
        if not self._built.preset.coded:
            return self._built.rows(places)
        if self._fetch is None:
            raise TypeError("an index of codes is searched with the catalog's vectors at hand")
        return self._fetch(self._built.ids[places])

    def _all(self, queries: Vectors, k: int) -> list[_Found]:
        """Every vector that counts is compared."""
        places = np.arange(len(self._built)) if self._among is None else self._among
        best: list[_Found] = [(np.empty(0, np.int64), np.empty(0, np.float32))] * len(queries)
        for start in range(0, len(places), CHUNK):
            part = places[start : start + CHUNK]
            ids, rows = self._built.ids[part], self._rows(part)
            best = [
                _best(known, rank.nearest(query, ids, rows, k), k) for known, query in zip(best, queries, strict=True)
            ]
        return best

    def _scanned_up_to(self) -> float:
        count, share = self._built.preset.scan
        return max(count, share * len(self._built))

    def _scanned(self, queries: Vectors, want: int, selection: Places) -> Places:
        """(q, want) places, by the structure's own rows of all that count."""
        scores = self._built.rows(selection) @ queries.T  # (m, q)
        return selection[np.argpartition(-scores, want - 1, axis=0)[:want].T]

    def _walked(self, queries: Vectors, k: int, want: int) -> list[_Found]:
        """By the structure's own search, harder and harder until every query has k."""
        built, found = self._built, dict[int, _Found]()
        filtered = self._among is not None and self._selector is None
        if self._among is not None and self._selector is None:
            self._selector = selector(self._among, len(built))
        # Where a part of all counts, its nearest are spread further; where many are wanted, too.
        search_effort = built.facts.search_effort * (len(built) / self._matches) ** SPREAD * max(1.0, k / USUAL) ** 0.5
        if filtered and len(misled := self._misled(queries, int(search_effort))):
            found.update(zip(misled.tolist(), self._all(queries[misled], k), strict=True))
        while waiting := [number for number in range(len(queries)) if number not in found]:
            near = built.near(queries[waiting], want, int(search_effort), self._selector)
            enough = (near >= 0).sum(axis=1) >= k
            asked = [number for number, is_enough in zip(waiting, enough, strict=True) if is_enough]
            found.update(zip(asked, self._rescored(queries[asked], k, near[enough]), strict=True))
            if search_effort >= built.most and len(found) < len(queries):
                rest = [number for number in waiting if number not in found]
                found.update(zip(rest, self._all(queries[rest], k), strict=True))
            search_effort *= 4
        return [found[number] for number in range(len(queries))]

    def _misled(self, queries: Vectors, search_effort: int) -> NDArray[np.int64]:
        """The numbers of the queries for which the structure would not find enough of what a filter leaves."""
        built, share = self._built, self._matches / len(self._built)
        if self._among is None or built.filtered_recall(share) < built.facts.target:
            return np.arange(len(queries))
        return np.flatnonzero(built.share_near(queries, search_effort, self._among) < APART * share)

    def _rescored(self, queries: Vectors, k: int, near: Places) -> list[_Found]:
        """The k best of the places proposed (q, want), -1 for none, by their true vectors."""
        places = np.unique(near)
        places = places[places >= 0]
        ids, rows = self._built.ids[places], self._rows(places)
        if len(queries) == 1:
            return [rank.ranked(queries[0], ids, rows, k)]
        found: list[_Found] = []
        for query, own in zip(queries, near, strict=True):
            at = np.searchsorted(places, own[own >= 0])
            found.append(rank.ranked(query, ids[at], rows[at], k))
        return found


def _best(one: _Found, other: _Found, k: int) -> _Found:
    ids, scores = np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1]])
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], scores[order]

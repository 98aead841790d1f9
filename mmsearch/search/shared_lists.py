"""Lists searched for many queries at once: an exact list of 100,000 is read from memory once and not once for each."""

from collections.abc import Collection, Sequence
from typing import Protocol

from mmsearch.catalog import ListKey
from mmsearch.core.filters.ast import Filter
from mmsearch.indexing.owners import Owners
from mmsearch.indexing.vector_cache import VectorCache
from mmsearch.types import Neighbours, Vectors

Found = tuple[dict[ListKey, Neighbours], dict[ListKey, int]]

DEPTHS = 2
"""Depths that queries begin with: those whose words are found in some file look deeper at once."""


class SearchedLists(Protocol):
    """What a search needs of `mmsearch.indexing.lists.Lists`."""

    def search(
        self,
        queries: Vectors,
        k: int,
        modalities: Collection[str] | None = None,
        *,
        filter: Filter | None = None,
        vector_cache: VectorCache | None = None,
    ) -> Found: ...

    def sizes(self, modalities: Collection[str] | None = None) -> dict[ListKey, int]: ...

    def owners(self, key: ListKey) -> Owners | None: ...


class QueryBatch:
    """The queries of a batch, float32 (n, dim), which are answered one after the other with the same options."""

    def __init__(self, lists: SearchedLists, vectors: Vectors) -> None:
        self._lists, self._vectors = lists, vectors
        self._found: dict[int, tuple[int, Found]] = {}

    def views(self) -> Sequence[SearchedLists]:
        """The lists as each query sees them."""
        return [_QueryView(self, self._lists, number) for number in range(len(self._vectors))]

    def first(self, number: int, k: int, modalities: Collection[str] | None, filter: Filter | None) -> Found | None:
        """What a query finds that asks for the first time: the rest of the batch is searched with it, as deep.
        None where that has been done for other depths already."""
        if k not in self._found:
            if len(self._found) == DEPTHS:
                return None
            self._found[k] = number, self._lists.search(self._vectors[number:], k, modalities, filter=filter)
        begin, (neighbours, sizes) = self._found[k]
        row = slice(number - begin, number - begin + 1)
        return {key: Neighbours(one.ids[row], one.scores[row]) for key, one in neighbours.items()}, sizes


class _QueryView:
    """The lists as one query of a batch sees them."""

    def __init__(self, batch: QueryBatch, lists: SearchedLists, number: int) -> None:
        self._batch, self._lists, self._number, self._asked = batch, lists, number, False

    def search(
        self,
        queries: Vectors,
        k: int,
        modalities: Collection[str] | None = None,
        *,
        filter: Filter | None = None,
        vector_cache: VectorCache | None = None,
    ) -> Found:
        if not self._asked:
            self._asked = True
            if (found := self._batch.first(self._number, k, modalities, filter)) is not None:
                return found
        return self._lists.search(queries, k, modalities, filter=filter, vector_cache=vector_cache)

    def sizes(self, modalities: Collection[str] | None = None) -> dict[ListKey, int]:
        return self._lists.sizes(modalities)

    def owners(self, key: ListKey) -> Owners | None:
        return self._lists.owners(key)

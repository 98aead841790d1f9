"""From a query to a page of results: ranked, then cut."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeAlias

from mmsearch import hybrid
from mmsearch import search as searching
from mmsearch.criteria import Filter
from mmsearch.errors import InvalidInput
from mmsearch.parts import Parts
from mmsearch.types import Hit, Modality, Query

GROWTH = 4
"""How many times deeper a ranking is looked into where it did not yield enough."""

Ranking: TypeAlias = Callable[[int], list[Hit]]
"""The first n hits, n >= 1; fewer only where the ranking ends. A longer answer begins with the shorter one."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a search asks besides its query. Raises: InvalidInput if there is no such page."""

    k: int = 10
    offset: int = 0
    """Results to pass over."""
    within: Collection[Modality] | None = None
    """Item modalities."""
    keywords: hybrid.Keywords = "also"
    where: Filter | None = None

    def __post_init__(self) -> None:
        if self.k < 1 or self.offset < 0:
            raise InvalidInput(f"k must be at least 1 and offset at least 0, not {self.k} and {self.offset}")

    @property
    def end(self) -> int:
        """How many results there are up to the page's last."""
        return self.offset + self.k


def search(query: Query, wanted: Wanted, parts: Parts) -> list[Hit]:
    """One page of results."""
    ranked = ranking(query, wanted, parts)
    depth = wanted.end
    while True:
        hits = ranked(depth)
        whole = len(hits) < depth
        # Every step after the ranking looks at earlier hits only, or waits until it has seen enough of the later ones:
        # a page is the same however deep the ranking was looked into.
        settled = len(hits)
        if whole or settled >= wanted.end:
            return hybrid.ranked(hits[: wanted.end])[wanted.offset :]
        depth *= GROWTH


def ranking(query: Query, wanted: Wanted, parts: Parts) -> Ranking:
    """All that matches, best first: what vectors and words found, as one list."""
    catalog, within, where = parts.catalog(), wanted.within, wanted.where
    if wanted.keywords == "only":
        return lambda n: hybrid.listed(hybrid.find(query, n, catalog, within, "only", where), n)
    words = hybrid.find(query, wanted.end, catalog, within, wanted.keywords, where)
    space, _ = parts.embedding()
    vector = searching.embed(query, space, parts.query_decoding())
    indexes, judge = parts.indexes(), parts.judge(query, space)

    def ranked(n: int) -> list[Hit]:
        hits = searching.search(vector, hybrid.depth(words, n), catalog, indexes, judge, within, where)
        return hybrid.fuse(hits, words, n) if words else hits

    return ranked

"""From a query to a page of results: ranked, folded, cut."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeAlias

from mmsearch import hybrid
from mmsearch import search as searching
from mmsearch.bundles import Averages, Bundles
from mmsearch.criteria import Filter
from mmsearch.errors import InvalidInput
from mmsearch.fold import REACH, fold, profiles
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
    fold: bool = True
    """Whether near-duplicates are shown as one."""

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
    depth = wanted.end + (REACH if wanted.fold else 0)
    while True:
        hits = ranked(depth)
        whole = len(hits) < depth
        # Every step after the ranking looks at earlier hits only, or waits until it has seen enough of the later ones:
        # a page is the same however deep the ranking was looked into.
        settled = len(hits)
        if wanted.fold:
            hits, settled = _folded(hits, parts, whole=whole)
        if whole or settled >= wanted.end:
            return hybrid.ranked(hits[: wanted.end])[wanted.offset :]
        depth *= GROWTH


def _folded(hits: list[Hit], parts: Parts, *, whole: bool) -> tuple[list[Hit], int]:
    space = parts.catalog().space()
    with parts.catalog().reading() as snapshot:
        known = profiles(snapshot, space.id, hits) if space else {}
    return fold(hits, known, parts.settings.alike_from, whole=whole)


def ranking(query: Query, wanted: Wanted, parts: Parts) -> Ranking:
    """All that matches, best first: what vectors and words found, as one list, each bundle of files once."""
    together = Bundles(parts.catalog(), wanted.within, wanted.where)
    files = _files(query, wanted, parts, together)
    return files if parts.settings.fusion == "off" else together.gathered(files)


def _files(query: Query, wanted: Wanted, parts: Parts, together: Bundles) -> Ranking:
    catalog, within, where = parts.catalog(), wanted.within, wanted.where
    if wanted.keywords == "only":
        return lambda n: hybrid.listed(hybrid.find(query, n, catalog, within, "only", where), n)
    words = hybrid.find(query, wanted.end, catalog, within, wanted.keywords, where)
    space, record = parts.embedding()
    vector = searching.embed(query, space, parts.query_decoding())
    indexes, judge = parts.indexes(record), parts.judge(query, vector, space)
    averages = Averages(vector, space.name, together, indexes, judge, parts.settings.weights)

    def ranked(n: int) -> list[Hit]:
        depth = hybrid.depth(words, n)
        if parts.settings.fusion in ("mean", "weighted"):
            hits = averages.ranked(depth)
        else:
            hits = searching.search(vector, depth, catalog, indexes, judge, within, where)
        return hybrid.fuse(hits, words, n) if words else hits

    return ranked

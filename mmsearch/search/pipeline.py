"""From a query to a page of results: ranked, folded, cut."""

import os
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mmsearch.calibration import ScoreCalibrator
from mmsearch.catalog import Catalog, SpaceRecord, segments
from mmsearch.context.context import LibraryContext
from mmsearch.core.config import LEARNED
from mmsearch.errors import InvalidInput
from mmsearch.filters.ast import Filter
from mmsearch.indexing.lists import Lists
from mmsearch.indexing.vector_cache import VectorCache
from mmsearch.search import hits as search_hits
from mmsearch.search import keywords as search_keywords
from mmsearch.search import query as search_query
from mmsearch.search import vector as searching
from mmsearch.search.dedup import REACH, content_profiles, deduplicate
from mmsearch.search.explanations import Explanation
from mmsearch.search.file_groups import FileGroups, GroupAverages
from mmsearch.search.moments import with_moments
from mmsearch.search.ranking import RankedItem, Ranking
from mmsearch.types import Hit, Modality, Query, QueryPart, Space, StoredVector, Vectors

if TYPE_CHECKING:
    from mmsearch.search.learned_fusion import LearnedFusion

GROWTH = 2
"""How many times deeper a ranking is looked into where it did not yield enough: mostly a few hits are missing."""


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What a search asks besides its query. Raises: InvalidInput if there is no such page."""

    k: int = 10
    offset: int = 0
    """Results to pass over."""
    modalities: Collection[Modality] | None = None
    """Item modalities."""
    mode: search_keywords.Mode = "hybrid"
    filter: Filter | None = None
    dedup: bool = True
    """Whether near-duplicates are shown as one."""
    moments: bool = False
    """Whether to say all moments of each hit that match, which is about meaning: not with words alone."""

    def __post_init__(self) -> None:
        if self.k < 1 or self.offset < 0:
            raise InvalidInput(f"k must be at least 1 and offset at least 0, not {self.k} and {self.offset}")
        if self.moments and self.mode == "keyword":
            raise InvalidInput("moments are found by meaning, not by words alone", hint="leave one of the two out")

    @property
    def end(self) -> int:
        """How many results there are up to the page's last."""
        return self.offset + self.k


@dataclass(frozen=True, slots=True, eq=False)
class _Meaning:
    """A query as a vector, float32 (1, dim), and what its scores are judged by."""

    vector: Vectors
    space: SpaceRecord
    indexes: Lists
    judge: ScoreCalibrator
    at_hand: VectorCache = field(default_factory=VectorCache)
    """Vectors that were read for it so far."""


def resolve_query(query: str | os.PathLike[str] | Query, context: LibraryContext, space: SpaceRecord | None) -> Query:
    """What a caller means: words, the medium in a file, or a query, items of the library in it found by their ids.

    Raises: InvalidInput for an item that is not known or has no vectors, MediaError.
    """
    if isinstance(query, os.PathLike):
        return search_query.interpret_query(os.fspath(query), context.query_decoding)
    if isinstance(query, str):
        return Query(text=query)
    return Query(
        mixed=tuple(_recalled(part, context, space) if part.modality == "like" else part for part in query.parts)
    )


def _recalled(part: QueryPart, context: LibraryContext, space: SpaceRecord | None) -> QueryPart:
    """A part that names an item, with the item's vector: as if its file were given, but the file is not needed."""
    named = part.value.item_id if isinstance(part.value, Hit) else part.value
    if not isinstance(named, int) or isinstance(named, bool):
        raise InvalidInput(f"like takes a hit or an item's id, not {named!r}", hint="ids are in the JSON of a search")
    with context.catalog().reading() as snapshot:
        known = segments.stored_item(snapshot, space, named) if space else None
    if known is None:
        raise InvalidInput(
            f"there is no item {named} in this library, or its model can't take it",
            hint="ids are in the JSON of a search, as item_id",
        )
    return replace(
        part, modality=known.modality, value=StoredVector(named, known.path, search_query.mean_vector(known.vectors))
    )


def search(query: str | os.PathLike[str] | Query, wanted: SearchOptions, context: LibraryContext) -> list[Hit]:
    """One page of results, all of it as of one commit. Raises: as `asked`."""
    return context.unmoved(
        Catalog.moment, lambda serving: _page(resolve_query(query, context, serving), wanted, context, serving)
    )


def _page(query: Query, wanted: SearchOptions, context: LibraryContext, space: SpaceRecord | None) -> list[Hit]:
    meaning = None if wanted.mode == "keyword" else _meaning(query, context, space)
    ranked = ranking(query, wanted, context, meaning)
    own = {
        part.value.item_id: os.fsencode(part.value.path) for part in query.parts if isinstance(part.value, StoredVector)
    }
    paths = set(own.values())
    at_hand = VectorCache() if meaning is None else meaning.at_hand
    depth = wanted.end + len(own) + (REACH if wanted.dedup else 0)
    while True:
        hits = ranked(depth)
        whole = len(hits) < depth
        # Every step after the ranking looks at earlier hits only, or waits until it has seen enough of the later ones:
        # a page is the same however deep the ranking was looked into.
        hits = [hit for hit in hits if hit.item_id not in own and paths.isdisjoint(hit.members)]
        settled = len(hits)
        if wanted.dedup and space is not None:
            with context.catalog().reading() as snapshot:
                known = content_profiles(snapshot, space, hits, at_hand)
            hits, settled = deduplicate(hits, known, context.settings.similarity_thresholds, whole=whole)
        if whole or settled >= wanted.end:
            break
        depth *= GROWTH
    page = search_hits.resolve_hits(hits[wanted.offset : wanted.end], context.catalog(), wanted.offset + 1)
    if not wanted.moments or meaning is None:
        return page
    return with_moments(
        page, meaning.vector, context.catalog(), meaning.space, meaning.indexes, meaning.judge, wanted.modalities
    )


def _meaning(query: Query, context: LibraryContext, serving: SpaceRecord | None) -> _Meaning:
    space, record = context.serving(serving)
    vector = search_query.embed_query(query, space, context.query_decoding(record))
    return _Meaning(vector, record, context.indexes(record), context.judge(query, vector, space))


def ranking(query: Query, wanted: SearchOptions, context: LibraryContext, meaning: _Meaning | None) -> Ranking:
    """All that matches, best first: what vectors and words found, as one list, each bundle of files once."""
    together = FileGroups(context.catalog(), wanted.modalities, wanted.filter)
    files = _files(query, wanted, context, together, meaning)
    return files if context.settings.fusion == "off" else together.gathered(files)


def _files(
    query: Query, wanted: SearchOptions, context: LibraryContext, together: FileGroups, meaning: _Meaning | None
) -> Ranking:
    catalog, modalities, filter = context.catalog(), wanted.modalities, wanted.filter
    if meaning is None:
        return lambda n: search_keywords.keyword_items(
            search_keywords.match_keywords(query, n, catalog, modalities, "keyword", filter), n
        )
    words = search_keywords.match_keywords(query, wanted.end, catalog, modalities, wanted.mode, filter)
    near = searching.VectorSearch(
        meaning.vector, catalog, meaning.indexes, meaning.judge, modalities, filter, meaning.at_hand
    )
    found: Ranking = near.ranked
    if context.settings.fusion in ("mean", "weighted"):
        found = GroupAverages(near, meaning.space.name, together, context.settings.weights).ranked
    elif context.settings.fusion.startswith(LEARNED):
        found = _learned(near, meaning.space, together, context).ranked

    def ranked(n: int) -> list[RankedItem]:
        hits = found(search_keywords.vector_depth(words, n))
        return search_keywords.fuse_rankings(hits, words, n) if words else hits

    return ranked


def _learned(
    near: searching.VectorSearch, space: SpaceRecord, together: FileGroups, context: LibraryContext
) -> "LearnedFusion":
    # It loads torch, which no other search needs at this point.
    from mmsearch.search.learned_fusion import LearnedFusion, load_fusion

    fusion = load_fusion(context, context.settings.fusion.removeprefix(LEARNED), space)
    return LearnedFusion(near, space.name, together, fusion)


def explain(
    query: str | os.PathLike[str] | Query, hit: Hit, context: LibraryContext, overlay: Path | None
) -> Explanation:
    """Why a hit was found; its file is decoded once more."""
    # Nobody else needs Pillow in this process.
    from mmsearch.search import explain as explaining

    found = context.of_one_space(lambda space, record: _explained(query, hit, context, space, record))
    if overlay is not None:
        explaining.draw_overlay(found, hit.metadata, overlay)
    return found


def _explained(
    query: str | os.PathLike[str] | Query, hit: Hit, context: LibraryContext, space: Space, record: SpaceRecord
) -> Explanation:
    from mmsearch.search import explain as explaining

    with context.catalog().reading() as snapshot:
        layout = segments.layout_of(snapshot, hit.segment_id)
    if layout not in (None, record.layout):
        raise InvalidInput("it was found with another model than the library uses by now", hint="search once more")
    query, pool = resolve_query(query, context, record), context.query_decoding(record)
    vector = search_query.embed_query(query, space, pool)
    shares = [
        (
            explaining.part_name(part),
            part.weight * search_query.embed_query(Query(mixed=(replace(part, weight=1.0),)), space, pool),
        )
        for part in (query.parts if len(query.parts) > 1 else ())
    ]
    return explaining.explain_hit(vector, hit, space, pool, shares)

"""From a query to a page of hits, in stages. Each is a plain function, or a method of a frozen value.

| stage | module | takes | gives |
|---|---|---|---|
| embed | `query` | words, a file, or a mix of them | `EmbeddedQuery`: a unit vector, and what it is searched with |
| retrieve | `vector`; `keywords` where words stand alone | the vector or the words | `Ranking` of files |
| fuse | `file_groups`, `learned_fusion`, `keywords` | files by meaning, and by words | `Ranking` of files by both |
| group | `file_groups` | files | `Ranking` in which a file group stands once |
| dedup | `dedup` | files and groups | `Ranking` without near-duplicates, and without the query's own items |
| page | `hits`, `spoken`, `moments` | the places that are shown | hits, with their metadata and moments |

Embed and page run once. The stages between them hand on a `ranking.Ranking`, whose items stay in place however deep the
search looks; `ranking.deepen` runs them, ever deeper, until the page is full or nothing is left. So a page is the same
however deep it is looked for, and pages laid together are the whole list.
"""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from mmsearch.calibration import default_level
from mmsearch.catalog import SpaceRecord
from mmsearch.catalog.commits import CommitState, Outdated, current_commit
from mmsearch.context.context import LibraryContext
from mmsearch.core.config import LEARNED
from mmsearch.core.filters.ast import Filter
from mmsearch.errors import InvalidInput
from mmsearch.indexing.vector_cache import VectorCache
from mmsearch.search.dedup import REACH, deduplicate_ranking
from mmsearch.search.file_groups import FileGroups, GroupAverages, GroupReranker
from mmsearch.search.hits import resolve_hits
from mmsearch.search.keywords import (
    FUSED,
    Mode,
    fuse_keywords,
    match_keywords,
    query_text,
    require_mode,
    retrieve_keywords,
    telling,
)
from mmsearch.search.kinds import KindOfAnswer, named_kind
from mmsearch.search.moments import with_moments
from mmsearch.search.query import EmbeddedQuery, embed_for_search, resolve_query
from mmsearch.search.ranking import Depth, Ranking, Stage, deepen
from mmsearch.search.spoken import with_spoken_moments
from mmsearch.search.vector import VectorSearch
from mmsearch.types import Hit, Modality, Query, QueryLike, StoredVector


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What a search asks besides its query. Raises: InvalidInput if there is no such page."""

    k: int = 10
    offset: int = 0
    """Results to pass over."""
    modalities: Collection[Modality] | None = None
    """Item modalities."""
    mode: Mode = "hybrid"
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


def search(query: QueryLike, options: SearchOptions, context: LibraryContext) -> list[Hit]:
    """One page of results, all of it as of one commit. Raises: as `query.resolve_query` and `query.embed_query`."""
    return context.of_one_commit(partial(answer_queries, [query], options, context))[0]


def answer_queries(
    queries: Sequence[QueryLike],
    options: SearchOptions,
    context: LibraryContext,
    commit: CommitState,
    serving: SpaceRecord | None,
) -> list[list[Hit]]:
    """A page of results of each query, as of a commit, whose space serves. Raises: as `search`; Outdated."""
    resolved = [resolve_query(query, context, serving) for query in queries]
    for query in resolved:
        require_mode(options.mode, query_text(query))
    if options.mode == "keyword":
        return [_answer(query, options, context, commit, serving) for query in resolved]
    embedded = embed_for_search(resolved, context, serving)
    return [
        _answer(query, options, context, commit, serving, one) for query, one in zip(resolved, embedded, strict=True)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """What the stages of one search are made for."""

    options: SearchOptions
    context: LibraryContext
    serving: SpaceRecord | None
    embedded: EmbeddedQuery | None
    """None where words stand alone."""

    text: str
    """The query's words; empty if it isn't just words."""
    kind: KindOfAnswer
    """What they say of the kind of its answers."""
    own_items: Mapping[int, bytes]
    """Item id -> path, of the items that are the query: no answers to it."""

    @classmethod
    def of(
        cls,
        query: Query,
        options: SearchOptions,
        context: LibraryContext,
        serving: SpaceRecord | None,
        embedded: EmbeddedQuery | None,
    ) -> "_Request":
        text, searched = query_text(query), set(options.modalities or ())
        kind = named_kind(text)
        if len(searched) == 1:
            kind = replace(kind, alone=searched.pop())
        stored = [part.value for part in query.parts if isinstance(part.value, StoredVector)]
        own = {value.item_id: os.fsencode(value.path) for value in stored}
        return cls(options, context, serving, embedded, text, kind, own)


def _answer(
    query: Query,
    options: SearchOptions,
    context: LibraryContext,
    commit: CommitState,
    serving: SpaceRecord | None,
    embedded: Callable[[], EmbeddedQuery] | None = None,
) -> list[Hit]:
    catalog = context.catalog()
    with catalog.hold():
        if catalog.read(current_commit) != commit:
            raise Outdated
        return _page(_Request.of(query, options, context, serving, embedded() if embedded else None))


def _page(request: _Request) -> list[Hit]:
    options, context, embedded = request.options, request.context, request.embedded
    # What it takes to settle the page's last place, where nothing is a near-duplicate of what stands before it.
    depth = Depth(options.end + len(request.own_items) + (REACH if options.dedup else 0))
    ranking = deepen(list(_stages(request, depth.items)), depth)
    level = embedded.calibrator.level if embedded else default_level
    page = resolve_hits(ranking.items[options.offset : options.end], context.catalog(), level, options.offset + 1)
    page = with_spoken_moments(page, request.text, context.catalog())
    if not options.moments or embedded is None:
        return page
    return with_moments(page, embedded, context.catalog(), options.modalities)


def _stages(request: _Request, enough: int) -> Iterator[Stage]:
    """The stages from retrieve to dedup. `enough`: items that the last two of them need at first."""
    options, context = request.options, request.context
    catalog, end, own = context.catalog(), options.end, request.own_items
    groups = FileGroups(catalog, options.modalities, options.filter)
    if request.embedded is None:
        yield Stage(
            lambda _, depth: retrieve_keywords(
                request.text, depth, catalog, options.modalities, options.filter, request.kind
            ),
            enough,
        )
    else:
        yield from _retrieve_and_fuse(request, request.embedded, groups, enough)
    if context.settings.fusion != "off":
        yield Stage(lambda ranking, _: groups.group(ranking), enough)
    if own:
        yield Stage(lambda ranking, _: _leave_out(ranking, own), end)
    space, cache = request.serving, request.embedded.cache if request.embedded else VectorCache()
    if options.dedup and space is not None:
        thresholds = context.similarity_thresholds
        yield Stage(
            lambda ranking, _: deduplicate_ranking(ranking, catalog, space, thresholds, cache, context.proofs), end
        )


def _retrieve_and_fuse(request: _Request, embedded: EmbeddedQuery, groups: FileGroups, enough: int) -> Iterator[Stage]:
    options, catalog, kind = request.options, request.context.catalog(), request.kind
    search = VectorSearch(
        embedded.vector,
        embedded.space,
        catalog,
        embedded.lists,
        embedded.calibrator,
        options.modalities,
        options.filter,
        embedded.cache,
        kind,
    )
    text = "" if options.mode == "vector" else request.text
    keywords = telling(match_keywords(text, FUSED, catalog, options.modalities, options.filter, kind))
    reranker = _group_reranker(search, groups, request.context, embedded.space)
    at_first = max(enough, reranker.min_items if reranker else 1)

    def retrieve(_: Ranking, depth: Depth) -> Ranking:
        return search.retrieve(Depth(at_first * depth.items // enough, depth.spare_segments))

    yield Stage(retrieve, enough)
    if reranker is not None:
        yield Stage(lambda ranking, _: reranker.rerank(ranking), enough)
    if keywords:
        yield Stage(lambda ranking, _: fuse_keywords(ranking, keywords, search), enough)
    # What was needed for the order alone goes no further.
    yield Stage(lambda ranking, depth: ranking.first(depth.items), enough)


def _group_reranker(
    search: VectorSearch, groups: FileGroups, context: LibraryContext, space: SpaceRecord
) -> GroupReranker | None:
    """What ranks file groups by more than their best file, as the setting `fusion` says."""
    fusion = context.settings.fusion
    if fusion in ("mean", "weighted"):
        return GroupAverages(search, groups, context.settings.weights)
    if not fusion.startswith(LEARNED):
        return None
    # It loads torch, which no other search needs at this point.
    from mmsearch.search.learned_fusion import LearnedFusion, load_fusion

    return LearnedFusion(search, space.name, groups, load_fusion(context, fusion.removeprefix(LEARNED), space))


def _leave_out(ranking: Ranking, own: Mapping[int, bytes]) -> Ranking:
    """The ranking without these items, and without groups that hold them."""
    paths = set(own.values())
    items = [one for one in ranking.items if one.item_id not in own and paths.isdisjoint(one.members)]
    return Ranking(items, ranking.complete)

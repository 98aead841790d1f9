"""From a query to a page of results: ranked, folded, cut."""

import os
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mmsearch import hybrid
from mmsearch import search as searching
from mmsearch.bundles import Averages, Bundles
from mmsearch.calibration import Judge
from mmsearch.catalog import Catalog, SpaceRecord, pieces
from mmsearch.config import LEARNED
from mmsearch.criteria import Filter
from mmsearch.errors import InvalidInput
from mmsearch.fold import REACH, fold, profiles
from mmsearch.indexing import IndexSet
from mmsearch.moments import with_moments
from mmsearch.parts import Parts
from mmsearch.rankings import AtHand, Ranked, Ranking
from mmsearch.reasons import Explanation
from mmsearch.types import Hit, Modality, Part, Query, Space, Stored, Vectors

if TYPE_CHECKING:
    from mmsearch.fused import Learned

GROWTH = 2
"""How many times deeper a ranking is looked into where it did not yield enough: mostly a few hits are missing."""


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
    moments: bool = False
    """Whether to say all moments of each hit that match, which is about meaning: not with words alone."""

    def __post_init__(self) -> None:
        if self.k < 1 or self.offset < 0:
            raise InvalidInput(f"k must be at least 1 and offset at least 0, not {self.k} and {self.offset}")
        if self.moments and self.keywords == "only":
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
    indexes: IndexSet
    judge: Judge
    at_hand: AtHand = field(default_factory=AtHand)
    """Vectors that were read for it so far."""


def asked(query: str | os.PathLike[str] | Query, parts: Parts, space: SpaceRecord | None) -> Query:
    """What a caller means: words, the medium in a file, or a query, items of the library in it found by their ids.

    Raises: InvalidInput for an item that is not known or has no vectors, MediaError.
    """
    if isinstance(query, os.PathLike):
        return searching.interpret(os.fspath(query), parts.query_decoding)
    if isinstance(query, str):
        return Query(text=query)
    return Query(
        mixed=tuple(_recalled(part, parts, space) if part.modality == "like" else part for part in query.parts)
    )


def _recalled(part: Part, parts: Parts, space: SpaceRecord | None) -> Part:
    """A part that names an item, with the item's vector: as if its file were given, but the file is not needed."""
    named = part.value.item_id if isinstance(part.value, Hit) else part.value
    if not isinstance(named, int) or isinstance(named, bool):
        raise InvalidInput(f"like takes a hit or an item's id, not {named!r}", hint="ids are in the JSON of a search")
    with parts.catalog().reading() as snapshot:
        known = pieces.item(snapshot, space, named) if space else None
    if known is None:
        raise InvalidInput(
            f"there is no item {named} in this library, or its model can't take it",
            hint="ids are in the JSON of a search, as item_id",
        )
    return replace(part, modality=known.modality, value=Stored(named, known.path, searching.mean(known.vectors)))


def search(query: str | os.PathLike[str] | Query, wanted: Wanted, parts: Parts) -> list[Hit]:
    """One page of results, all of it as of one commit. Raises: as `asked`."""
    return parts.unmoved(Catalog.moment, lambda serving: _page(asked(query, parts, serving), wanted, parts, serving))


def _page(query: Query, wanted: Wanted, parts: Parts, space: SpaceRecord | None) -> list[Hit]:
    meaning = None if wanted.keywords == "only" else _meaning(query, parts, space)
    ranked = ranking(query, wanted, parts, meaning)
    own = {part.value.item_id: os.fsencode(part.value.path) for part in query.parts if isinstance(part.value, Stored)}
    paths = set(own.values())
    at_hand = AtHand() if meaning is None else meaning.at_hand
    depth = wanted.end + len(own) + (REACH if wanted.fold else 0)
    while True:
        hits = ranked(depth)
        whole = len(hits) < depth
        # Every step after the ranking looks at earlier hits only, or waits until it has seen enough of the later ones:
        # a page is the same however deep the ranking was looked into.
        hits = [hit for hit in hits if hit.item_id not in own and paths.isdisjoint(hit.members)]
        settled = len(hits)
        if wanted.fold and space is not None:
            with parts.catalog().reading() as snapshot:
                known = profiles(snapshot, space, hits, at_hand)
            hits, settled = fold(hits, known, parts.settings.alike_from, whole=whole)
        if whole or settled >= wanted.end:
            break
        depth *= GROWTH
    page = searching.shown(hits[wanted.offset : wanted.end], parts.catalog(), wanted.offset + 1)
    if not wanted.moments or meaning is None:
        return page
    return with_moments(
        page, meaning.vector, parts.catalog(), meaning.space, meaning.indexes, meaning.judge, wanted.within
    )


def _meaning(query: Query, parts: Parts, serving: SpaceRecord | None) -> _Meaning:
    space, record = parts.serving(serving)
    vector = searching.embed(query, space, parts.query_decoding(record))
    return _Meaning(vector, record, parts.indexes(record), parts.judge(query, vector, space))


def ranking(query: Query, wanted: Wanted, parts: Parts, meaning: _Meaning | None) -> Ranking:
    """All that matches, best first: what vectors and words found, as one list, each bundle of files once."""
    together = Bundles(parts.catalog(), wanted.within, wanted.where)
    files = _files(query, wanted, parts, together, meaning)
    return files if parts.settings.fusion == "off" else together.gathered(files)


def _files(query: Query, wanted: Wanted, parts: Parts, together: Bundles, meaning: _Meaning | None) -> Ranking:
    catalog, within, where = parts.catalog(), wanted.within, wanted.where
    if meaning is None:
        return lambda n: hybrid.listed(hybrid.find(query, n, catalog, within, "only", where), n)
    words = hybrid.find(query, wanted.end, catalog, within, wanted.keywords, where)
    near = searching.Search(meaning.vector, catalog, meaning.indexes, meaning.judge, within, where, meaning.at_hand)
    found: Ranking = near.ranked
    if parts.settings.fusion in ("mean", "weighted"):
        found = Averages(near, meaning.space.name, together, parts.settings.weights).ranked
    elif parts.settings.fusion.startswith(LEARNED):
        found = _learned(near, meaning.space, together, parts).ranked

    def ranked(n: int) -> list[Ranked]:
        hits = found(hybrid.depth(words, n))
        return hybrid.fuse(hits, words, n) if words else hits

    return ranked


def _learned(near: searching.Search, space: SpaceRecord, together: Bundles, parts: Parts) -> "Learned":
    # It loads torch, which no other search needs at this point.
    from mmsearch.fused import Learned, load

    fusion = load(parts, parts.settings.fusion.removeprefix(LEARNED), space)
    return Learned(near, space.name, together, fusion)


def explain(query: str | os.PathLike[str] | Query, hit: Hit, parts: Parts, overlay: Path | None) -> Explanation:
    """Why a hit was found; its file is decoded once more."""
    # Nobody else needs Pillow in this process.
    from mmsearch import explain as explaining

    found = parts.of_one_space(lambda space, record: _explained(query, hit, parts, space, record))
    if overlay is not None:
        explaining.draw(found, hit.metadata, overlay)
    return found


def _explained(
    query: str | os.PathLike[str] | Query, hit: Hit, parts: Parts, space: Space, record: SpaceRecord
) -> Explanation:
    from mmsearch import explain as explaining

    with parts.catalog().reading() as snapshot:
        layout = pieces.layout_of(snapshot, hit.segment_id)
    if layout not in (None, record.layout):
        raise InvalidInput("it was found with another model than the library uses by now", hint="search once more")
    query, pool = asked(query, parts, record), parts.query_decoding(record)
    vector = searching.embed(query, space, pool)
    shares = [
        (
            explaining.part_name(part),
            part.weight * searching.embed(Query(mixed=(replace(part, weight=1.0),)), space, pool),
        )
        for part in (query.parts if len(query.parts) > 1 else ())
    ]
    return explaining.explain(vector, hit, space, pool, shares)

"""The dedup stage: near-duplicates among the results become one, which names the others.

Greedy by rank: an item that is proved to be the same thing as one above it (`media.sameness`), of the same modality,
becomes a duplicate of the first such. A cosine only proposes which two to compare (`search.similarity`): pages that
differ in one number are as near to each other as copies are. It looks no further up than `REACH` places, counted from
the last duplicate of that one: so what is a duplicate depends only on a bounded stretch of the ranking, and a page
shows the same whichever page it is and however deep the ranking was looked into.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mmsearch.catalog import Catalog, Snapshot, SpaceRecord
from mmsearch.catalog.embeddings import vectors_by_content, vectors_of_segments
from mmsearch.catalog.segments import ItemOutline, item_outlines
from mmsearch.context.proofs import Proofs
from mmsearch.indexing.vector_cache import VectorCache
from mmsearch.search.ranking import RankedItem, Ranking
from mmsearch.search.similarity import ContentProfile, possible_duplicates, similarity
from mmsearch.types import Modality, Vectors

REACH = 20
"""Places between an item and the one it is a duplicate of, or that one's last duplicate before it, at most."""


_MARGIN = 1e-3
"""What a cosine in float32 may be off by, with room to spare."""


@dataclass(slots=True)
class _DuplicateGroup:
    """An item that is shown, and its duplicates."""

    item: RankedItem
    profile: ContentProfile
    last: int
    """Place of its last duplicate in the ranking, or its own."""
    duplicates: list[RankedItem] = field(default_factory=list)

    def shown(self) -> RankedItem:
        if not self.duplicates:
            return self.item
        return self.item._replace(duplicates=tuple(one.path for one in self.duplicates))


def deduplicate_ranking(
    ranking: Ranking,
    catalog: Catalog,
    space: SpaceRecord,
    thresholds: Mapping[Modality, float],
    cache: VectorCache,
    proofs: Proofs,
) -> Ranking:
    """The ranking without near-duplicates.

    Args:
        thresholds: Segment modality -> cosine from which two segments may be of the same thing.
        cache: The vectors that were read to find the items.
    """
    with catalog.reading() as snapshot:
        outlines = _outlines(snapshot, space, ranking.items)
        short = _single_vectors(snapshot, space, outlines, cache)
        if len(outlines) == len(ranking.items) and _nothing_near(outlines, short, thresholds):  # as mostly
            # As far as a longer ranking would not change it.
            settled = len(ranking.items) if ranking.complete else max(len(ranking.items) - REACH, 0)
            return Ranking(ranking.items[:settled], ranking.complete)
        profiles = _profiles(snapshot, space, outlines, short)
        prove = proofs.of(snapshot, {profile.content_id for profile in profiles.values()})
        items, settled = deduplicate(
            ranking.items,
            profiles,
            thresholds,
            lambda one, other: prove(one, other) is not None,
            whole=ranking.complete,
        )
    return Ranking(items[:settled], ranking.complete)


def _outlines(snapshot: Snapshot, space: SpaceRecord, items: Sequence[RankedItem]) -> list[ItemOutline]:
    """What the items hold, of those that are in the catalog."""
    known = [
        ItemOutline(one.item_id, one.content_id, ((one.matched, 1),), one.segment_id)
        for one in items
        if one.single and one.matched is not None
    ]
    if len(known) == len(items):
        return known
    return known + item_outlines(snapshot, space, [one.item_id for one in items if not one.single])


def _nothing_near(
    outlines: Sequence[ItemOutline], short: Mapping[int, Vectors], thresholds: Mapping[Modality, float]
) -> bool:
    """Whether it is certain at a glance that no two of these are alike: they have one segment each, and none is near
    another of its kind."""
    rows: dict[Modality, list[Vectors]] = {}
    for outline in outlines:
        if outline.segment_id is None or outline.segment_id not in short:
            return False
        rows.setdefault(outline.counts[0][0], []).append(short[outline.segment_id])
    if len({outline.content_id for outline in outlines}) < len(outlines):
        return False
    for kind, own in rows.items():
        stacked = np.array(own)
        cosines = stacked @ stacked.T  # (n, n)
        np.fill_diagonal(cosines, -1.0)
        if not cosines.max() < thresholds.get(kind, math.inf) - _MARGIN:
            return False
    return True


def _profiles(
    snapshot: Snapshot, space: SpaceRecord, outlines: Sequence[ItemOutline], short: Mapping[int, Vectors]
) -> dict[int, ContentProfile]:
    """Item id -> its content's profile.

    The vectors of long items are read only where there is something to compare them with: another content that holds
    segments of the same modalities.

    Args:
        short: Segment id -> vector, of what has one segment only.
    """
    comparable: dict[tuple[Modality, ...], set[int]] = {}
    for outline in outlines:
        if outline.segment_id not in short:
            modalities = tuple(modality for modality, _ in outline.counts)
            comparable.setdefault(modalities, set()).add(outline.content_id)
    to_read = sorted(content for group in comparable.values() if len(group) > 1 for content in group)
    vectors = vectors_by_content(snapshot, space, to_read) if to_read else {}
    made: dict[int, ContentProfile] = {}
    for outline in outlines:
        row = None if outline.segment_id is None else short.get(outline.segment_id)
        own = vectors.get(outline.content_id, {}) if row is None else {outline.counts[0][0]: row[np.newaxis]}
        made[outline.item_id] = ContentProfile(outline.content_id, own)
    return made


def _single_vectors(
    snapshot: Snapshot, space: SpaceRecord, outlines: Sequence[ItemOutline], cache: VectorCache
) -> dict[int, Vectors]:
    """Segment id -> vector, float32 (dim,), of what has one segment only. `cache`: the vectors that were read to find
    the items."""
    segment_ids = {outline.segment_id for outline in outlines if outline.segment_id is not None}
    cached = {one: row for one in segment_ids if (row := cache.get(one)) is not None}
    missing = [one for one in segment_ids if one not in cached]
    return cached | vectors_of_segments(snapshot, space, missing) if missing else cached


def deduplicate(
    items: Sequence[RankedItem],
    profiles: Mapping[int, ContentProfile],
    thresholds: Mapping[Modality, float],
    proved: Callable[[int, int], bool],
    *,
    whole: bool,
) -> tuple[list[RankedItem], int]:
    """The items that are left, in order; and how many of them, from the first, a longer ranking would not change.

    Args:
        profiles: Item id -> profile; an item that has none is no duplicate.
        thresholds: Segment modality -> cosine from which two segments may be of the same thing.
        proved: Whether two contents, by their ids, are the same thing.
        whole: Whether the ranking ends with the last item.
    """
    own = [profiles.get(item.item_id) or ContentProfile(-1 - place, {}) for place, item in enumerate(items)]
    groups: dict[int, _DuplicateGroup] = {}
    for place, (item, before) in enumerate(zip(items, possible_duplicates(own, thresholds), strict=True)):
        leader = None
        for n in before:
            group = groups.get(n)
            if (
                group is not None
                and place - group.last <= REACH
                and group.item.modality == item.modality
                and similarity(group.profile, own[place], thresholds) is not None
                and _same(group.profile.content_id, own[place].content_id, proved)
            ):
                leader = group
                break
        if leader is None:
            groups[place] = _DuplicateGroup(item, own[place], place)
        else:
            leader.last = place
            leader.duplicates.append(item)
    unsettled = (n for n, group in enumerate(groups.values()) if not whole and len(items) - group.last <= REACH)
    return [group.shown() for group in groups.values()], next(unsettled, len(groups))


def _same(one: int, other: int, proved: Callable[[int, int], bool]) -> bool:
    return one == other or proved(one, other)

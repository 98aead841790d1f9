"""Near-duplicates among the results become one, with those that are alike counted.

Greedy by rank: a hit that is alike (`search.similarity`) to one above it, of the same modality, is folded into the
first such. It looks no further up than `REACH` places, counted from the last hit that was folded there: so what is
folded depends only on a bounded stretch of the ranking, a page shows the same whichever page it is and however deep the
ranking was looked into, and a hundred shots of one scene, one after the other, still are one result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mmsearch.catalog import Snapshot, SpaceRecord
from mmsearch.catalog.embeddings import vectors_by_content, vectors_of_segments
from mmsearch.catalog.segments import ItemOutline, item_outlines
from mmsearch.indexing.vector_cache import VectorCache
from mmsearch.search.ranking import RankedItem
from mmsearch.search.similarity import ContentProfile, possible_duplicates, similarity
from mmsearch.types import Modality, Vectors

REACH = 20
"""Places between a hit and the one it is folded into, or the last one folded there before, at most."""


@dataclass(slots=True)
class _Group:
    """A shown hit and what was folded into it."""

    hit: RankedItem
    profile: ContentProfile
    last: int
    """Place of its last member in the ranking."""
    duplicates: list[RankedItem] = field(default_factory=list)


def _over(group: _Group) -> RankedItem:
    return group.hit._replace(duplicates=tuple(hit.path for hit in group.duplicates))


def content_profiles(
    snapshot: Snapshot, space: SpaceRecord, hits: Sequence[RankedItem], at_hand: VectorCache
) -> dict[int, ContentProfile]:
    """Item id -> its content's profile, for items of the hits that are there.

    The vectors of long items are read only where there is something to compare them with: another content that holds
    segments of the same modalities.

    Args:
        at_hand: What the hits were found by.
    """
    shapes = item_outlines(snapshot, space, [hit.item_id for hit in hits])
    short = _alone(snapshot, space, shapes, at_hand)
    alike: dict[tuple[Modality, ...], set[int]] = {}
    for shape in shapes:
        if shape.segment_id not in short:
            alike.setdefault(tuple(modality for modality, _ in shape.counts), set()).add(shape.content_id)
    wanted = sorted(content for group in alike.values() if len(group) > 1 for content in group)
    vectors = vectors_by_content(snapshot, space, wanted) if wanted else {}
    return {
        shape.item_id: ContentProfile(
            shape.content_id,
            {shape.counts[0][0]: short[shape.segment_id][np.newaxis]}
            if shape.segment_id in short
            else vectors.get(shape.content_id, {}),
        )
        for shape in shapes
    }


def _alone(
    snapshot: Snapshot, space: SpaceRecord, shapes: Sequence[ItemOutline], at_hand: VectorCache
) -> dict[int, Vectors]:
    """Segment id -> vector, float32 (dim,), of what has one segment only."""
    wanted = {shape.segment_id for shape in shapes if shape.segment_id is not None}
    found = {one: row for one in wanted if (row := at_hand.get(one)) is not None}
    lacking = [one for one in wanted if one not in found]
    return found | vectors_of_segments(snapshot, space, lacking) if lacking else found


def deduplicate(
    hits: Sequence[RankedItem], known: Mapping[int, ContentProfile], least: Mapping[Modality, float], *, whole: bool
) -> tuple[list[RankedItem], int]:
    """The hits that are left, in order; and how many of them, from the first, a longer ranking would not change.

    Args:
        known: Item id -> profile; an item that is not there is folded into nothing.
        least: Segment modality -> cosine from which two segments are alike.
        whole: Whether the ranking ends with the last hit.
    """
    own = [known.get(hit.item_id) or ContentProfile(-1 - place, {}) for place, hit in enumerate(hits)]
    groups: dict[int, _Group] = {}
    for place, (hit, before) in enumerate(zip(hits, possible_duplicates(own, least), strict=True)):
        leader = None
        for n in before:
            group = groups.get(n)
            if (
                group is not None
                and place - group.last <= REACH
                and group.hit.modality == hit.modality
                and similarity(group.profile, own[place], least) is not None
            ):
                leader = group
                break
        if leader is None:
            groups[place] = _Group(hit, own[place], place)
        else:
            leader.last = place
            leader.duplicates.append(hit)
    shown = [group.hit if not group.duplicates else _over(group) for group in groups.values()]
    waiting = (n for n, group in enumerate(groups.values()) if not whole and len(hits) - group.last <= REACH)
    return shown, next(waiting, len(groups))

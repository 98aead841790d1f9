"""Which files of one group key are a file group, and which of them leads."""

from collections import defaultdict
from collections.abc import Sequence

from mmsearch.catalog import GroupFile, GroupSegment, group_key
from mmsearch.types import Modality, Vectors

MOST = 10
"""Files of a file group. More of one group key are a series, not one thing."""

LONG_S = 10.0
"""Seconds from which a video leads the picture beside it, which is its thumbnail then, not a photo that moves."""

_LEADS: tuple[Modality, ...] = ("image", "video", "audio")
"""Which kind is shown for all, first to last; then others, then text."""


def ordered_group(files: Sequence[GroupFile]) -> tuple[GroupFile, ...]:
    """The files of one group key, the one that leads them first; empty if they are no file group. Subtitles, of which a
    film may have many, don't count, and belong to the film rather than to its poster."""
    subtitles = [file for file in files if group_key.suffix(file.path) in group_key.SUBTITLES]
    if len(files) < 2 or len(files) - len(subtitles) > MOST or all(file.modality == "text" for file in files):
        return ()
    return tuple(sorted(files, key=lambda file: (bool(subtitles) and file.modality != "video", *_lead(file))))


def _lead(file: GroupFile) -> tuple[int, bool, bytes]:
    duration = file.metadata.get("duration") or 0.0
    kinds = {kind: place for place, kind in enumerate(_LEADS, 1)}
    place = 0 if file.modality == "video" and duration > LONG_S else kinds.get(file.modality, len(kinds) + 1)
    return (
        place + (file.modality == "text"),
        group_key.suffix(file.path) in group_key.RAW | group_key.SIDECARS,
        file.path,
    )


def vectors_by_modality(
    groups: Sequence[Sequence[GroupFile]], found: Sequence[GroupSegment], vectors: Vectors
) -> list[dict[Modality, Vectors]]:
    """Of each file group, its vectors by segment modality; `found` and `vectors` as `group_segments` gives them."""
    rows: dict[int, list[int]] = defaultdict(list)
    for row, segment in enumerate(found):
        rows[segment.item_id].append(row)
    made = []
    for files in groups:
        own: dict[Modality, list[int]] = defaultdict(list)
        for row in (row for file in files for row in rows.get(file.item_id, ())):
            own[found[row].matched].append(row)
        made.append({kind: vectors[some] for kind, some in own.items()})
    return made

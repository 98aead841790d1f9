"""Small pictures of hits: of a picture itself, of a video at its moment, of a sound its outline."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from mmsearch.context.context import LibraryContext
from mmsearch.errors import MmsearchError
from mmsearch.media import stills
from mmsearch.media.events import DecodeJob, PreparedSegment
from mmsearch.media.pool import DecodePool
from mmsearch.types import Hit, Prepared, Space, Windowing


def stills_of(hits: Sequence[Hit], context: LibraryContext) -> list[Prepared | None]:
    """One for each hit, in order: uint8 (height, width, 3), float32 (PEAKS,) in [0, 1], or None for a text and for
    what can't be read any more."""
    windowing = context.of_one_space(lambda space, _: _windowing(space))
    with DecodePool(stills.TARGET, windowing, context.settings.limits, 1) as pool:
        return [_still(hit, pool, context) for hit in hits]


def _windowing(space: Space) -> Windowing:
    return replace(space.windowing, image_side=stills.SIDE // 2)


def _still(hit: Hit, pool: DecodePool, context: LibraryContext) -> Prepared | None:
    if hit.modality == "text":
        return None
    context.check_known(hit)
    wanted = "audio" if hit.modality == "audio" else "image"
    try:
        file = context.original(hit.part or hit.path)
    except MmsearchError:
        return None
    best: Prepared | None = None
    for segment in _segments(file_job=DecodeJob(file), pool=pool):
        if segment.modality != wanted:
            continue
        if best is not None and not _by_then(segment, hit):
            break
        best = segment.array
    return best


def _by_then(segment: PreparedSegment, hit: Hit) -> bool:
    """Whether a segment begins no later than the moment of a hit."""
    return hit.start is not None and (segment.span.start or 0.0) <= hit.start


def _segments(file_job: DecodeJob, pool: DecodePool) -> Iterator[PreparedSegment]:
    with closing(pool.run([file_job])) as events:
        for event in events:
            if isinstance(event, PreparedSegment):
                yield event

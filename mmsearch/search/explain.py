"""Why an item was found: the concepts that tie it to the query, and where in it they are.

A space whose vectors are sums (the starter space's are) takes a score apart exactly: `ExplainsConcepts`. Where in a
picture, a sound or a passage it comes from is asked by occlusion (Zeiler and Fergus, ECCV 2014): parts are hidden one
after the other, and the score drops most without the part that counts.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.catalog import SpaceRecord
from mmsearch.catalog.segments import REGION, layout_of_segment
from mmsearch.context.context import LibraryContext
from mmsearch.encoders.explaining import Box, ExplainsConcepts, OccludesRegions
from mmsearch.errors import FAILURES, InvalidInput, MediaError
from mmsearch.media import overlay
from mmsearch.media.events import DecodeJob, FileFailed, PreparedSegment
from mmsearch.media.pool import DecodePool
from mmsearch.search.explanations import ConceptTie, Explanation, PartShare, Region, TextCue
from mmsearch.search.query import embed_query, resolve_query
from mmsearch.types import (
    Encoder,
    Hit,
    Metadata,
    Prepared,
    Query,
    QueryLike,
    QueryPart,
    Segment,
    Space,
    StoredVector,
    Vectors,
)

TIES = 5
"""Concepts named, at most."""

CUES = 3
"""Sentences or words, regions and moments named, at most."""

GRID = 7
"""Rows and columns of a picture's heat map."""

FINE = 40
"""Rows and columns of a region's heat map: edges are where they are."""

PATCH = 2 / GRID
"""Side of the grey patch around each cell's centre, as a share of the picture's: a cell alone hides too little."""

MOST_PIECES = 48
"""Sentences or words of a passage that are left out one by one, at most."""

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n{2,}")


def explain(query: QueryLike, hit: Hit, context: LibraryContext, overlay_file: Path | None) -> Explanation:
    """Why a hit was found; its file is decoded once more.

    Args:
        overlay_file: Write the picture with the heat over it here, where there is one.

    Raises: MediaError if the hit's file can't be read any more, InvalidInput if it is another one by now.
    """
    context.check_known(hit)
    found = context.of_one_space(lambda space, record: _explain(query, hit, context, space, record))
    if overlay_file is not None:
        draw_overlay(found, hit.metadata, overlay_file)
    return found


def _explain(query: QueryLike, hit: Hit, context: LibraryContext, space: Space, record: SpaceRecord) -> Explanation:
    with context.catalog().reading() as snapshot:
        layout = layout_of_segment(snapshot, hit.segment_id)
    if layout not in (None, record.layout):
        raise InvalidInput("the library has changed its model since this hit was found", hint="search once more")
    query, pool = resolve_query(query, context, record), context.query_decoding(record)
    vector = embed_query(query, space, lambda: pool)
    shares = [
        (
            part_name(part),
            part.weight * embed_query(Query(mixed=(replace(part, weight=1.0),)), space, lambda: pool),
        )
        for part in (query.parts if len(query.parts) > 1 else ())
    ]
    return explain_hit(vector, hit, space, pool, shares, context.original)


def explain_hit(
    vector: Vectors,
    hit: Hit,
    space: Space,
    pool: DecodePool,
    parts: Sequence[tuple[str, Vectors]],
    original: Callable[[Path], Path],
) -> Explanation:
    """Of a query vector, float32 (1, dim), and a hit of it.

    Args:
        parts: Of a mixed query, each part's name and its weighted vector, float32 (1, dim), before they were added.
        original: From an item's path to the file that holds it.

    Raises: MediaError if the hit's file can't be read any more, InvalidInput if it is another one by now.
    """
    query = np.asarray(vector[0], np.float64)
    if hit.passage is not None and (hit.matched or "text") == "text" and "text" in space.encoders:
        encoder = space.encoders["text"]
        own = encoder.encode([encoder.prepare(Segment("text", hit.passage))])[0]
        return _made(query, own, hit, parts, cues=_text_cues(query, own, hit.passage, encoder))
    if hit.matched is None or hit.matched not in space.encoders:
        return Explanation(score=hit.cosine, by=hit.by)  # the words of its name brought it
    encoder = space.encoders[hit.matched]
    file = original(hit.part or hit.path)
    prepared, own, shown = _segment(query, hit, encoder, pool, file)
    picture = prepared if hit.matched == "image" and overlay.drawable(prepared) else None
    ties = _ties(query, encoder.concepts(prepared)) if isinstance(encoder, ExplainsConcepts) else ()
    if hit.source == REGION and hit.box is not None:  # its concepts are told of the whole photo
        drop = (hit.cosine or 0.0) - float(query @ own)
        region = Region(hit.box, drop)
        told = _made(query, own, hit, parts, ties=ties, heat=_lit(hit.box), regions=(region,), picture=picture)
        return replace(told, score=hit.cosine)
    heat, regions = _where(query, own, prepared, encoder, hit) if isinstance(encoder, OccludesRegions) else (None, ())
    if shown is not None:
        regions = tuple(replace(region, box=_inside(shown, region.box)) for region in regions)
    return _made(query, own, hit, parts, ties=ties, heat=heat, regions=regions, picture=picture, shown=shown)


def _lit(box: Box) -> NDArray[np.float32]:
    """Heat of a region: 1 where the cell's centre is in the box, float32 (rows, columns)."""
    centres = (np.arange(FINE) + 0.5) / FINE
    across, down = ((box[side] <= centres) & (centres < box[side + 2]) for side in (0, 1))
    return np.asarray(down[:, np.newaxis] & across, np.float32)


def _inside(outer: Box, inner: Box) -> Box:
    """A box in a part of a picture, as one of the whole."""
    left, top, right, bottom = outer
    width, height = right - left, bottom - top
    return left + inner[0] * width, top + inner[1] * height, left + inner[2] * width, top + inner[3] * height


def draw_overlay(explanation: Explanation, metadata: Metadata, target: Path) -> bool:
    """Write the picture with the heat over it as a PNG; False if the hit is no picture or has no heat map."""
    if explanation.heat is None or explanation.picture is None:
        return False
    size = (metadata.get("width"), metadata.get("height")) if explanation.shown is None else (None, None)
    overlay.write_overlay(explanation.picture, explanation.heat, size, target)
    return True


def _made(query: Any, own: Any, hit: Hit, parts: Sequence[tuple[str, Vectors]], **found: Any) -> Explanation:
    total = sum((part[0].astype(np.float64) for _, part in parts), np.zeros_like(query))
    norm = float(np.linalg.norm(total)) or 1.0
    shares = tuple(PartShare(name, float(part[0] @ own) / norm) for name, part in parts)
    return Explanation(
        score=float(query @ own), by=hit.by, matched=hit.matched, start=hit.start, end=hit.end, parts=shares, **found
    )


def _segment(
    query: Any, hit: Hit, encoder: Encoder, pool: DecodePool, file: Path
) -> tuple[Prepared, NDArray[np.float32], Box | None]:
    """The segment that matched, decoded once more, its vector, float32 (dim,), and which part of its picture it is: the
    square of a panorama, one of a collage's; None for the whole."""
    pieces: list[tuple[Prepared, Box | None]] = []
    path = hit.part or hit.path
    for event in pool.run([DecodeJob(file)]):
        if isinstance(event, FileFailed):
            kind = FAILURES.get(event.failure, MediaError)
            raise kind(f"can't read {path.name} to explain it: {event.reason}", hint="ingest its folder again")
        if isinstance(event, PreparedSegment) and event.modality == hit.matched:
            span = event.span
            if (span.start, span.end, span.page) == (hit.start, hit.end, hit.page):
                pieces.append((event.array, span.box))
    if not pieces:
        raise InvalidInput(f"{path.name} changed since it was found", hint="ingest its folder again")
    vectors = np.concatenate([encoder.encode([one]) for one, _ in pieces])
    best = int((vectors @ query).argmax())
    prepared, box = pieces[best]
    return prepared, vectors[best], box


def _ties(query: Any, concepts: Sequence[tuple[str, float, NDArray[np.float32]]]) -> tuple[ConceptTie, ...]:
    """What each concept adds to the score, largest first; those that take away are left out."""
    added = [(name, weight, weight * float(query @ vector)) for name, weight, vector in concepts]
    total = sum(weight for _, weight, _ in added) or 1.0
    ranked = sorted(added, key=lambda one: (-one[2], one[0]))[:TIES]
    return tuple(ConceptTie(name, weight / total, amount) for name, weight, amount in ranked if amount > 0)


def _encoded(encoder: Encoder, batch: Sequence[Prepared]) -> Vectors:
    size = encoder.spec.batch_size
    return np.concatenate([encoder.encode(batch[i : i + size]) for i in range(0, len(batch), size)])


def _where(
    query: Any, own: Any, prepared: Prepared, encoder: Any, hit: Hit
) -> tuple[NDArray[np.float32], tuple[Region, ...]]:
    """Score drops float32 (rows, columns) as each part is hidden, and the parts that count most."""
    rows, columns, height, width = GRID, GRID, PATCH, PATCH
    seconds = (hit.end or 0.0) - (hit.start or 0.0)
    if hit.matched == "audio":
        # A second at a time, moved by half a second.
        rows, columns, height = 1, max(round(2 * seconds), 1), 1.0
        width = min(1 / max(seconds, 1.0), 1.0)
    boxes = [
        _around((column + 0.5) / columns, (row + 0.5) / rows, width, height)
        for row, column in product(range(rows), range(columns))
    ]
    vectors = _encoded(encoder, [encoder.occluded(prepared, box) for box in boxes])
    drops = float(query @ own) - vectors @ query  # (boxes,)
    order = [int(i) for i in np.argsort(-drops, kind="stable") if drops[i] > 0]
    clock = (hit.start or 0.0, seconds) if hit.matched == "audio" else None
    regions = tuple(_region(boxes[i], float(drops[i]), clock) for i in order[:CUES])
    return np.asarray(drops.reshape(rows, columns), np.float32), regions


def _around(x: float, y: float, width: float, height: float) -> Box:
    """A box of this size around a point, moved inside where it would stick out."""
    left, top = min(max(x - width / 2, 0.0), 1 - width), min(max(y - height / 2, 0.0), 1 - height)
    return left, top, left + width, top + height


def _region(box: Box, drop: float, clock: tuple[float, float] | None) -> Region:
    if clock is None:
        return Region(box, drop)
    start, seconds = clock
    return Region(box, drop, start + box[0] * seconds, start + box[2] * seconds)


def _text_cues(query: Any, own: Any, passage: str, encoder: Encoder) -> tuple[TextCue, ...]:
    """The sentences without which the score drops most; of a single sentence, the words."""
    pieces = [piece.strip() for piece in _SENTENCE.split(passage) if piece.strip()]
    if len(pieces) < 2:
        pieces = passage.split()
    if len(pieces) < 2:
        return ()
    shown = pieces[:MOST_PIECES]
    without = [" ".join(pieces[:i] + pieces[i + 1 :]) for i in range(len(shown))]
    vectors = _encoded(encoder, [encoder.prepare(Segment("text", text)) for text in without])
    drops = float(query @ own) - vectors @ query
    order = np.argsort(-drops, kind="stable")[:CUES]
    return tuple(TextCue(shown[i], float(drops[i])) for i in order.tolist() if drops[i] > 0)


def part_name(part: QueryPart) -> str:
    """What to call a part of a query: its words, its file's name, or its modality."""
    file = part.value.path if isinstance(part.value, StoredVector) else part.value
    named = Path(file).name if isinstance(file, os.PathLike) else file
    return named if isinstance(named, str) else f"the {part.modality}"

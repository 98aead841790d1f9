"""The embed stage: from what a caller means to a query, and from that to one unit vector."""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mmsearch.calibration import ScoreCalibrator
from mmsearch.catalog import SpaceRecord
from mmsearch.catalog.items import items_at
from mmsearch.catalog.stored_contents import stored_item
from mmsearch.context.context import LibraryContext
from mmsearch.core.arguments import checked
from mmsearch.core.kind_names import kind_name, kind_names
from mmsearch.core.media_paths import is_media_path, item_path
from mmsearch.encoders.explaining import JoinsKinds
from mmsearch.encoders.queries import prepared_query
from mmsearch.errors import FAILURES, InvalidInput, MediaError, NoSharedSpace, NotEmbedded
from mmsearch.indexing.vector_cache import VectorCache
from mmsearch.media import sniff
from mmsearch.media.events import DecodeJob, FileFailed, FileSkipped, PreparedSegment
from mmsearch.media.pool import DecodePool
from mmsearch.search.query_file import query_file
from mmsearch.search.shared_lists import QueryBatch, SearchedLists
from mmsearch.types import (
    Hit,
    Modality,
    Prepared,
    Query,
    QueryLike,
    QueryPart,
    Space,
    StoredVector,
    Vectors,
    as_query,
)

_ADDRESS = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]+://|(?:data|mailto|magnet):\S)")

_SEGMENT_MODALITIES: Mapping[Modality, Sequence[Modality]] = {
    "image": ("image",),
    "audio": ("audio",),
    "video": ("image", "audio"),
}
"""What a medium is cut into. Of text it depends on the passage whether torch is needed."""


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedQuery:
    """A query as a vector, and what that vector is searched with."""

    vector: Vectors
    """float32 (1, dim), unit length."""
    space: SpaceRecord
    lists: SearchedLists
    calibrator: ScoreCalibrator
    cache: VectorCache = field(default_factory=VectorCache)
    """The vectors that were read for it so far."""


def embed_for_search(
    queries: Sequence[Query], context: LibraryContext, serving: SpaceRecord | None
) -> list[Callable[[], EmbeddedQuery]]:
    """Queries as vectors of the space that serves; each with what is read for it when it is answered.

    Raises: as `embed_queries`, LibraryEmpty.
    """
    space, record = context.serving(serving)
    vectors = embed_queries(queries, space, lambda: context.query_decoding(record))
    rows = [vectors[row : row + 1] for row in range(len(queries))]
    lists: SearchedLists = context.indexes(record)
    views = [lists] if len(queries) == 1 else QueryBatch(lists, vectors).views()

    def embedded(query: Query, row: Vectors, view: SearchedLists) -> EmbeddedQuery:
        return EmbeddedQuery(row, record, view, context.calibrator(query, row, space))

    return [partial(embedded, *one) for one in zip(queries, rows, views, strict=True)]


def embed_query(query: Query, space: Space, pool: Callable[[], DecodePool]) -> Vectors:
    """One unit vector, float32 (1, dim). Raises: as `embed_queries`."""
    return embed_queries([query], space, pool)


def embed_queries(queries: Sequence[Query], space: Space, pool: Callable[[], DecodePool]) -> Vectors:
    """Unit vectors, float32 (n, dim): of each query the weighted sum of the unit vectors of its parts.

    Parts of one modality go through their encoder together, whatever query they are of.

    Args:
        pool: Gives the decode worker of queries; asked only if a part is a medium.

    Raises: InvalidInput for an empty query, NoSharedSpace, MediaError for a file that can't be decoded.
    """
    if not all(query.parts for query in queries):
        raise InvalidInput("the query is empty", hint="give words, a picture, a sound or a video")
    joint = [embed_joint(query, space, pool) for query in queries]
    apart = [query for query, vector in zip(queries, joint, strict=True) if vector is None]
    vectors = iter(_embed_parts([part for query in apart for part in query.parts], space, pool))
    made = [
        _unit(np.sum([part.weight * next(vectors) for part in query.parts], axis=0)) if vector is None else vector
        for query, vector in zip(queries, joint, strict=True)
    ]
    return np.stack(made) if made else np.empty((0, space.dim), np.float32)


def embed_file(path: Path, context: LibraryContext, space: Space, record: SpaceRecord) -> tuple[Modality, Vectors]:
    """The modality of a media file, and its vector in a space of the library, float32 (dim,).

    Raises: InvalidInput if there is no such file, MediaError, NoSharedSpace.
    """
    query = _medium_at(path, context.query_decoding)
    return query.parts[0].modality, embed_query(query, space, lambda: context.query_decoding(record))[0]


def embed_joint(query: Query, space: Space, pool: Callable[[], DecodePool]) -> Vectors | None:
    """float32 (dim,): what the model makes of words and a medium as one input. None: their vectors are to be added.

    Raises: InvalidInput if it was to be joint and can't be, and as `embed_queries`.
    """
    if query.compose == "vector" or (len(query.parts) < 2 and query.compose == "auto"):
        return None
    words = space.encoders.get("text")
    parts, why = None, f"the model {space.name!r} doesn't take several kinds as one input"
    if isinstance(words, JoinsKinds) and words.joins:
        parts, why = _joint_parts(query, space, words.joins, pool)
        if parts is not None:
            vector: Vectors = words.encode_joint(parts)[0]
            return vector
    if query.compose == "joint":
        raise InvalidInput(f"this query can't be composed jointly: {why}", hint="--compose vector adds up its parts")
    return None


def _joint_parts(
    query: Query, space: Space, joins: Sequence[Modality], pool: Callable[[], DecodePool]
) -> tuple[dict[Modality, Prepared] | None, str]:
    """What the model takes of each kind; or None, and why it is not one input."""
    kinds = [part.modality for part in query.parts]
    if len(set(kinds)) < max(len(kinds), 2) or "text" not in kinds or not set(kinds) <= set(joins):
        return None, "it takes words with one picture, sound or video"
    if any(part.weight != 1 or isinstance(part.value, StoredVector) for part in query.parts):
        return None, "weights, and items by their vectors, are for sums"
    parts: dict[Modality, Prepared] = {}
    for part in query.parts:
        if part.modality == "text" and not _is_words(part):
            return None, "its words are a document"
        own = _prepare_part(part.modality, part.value, space, pool).get(part.modality, [])
        if len(own) != 1:
            return None, f"its {kind_name(part.modality)} is of {len(own)} moments"
        parts[part.modality] = own[0]
    return parts, ""


def _embed_parts(parts: Sequence[QueryPart], space: Space, pool: Callable[[], DecodePool]) -> list[Vectors]:
    """float32 (dim,) of each part, unit length."""
    prepared = [_prepare_part(part.modality, part.value, space, pool) for part in parts]
    rows: dict[Modality, Iterator[Vectors]] = {}
    for modality in sorted({modality for one in prepared for modality in one}):
        arrays = [array for one in prepared for array in one.get(modality, ())]
        rows[modality] = iter(_encode(_encoder(space, modality), arrays))
    made: list[Vectors] = []
    for part, one in zip(parts, prepared, strict=True):
        vectors = {modality: np.stack([next(rows[modality]) for _ in arrays]) for modality, arrays in one.items()}
        if isinstance(part.value, StoredVector):
            made.append(part.value.vector)
        else:
            made.append(vectors["text"][0] if _is_words(part) else mean_vector(vectors))
    return made


def _is_words(part: QueryPart) -> bool:
    return part.modality == "text" and isinstance(part.value, str)


def _prepare_part(
    modality: Modality, value: Any, space: Space, pool: Callable[[], DecodePool]
) -> dict[Modality, list[Prepared]]:
    """What its encoders take, by segment modality; nothing of what has a vector already."""
    if isinstance(value, StoredVector):
        return {}
    if modality == "text" and isinstance(value, str):
        if not value.strip():
            raise InvalidInput("the query is empty", hint="give some words")
        return {"text": [prepared_query(_encoder(space, "text"), value)]}
    for segment_modality in _cut_into(modality, space) or ():
        if segment_modality in space.encoders:
            # An encoder that can't be used says so at once: starting a decode worker takes longer than that.
            space.encoders[segment_modality].encode([], query=True)
    with query_file(modality, value) as path:
        pieces = _decode(path, modality, pool(), space)
    asked = _cut_into(modality, space)
    by_modality: dict[Modality, list[Prepared]] = {}
    for piece in pieces:
        if asked is None or piece.modality in asked:
            # What is said in a film, or the sound of a motion photo's, is not what it is shown for.
            by_modality.setdefault(piece.modality, []).append(piece.array)
    return by_modality


def _cut_into(modality: Modality, space: Space) -> Sequence[Modality] | None:
    """The segments that a medium is shown for; a video by its clips where the space embeds such. None: all."""
    if modality == "video" and "video" in space.encoders:
        return ("video", "audio")
    return _SEGMENT_MODALITIES.get(modality)


def mean_vector(vectors: Mapping[Modality, Vectors]) -> Vectors:
    """What a file means as a whole, float32 (dim,), unit length, from its segments' vectors (n, dim) by modality."""
    # A video's frames and its sound weigh the same, however many there are of each.
    return _unit(np.sum([_unit(rows.mean(axis=0)) for _, rows in sorted(vectors.items())], axis=0))


def _encode(encoder: Any, arrays: list[Prepared]) -> Vectors:
    size = encoder.spec.batch_size
    return np.concatenate([encoder.encode(arrays[i : i + size], query=True) for i in range(0, len(arrays), size)])


def _encoder(space: Space, modality: Modality) -> Any:
    if modality not in space.encoders:
        raise _not_embedded(space, modality)
    return space.encoders[modality]


def _not_embedded(space: Space, modality: Modality) -> NoSharedSpace:
    return NoSharedSpace(
        f"the model {space.name!r} does not know {kind_name(modality, 2)}, so nothing can be found by one",
        hint=f"it knows {kind_names(space.encoders)}: describe in words what you look for, or make a library with "
        "another model, such as: mmsearch ingest FOLDER --library NEW --space starter",
    )


def _unit(vector: Any) -> Vectors:
    norm = float(np.linalg.norm(vector))
    if norm < 1e-6:
        raise InvalidInput("the parts of the query cancel each other out", hint="change the weights, or leave one out")
    return np.asarray(vector / norm, np.float32)


def _decode(path: Path, modality: Modality, pool: DecodePool, space: Space) -> list[PreparedSegment]:
    pieces: list[PreparedSegment] = []
    for event in pool.run([DecodeJob(path)]):
        if isinstance(event, PreparedSegment):
            pieces.append(event)
        elif isinstance(event, FileFailed) and event.failure == NotEmbedded.failure:
            raise _not_embedded(space, modality)
        elif isinstance(event, FileFailed):
            kind = FAILURES.get(event.failure, MediaError)
            raise kind(f"can't read the query {path.name}: {event.reason}", hint="try another file, or words")
        elif isinstance(event, FileSkipped) or event.modality != modality:
            raise InvalidInput(f"{path.name} is a {kind_name(event.modality)}, not a {kind_name(modality)}")
    return pieces


def load_encoders(context: LibraryContext) -> None:
    """Let every encoder of the space that serves read its weights, and a decode worker be ready."""
    space, record = context.serving(None)
    for encoder in space.encoders.values():
        encoder.encode([], query=True)
    context.query_decoding(record).start_idle()


def interpret_query(value: str | os.PathLike[str], pool: Callable[[], DecodePool]) -> Query:
    """What a shell's word means: an existing media file is that medium, anything else is words; a path is no words.

    Args:
        pool: Asked only if the word names a file, which is looked into where a hostile one does no harm.

    Raises: InvalidInput for the path of a medium that isn't there, and for an address; MediaError if there is such a
        file, but it is no medium.
    """
    if not isinstance(value, str) or _is_file(Path(value)):
        return _medium_at(Path(value), pool)
    words = f"for the words themselves: --text {value!r}"
    if _ADDRESS.match(value):
        raise InvalidInput(f"{value[:200]} is an address: nothing is fetched", hint=f"give a file; {words}")
    if ("/" in value or os.sep in value) and sniff.is_media_name(value):
        raise InvalidInput(f"no such file: {value[:200]}", hint=f"check the spelling; {words}")
    return Query(text=value)


def _medium_at(path: Path, pool: Callable[[], DecodePool]) -> Query:
    """The medium in a file. Raises: InvalidInput if there is no such file, MediaError if it is no medium."""
    if not _is_file(path):
        what = "a folder, not a file" if path.is_dir() else "no such file"
        raise InvalidInput(f"{what}: {path}", hint="check the spelling; words are given as a str")
    # Nothing is wanted of it, so it is skipped as soon as its modality is known.
    event = next(iter(pool().run([DecodeJob(path, modalities=frozenset())])))
    if isinstance(event, FileFailed):
        raise FAILURES.get(event.failure, MediaError)(
            f"{path} is a file that cannot be a query: {event.reason}",
            hint=f"for the words themselves: --text {os.fspath(path)!r}",
        )
    return Query(mixed=(QueryPart(event.modality, path),))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a name, or a null byte
        return False


def resolve_query(query: QueryLike, context: LibraryContext, space: SpaceRecord | None) -> Query:
    """What a caller means: words, the medium in a file, or a query, items of the library in it found by their ids.

    Raises: InvalidInput for an item that is not known or has no vectors, MediaError.
    """
    if isinstance(query, os.PathLike):
        if is_media_path(path := item_path(query)):
            query = Query(like=_item_at(path, context))
            return resolve_query(query, context, space)
        return _medium_at(Path(os.path.expanduser(query)), context.query_decoding)
    if isinstance(query, str):
        return Query(text=query)
    parts = as_query(query).parts
    recalled = tuple(_recall(part, context, space) if part.modality == "like" else part for part in parts)
    return Query(mixed=recalled, compose=as_query(query).compose)


def _item_at(path: bytes, context: LibraryContext) -> int:
    """The number of the item of a medium that was handed over in memory. Raises: InvalidInput if there is none."""
    found = context.catalog().read(items_at, [path]).get(path)
    if found is None:
        raise InvalidInput(f"nothing is known at {os.fsdecode(path)}", hint="see what is: mmsearch status")
    return found.item_id


def _recall(part: QueryPart, context: LibraryContext, space: SpaceRecord | None) -> QueryPart:
    """A part that names an item, with the item's vector: as if its file were given, but the file is not needed."""
    item_id: int = checked("like", part.value.item_id if isinstance(part.value, Hit) else part.value, int)
    with context.catalog().reading() as snapshot:
        known = stored_item(snapshot, space, item_id) if space else None
    if known is None:
        raise InvalidInput(
            f"there is no item {item_id} in this library, or its model can't take it",
            hint="see the ids of results: mmsearch query WORDS --ids (item_id in JSON)",
        )
    cut = _SEGMENT_MODALITIES.get(known.modality, tuple(known.vectors))
    if known.modality == "video" and "video" in known.vectors:
        cut = ("video", "audio")
    seen = {modality: rows for modality, rows in known.vectors.items() if modality in cut} or known.vectors
    return replace(part, modality=known.modality, value=StoredVector(item_id, known.path, mean_vector(seen)))

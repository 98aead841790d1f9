"""What an exported folder tells, checked before anything is made of it: any program may have written it, or a stranger.

Every value is of its type and fits the catalog, every name stays inside the folder, and what belongs together does: as
many rows of vectors as segments, a content for each path. The first that is wrong refuses the folder as a whole.
"""

import base64
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from mmsearch.catalog.meta import checked_meta
from mmsearch.catalog.segments import SOURCED
from mmsearch.core.file_times import INT64
from mmsearch.core.media_paths import MEDIA_ROOT, is_media_path, is_whole_media_path
from mmsearch.errors import FAILURES, InvalidInput
from mmsearch.maintenance.import_values import (
    LONGEST,
    WrongValue,
    checked_sha256,
    is_count,
    is_real,
    is_storable,
    is_text,
    is_word,
    is_word_list,
    making_sense,
    parse_line,
    required,
    required_count,
    required_list,
    required_object,
    required_text,
    shown,
)
from mmsearch.media.sameness.evidence import LARGEST
from mmsearch.types import Box, Metadata, MetaValue, Modality, Span

MANIFEST_BYTES = 256 * 2**20
"""A manifest names every file; that of a million is half as large."""
DEEPEST = 16
"""Lists and objects inside each other in a content's metadata."""

_REALS, _WHOLES = ("start", "end"), ("page", "char_start", "char_end")
_TEXTS = ("text", "place", "source")
_PLACES = (*_REALS, *_WHOLES, *_TEXTS, "box")


@dataclass(frozen=True, slots=True)
class ImportedSpace:
    """A space that the folder has vectors of."""

    name: str
    fingerprint: str
    dim: int
    contents: int
    segments: int
    folder: str = ""
    """Where in the exported folder its files lie."""


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """A model that was trained in the library."""

    name: str
    base: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Manifest:
    format: int
    space: ImportedSpace
    items: int
    files: Mapping[str, str]
    """Name, by slashes -> sha256."""
    spaces: Sequence[ImportedSpace]
    trained: Sequence[ImportedModel]
    serving: str | None
    """The one of these that made the space that searches used."""


@dataclass(frozen=True, slots=True)
class ImportedContent:
    """A line of contents.jsonl."""

    sha256: str
    modality: Modality
    modalities: Sequence[Modality]
    """Of each segment; at least one."""
    spans: Sequence[Span]
    metadata: Metadata
    tags: Sequence[tuple[str, float]]
    """A model's."""
    given: Sequence[str] | None = None
    """A person's tags; None, as older releases wrote it: the keywords in the metadata."""
    meta: Mapping[str, MetaValue] = field(default_factory=dict)
    """A person's own metadata."""
    evidence: bytes | None = None


@dataclass(frozen=True, slots=True)
class ImportedItem:
    """A line of items.jsonl."""

    path: bytes
    root: bytes
    sha256: str
    size: int
    mtime_ns: int
    kept: bool
    """Whether the folder has its bytes, for the library to keep."""


@dataclass(frozen=True, slots=True)
class ImportedUnsupported:
    """A line of refusals.jsonl."""

    sha256: str
    failure: str
    reason: str


def read_manifest(folder: Path, name: str) -> Manifest:
    """Raises: InvalidInput for what is no export, or none that makes sense."""
    path = folder / name
    try:
        if not path.is_file() or path.stat().st_size > MANIFEST_BYTES:
            raise InvalidInput(f"{folder} is not an exported library", hint="they are made by: mmsearch export DIR")
        raw = path.read_bytes()
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{folder} is not an exported library", hint="they are made by: mmsearch export DIR"
        ) from error
    with making_sense(path):
        return _manifest(parse_line(raw))


def _manifest(record: Any) -> Manifest:
    counts = required_object(record, "counts")
    serving = record.get("serving")
    if serving is not None and not isinstance(serving, str):
        raise WrongValue(f"'serving' is {shown(serving)}, not a name")
    files = required_object(record, "files")
    for name, digest in files.items():
        checked_part(name)
        checked_sha256(digest, f"'files' at {shown(name)}")
    return Manifest(
        required_count(record, "format"),
        _space(required_object(record, "space"), counts),
        required_count(counts, "items"),
        files,
        [_other(one) for one in required_list(record, "spaces")],
        [_model(one) for one in required_list(record, "trained")],
        serving,
    )


def _space(record: Mapping[str, Any], counts: Mapping[str, Any], folder: str = "") -> ImportedSpace:
    return ImportedSpace(
        required_text(record, "name"), required_text(record, "fingerprint"), required_count(record, "dim"),
        required_count(counts, "contents"), required_count(counts, "segments"), folder,
    )  # fmt: skip


def _other(record: Any) -> ImportedSpace:
    return _space(
        required_object(record, "space"),
        required_object(record, "counts"),
        checked_part(required_text(record, "folder")),
    )


def _model(record: Any) -> ImportedModel:
    return ImportedModel(
        required_text(record, "name"), required_text(record, "base"), required_text(record, "fingerprint")
    )


def checked_part(name: str) -> str:
    """The name of a file or folder of an exported folder. Raises: WrongValue for one that leads out of it."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or parts[0] == "/" or any(character in name for character in "\\:\0"):
        raise WrongValue(f"{shown(name)} is not a part of it")
    return name


def content_record(
    record: Any, decoded: Collection[Modality], embedded: Collection[Modality], *, known: bool
) -> ImportedContent:
    """A line of contents.jsonl.

    Args:
        decoded: Modalities that an item may have.
        embedded: Modalities that a segment may have.
        known: Other lines tell what the contents are: metadata and tags are not looked at.

    Raises: WrongValue.
    """
    sha256, modality = checked_sha256(required(record, "sha256"), "'sha256'"), _among(record, decoded)
    segments = required_list(record, "segments")
    if not segments:
        raise WrongValue("a content without segments could never be found")
    modalities = [_among(one, embedded) for one in segments]
    spans = [_span(one) for one in segments]
    if known:
        return ImportedContent(sha256, modality, modalities, spans, {}, [])
    metadata = _metadata(required_object(record, "metadata"))
    given = _given(record["given"]) if "given" in record else None
    tags = _tags(required_list(record, "tags"), metadata.get("keywords") or () if given is None else given)
    meta, evidence = _meta(record.get("meta", {})), _evidence(record.get("evidence"))
    return ImportedContent(sha256, modality, modalities, spans, metadata, tags, given, meta, evidence)


def _evidence(value: object) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > 2 * LARGEST:
        raise WrongValue(f"'evidence' is {shown(value)}, not a short text of base64")
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise WrongValue(f"'evidence' is {shown(value)}, no base64") from error


def _among(record: Any, known: Collection[Modality]) -> Modality:
    modality = required_text(record, "modality")
    if modality not in known:
        raise WrongValue(f"nothing here takes the modality {shown(modality)}; known: {', '.join(sorted(known))}")
    return modality


def _span(record: Mapping[str, Any]) -> Span:
    for name in record.keys() - {"modality", *_PLACES}:
        raise WrongValue(f"a segment has no {shown(name)}")
    place: dict[str, Any] = {name: record[name] for name in _PLACES if record.get(name) is not None}
    for name in _REALS:
        if name in place and not is_real(place[name]):
            raise WrongValue(f"a segment's {name!r} is {shown(place[name])}, not a number of seconds")
    for name in _WHOLES:
        if name in place and not is_count(place[name]):
            raise WrongValue(f"a segment's {name!r} is {shown(place[name])}, not a whole number from 0 on")
    for name in _TEXTS:
        if name in place and not is_text(place[name]):
            raise WrongValue(f"a segment's {name} is {shown(place[name])}")
    if place.get("source", "said") not in SOURCED:
        raise WrongValue(f"a segment's source is {shown(place['source'])}; known: {', '.join(SOURCED)}")
    if "box" in place:
        place["box"] = _box(place["box"])
    return Span(**place)


def _box(value: object) -> Box:
    if not isinstance(value, list) or len(value) != 4 or not all(is_real(one) and 0 <= one <= 1 for one in value):
        raise WrongValue(f"a segment's box is {shown(value)}, not four shares of a picture's sides")
    (left, top, right, bottom) = map(float, value)
    return (left, top, right, bottom)


def _metadata(record: Mapping[str, Any]) -> Metadata:
    _plain(record)
    for name, takes in _FACTS.items():
        value = record.get(name)
        if value is not None and not takes(value):
            raise WrongValue(f"the metadata's {name!r} is {shown(value)}")
    return dict(record)


def _is_place(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 2 or not all(map(is_real, value)):
        return False
    return bool(abs(value[0]) <= 90 and abs(value[1]) <= 180)


def _plain(record: object) -> None:
    """Raises: WrongValue for numbers that the catalog can't hold, and for what is nested too deeply. No recursion."""
    level = [record]
    for _ in range(DEEPEST):
        inner: list[object] = []
        for value in level:
            if isinstance(value, dict):
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
            elif isinstance(value, int | float) and not (is_storable(value) or isinstance(value, bool)):
                raise WrongValue(f"the metadata holds {shown(value)}, which is too large a number")
        level = inner
    if level:
        raise WrongValue("the metadata is nested too deeply")


def _given(record: object) -> list[str]:
    if not is_word_list(record) or not isinstance(record, list) or len(set(record)) != len(record):
        raise WrongValue(f"'given' is {shown(record)}, not a list of words, each once")
    return record


def _meta(record: object) -> dict[str, MetaValue]:
    if not isinstance(record, dict):
        raise WrongValue(f"'meta' is {shown(record)}, not an object")
    values = {key: _moment(key, value) if isinstance(value, dict) else value for key, value in record.items()}
    if None in values.values():
        raise WrongValue("a value of 'meta' is null")
    try:
        checked_meta(values) if values else None
    except InvalidInput as error:
        raise WrongValue(error.message) from error
    return values


def _moment(key: str, value: dict[str, Any]) -> date:
    for kind, read in (("date", date.fromisoformat), ("datetime", datetime.fromisoformat)):
        if value.keys() == {kind} and isinstance(value[kind], str):
            with suppress(ValueError):
                return read(value[kind])
    raise WrongValue(f"{shown(key)} in 'meta' is {shown(value)}, not a date")


def _tags(record: Sequence[Any], given: Iterable[str]) -> list[tuple[str, float]]:
    seen = set(given)
    tags = []
    for one in record:
        if not isinstance(one, list) or len(one) != 2 or not is_word(one[0]):
            raise WrongValue(f"a tag is {shown(one)}, not a word and a confidence")
        if not is_real(one[1]) or not 0 <= one[1] <= 1:
            raise WrongValue(f"the confidence of the tag {shown(one[0])} is {shown(one[1])}, not in [0, 1]")
        if one[0] in seen:
            raise WrongValue(f"the tag {shown(one[0])} is given twice")
        seen.add(one[0])
        tags.append((one[0], float(one[1])))
    return tags


def item_record(record: Any, relocate: Callable[[str], bytes]) -> ImportedItem:
    """A line of items.jsonl; `relocate` turns a path there into one here. Raises: WrongValue."""
    mtime = required(record, "mtime_ns")
    if not isinstance(mtime, int) or isinstance(mtime, bool) or mtime not in INT64:
        raise WrongValue(f"'mtime_ns' is {shown(mtime)}, not nanoseconds of 64 bits")
    path, root = (_path(required_text(record, name), relocate) for name in ("path", "root"))
    sha256, size, kept = checked_sha256(required(record, "sha256"), "'sha256'"), required_count(record, "size"), False
    if is_media_path(path) or is_media_path(root):
        if root != MEDIA_ROOT or not is_whole_media_path(path):
            raise WrongValue(f"{shown(record['path'])} is no medium's path")
        kept = record.get("kept", False)
    if not isinstance(kept, bool) or (record.get("kept") and not kept):
        raise WrongValue(f"'kept' is {shown(record['kept'])}, which no such item is")
    return ImportedItem(path, root, sha256, size, mtime, kept)


def _path(given: str, relocate: Callable[[str], bytes]) -> bytes:
    try:
        path = relocate(given)
    except UnicodeEncodeError as error:
        raise WrongValue(f"the path {shown(given)} holds what is in no name") from error
    if not path or b"\0" in path or len(path) > LONGEST:
        raise WrongValue(f"{shown(given)} is no path")
    if is_media_path(path):
        return path
    if not os.path.isabs(path) or os.path.normpath(path) != path:
        raise WrongValue(
            f"the path {shown(given)} is none from a file system's top down; --root OLD=NEW says where it is"
        )
    return path


def unsupported_record(record: Any) -> ImportedUnsupported:
    """A line of refusals.jsonl. Raises: WrongValue."""
    failure = required_text(record, "failure")
    if failure not in FAILURES:
        raise WrongValue(f"there is no failure {shown(failure)}")
    reason = required(record, "reason")
    if not is_text(reason):
        raise WrongValue(f"'reason' is {shown(reason)}")
    return ImportedUnsupported(checked_sha256(required(record, "sha256"), "'sha256'"), failure, reason)


_FACTS: Mapping[str, Callable[[object], bool]] = {
    **dict.fromkeys(("width", "height"), is_count),
    **dict.fromkeys(("make", "model", "title"), is_text),
    "duration": is_real,
    "gps": _is_place,
    "keywords": is_word_list,
}
"""Metadata that columns, filters and tags are made of -> whether a value is one."""

"""Data sets of Hugging Face and folders of webdataset shards, as items of a library: a row is a medium, its other
columns the medium's own metadata. Only what lies on this disk is read."""

import json
import math
import os
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias, TypeVar

from mmsearch import IngestReport, Library, Media, OnProgress
from mmsearch.core.media_paths import media_path
from mmsearch.errors import InvalidInput
from mmsearch.types import MetaValue

try:
    import datasets
    from pyarrow import parquet
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"{error}: pip install 'mmsearch[datasets]'", name=error.name) from error

T = TypeVar("T")
Row: TypeAlias = dict[str, Any]

TOGETHER = 256
"""Rows in memory at once."""

KEY = "__key__"
"""Where webdataset's name of a sample is kept."""

WORDS_OF_SHARDS = frozenset(("json", "jsn", "txt", "text", "transcript", "cls", "cls2", "index", "inx", "id"))
"""Parts of a sample that say something of its medium."""

MEDIA_TYPES = (datasets.Image, datasets.Audio, datasets.Video, datasets.Pdf)

BEGINNINGS: Mapping[bytes, str] = {
    b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg",
    b"ID3": ".mp3", b"%PDF": ".pdf",
}  # fmt: skip
"""What a medium without a name is called by."""

LARGEST_WHOLE, MOST = 2**53, 2.0**63
"""What metadata holds as a number; anything larger is kept as a text."""

LONGEST_VALUE = 4_000
"""Characters of a text that is kept as metadata."""


@dataclass(frozen=True, slots=True)
class _DataSet:
    name: str
    features: Mapping[str, Any]
    """Column -> its type, if that is known."""
    rows: Iterator[Row]


@dataclass(frozen=True, slots=True)
class _Columns:
    medium: str
    id: str | None
    classes: Mapping[str, list[str]]
    """Column -> the names of its classes."""
    left_out: frozenset[str]


def ingest_dataset(
    library: Library,
    source: Any,
    *,
    medium: str | None = None,
    id: str | None = None,
    name: str | None = None,
    split: str | None = None,
    keep: bool = False,
    on_progress: OnProgress | None = None,
) -> IngestReport:
    """Take in a data set: a row is an item, whose other columns filters know as `meta.COLUMN`.

    A class is kept by its name, a list of words or numbers as a text, an object (webdataset's json) by its fields; what
    is nested deeper, and other media of a row, are left out. Run again, unchanged rows cost no decoding.

    Args:
        source: A `datasets.Dataset` or `IterableDataset`; or a folder on this disk: one that `save_to_disk` wrote, one
            with webdataset shards (*.tar), or one with Parquet files.
        medium: The column with the pictures, sounds, videos or texts; by default the only one of a medium's type, else
            `text`.
        id: The column that tells rows apart; by default webdataset's key, else the number of the row.
        name: What begins the ids, so that two data sets never share one; by default that of the folder or data set.
        split: Of several splits this one.
        keep: Keep the media in the library, as `mmsearch.Media` does.
        on_progress: As for `Library.ingest`.

    Returns: counts of rows by what happened to them.

    Raises: InvalidInput for what is no data set and for columns that it lacks, and as `Library.ingest_media`.

    >>> report = ingest_dataset(library, "birds", medium="image")  # doctest: +SKIP
    >>> library.search("a heron", filter="meta.place = weir")  # doctest: +SKIP
    """
    found = _opened(source, split)
    columns = _columns(found, medium, id)
    begins = name or found.name
    total = IngestReport()
    numbered = enumerate(_read_on(found.rows))
    while some := list(islice(numbered, TOGETHER)):
        media = [(_medium(row, number, columns, begins, keep), _meta(row, columns)) for number, row in some]
        given = [(one, meta) for one, meta in media if one is not None]
        _add(total, library.ingest_media([one for one, _ in given], on_progress=on_progress))
        total.skipped["empty"] += len(media) - len(given)
        _annotate(library, given)
    total.skipped += Counter()  # without what counts nothing
    return total


def _add(total: IngestReport, report: IngestReport) -> None:
    for field in fields(report):
        known, more = getattr(total, field.name), getattr(report, field.name)
        if field.name == "seconds":
            setattr(total, field.name, {stage: known[stage] + seconds for stage, seconds in more.items()})
        else:
            setattr(total, field.name, known or more if isinstance(more, bool) else known + more)


def _opened(source: Any, split: str | None) -> _DataSet:
    if isinstance(source, datasets.DatasetDict | datasets.IterableDatasetDict):
        return _opened(_one_split(source, split), None)
    if isinstance(source, datasets.Dataset | datasets.IterableDataset):
        named = str(getattr(source.info, "dataset_name", None) or "dataset")
        return _DataSet(named, source.features or {}, _stored(source))
    if not isinstance(source, str | os.PathLike) or not Path(source).is_dir():
        raise InvalidInput(f"{source!r} is no data set", hint="a datasets.Dataset, or a folder that holds one")
    folder = Path(source).resolve()
    if (folder / "dataset_dict.json").exists() or (folder / "state.json").exists():
        return replace(_opened(_read(lambda: datasets.load_from_disk(str(folder))), split), name=folder.name)
    files = [file for file in sorted(folder.rglob("*")) if split is None or file.name.startswith(split)]
    if shards := [file for file in files if file.suffix == ".tar"]:
        first = _read(lambda: next(samples(shards), {}))
        return _DataSet(folder.name, dict.fromkeys(first), samples(shards))
    if tables := [file for file in files if file.suffix == ".parquet"]:
        schema = _read(lambda: parquet.read_schema(tables[0]))
        return _DataSet(folder.name, datasets.Features.from_arrow_schema(schema), _table_rows(tables))
    raise InvalidInput(
        f"there is no data set in {folder}",
        hint="what Dataset.save_to_disk wrote, *.tar of webdataset, or *.parquet; plain files: library.ingest(folder)",
    )


def _read(read: Callable[[], T]) -> T:
    """Raises: InvalidInput for whatever the package can't read."""
    try:
        return read()
    except Exception as error:
        raise InvalidInput(f"the data set can't be read: {error}", hint="datasets.load_dataset says more") from error


def _read_on(rows: Iterator[Row]) -> Iterator[Row]:
    while (row := _read(lambda: next(rows, None))) is not None:
        yield row


def _one_split(splits: Mapping[Any, Any], split: str | None) -> Any:
    known = list(map(str, splits))
    if split is None and len(known) == 1:
        return splits[known[0]]
    if split not in known:
        raise InvalidInput("the data set has several splits", hint=f"split= one of {', '.join(known)}")
    return splits[split]


def _stored(rows: Any) -> Iterator[Row]:
    """Rows as they are stored: nothing is decoded, for which sounds would need another package."""
    for table in rows.with_format("arrow").iter(batch_size=TOGETHER):
        yield from table.to_pylist()


def _table_rows(tables: Iterable[Path]) -> Iterator[Row]:
    for table in tables:
        for batch in parquet.ParquetFile(table).iter_batches(batch_size=TOGETHER):
            yield from batch.to_pylist()


def samples(shards: Iterable[Path]) -> Iterator[Row]:
    """The samples of webdataset shards: files that follow each other under one name, up to its first dot.

    A part is called by the rest of its name; json is an object, txt and cls are read, anything else stays bytes.
    """
    for shard in shards:
        with tarfile.open(shard) as archive:
            sample: Row = {}
            for entry in archive:
                folder, _, name = entry.name.rpartition("/")
                stem, _, part = name.partition(".")
                content = archive.extractfile(entry) if entry.isfile() and part else None
                if content is None:
                    continue
                key = f"{folder}/{stem}".lstrip("/")
                if sample and sample[KEY] != key:
                    yield sample
                    sample = {}
                sample |= {KEY: key, part.lower(): _part(part.lower(), content.read())}
            if sample:
                yield sample


def _part(name: str, data: bytes) -> Any:
    if name in ("json", "jsn"):
        return json.loads(data)
    if name in ("txt", "text", "transcript"):
        return data.decode("utf-8", "replace")
    return int(data) if name in ("cls", "cls2", "index", "inx", "id") else data


def _columns(found: _DataSet, medium: str | None, id: str | None) -> _Columns:
    features = found.features
    of_media = [name for name, kind in features.items() if isinstance(kind, MEDIA_TYPES)]
    if KEY in features:
        of_media = [name for name in features if name not in (KEY, *WORDS_OF_SHARDS)]
    texts = [name for name in ("text", "txt") if name in features]
    chosen = medium or (of_media[0] if len(of_media) == 1 else texts[0] if texts and not of_media else None)
    if chosen is None:
        hint = f"medium= one of {', '.join(of_media or features)}"
        raise InvalidInput("it does not say which column is the medium", hint=hint)
    for column in (chosen, *([id] if id else [])):
        if features and column not in features:
            raise InvalidInput(f"the data set has no column {column!r}", hint=f"it has {', '.join(features)}")
    classes = {name: list(kind.names) for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)}
    return _Columns(chosen, id or (KEY if KEY in features else None), classes, frozenset({*of_media, KEY, chosen}))


def _medium(row: dict[str, Any], number: int, columns: _Columns, begins: str, keep: bool) -> Media | None:
    """None for an empty cell."""
    cell = row.get(columns.medium)
    told, data = None, cell
    if isinstance(cell, Mapping):
        told, data = cell.get("path"), cell.get("bytes")
        if data is None and told and Path(told).is_file():
            data = Path(told).read_bytes()
    if isinstance(data, str):
        told, data = f"{number}.txt", data.encode()
    if not isinstance(data, bytes) or not data:
        return None
    which = str(number if columns.id is None else row.get(columns.id))
    return Media(_file_name(told, which, columns.medium, data), data, id=f"{begins}/{which}"[:512], keep=keep)


def _file_name(told: str | None, which: str, column: str, data: bytes) -> str:
    name = PurePosixPath(str(told).replace("\\", "/")).name if told else ""
    if not name or "." not in name:
        suffix = next((suffix for begin, suffix in BEGINNINGS.items() if data.startswith(begin)), None)
        stem = PurePosixPath(which.replace("\\", "/")).name or "row"
        name = f"{stem}{suffix or '.' + column.rpartition('.')[2]}"
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029/\\]", "_", name)[-80:]


def _meta(row: Mapping[str, Any], columns: _Columns) -> dict[str, MetaValue]:
    found: dict[str, MetaValue] = {}
    for column, value in row.items():
        if column in columns.left_out:
            continue
        names = columns.classes.get(column)
        if names is not None and isinstance(value, int) and 0 <= value < len(names):
            value = names[value]
        fields = value.items() if isinstance(value, Mapping) else [("", value)]
        for name, one in fields:
            plain = _value(one)
            if plain is not None:
                found[_key(name if not column or column in ("json", "jsn") else f"{column}.{name}".strip("."))] = plain
    return found


def _key(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name).lstrip(".-")[:64] or "_"


def _value(value: Any) -> MetaValue | None:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    if isinstance(value, str):
        return value.replace("\0", "").strip()[:LONGEST_VALUE] or None
    if isinstance(value, float) and not abs(value) < MOST:
        return None if math.isnan(value) else str(value)
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
        return str(value)
    if isinstance(value, bool | int | float | date):
        return value
    if isinstance(value, list) and value and all(isinstance(one, str | int | float) for one in value):
        return ", ".join(map(str, value))[:LONGEST_VALUE]
    return None


def _annotate(library: Library, given: Iterable[tuple[Media, Mapping[str, MetaValue]]]) -> None:
    for medium, meta in given:
        path = os.fsdecode(media_path(medium.id, medium.name, ""))
        item = library.get(path)
        # What could not be decoded is no item; what has its values already costs no commit.
        if item is not None and (lacking := {k: v for k, v in meta.items() if item.meta.get(k) != v}):
            library.set_meta(path, lacking)

"""A library as a folder that any program can read, and back: JSON Lines for what is known, .npy for the vectors.

    manifest.json    format, space, counts, and the sha256 of every other file
    contents.jsonl   a line for each distinct content, in the order of its rows in vectors.npy
    items.jsonl      a line for each path
    vectors.npy      float32 or float16 (segments, dim)

A folder appears when it is complete. What is taken in is verified first, then written in transactions of some hundred
contents; contents come before the paths that hold them, so that one cut short leaves nothing half findable.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmsearch import registry
from mmsearch.catalog import Batch, NewContent, Placement, SpaceRecord, blobs
from mmsearch.catalog import portable as catalog_portable
from mmsearch.errors import InvalidInput, LibraryNotFound, MmsearchError, SpaceChanged
from mmsearch.parts import Parts
from mmsearch.types import Span, Vectors
from mmsearch.vectors.atomic import appearing
from mmsearch.vectors.check import checked_vectors
from mmsearch.version import VERSION

FORMAT = 1
MANIFEST, CONTENTS, ITEMS, VECTORS, README = (
    "manifest.json",
    "contents.jsonl",
    "items.jsonl",
    "vectors.npy",
    "README.md",
)
_HEADER = 128
"""Bytes before the first row of a .npy file; its shape is known in the end only."""

_ABOUT = """# A library of mmsearch

Take it in with `mmsearch import THIS_FOLDER`, here or on another machine (`--root OLD=NEW` where files lie elsewhere).

- `contents.jsonl`: a line for each distinct content: its sha256, modality, metadata, a model's tags, and its segments,
  each with its modality and its place (seconds, page, characters, text). Segment n of the file is row n of
  `vectors.npy`.
- `items.jsonl`: a line for each path: the sha256 of what it holds, the folder that was ingested (`root`), size and
  mtime_ns. Bytes of a path that are no UTF-8 are lone surrogates, as Python's `os.fsdecode` makes them.
- `vectors.npy`: the vectors. Those of float16 have to be brought to length 1.
- `manifest.json`: the space that they may be compared in, how many there are, and the sha256 of these files.
"""


class Exported(NamedTuple):
    """What was written."""

    items: int
    contents: int
    segments: int
    bytes: int


class Imported(NamedTuple):
    """What was taken in."""

    items: int
    """Paths that were not known here."""
    contents: int
    """Contents that were not known here."""
    known: int
    """Paths that hold here what they hold there."""
    other: int
    """Paths that hold something else here: they are left as they are."""


@dataclass(frozen=True, slots=True)
class _Manifest:
    space: Mapping[str, Any]
    counts: Mapping[str, int]
    files: Mapping[str, str]


def export(parts: Parts, folder: Path) -> Exported:
    """Write all that is findable, with the vectors that encoders made, while others search and ingest.

    Raises: LibraryEmpty, InvalidInput if the folder is there already, LibraryError if it can't be written.
    """
    _, space = parts.base()
    if folder.exists():
        raise InvalidInput(f"{folder} exists already", hint="name a new folder")
    with appearing(folder) as made:
        contents, segments, last = _write_contents(parts, space, made)
        items = _write_items(parts, space, made, last)
        (made / README).write_text(_ABOUT, "utf-8")
        counts = {"items": items, "contents": contents, "segments": segments}
        about = {name: getattr(space, name) for name in ("name", "target", "dim", "fingerprint", "layout", "storage")}
        files = {name: _sha256(made / name) for name in (CONTENTS, ITEMS, VECTORS)}
        manifest = {"format": FORMAT, "mmsearch": VERSION, "space": about, "counts": counts, "files": files}
        (made / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
        size = sum(path.stat().st_size for path in made.iterdir())
    return Exported(items, contents, segments, size)


def take_in(parts: Parts, folder: Path, roots: Mapping[str, str]) -> Imported:
    """Take in a folder that `export` wrote; what is known here stays as it is.

    Cut short, it leaves a library that can be used; done again, it goes on.

    Args:
        roots: Folder there -> folder here, for paths below it.

    Raises: InvalidInput for what is no such folder or not whole, SpaceChanged if its vectors are of another space,
        LibraryLocked.
    """
    manifest = _verified(folder)
    _check_space(parts, manifest.space)
    with parts.writing(create=True):
        parts.catalog(create=True)
        space, record = parts.embedding(create=True)
        _, base = parts.base()
        with _making_sense(folder):
            contents = _take_contents(parts, base, folder, manifest)
            items, known, other = _take_items(parts, base, folder, _Moved(roots))
        parts.calibrate(space, record)
        parts.indexes(record).publish()
    parts.grown()
    return Imported(items, contents, known, other)


def _check_space(parts: Parts, there: Mapping[str, Any]) -> None:
    # The target in a manifest names code: whoever wrote the folder has no say in what is run here.
    try:
        empty = parts.catalog().space() is None
    except LibraryNotFound:
        empty = True
    here = parts.load(registry.target("spaces", parts.settings.space)) if empty else parts.base()[0]
    if there.get("fingerprint") == here.fingerprint:
        return
    name = there.get("name")
    if name == here.name:
        raise SpaceChanged(
            f"its vectors were made by another version of the space {name!r}",
            hint="use the release of mmsearch and the weights that made them, or ingest the files anew",
        )
    raise SpaceChanged(
        f"its vectors are of the space {name!r}, not of this library's {here.name!r}",
        hint=f"import it into a new library: --library NEW --space {name}",
    )


@contextmanager
def _making_sense(folder: Path) -> Iterator[None]:
    """What a file says that is as it was exported, and yet can't be read, comes from another program's hand."""
    try:
        yield
    except MmsearchError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{folder} holds what makes no sense: {error!r}") from error


def _write_contents(parts: Parts, space: SpaceRecord, folder: Path) -> tuple[int, int, int]:
    """(contents, segments, id of the last content)"""
    count = segments = last = 0
    with (folder / CONTENTS).open("wb") as lines, (folder / VECTORS).open("wb") as vectors:
        vectors.write(bytes(_HEADER))
        while True:
            with parts.catalog().reading() as snapshot:
                page = catalog_portable.contents(snapshot, space, last)
            for one in page:
                lines.write(_line(_told(one)))
                vectors.write(b"".join(one.vectors))
                segments += len(one.segments)
            if not page:
                break
            count, last = count + len(page), page[-1].id
        vectors.seek(0)
        vectors.write(_header(blobs.TYPES[space.storage], segments, space.dim))
    return count, segments, last


def _told(content: catalog_portable.Whole) -> dict[str, Any]:
    spans = [
        {"modality": modality} | {name: value for name, value in asdict(span).items() if value is not None}
        for modality, span in content.segments
    ]
    about = {"sha256": content.sha256, "modality": content.modality, "metadata": content.metadata}
    return {**about, "tags": [list(tag) for tag in content.tags], "segments": spans}


def _write_items(parts: Parts, space: SpaceRecord, folder: Path, last: int) -> int:
    count, after = 0, b""
    with (folder / ITEMS).open("wb") as lines:
        while True:
            with parts.catalog().reading() as snapshot:
                page = catalog_portable.items(snapshot, space, after, last)
            for item in page:
                lines.write(_line({**item, "path": os.fsdecode(item["path"]), "root": os.fsdecode(item["root"])}))
            if not page:
                break
            count, after = count + len(page), page[-1]["path"]
    return count


def _take_contents(parts: Parts, space: SpaceRecord, folder: Path, manifest: _Manifest) -> int:
    """How many were not known here."""
    catalog, taken, row = parts.catalog(), 0, 0
    rows: NDArray[Any] = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
    if rows.shape != (manifest.counts["segments"], space.dim):
        raise InvalidInput(
            f"{folder / VECTORS} has the shape {rows.shape}, not {manifest.counts['segments'], space.dim}"
        )
    for lines in _batches(_lines(folder / CONTENTS), catalog_portable.PAGE):
        known = catalog.known([one["sha256"] for one in lines])
        fresh: list[tuple[Mapping[str, Any], range]] = []
        for one in lines:
            place = range(row, row := row + len(one["segments"]))
            if one["sha256"] not in known:
                fresh.append((one, place))
        if fresh:
            catalog.commit(_batch(parts, space, fresh, rows), space.id)
            taken += len(fresh)
    return taken


def _batch(
    parts: Parts, space: SpaceRecord, told: Sequence[tuple[Mapping[str, Any], range]], rows: NDArray[Any]
) -> Batch:
    stored = np.concatenate([rows[place.start : place.stop] for _, place in told])
    modalities = [segment["modality"] for one, _ in told for segment in one["segments"]]
    vectors = checked_vectors(blobs.unit(stored), space.dim)
    derived = parts.derived(vectors, modalities)
    # Half precision that stays what it is must not be rounded twice.
    same = space.storage == "float16" and stored.dtype == np.float16
    kept: Vectors = stored.astype(np.float32) if same else vectors
    batch, first = Batch(), 0
    for one, place in told:
        own = slice(first, first := first + len(place))
        spans = [Span(**{name: value for name, value in s.items() if name != "modality"}) for s in one["segments"]]
        content = NewContent(
            one["sha256"], one["modality"], one["metadata"], modalities[own], spans, kept[own],
            {space_id: made[own] for space_id, made in derived.items()},
        )  # fmt: skip
        batch.contents.append(content)
        batch.tags.extend((one["sha256"], tag, confidence) for tag, confidence in one["tags"])
    return batch


def _take_items(parts: Parts, space: SpaceRecord, folder: Path, moved: Callable[[str], bytes]) -> tuple[int, int, int]:
    """(paths that were not known here, that hold the same here, that hold something else here)"""
    catalog, taken, same, other = parts.catalog(), 0, 0, 0
    for lines in _batches(_lines(folder / ITEMS), 4 * catalog_portable.PAGE):
        places = [
            Placement(moved(one["path"]), moved(one["root"]), one["sha256"], one["size"], one["mtime_ns"])
            for one in lines
        ]
        here = catalog.held([place.path for place in places])
        known = catalog.known([place.sha256 for place in places])
        fresh = [place for place in places if place.path not in here and place.sha256 in known]
        if fresh:
            catalog.commit(Batch(placements=fresh), space.id)
        equal = sum(here.get(place.path) == place.sha256 for place in places)
        taken, same, other = taken + len(fresh), same + equal, other + len(places) - len(fresh) - equal
    return taken, same, other


class _Moved:
    """Paths there -> paths here, by the longest folder that is named."""

    def __init__(self, roots: Mapping[str, str]) -> None:
        pairs = {os.fsencode(old).rstrip(b"/\\"): os.fsencode(os.path.abspath(new)) for old, new in roots.items()}
        self._pairs = sorted(pairs.items(), key=lambda pair: -len(pair[0]))

    def __call__(self, path: str) -> bytes:
        given = os.fsencode(path)
        for old, new in self._pairs:
            if given == old or given.startswith((old + b"/", old + b"\\")):
                return new + given[len(old) :]
        return given


def _verified(folder: Path) -> _Manifest:
    """Raises: InvalidInput for what is no export, or not whole."""
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
        manifest = _Manifest(found["space"], found["counts"], found["files"])
        version = int(found["format"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{folder} is no exported library", hint="they are made by: mmsearch export DIR") from error
    if version != FORMAT:
        raise InvalidInput(
            f"{folder} was exported by a newer release (format {version})",
            hint="upgrade: pip install --upgrade mmsearch",
        )
    for name in (CONTENTS, ITEMS, VECTORS):
        try:
            whole = _sha256(folder / name) == manifest.files.get(name)
        except OSError as error:
            raise InvalidInput(f"{folder / name} can't be read: {error.strerror or error}") from error
        if not whole:
            raise InvalidInput(f"{folder / name} is not what was exported", hint="copy the folder again")
    return manifest


def _header(kind: str, rows: int, dim: int) -> bytes:
    """That of a .npy file, padded to _HEADER bytes."""
    told = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({rows}, {dim}), }}"
    return b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little") + told.ljust(_HEADER - 11).encode() + b"\n"


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _lines(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        yield from map(json.loads, file)


def _batches(lines: Iterable[Any], size: int) -> Iterator[Sequence[Any]]:
    rest = iter(lines)
    while some := list(islice(rest, size)):
        yield some


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

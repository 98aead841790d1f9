"""A library as a folder that any program can read, and back: JSON Lines for what is known, .npy for the vectors.

    manifest.json    format, space, counts, and the sha256 of every other file
    contents.jsonl   a line for each distinct content, in the order of its rows in vectors.npy
    items.jsonl      a line for each path
    vectors.npy      float32 or float16 (segments, dim)
    originals        see `export_originals`
    spaces, trained  see `export_models`

A folder appears when it is complete. What is taken in is verified first, then written in transactions of some hundred
contents; contents come before the paths that hold them, so that one cut short leaves nothing half findable.
"""

import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmsearch.catalog import Batch, NewContent, Placement, SpaceRecord
from mmsearch.catalog.contents import content_ids
from mmsearch.catalog.items import items_at
from mmsearch.catalog.spaces import active_space
from mmsearch.catalog.stored_contents import PAGE, exported_items
from mmsearch.context.context import LibraryContext
from mmsearch.core.atomic import appearing
from mmsearch.core.media_paths import is_media_path
from mmsearch.core.version import VERSION
from mmsearch.errors import InvalidInput, LibraryNotFound, SpaceChanged
from mmsearch.maintenance import export_models, export_originals, import_check, import_records
from mmsearch.maintenance.anonymised import Anonymised, Identifying, unchanged
from mmsearch.maintenance.export_files import (
    CONTENTS,
    ITEMS,
    MANIFEST,
    batched,
    describe_space,
    file_sha256,
    json_line,
    open_rows,
    unit_rows,
    write_contents,
)
from mmsearch.maintenance.import_records import ImportedContent, ImportedSpace, Manifest
from mmsearch.maintenance.import_values import read_lines
from mmsearch.types import Space

README = "README.md"

_README_TEXT = """# A library of mmsearch

Take it in with `mmsearch import THIS_FOLDER`, here or on another machine (`--root OLD=NEW` where files lie elsewhere).

- `contents.jsonl`: a line for each distinct content: its sha256, modality, metadata, a model's `tags`, the tags `given`
  by people, their own metadata (`meta`), its evidence (base64, by which mmsearch tells that two contents are the
  same), and its segments, each with its modality and where it is (seconds, page, place,
  characters, text; `source` and `box` of what is said or written). Segment n of the file is row n of `vectors.npy`.
- `items.jsonl`: a line for each path: the sha256 of what it holds, the folder that was ingested (`root`), size and
  mtime_ns. Bytes of a path that are no UTF-8 are lone surrogates, as Python's `os.fsdecode` makes them.
- `vectors.npy`: the vectors. Those of float16 have to be brought to length 1.
- `originals`: the bytes of media that were handed over in memory and kept (`kept` in `items.jsonl`), by their sha256.
- `spaces`: the same of each other model that the library had: its segments and its vectors of these contents, and
  which of them it could not take, and why (`refusals.jsonl`).
- `trained`: models that were trained in the library, each with its card.
- `manifest.json`: the spaces that vectors may be compared in, how many there are, and the sha256 of these files.
"""


class Exported(NamedTuple):
    """What was written."""

    items: int
    contents: int
    segments: int
    bytes: int
    models: tuple[str, ...] = ()
    """Other models whose vectors were written."""
    trained: tuple[str, ...] = ()
    """Models that were trained in the library."""


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
    models: tuple[str, ...] = ()
    """Other models whose vectors were taken."""
    trained: tuple[str, ...] = ()
    """Models that were trained there, and are here now."""
    left: tuple[tuple[str, str], ...] = ()
    """Models of either kind that were not taken, and why."""


def export_library(
    context: LibraryContext, folder: Path, anonymise: Collection[Identifying] = (), vectors: bool = True
) -> Exported:
    """Write all that is findable, with the vectors that encoders made, while others search and ingest.

    Args:
        anonymise: What is left out; then other models' vectors, trained models and kept originals are, too.
        vectors: Whether vectors are written.

    Raises: LibraryEmpty, InvalidInput if the folder is there already, LibraryError if it can't be written.
    """
    _, space = context.base()
    if folder.exists():
        raise InvalidInput(f"{folder} exists already", hint="name a new folder")
    anonymised = Anonymised(anonymise) if anonymise else None
    whole = anonymised is None and vectors
    with appearing(folder) as made:
        contents, segments, last = write_contents(
            context.catalog(), space, made, known=False, vectors=vectors,
            reduce=unchanged if anonymised is None else anonymised.content,
        )  # fmt: skip
        items = _write_items(context, space, made, last, anonymised)
        others = export_models.write_spaces(context, space, made) if whole else []
        trained = export_models.write_trained(context, made) if whole else []
        (made / README).write_text(_README_TEXT + _left_out(anonymise, vectors), "utf-8")
        files = [path for path in sorted(made.rglob("*")) if path.is_file() and path != made / README]
        described = describe_space(space) | ({} if anonymised is None else {"target": space.name})
        manifest = {
            "format": import_check.FORMAT, "mmsearch": VERSION, "space": described,
            "counts": {"items": items, "contents": contents, "segments": segments},
            "spaces": others, "trained": trained, "serving": export_models.serving(context, trained),
            "files": {path.relative_to(made).as_posix(): file_sha256(path) for path in files},
        }  # fmt: skip
        (made / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
        size = sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
    models = tuple(str(one["space"]["name"]) for one in others)
    return Exported(items, contents, segments, size, models, tuple(one["name"] for one in trained))


def _left_out(anonymise: Collection[Identifying], vectors: bool) -> str:
    lines = [f"\nLeft out: {', '.join(sorted(anonymise))}. Hashes are not those of the files.\n"] if anonymise else []
    lines += ["\nWithout vectors it can't be imported.\n"] if not vectors else []
    return "".join(lines)


def import_folder(
    context: LibraryContext, folder: Path, roots: Mapping[str, str], models: Sequence[str] = ()
) -> Imported:
    """Take in a folder that `export` wrote; what is known here stays as it is.

    Cut short, it leaves a library that can be used; done again, it goes on.

    Args:
        roots: Folder there -> folder here, for paths below it.
        models: Other models whose vectors are taken, too, although this library has none of theirs yet.

    Raises: InvalidInput for what is no such folder or not whole, SpaceChanged if its vectors are of another space,
        LibraryLocked.
    """
    manifest = import_check.verified_manifest(folder)
    own, relocate = _check_space(context, manifest.space), _Relocation(roots)
    added = export_models.wanted(context, manifest.spaces, models)
    import_check.check_folder(folder, manifest, own.encoders, relocate)
    with context.writing(create=True):
        context.catalog(create=True)
        context.sweep()
        fresh = context.catalog(create=True).read(active_space) is None
        space, record = context.embedding(create=True)
        _, base = context.base()
        contents = _take_contents(context, base, folder, manifest)
        items, known, other = _take_items(context, base, folder, relocate)
        context.builder().build_unread()
        context.calibrate(space, record)
        context.indexes(record).publish()
    taken = export_models.take_spaces(context, folder, manifest.spaces, added)
    trained = export_models.take_trained(context, folder, manifest.trained, list(manifest.files))
    if fresh and manifest.serving is not None and not trained.get(manifest.serving, "not here"):
        from mmsearch.training.serving import apply

        apply.apply_model(context, manifest.serving)
    context.grown()
    names = [one.name for one in manifest.spaces]
    left = [
        (name, "this library doesn't have this model; it is taken with --model") for name in names if name not in taken
    ]
    left += [(name, why) for name, why in trained.items() if why]
    here = tuple(name for name, why in trained.items() if not why)
    return Imported(items, contents, known, other, tuple(taken), here, tuple(left))


def _check_space(context: LibraryContext, there: ImportedSpace) -> Space:
    """The space that its vectors are of. Raises: SpaceChanged."""
    # The target in a manifest names code: whoever wrote the folder has no say in what is run here.
    try:
        empty = context.catalog().read(active_space) is None
    except LibraryNotFound:
        empty = True
    here = context.load(context.asked()) if empty else context.base()[0]
    if there.fingerprint == here.fingerprint:
        return here
    name = there.name
    if name == here.name:
        raise SpaceChanged(
            f"its vectors were made by another version of the space {name!r}",
            hint="use the release of mmsearch and the weights that made them, or ingest the files anew",
        )
    raise SpaceChanged(
        f"its vectors are of the space {name!r}, not of this library's {here.name!r}",
        hint=f"import it into a new library: --library NEW --space {name}",
    )


def _write_items(
    context: LibraryContext, space: SpaceRecord, folder: Path, last: int, anonymised: Anonymised | None
) -> int:
    hidden: list[bytes] = []
    count, after = 0, b""
    with (folder / ITEMS).open("wb") as file:
        while True:
            page = context.catalog().read(exported_items, space, after, last)
            for item in page:
                told = {**item, "path": os.fsdecode(item["path"]), "root": os.fsdecode(item["root"])}
                if anonymised is not None:
                    hidden.append(json_line(anonymised.item(told)))
                    continue
                kept = export_originals.write_original(context.catalog().originals, item, folder)
                line = {name: value for name, value in told.items() if name != "kept"} | (
                    {"kept": True} if kept else {}
                )
                file.write(json_line(line))
            if not page:
                break
            count, after = count + len(page), page[-1]["path"]
        # In no order that a name has to do with.
        file.writelines(sorted(hidden))
    return count


def _take_contents(context: LibraryContext, space: SpaceRecord, folder: Path, manifest: Manifest) -> int:
    """How many were not known here."""
    catalog, taken, row = context.catalog(), 0, 0
    stored, decoded = open_rows(folder, manifest.space.segments, space.dim), import_check.decoded()
    records = read_lines(
        folder / CONTENTS, lambda line: import_records.content_record(line, decoded, decoded, known=False)
    )
    for some in batched(records, PAGE):
        known = catalog.read(content_ids, [one.sha256 for one in some])
        fresh: list[tuple[ImportedContent, range]] = []
        for one in some:
            place = range(row, row := row + len(one.spans))
            if one.sha256 not in known:
                fresh.append((one, place))
        if fresh:
            catalog.commit(_batch(context, space, fresh, stored), space.id)
            taken += len(fresh)
    return taken


def _batch(
    context: LibraryContext, space: SpaceRecord, records: Sequence[tuple[ImportedContent, range]], stored: NDArray[Any]
) -> Batch:
    made, kept = unit_rows(np.concatenate([stored[place.start : place.stop] for _, place in records]), space)
    derived = context.derived(made, [modality for one, _ in records for modality in one.modalities])
    batch, first = Batch(), 0
    for one, place in records:
        own = slice(first, first := first + len(place))
        content = NewContent(
            one.sha256, one.modality, context.settings.keeping.kept(one.metadata), one.modalities, one.spans, kept[own],
            {space_id: rows[own] for space_id, rows in derived.items()}, one.given, one.meta, one.evidence,
        )  # fmt: skip
        batch.contents.append(content)
        batch.tags.extend((one.sha256, tag, confidence) for tag, confidence in one.tags)
    return batch


def _take_items(
    context: LibraryContext, space: SpaceRecord, folder: Path, relocate: Callable[[str], bytes]
) -> tuple[int, int, int]:
    """(paths that were not known here, that hold the same here, that hold something else here)"""
    catalog, taken, same, other = context.catalog(), 0, 0, 0
    named = context.settings.keep_names
    records = read_lines(folder / ITEMS, lambda line: import_records.item_record(line, relocate))
    for some in batched(records, 4 * PAGE):
        places = [
            Placement(one.path, one.root, one.sha256, one.size, one.mtime_ns, kept=one.kept, named=named)
            for one in some
        ]
        here = catalog.read(items_at, [place.path for place in places])
        known = catalog.read(content_ids, [place.sha256 for place in places])
        fresh = [place for place in places if place.path not in here and place.sha256 in known]
        if fresh:
            with export_originals.taking(catalog, folder, [place.sha256 for place in fresh if place.kept]):
                catalog.commit(Batch(placements=fresh), space.id)
        equal = sum(place.path in here and here[place.path].sha256 == place.sha256 for place in places)
        taken, same, other = taken + len(fresh), same + equal, other + len(places) - len(fresh) - equal
    return taken, same, other


class _Relocation:
    """Paths there -> paths here, by the longest folder that is named."""

    def __init__(self, roots: Mapping[str, str]) -> None:
        pairs = {os.fsencode(old).rstrip(b"/\\"): os.fsencode(os.path.abspath(new)) for old, new in roots.items()}
        self._pairs = sorted(pairs.items(), key=lambda pair: -len(pair[0]))

    def __call__(self, path: str) -> bytes:
        given = os.fsencode(path)
        if is_media_path(given):
            return given
        for old, new in self._pairs:
            if given == old or given.startswith((old + b"/", old + b"\\")):
                return new + given[len(old) :]
        return given

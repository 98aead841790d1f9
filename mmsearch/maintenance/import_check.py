"""Looking at a whole exported folder before anything of it is taken: that it is as it was written, and makes sense."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from mmsearch.core import registry
from mmsearch.errors import InvalidInput
from mmsearch.maintenance import export_originals, import_records
from mmsearch.maintenance.export_files import CONTENTS, ITEMS, MANIFEST, UNSUPPORTED, VECTORS, check_rows, file_sha256
from mmsearch.maintenance.import_records import ImportedContent, ImportedItem, ImportedSpace, Manifest
from mmsearch.maintenance.import_values import HINT, WrongValue, read_lines
from mmsearch.types import Modality

FORMAT = 1


def verified_manifest(folder: Path) -> Manifest:
    """Raises: InvalidInput for what is no export, or not whole."""
    manifest = import_records.read_manifest(folder, MANIFEST)
    if manifest.format != FORMAT:
        raise InvalidInput(
            f"{folder} was exported by a newer release (format {manifest.format})",
            hint="upgrade: pip install --upgrade mmsearch",
        )
    needed = {CONTENTS, ITEMS, VECTORS}
    needed |= {f"{one.folder}/{name}" for one in manifest.spaces for name in (CONTENTS, VECTORS, UNSUPPORTED)}
    for name in sorted(needed | manifest.files.keys()):
        path = folder / name
        try:
            # A pipe or a device would never end.
            whole = path.is_file() and file_sha256(path) == manifest.files.get(name)
            there = path.exists()
        except OSError as error:
            raise InvalidInput(f"{path} can't be read: {error.strerror or error}") from error
        if not there:
            raise InvalidInput(f"{path} can't be read: it is not there", hint="copy the folder again")
        if not whole:
            raise InvalidInput(f"{path} is not what was exported", hint="copy the folder again")
    return manifest


def check_folder(
    folder: Path, manifest: Manifest, embedded: Mapping[Modality, Any], relocate: Callable[[str], bytes]
) -> None:
    """Read every line and every vector.

    Args:
        embedded: Modalities that the space takes.
        relocate: Turns a path there into one here.

    Raises: InvalidInput for the first that is wrong.
    """
    hashes = _check_space(folder, manifest.space, embedded.keys(), known=False)
    items = _Items(relocate, hashes, manifest.files)
    _check_count(folder / ITEMS, sum(1 for _ in read_lines(folder / ITEMS, items)), manifest.items)
    for one in manifest.spaces:
        _check_space(folder / one.folder, one, decoded(), known=True)
        for _ in read_lines(folder / one.folder / UNSUPPORTED, import_records.unsupported_record):
            pass


def decoded() -> Collection[Modality]:
    """Modalities that a file may have here."""
    return registry.known_targets("decoders").keys()


def _check_space(folder: Path, record: ImportedSpace, embedded: Collection[Modality], *, known: bool) -> set[bytes]:
    """The hashes of its contents."""
    contents = _Contents(embedded, known)
    count = sum(1 for _ in read_lines(folder / CONTENTS, contents))
    _check_count(folder / CONTENTS, count, record.contents)
    _check_count(folder / CONTENTS, contents.segments, record.segments, "segments")
    check_rows(folder, record.segments, record.dim)
    return contents.hashes


def _check_count(path: Path, found: int, stated: int, of: str = "lines") -> None:
    if found != stated:
        raise InvalidInput(f"{path} has {found} {of}, the manifest says {stated}", hint=HINT)


class _Contents:
    """Reads lines of contents.jsonl, each hash once."""

    def __init__(self, embedded: Collection[Modality], known: bool) -> None:
        self.hashes: set[bytes] = set()
        self.segments = 0
        self._decoded, self._embedded, self._known = decoded(), embedded, known

    def __call__(self, record: Any) -> ImportedContent:
        one = import_records.content_record(record, self._decoded, self._embedded, known=self._known)
        if (digest := bytes.fromhex(one.sha256)) in self.hashes:
            raise WrongValue("an earlier line tells of the same content")
        self.hashes.add(digest)
        self.segments += len(one.spans)
        return one


class _Items:
    """Reads lines of items.jsonl, each path once, of contents that are there."""

    def __init__(self, relocate: Callable[[str], bytes], contents: Collection[bytes], files: Mapping[str, str]) -> None:
        self._relocate, self._contents, self._files = relocate, contents, files
        self._paths: set[bytes] = set()

    def __call__(self, record: Any) -> ImportedItem:
        one = import_records.item_record(record, self._relocate)
        if bytes.fromhex(one.sha256) not in self._contents:
            raise WrongValue(f"no line of {CONTENTS} tells what the path holds")
        if one.path in self._paths:
            raise WrongValue("an earlier line tells of the same path")
        if one.kept and self._files.get(export_originals.name_of(one.sha256)) != one.sha256:
            raise WrongValue("its original is not among the files")
        self._paths.add(one.path)
        return one

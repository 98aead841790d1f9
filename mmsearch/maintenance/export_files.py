"""The files of an exported library: JSON Lines, and .npy written before the number of its rows is known."""

import hashlib
import json
import os
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from mmsearch.catalog import Catalog, SpaceRecord, blobs
from mmsearch.catalog.stored_contents import ExportedContent, exported_contents
from mmsearch.errors import CatalogDamaged, InvalidInput
from mmsearch.maintenance.anonymised import Reduce, unchanged
from mmsearch.maintenance.import_values import HINT
from mmsearch.types import MetaValue, Vectors
from mmsearch.vectors.check import checked_vectors

T = TypeVar("T")

MANIFEST, CONTENTS, ITEMS, VECTORS = "manifest.json", "contents.jsonl", "items.jsonl", "vectors.npy"
UNSUPPORTED = "refusals.jsonl"

_UNREADABLE = (
    OSError, ValueError, TypeError, SyntaxError, TokenError, ArithmeticError, MemoryError, RecursionError,
)  # fmt: skip
"""What numpy raises for a header that makes no sense, which it reads as Python."""

_HEADER = 128
"""Bytes before the first row of a .npy file; its shape is known in the end only."""

_LOOKED_AT = 8192
"""Rows checked at once."""

_SPACE_FIELDS = ("name", "target", "dim", "fingerprint", "layout", "storage")


def describe_space(space: SpaceRecord) -> dict[str, Any]:
    """What a manifest says of a space."""
    return {name: getattr(space, name) for name in _SPACE_FIELDS}


def write_contents(
    catalog: Catalog, space: SpaceRecord, folder: Path, *, known: bool, reduce: Reduce = unchanged, vectors: bool = True
) -> tuple[int, int, int]:
    """The contents that have vectors in a space, a line each, and those.

    Args:
        known: Other lines tell what the contents are: metadata and tags are left out.
        reduce: Takes out of a line what is to be left out.
        vectors: Whether they are written.

    Returns (contents, segments, id of the last content).
    """
    count = segments = last = 0
    with (folder / CONTENTS).open("wb") as file, _rows_file(folder, vectors) as rows:
        rows.write(bytes(_HEADER))
        while True:
            page = catalog.read(exported_contents, space, last)
            for one in page:
                record: dict[str, Any] = {"sha256": one.sha256, "modality": one.modality, "segments": _spans(one)}
                if not known:
                    record |= {"metadata": one.metadata, "tags": [list(tag) for tag in one.tags]}
                    record |= {"given": one.given, "meta": {key: _plain(value) for key, value in one.meta.items()}}
                    if one.evidence is not None:
                        record["evidence"] = b64encode(one.evidence).decode()
                file.write(json_line(reduce(record)))
                rows.write(b"".join(one.vectors))
                segments += len(one.segments)
            if not page:
                break
            count, last = count + len(page), page[-1].id
        rows.seek(0)
        rows.write(_header(blobs.TYPES[space.storage], segments, space.dim))
    return count, segments, last


def _rows_file(folder: Path, wanted: bool) -> BinaryIO:
    return (folder / VECTORS if wanted else Path(os.devnull)).open("wb")


def _spans(content: ExportedContent) -> list[dict[str, Any]]:
    return [
        {"modality": modality} | {name: value for name, value in asdict(span).items() if value is not None}
        for modality, span in content.segments
    ]


def _plain(value: MetaValue) -> object:
    """A value of own metadata as JSON has it; a date as an object, since JSON has no word for it."""
    if isinstance(value, datetime):
        return {"datetime": value.isoformat()}
    return {"date": value.isoformat()} if isinstance(value, date) else value


def open_rows(folder: Path, segments: int, dim: int) -> NDArray[Any]:
    """The vectors of a folder, float32 or float16 (segments, dim), read as they are used. Raises: InvalidInput."""
    path = folder / VECTORS
    try:
        found: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except _UNREADABLE as error:
        raise InvalidInput(f"{path} is not a numpy array", hint=HINT) from error
    if found.shape != (segments, dim) or found.dtype.str not in blobs.TYPES.values():
        wanted = f"float32 or float16 {segments, dim}"
        raise InvalidInput(f"{path} has the shape {found.dtype} {found.shape}, not {wanted}", hint=HINT)
    return found


def check_rows(folder: Path, segments: int, dim: int) -> None:
    """Look at every vector of a folder. Raises: InvalidInput."""
    stored = open_rows(folder, segments, dim)
    for first in range(0, segments, _LOOKED_AT):
        try:
            # What is no number makes numpy warn; it is refused.
            with np.errstate(all="ignore"):
                checked_vectors(blobs.unit(stored[first : first + _LOOKED_AT]), dim)
        except InvalidInput as error:
            raise InvalidInput(f"{folder / VECTORS}, from row {first} on: {error.message}", hint=HINT) from error


def unit_rows(stored: NDArray[Any], space: SpaceRecord) -> tuple[Vectors, Vectors]:
    """Some of these rows, float32 (n, dim) of length 1; and as the space is to keep them. Raises: InvalidInput."""
    made = checked_vectors(blobs.unit(stored), space.dim)
    # Half precision that stays what it is must not be rounded twice.
    same = space.storage == "float16" and stored.dtype == np.float16
    return made, stored.astype(np.float32) if same else made


def _header(kind: str, count: int, dim: int) -> bytes:
    """That of a .npy file, padded to _HEADER bytes."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({count}, {dim}), }}"
    return b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little") + header.ljust(_HEADER - 11).encode() + b"\n"


def json_line(value: Mapping[str, Any]) -> bytes:
    """A line of JSON. Raises: CatalogDamaged for what JSON has no word for, which no catalog was given."""
    try:
        return json.dumps(value, allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise CatalogDamaged("the catalog holds what can't be exported", hint=blobs.MEND) from error


def batched(lines: Iterable[T], size: int) -> Iterator[Sequence[T]]:
    """Some after some, `size` at a time."""
    rest = iter(lines)
    while some := list(islice(rest, size)):
        yield some


def file_sha256(path: Path) -> str:
    """The hash of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

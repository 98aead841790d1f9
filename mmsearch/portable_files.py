"""The files of an exported library: JSON Lines, and .npy written before the number of its rows is known."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.catalog import Catalog, SpaceRecord, blobs
from mmsearch.catalog import portable as catalog_portable
from mmsearch.errors import InvalidInput
from mmsearch.types import Modality, Span, Vectors
from mmsearch.vectors.check import checked_vectors

CONTENTS, VECTORS = "contents.jsonl", "vectors.npy"

_HEADER = 128
"""Bytes before the first row of a .npy file; its shape is known in the end only."""

_ABOUT = ("name", "target", "dim", "fingerprint", "layout", "storage")


def about(space: SpaceRecord) -> dict[str, Any]:
    """What a manifest says of a space."""
    return {name: getattr(space, name) for name in _ABOUT}


def write_contents(catalog: Catalog, space: SpaceRecord, folder: Path, *, known: bool) -> tuple[int, int, int]:
    """The contents that have vectors in a space, a line each, and those.

    Args:
        known: Other lines tell what the contents are: metadata and tags are left out.

    Returns (contents, segments, id of the last content).
    """
    count = segments = last = 0
    with (folder / CONTENTS).open("wb") as file, (folder / VECTORS).open("wb") as vectors:
        vectors.write(bytes(_HEADER))
        while True:
            with catalog.reading() as snapshot:
                page = catalog_portable.contents(snapshot, space, last)
            for one in page:
                told: dict[str, Any] = {"sha256": one.sha256, "modality": one.modality, "segments": _spans(one)}
                if not known:
                    told |= {"metadata": one.metadata, "tags": [list(tag) for tag in one.tags]}
                file.write(line(told))
                vectors.write(b"".join(one.vectors))
                segments += len(one.segments)
            if not page:
                break
            count, last = count + len(page), page[-1].id
        vectors.seek(0)
        vectors.write(_header(blobs.TYPES[space.storage], segments, space.dim))
    return count, segments, last


def _spans(content: catalog_portable.Whole) -> list[dict[str, Any]]:
    return [
        {"modality": modality} | {name: value for name, value in asdict(span).items() if value is not None}
        for modality, span in content.segments
    ]


def spans(told: Mapping[str, Any]) -> tuple[list[Modality], list[Span]]:
    """The modalities and places of the segments that a line tells of."""
    segments = told["segments"]
    places = [Span(**{name: value for name, value in one.items() if name != "modality"}) for one in segments]
    return [one["modality"] for one in segments], places


def rows(folder: Path, segments: int, dim: int) -> NDArray[Any]:
    """The vectors of a folder, float32 or float16 (segments, dim), read as they are used. Raises: InvalidInput."""
    found: NDArray[Any] = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
    if found.shape != (segments, dim):
        raise InvalidInput(f"{folder / VECTORS} has the shape {found.shape}, not {segments, dim}")
    return found


def vectors(stored: NDArray[Any], space: SpaceRecord) -> tuple[Vectors, Vectors]:
    """Some of these rows, float32 (n, dim) of length 1; and as the space is to keep them. Raises: InvalidInput."""
    made = checked_vectors(blobs.unit(stored), space.dim)
    # Half precision that stays what it is must not be rounded twice.
    same = space.storage == "float16" and stored.dtype == np.float16
    return made, stored.astype(np.float32) if same else made


def _header(kind: str, count: int, dim: int) -> bytes:
    """That of a .npy file, padded to _HEADER bytes."""
    told = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({count}, {dim}), }}"
    return b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little") + told.ljust(_HEADER - 11).encode() + b"\n"


def line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def lines(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        yield from map(json.loads, file)


def batches(lines: Iterable[Any], size: int) -> Iterator[Sequence[Any]]:
    rest = iter(lines)
    while some := list(islice(rest, size)):
        yield some


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""The published form of an index: one file, renamed into place whole, which proves by itself that it is undamaged.

    payload    what the backend's `save` writes
    JSON       UTF-8 object: format, library, part, backend, generation, count, dim
    8 bytes    length of the JSON, little-endian
    32 bytes   SHA-256 of the SHA-256s of every BLOCK before it, one after the other
    8 bytes    MAGIC

The digest covers the JSON too, so that a flipped bit in a generation number is noticed like one in a vector.
"""

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from mmsearch.core import registry, sealed
from mmsearch.core.atomic import replacing
from mmsearch.core.json_text import parse_json
from mmsearch.errors import IndexDamaged, LibraryError
from mmsearch.types import VectorIndex
from mmsearch.vectors import found_whole

MAGIC = b"MMSINDEX"
FORMAT = 1
QUARANTINED = 3
"""Damaged files of one name that are kept for a look at what happened."""

_LENGTH, _DIGEST = 8, hashlib.sha256().digest_size
_TAIL = _LENGTH + _DIGEST + len(MAGIC)
BLOCK = 16 << 20
"""Bytes that have a digest of their own, so that several threads can check a large file."""

_THREADS = 4


class Publishable(Protocol):
    """What can be published: an index, or a part of one."""

    @property
    def dim(self) -> int: ...

    def __len__(self) -> int: ...

    def save(self, path: Path) -> None: ...


class Sealable(Protocol):
    """What can be published without a plain byte on any disk."""

    @property
    def dim(self) -> int: ...

    def __len__(self) -> int: ...

    def write(self, file: BinaryIO) -> None: ...


Read = TypeVar("Read", bound=Publishable)


@dataclass(frozen=True, slots=True)
class Stamp:
    """Whose vectors a file holds, and as of when."""

    library: str
    """Id of the catalog it was made from."""
    part: str
    """Which of its lists: space, modalities and the space's fingerprint, such as "starter/video/image/0a1b2c3d"."""
    backend: str
    """Name in the registry's table of indexes."""
    generation: int
    """The catalog's generation it reflects."""
    commit_id: int = 0
    """Of the commit that made that generation: another copy of a library has other commits under the same number."""

    def footer(self) -> dict[str, str | int]:
        """As files have it, where the commit's id is called mark."""
        return {
            "library": self.library, "part": self.part, "backend": self.backend, "generation": self.generation,
            "mark": self.commit_id,
        }  # fmt: skip


def create_index(backend: str, dim: int) -> VectorIndex:
    """A new, empty index of a registered backend. Raises: UnknownName."""
    index: VectorIndex = registry.load_part("indexes", backend)(dim)
    return index


def publish_index(index: Publishable, path: Path, stamp: Stamp) -> None:
    """Put the index in the place of `path`, on disk before this returns; readers see the old file or the new one.

    Raises: LibraryReadOnly, LibraryError; the old file is then still there.
    """
    text = _described(index, stamp)
    with replacing(path) as temporary:
        index.save(temporary)
        with temporary.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(text + len(text).to_bytes(_LENGTH, "little"))
            file.flush()
            file.write(_digest(file, file.tell()) + MAGIC)
    # Of which the digest was just written: whoever comes first need not read it all.
    with suppress(OSError):
        found_whole.note(path, path.stat())


def _described(index: Publishable | Sealable, stamp: Stamp) -> bytes:
    footer = {"format": FORMAT, **stamp.footer(), "count": len(index), "dim": index.dim}
    return json.dumps(footer, sort_keys=True).encode()


def publish_sealed(index: Sealable, path: Path, stamp: Stamp) -> None:
    """The same in an encrypted library: 8 bytes, how long the JSON is, the JSON and the payload, sealed as
    `core.sealed` does. Raises: as `publish_index`."""
    text = _described(index, stamp)
    payload = io.BytesIO()
    index.write(payload)
    sealed.write_bytes(path, len(text).to_bytes(_LENGTH, "little") + text + payload.getvalue())


def read_sealed(read: Callable[[BinaryIO, int], Read], path: Path, stamp: Stamp, dim: int) -> tuple[Read, Stamp]:
    """What `publish_sealed` wrote, wholly in memory, as `read_index_as` gives it; `read` is handed the payload in an
    open file. Raises: IndexDamaged, also if anything of it was altered, cut, or is another file's."""
    payload, found, count = _unsealed(path, stamp, dim)
    index = read(payload, dim)
    if len(index) != count:
        raise IndexDamaged(f"{path} says it holds {count} vectors but holds {len(index)}")
    return index, found


def check_sealed(path: Path, stamp: Stamp, dim: int) -> None:
    """As `check_file`. Raises: IndexDamaged."""
    _unsealed(path, stamp, dim)


def _unsealed(path: Path, stamp: Stamp, dim: int) -> tuple[BinaryIO, Stamp, int]:
    try:
        content = sealed.read_bytes(path)
    except (OSError, LibraryError) as error:
        raise IndexDamaged(f"{path} can't be read: {error}") from error
    end = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    return io.BytesIO(content[end:]), *_matching(path, content[_LENGTH:end], stamp, dim)


def read_index(path: Path, stamp: Stamp, dim: int) -> tuple[VectorIndex, Stamp]:
    """What `read_index_as` gives, by the registered backend. Raises: IndexDamaged, UnknownName."""
    load: Callable[[Path, int], VectorIndex] = registry.load_part("indexes", stamp.backend).load
    return read_index_as(load, path, stamp, dim)


def read_index_as(load: Callable[[Path, int], Read], path: Path, stamp: Stamp, dim: int) -> tuple[Read, Stamp]:
    """What `load` reads at `path`, and the stamp it bears, which may be of another generation than `stamp`, and of no
    other library, part, backend or dimension.

    The caller compares generations: an older file lacks changes, a newer one means that the catalog moved on.

    Raises: IndexDamaged if the file is missing, incomplete, altered or foreign.
    """
    for _ in range(5):
        footer = _whole_footer(path)
        found, count = _matching(path, footer, stamp, dim)
        index = load(path, dim)
        # A writer may have published between the check and the load: then check what was loaded.
        if _footer(path, verify=False) == footer:
            break
    else:
        raise IndexDamaged(f"{path} changes faster than it can be read")
    if len(index) != count:
        raise IndexDamaged(f"{path} says it holds {count} vectors but holds {len(index)}")
    return index, found


def check_file(path: Path, stamp: Stamp, dim: int) -> None:
    """Whether the file at `path` is whole and of this library, part, backend and dimension; it is not loaded.

    Raises: IndexDamaged.
    """
    _matching(path, _footer(path, verify=True), stamp, dim)


def quarantine(path: Path) -> Path | None:
    """Move a damaged file to `<name>.damaged-<n>` beside it, keeping the newest few. None if there is nothing.

    The caller is the library's one writer. Raises: OSError if the folder can't be written.
    """
    earlier = dict(_quarantined(path))
    target = path.with_name(f"{path.name}.damaged-{max(earlier, default=0) + 1}")
    found_whole.forget(path)
    try:
        path.rename(target)
    except FileNotFoundError:
        return None
    for number in sorted(earlier, reverse=True)[QUARANTINED - 1 :]:
        # A folder that lay in an index's place is somebody's: moved aside, never deleted.
        with suppress(OSError):
            earlier[number].unlink()
    return target


def remove_file(path: Path) -> None:
    """Remove a file that was published, if it is there. Raises: OSError."""
    path.unlink(missing_ok=True)
    found_whole.forget(path)


def _quarantined(path: Path) -> Iterator[tuple[int, Path]]:
    pattern = re.compile(re.escape(path.name) + r"\.damaged-(\d+)")
    for entry in path.parent.iterdir() if path.parent.is_dir() else ():
        if match := pattern.fullmatch(entry.name):
            yield int(match[1]), entry


def _matching(path: Path, text: bytes, wanted: Stamp, dim: int) -> tuple[Stamp, int]:
    """The stamp and the count in a footer. Raises: IndexDamaged."""
    try:
        footer = dict(parse_json(text))
        generation, commit_id, count = int(footer["generation"]), int(footer["mark"]), int(footer["count"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise IndexDamaged(f"{path} has an invalid footer: {error!r}") from error
    expected = {"format": FORMAT, "library": wanted.library, "part": wanted.part, "backend": wanted.backend, "dim": dim}
    for name, value in expected.items():
        if footer.get(name) != value:
            raise IndexDamaged(f"{path} is of another {name}: {footer.get(name)!r}, not {value!r}")
    return replace(wanted, generation=generation, commit_id=commit_id), count


def _whole_footer(path: Path) -> bytes:
    """The footer of a file that is whole, or was when it was last looked through. Raises: IndexDamaged."""
    if found_whole.is_noted(path):
        return _footer(path, verify=False)
    try:
        found = path.stat()
    except OSError as error:
        raise IndexDamaged(f"{path} can't be read: {error}") from error
    footer = _footer(path, verify=True)
    found_whole.note(path, found)
    return footer


def _footer(path: Path, *, verify: bool) -> bytes:
    """The footer's JSON as it stands; with `verify`, of a file whose digest is right. Raises: IndexDamaged."""
    try:
        with path.open("rb") as file:
            text, covered, digest = _ending(file, path)
            if verify and _digest(file, covered) != digest:
                raise IndexDamaged(f"{path} is damaged: its checksum is wrong")
            return text
    except OSError as error:
        raise IndexDamaged(f"{path} can't be read: {error}") from error


def _ending(file: BinaryIO, path: Path) -> tuple[bytes, int, bytes]:
    """The footer's JSON, the number of bytes that the digest covers, and the digest. Raises: IndexDamaged."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _TAIL, 0))
    tail = file.read()
    if len(tail) < _TAIL or not tail.endswith(MAGIC):
        raise IndexDamaged(f"{path} is not a complete index file")
    length = int.from_bytes(tail[:_LENGTH], "little")
    if length > size - _TAIL:
        raise IndexDamaged(f"{path} is damaged: its footer is longer than the file")
    file.seek(size - _TAIL - length)
    return file.read(length), size - len(MAGIC) - _DIGEST, tail[_LENGTH : _LENGTH + _DIGEST]


def payload_end(file: BinaryIO) -> int:
    """Where the payload of an open file ends: before its footer, or, where it has none, with the file."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _TAIL, 0))
    tail = file.read()
    if len(tail) < _TAIL or not tail.endswith(MAGIC):
        return size
    return size - _TAIL - int.from_bytes(tail[:_LENGTH], "little")


def _digest(file: BinaryIO, length: int) -> bytes:
    """Of the first `length` bytes; the file is then at their end."""

    def block(start: int) -> bytes:
        size = min(BLOCK, length - start)
        if parallel:
            return hashlib.sha256(os.pread(file.fileno(), size, start)).digest()
        file.seek(start)
        return hashlib.sha256(file.read(size)).digest()

    starts = range(0, length, BLOCK)
    parallel = hasattr(os, "pread") and len(starts) > 1
    with ThreadPoolExecutor(_THREADS) if parallel else nullcontext() as threads:
        digests = list(threads.map(block, starts) if threads is not None else map(block, starts))
    file.seek(length)
    return hashlib.sha256(b"".join(digests)).digest()

"""Originals: the bytes of media that were handed over in memory, as far as somebody asked to keep them.

    originals/ab/ab12...    a file named by its sha256, written once, never changed
    originals/incoming      only while something is being changed: what has not found its place yet
    originals/library.id    which library they are of: another one's, or a new one's in the same folder, touches none

The catalog says which are needed: those that an item with `kept` has. A file is in its place before the commit that
needs it, and is removed after the one that needs it no more. Whoever dies in between leaves `incoming` behind; the next
who opens the library and may write sweeps (`Originals.sweep`).
"""

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection, select

from mmsearch.catalog.statements import CHUNK, chunks
from mmsearch.catalog.tables import Content, ItemRow
from mmsearch.core import vault
from mmsearch.core.atomic import folder_to_disk, make_folder, replacing, told
from mmsearch.core.memory_files import memory_folder
from mmsearch.errors import InvalidInput, LibraryError

FOLDER_NAME = "originals"
INCOMING_NAME = "incoming"
OWNER_NAME = "library.id"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PIECE = 2**20


class Originals:
    """The kept bytes of one library. One process writes at a time, the one that has the writer's lock."""

    def __init__(self, library: Path, owner: Callable[[], str], needed: Callable[[Sequence[str]], Set[str]]) -> None:
        """
        Args:
            owner: Says the id of the library that the catalog is of.
            needed: Says which of some hashes an item of it needs.
        """
        self.folder = library / FOLDER_NAME
        self._owner = owner
        self._needed = needed
        self._incoming = self.folder / INCOMING_NAME
        self._stuck = False
        """Whether something could not be removed: then `incoming` stays, for the next one to sweep."""

    def path(self, sha256: str) -> Path:
        """Where bytes of this hash lie, if they are kept."""
        return self.folder / part_of(sha256)

    def is_there(self, sha256: str, size: int) -> bool:
        """Whether there are bytes of this hash, by their number alone."""
        try:
            return self.path(sha256).stat().st_size == size
        except OSError:
            return False

    def is_whole(self, sha256: str) -> bool:
        """Whether there are bytes of this hash, and they are what they were. Reads them."""
        return _hash_of(self.path(sha256)) == sha256

    # Changing

    @property
    def unfinished(self) -> bool:
        """Whether somebody is changing them, or died of it."""
        return self._incoming.is_dir()

    @property
    def foreign(self) -> bool:
        """Whether they are another library's: of a catalog that was here before, most likely, and was lost."""
        try:
            return (self.folder / OWNER_NAME).read_text().strip() != self._owner()
        except FileNotFoundError:
            # Kept by a release that noted no owner: whoever needs one of them is it.
            known = list(self.hashes())
            return bool(known) and not any(self._needed(some) for some in _some(iter(known)))

    def claim(self, *, force: bool = False) -> None:
        """Note whose they are. Raises: LibraryError if they are another library's, unless it is `force`d."""
        if not force and self.foreign:
            raise LibraryError(
                f"the kept originals in {self.folder} are of another library than the catalog beside them",
                hint="restore a backup of that library, or move the folder away; nothing was changed",
            )
        if not (self.folder / OWNER_NAME).exists() or force:
            with replacing(self.folder / OWNER_NAME) as temporary:
                temporary.write_text(self._owner() + "\n")

    def begin(self) -> None:
        """To be called before anything is written or removed. Raises: LibraryReadOnly, LibraryError."""
        make_folder(self.folder)
        self.claim()
        make_folder(self._incoming)

    def end(self) -> None:
        """To be called once the catalog needs exactly what is there; what is left in `incoming` goes."""
        with suppress(OSError):
            for entry in list(self._incoming.iterdir()):
                entry.unlink()
            if not self._stuck:
                self._incoming.rmdir()
        with suppress(OSError):
            if [entry.name for entry in self.folder.iterdir()] == [OWNER_NAME]:
                (self.folder / OWNER_NAME).unlink()
                self.folder.rmdir()

    def receive(self, write: Callable[[BinaryIO], object], sha256: str, suffix: str = "") -> Path:
        """A new file that nobody but this user may read, to be decoded, and kept or forgotten.

        Args:
            write: Fills it.
            sha256: Of what it holds then.

        Raises: LibraryError, also if it holds something else.
        """
        folder = memory_folder() if vault.is_encrypted(self.folder) else self._incoming
        path = folder / f"{secrets.token_hex(8)}{suffix}"
        with told(path), os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600), "wb") as file:
            write(file)
        if _hash_of(path) != sha256:
            raise LibraryError(f"{path} holds other bytes than were written", hint="check the disk, then repeat")
        return path

    def keep(self, received: Path, sha256: str) -> None:
        """Bring a received file to its place, on disk when this returns; nothing that is whole is overwritten."""
        self.check_kept()
        target = self.path(sha256)
        with told(target):
            if self.is_whole(sha256):
                received.unlink()
                return
            with received.open("r+b") as file:
                os.fsync(file.fileno())
            make_folder(target.parent)
            os.replace(received, target)
            folder_to_disk(target.parent)

    def check_kept(self) -> None:
        """Raises: InvalidInput if the library is encrypted, and so keeps none."""
        if vault.is_encrypted(self.folder):
            raise InvalidInput(
                "an encrypted library keeps no originals: who decodes, plays or opens them needs a plain file",
                hint="hand media over with keep=False, and keep them where they are safe",
            )

    def discard(self, hashes: Collection[str]) -> int:
        """Remove bytes that no item needs any more. Returns how many there were of them, in bytes."""
        freed = 0
        for sha256 in hashes:
            path = self.path(sha256)
            try:
                size = path.stat().st_size
                path.unlink()
                freed += size
                path.parent.rmdir()  # unless others are there
            except OSError:
                # What somebody else has open on Windows, for example.
                self._stuck = self._stuck or path.exists()
        return freed

    def sweep(self) -> int:
        """Remove all that no item needs, and what somebody who died left. Returns how many bytes of originals.

        Raises: LibraryError if they are another library's.
        """
        if not self.folder.is_dir():
            return 0
        self.claim()
        freed, self._stuck = 0, False
        for some in _some(self.hashes()):
            freed += self.discard(set(some) - self._needed(some))
        self.end()
        return freed

    def hashes(self) -> Iterator[str]:
        """Of all that is there, needed or not."""
        with suppress(OSError):
            for folder in sorted(self.folder.iterdir()):
                if folder.name != INCOMING_NAME and folder.is_dir():
                    yield from (name for name in sorted(os.listdir(folder)) if _SHA256.fullmatch(name))


_BINARY = getattr(os, "O_BINARY", 0)


def _hash_of(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def part_of(sha256: str) -> str:
    """Where bytes of a hash lie below a folder of originals, by slashes."""
    return f"{sha256[:2]}/{sha256}"


def copied(source: BinaryIO) -> Callable[[BinaryIO], object]:
    """What `Originals.receive` writes of an open file."""
    return lambda target: shutil.copyfileobj(source, target, _PIECE)


def _some(hashes: Iterator[str]) -> Iterator[list[str]]:
    page: list[str] = []
    for sha256 in hashes:
        page.append(sha256)
        if len(page) == CHUNK:
            yield page
            page = []
    if page:
        yield page


def needed_originals(connection: Connection, hashes: Sequence[str]) -> set[str]:
    """Those of some hashes whose bytes an item needs."""
    found: set[str] = set()
    for part in chunks(hashes):
        query = select(Content.sha256).join(ItemRow, ItemRow.content_id == Content.id)
        found.update(connection.execute(query.where(Content.sha256.in_(part), ItemRow.kept == 1)).scalars())
    return found


def originals_of(connection: Connection, items: Sequence[int]) -> set[str]:
    """The hashes of the bytes that some items need."""
    found: set[str] = set()
    for part in chunks(items):
        query = select(Content.sha256).join(ItemRow, ItemRow.content_id == Content.id)
        found.update(connection.execute(query.where(ItemRow.id.in_(part), ItemRow.kept == 1)).scalars())
    return found


def every_original(connection: Connection, after: str, limit: int) -> list[tuple[str, int, bytes]]:
    """The next (hash, bytes, path of an item) beyond a hash whose bytes an item needs, by hash."""
    query = (
        select(Content.sha256, ItemRow.size, ItemRow.path)
        .join(ItemRow, ItemRow.content_id == Content.id)
        .where(ItemRow.kept == 1, Content.sha256 > after)
        .group_by(Content.sha256)
        .order_by(Content.sha256)
        .limit(limit)
    )
    return [(sha256, size, path) for sha256, size, path in connection.execute(query)]

"""Encrypting a library that is there, or giving it another data key.

    encrypted.making/   the library anew, encrypted; worth nothing until it is called
    encrypted.ready/    by one rename: from then on it is the library, and its parts are moved to their places
    encrypted.old/      what was there before: overwritten, and removed

Whoever is killed before that rename has changed nothing, and whoever is killed after it leaves what the next one who
opens the library brings to its end. All of it while nobody else has the catalog open.
"""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from mmsearch.catalog.connections import FILE_NAME, closed_to_others, export_into
from mmsearch.catalog.database import translated_sqlite
from mmsearch.core import forks, sealed, vault
from mmsearch.core.atomic import folder_to_disk, make_folder, told
from mmsearch.errors import CatalogDamaged

MAKING, READY, OLD, LOCK = "encrypted.making", "encrypted.ready", "encrypted.old", "encrypting.lock"

_CARRIED = ("tokens.json", "training", "audit")
"""What a library has beside its catalog that can't be made anew."""

_MADE_ANEW = ("indexes", "previews", "slices")

_ZEROS = bytes(2**20)


def encrypt_files(folder: Path, key: vault.Key) -> None:
    """Make a library one that is encrypted with a key. The caller holds its writer's lock, and has it closed.

    Raises: LibraryLocked if somebody else has it open, CatalogDamaged, LibraryError; the library is then as it was.
    """
    making = folder / MAKING
    before = vault.key_of_library(folder / FILE_NAME)
    with forks.no_fork(), told(folder):
        shutil.rmtree(making, ignore_errors=True)
        make_folder(making, private=True)
        vault.write_header(making, key.header)
        with translated_sqlite(folder / FILE_NAME), closed_to_others(folder / FILE_NAME, before) as connection:
            export_into(connection, making / FILE_NAME, key, _compare)
            _carry(folder, making)
            _to_disk(making)
            making.rename(folder / READY)
            folder_to_disk(folder)
    finish(folder)


def unfinished(folder: Path) -> bool:
    """Whether somebody who was encrypting the library was killed when it was encrypted already."""
    return (folder / READY).is_dir() or (folder / OLD).is_dir()


def finish(folder: Path) -> None:
    """Bring what was made to its places, and destroy what was there before. Raises: LibraryError."""
    ready, old = folder / READY, folder / OLD
    with FileLock(folder / LOCK), told(folder):
        if ready.is_dir():
            make_folder(old, private=True)
            for name in (*_MADE_ANEW, *_beside_catalog(folder)):
                _move(folder / name, old / name)
            # The header last: as long as it is to come, so is all that is said to be encrypted.
            for name in sorted(os.listdir(ready), key=lambda one: (one == vault.HEADER, one)):
                _move(folder / name, old / name)
                (ready / name).rename(folder / name)
            folder_to_disk(folder)
            ready.rmdir()
        destroy(old)


def destroy(folder: Path) -> None:
    """Overwrite all files below a folder, and remove it. What a file system or a disk keeps of them beside (journals,
    snapshots, worn cells) is beyond any program's reach."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("r+b") as file:
                left = path.stat().st_size
                while left > 0:
                    left -= file.write(_ZEROS[: min(left, len(_ZEROS))])
                file.flush()
                os.fsync(file.fileno())
    shutil.rmtree(folder, ignore_errors=True)


def _beside_catalog(folder: Path) -> list[str]:
    """Logs of the catalog, and earlier ones."""
    return sorted(path.name for path in folder.glob(f"*{FILE_NAME}?*") if path.is_file())


def _move(source: Path, target: Path) -> None:
    if os.path.lexists(source) and not os.path.lexists(target):
        source.rename(target)


def _carry(folder: Path, making: Path) -> None:
    """Seal what is beside the catalog, file by file."""
    for path in _files(folder):
        place = path.relative_to(folder)
        if place.parts[0] == "audit" and path.name == "log.jsonl":
            # The next entry begins another one.
            place = place.with_name(f"log-{_first_entry(path):012}.jsonl")
        content = sealed.read_sealed_or_plain(path)
        make_folder((making / place).parent, private=True)
        if place.name == "head":
            (making / place).write_bytes(content)
        else:
            sealed.write_bytes(making / place, content)


def _files(folder: Path) -> Iterator[Path]:
    for name in _CARRIED:
        top = folder / name
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and not path.is_symlink() and path.suffix != ".lock":
                yield path


def _first_entry(log: Path) -> int:
    with suppress(ValueError, KeyError, TypeError), log.open("rb") as file:
        return int(json.loads(file.readline())["number"])
    return 0


def _to_disk(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        if path.is_dir():
            folder_to_disk(path)
        else:
            with path.open("r+b") as file:
                os.fsync(file.fileno())


def _compare(connection: sqlite3.Connection) -> None:
    """Every row of what was made with what it was made of. Raises: CatalogDamaged."""
    query = "SELECT name, sql FROM main.sqlite_master ORDER BY type, name"
    made = connection.execute(query.replace("main.", "made.")).fetchall()
    if made != connection.execute(query).fetchall():
        raise CatalogDamaged("the copy of the catalog has other tables than it", hint="nothing was changed; try again")
    tables = "SELECT name FROM main.sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
    for (name,) in connection.execute(tables).fetchall():
        ours = connection.execute(f'SELECT * FROM main."{name}"')
        theirs = connection.execute(f'SELECT * FROM made."{name}"')
        if any(one != other for one, other in zip(ours, theirs, strict=False)) or _more(ours) or _more(theirs):
            raise CatalogDamaged(f"the copy of {name} differs from it", hint="nothing was changed; try again")


def _more(rows: sqlite3.Cursor) -> bool:
    return rows.fetchone() is not None

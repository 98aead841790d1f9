"""Originals inside a backup: a table of the copied catalog, which only a file of that kind has.

A backup stays one file. Bytes are in pieces, since SQLite takes no value of more than a billion of them; each piece is
checked by the hash of the whole before anything is made of it.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from mmsearch.catalog.connections import open_file
from mmsearch.catalog.database import distrusting, translated_sqlite
from mmsearch.catalog.originals import Originals
from mmsearch.core import forks, vault
from mmsearch.errors import CatalogDamaged

TABLE = "packed_originals"

PIECE = 8 * 2**20
"""Bytes of a row."""

_NEEDED = "SELECT DISTINCT sha256 FROM items JOIN contents ON contents.id = content_id WHERE kept = 1 ORDER BY sha256"


def pack(copy: Path, originals: Originals, key: vault.Key | None) -> Sequence[str]:
    """Put the originals that a copied catalog, which has a key or none, needs into it. Returns the hashes of those that
    are not there."""
    with forks.no_fork(), translated_sqlite(copy), closing(distrusting(open_file(copy, key))) as made:
        made.isolation_level = None
        made.execute("BEGIN")
        needed = [str(sha256) for (sha256,) in made.execute(_NEEDED)]
        lost = []
        if needed:
            made.execute(f"CREATE TABLE {TABLE} (sha256 TEXT NOT NULL, part INTEGER NOT NULL, data BLOB NOT NULL)")
            made.execute(f"CREATE UNIQUE INDEX {TABLE}_parts ON {TABLE} (sha256, part)")
        for sha256 in needed:
            if not _pack_one(made, sha256, originals.path(sha256)):
                lost.append(sha256)
        made.execute("COMMIT")
    return lost


def _pack_one(made: sqlite3.Connection, sha256: str, path: Path) -> bool:
    digest = hashlib.sha256()
    made.execute("SAVEPOINT one")
    try:
        with path.open("rb") as file:
            for part, data in enumerate(iter(lambda: file.read(PIECE), b"")):
                digest.update(data)
                made.execute(f"INSERT INTO {TABLE} VALUES (?, ?, ?)", (sha256, part, data))
        whole = digest.hexdigest() == sha256
    except OSError:
        whole = False
    if not whole:
        made.execute("ROLLBACK TO one")
    made.execute("RELEASE one")
    return whole


def unpack(copy: Path, originals: Originals) -> None:
    """Bring what a copied catalog needs of its originals to their places, and take them all out of it.

    Raises: CatalogDamaged for bytes that are not what their hash says, LibraryError.
    """
    key = vault.key_of_library(copy)
    with forks.no_fork(), translated_sqlite(copy), closing(distrusting(open_file(copy, key))) as made:
        if not made.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (TABLE,)).fetchone():
            return
        originals.begin()
        packed = {sha256 for (sha256,) in made.execute(f"SELECT DISTINCT sha256 FROM {TABLE}")}
        placed: list[str] = []
        try:
            for (sha256,) in made.execute(_NEEDED).fetchall():
                if sha256 in packed and not originals.is_whole(sha256):
                    originals.keep(originals.receive(_written(made, sha256, copy), sha256), sha256)
                    placed.append(sha256)
        except BaseException:
            originals.discard(placed)
            originals.end()
            raise
        made.execute(f"DROP TABLE {TABLE}")
        made.commit()
        # What becomes the live catalog is not to have as many empty pages.
        made.execute("VACUUM")


def _written(made: sqlite3.Connection, sha256: str, copy: Path) -> Callable[[BinaryIO], object]:
    def write(file: BinaryIO) -> None:
        digest = hashlib.sha256()
        for (data,) in made.execute(f"SELECT data FROM {TABLE} WHERE sha256 = ? ORDER BY part", (sha256,)):
            if not isinstance(data, bytes):
                break
            digest.update(data)
            file.write(data)
        if digest.hexdigest() != sha256:
            raise CatalogDamaged(f"an original in {copy} is damaged: {sha256}", hint="use another backup")

    return write

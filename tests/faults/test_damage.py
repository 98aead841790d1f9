"""A catalog in which bits have changed: what shows is said, in our words, and no answer is made of it."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mmsearch.catalog import health
from mmsearch.catalog.blobs import MEND
from mmsearch.catalog.stores import FileStore
from mmsearch.errors import CatalogDamaged
from tests.faults.world import FIRST, lay, open_library

Harm = Callable[[sqlite3.Connection], object]


def longer(db: sqlite3.Connection) -> None:
    """The highest bit of an exponent."""
    (segment, vector) = db.execute("SELECT segment_id, vector FROM embeddings LIMIT 1").fetchone()
    numbers = np.frombuffer(vector, "<f4").copy()
    numbers[np.argmax(np.abs(numbers))] *= 2
    db.execute("UPDATE embeddings SET vector = ? WHERE segment_id = ?", (numbers.tobytes(), segment))


HARMS: dict[str, Harm] = {
    "a vector's number": longer,
    "a vector's length": lambda db: db.execute("UPDATE embeddings SET vector = substr(vector, 1, 20)"),
    "no text": lambda db: db.execute("UPDATE contents SET metadata = CAST(X'7bff7d' AS TEXT)"),
    "no JSON": lambda db: db.execute("UPDATE contents SET metadata = '{\"a\": '"),
}


@pytest.mark.slow
@pytest.mark.parametrize("harm", HARMS)
def test_a_value_that_is_never_written_is_reported_as_damage(tmp_path: Path, harm: str) -> None:
    root, home = tmp_path / "media", tmp_path / "library"
    lay(root, FIRST)
    with closing(open_library(home)) as library:
        library.ingest(root)
    with closing(sqlite3.connect(home / "catalog.sqlite")) as db:
        HARMS[harm](db)
        db.commit()
    for path in [path for path in (home / "indexes").rglob("*") if path.is_file()]:
        os.unlink(path)
    with closing(open_library(home)) as library, pytest.raises(CatalogDamaged) as raised:
        library.search("red", 100, mode="vector")
    assert raised.value.hint == MEND


@pytest.mark.slow
@pytest.mark.parametrize("where", range(1, 6))
def test_a_broken_page_is_reported_as_damage(tmp_path: Path, where: int) -> None:
    """Bytes that SQLite can't take for its own."""
    root, home = tmp_path / "media", tmp_path / "library"
    lay(root, FIRST)
    with closing(open_library(home)) as library:
        library.ingest(root)
    file = home / "catalog.sqlite"
    data = bytearray(file.read_bytes())
    data[where * 4096 : where * 4096 + 64] = b"\xff" * 64
    file.write_bytes(data)
    found = health.whole(FileStore(home))
    assert (found.state, found.remedy) in {("error", "use another backup"), ("error", MEND)}

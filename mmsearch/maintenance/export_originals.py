"""Originals in an exported folder: the bytes that items with `kept` hold.

originals/ab/ab12...    a file named by its sha256
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmsearch.catalog import Catalog
from mmsearch.catalog.originals import FOLDER_NAME, Originals, copied, part_of
from mmsearch.core.atomic import told


def name_of(sha256: str) -> str:
    """The name of an original's file in an exported folder, by slashes."""
    return f"{FOLDER_NAME}/{part_of(sha256)}"


def write_original(originals: Originals, item: Mapping[str, Any], folder: Path) -> bool:
    """Copy the bytes that an item holds, if they are kept and whole. Returns whether they are in the folder."""
    if not item["kept"]:
        return False
    target = folder / name_of(item["sha256"])
    if target.exists():
        return True
    if not originals.is_whole(item["sha256"]):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    with originals.path(item["sha256"]).open("rb") as source, target.open("wb") as file:
        copied(source)(file)
    return True


@contextmanager
def taking(catalog: Catalog, folder: Path, hashes: Sequence[str]) -> Iterator[None]:
    """Bring originals of an exported folder to their places, before the commit inside that needs them."""
    if not hashes:
        yield
        return
    originals = catalog.originals
    originals.begin()
    for sha256 in dict.fromkeys(hashes):
        source = folder / name_of(sha256)
        with told(source), source.open("rb") as file:
            originals.keep(originals.receive(copied(file), sha256), sha256)
    yield
    originals.end()

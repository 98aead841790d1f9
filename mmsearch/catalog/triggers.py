"""Triggers and views: those that migrations made, and no others, since SQLite runs them for whoever opens a catalog."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmsearch.errors import CatalogDamaged

DIGESTS = {
    **dict.fromkeys(
        ("0001", "0002", "0003", "0004", "0005", "0006"),
        "2c8f8bd2e90676c3529f3cacd48ad59ec6113284b337780fe9b21a2bac3afe3a",
    ),
    **dict.fromkeys(("0007", "0008", "0009"), "7c554670409f9e15b4f866a2f812eea115ec26fd6d6620710ad0bef1d47ea5a0"),
    "0010": "210ebf48de581d4946601d15b0065b8fdd471dcf3453a0a6dd82a20e9eb3ac19",
}
"""Revision -> `digest` of what its migrations made; a test compares."""

QUERY = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE type IN ('trigger', 'view')"
"""What `digest` takes."""


def digest(rows: Iterable[Any]) -> str:
    """A sha256 of triggers and views, whatever their order."""
    return hashlib.sha256(repr(sorted(tuple(map(str, row)) for row in rows)).encode()).hexdigest()


def check_triggers(rows: Iterable[Any], revision: str | None, path: Path) -> None:
    """A catalog's triggers and views must be those that its revision's migrations made; without a schema, none.

    Raises: CatalogDamaged. A revision that this release doesn't know is left to `schema.check`.
    """
    made = digest(()) if revision is None else DIGESTS.get(revision)
    if made is not None and digest(rows) != made:
        raise CatalogDamaged(
            f"the catalog {path} has triggers or views that no release of mmsearch made",
            hint="don't use it if a stranger gave it to you; restore a backup of your own, or ingest again",
        )

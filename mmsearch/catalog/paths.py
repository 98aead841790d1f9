"""Paths as the catalog keeps them: bytes, in byte order, so that what lies below a folder is one interval."""

import os
from typing import TypeVar

from sqlalchemy import ColumnElement, and_, or_
from sqlalchemy.orm import InstrumentedAttribute

from mmsearch.catalog import blobs
from mmsearch.catalog.records import GroupFile, KnownFailure, KnownItem, ResolvedSegment
from mmsearch.core.media_paths import is_media_path
from mmsearch.errors import CatalogDamaged

Placed = TypeVar("Placed", KnownItem, ResolvedSegment, KnownFailure, GroupFile)

SEPARATOR = os.fsencode(os.sep)


def separator_of(path: bytes) -> bytes:
    """What stands between the parts of a path: media handed over in memory have the same on every platform."""
    return b"/" if is_media_path(path) else SEPARATOR


def path_range(root: bytes, after: bytes | None = None) -> dict[str, bytes]:
    """The open interval of paths, "after" and "stop", that lie below `root`, or of those of them beyond `after`."""
    separator = separator_of(root)
    prefix = root if root.endswith(separator) else root + separator
    return {"after": prefix if after is None else max(after, prefix), "stop": prefix[:-1] + bytes([prefix[-1] + 1])}


def at_or_below(column: InstrumentedAttribute[bytes], root: bytes) -> ColumnElement[bool]:
    """Whether a path is `root` or lies below it."""
    bounds = path_range(root)
    return or_(column == root, and_(column > bounds["after"], column < bounds["stop"]))


def checked_paths(rows: list[Placed]) -> list[Placed]:
    """The rows, each with a path of bytes. Raises: CatalogDamaged: SQLite keeps any type in any column."""
    if all(type(row.path) is bytes for row in rows):
        return rows
    raise CatalogDamaged("the catalog holds a path that mmsearch never writes", hint=blobs.MEND)


def display_path(path: bytes) -> str:
    """The path as text for people; bytes that are no text become the replacement character."""
    return os.fsdecode(path).encode("utf-8", "replace").decode("utf-8")

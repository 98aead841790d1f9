"""All SQL: the catalog is the library's truth, everything else can be rebuilt from it."""

from sqlalchemy import Connection as Snapshot

from mmsearch.catalog.records import (
    Batch,
    Change,
    Counts,
    Found,
    KnownFailure,
    KnownItem,
    Lacking,
    ListKey,
    Member,
    NewContent,
    NewFailure,
    NewRefusal,
    NewTag,
    Owned,
    Placement,
    RunRecord,
    Shown,
    SpaceRecord,
)
from mmsearch.catalog.store import FILE_NAME, Catalog

__all__ = [
    "FILE_NAME",
    "Batch",
    "Catalog",
    "Change",
    "Counts",
    "Found",
    "KnownFailure",
    "KnownItem",
    "Lacking",
    "ListKey",
    "Member",
    "NewContent",
    "NewFailure",
    "NewRefusal",
    "NewTag",
    "Owned",
    "Placement",
    "RunRecord",
    "Shown",
    "Snapshot",
    "SpaceRecord",
]

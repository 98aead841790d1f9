"""All SQL: the catalog is the library's truth, everything else can be rebuilt from it."""

from sqlalchemy import Connection as Snapshot

from mmsearch.catalog.connections import FILE_NAME
from mmsearch.catalog.records import (
    Batch,
    Change,
    Counts,
    GroupFile,
    GroupSegment,
    HitDetails,
    KnownFailure,
    KnownItem,
    ListKey,
    MissingEmbeddings,
    NewContent,
    NewFailure,
    NewTag,
    NewUnsupported,
    Placement,
    ResolvedSegment,
    RunRecord,
    SpaceRecord,
)
from mmsearch.catalog.store import Catalog

__all__ = [
    "FILE_NAME",
    "Batch",
    "Catalog",
    "Change",
    "Counts",
    "GroupFile",
    "GroupSegment",
    "HitDetails",
    "KnownFailure",
    "KnownItem",
    "ListKey",
    "MissingEmbeddings",
    "NewContent",
    "NewFailure",
    "NewTag",
    "NewUnsupported",
    "Placement",
    "ResolvedSegment",
    "RunRecord",
    "Snapshot",
    "SpaceRecord",
]

"""Scanned documents, which an ingest refuses since it finds no text in them: what their pages say takes them in."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mmsearch.catalog import Batch, Catalog, KnownFailure, NewContent, NewFailure, Placement, SpaceRecord
from mmsearch.catalog.extractions import ExtractionScope, NewExtraction, store_extractions
from mmsearch.catalog.failures import failures_to_retry
from mmsearch.catalog.paths import path_range
from mmsearch.errors import MediaError, Unsupported
from mmsearch.extract.cuts import cut_lines
from mmsearch.extract.process import Extracted, ExtractionJob
from mmsearch.ingest.plan import content_hash
from mmsearch.types import SourceFile, TextLine

WITHOUT_TEXT = "no text in it"
"""The reason of a decoder for a document of pictures."""

NOT_READ = "no text in it, nor in the pictures of its pages"

SUFFIX = b".pdf"


def scanned_documents(catalog: Catalog, wanted: ExtractionScope) -> list[KnownFailure]:
    """Files of the failure ledger that may be scans, by path, as they were when an ingest refused them."""
    if "text" not in wanted.extractor.modalities or wanted.extractor.source != "written":
        return []
    reasons = {WITHOUT_TEXT, NOT_READ} if wanted.retry else {WITHOUT_TEXT}
    return [
        one
        for one in catalog.read(failures_to_retry, Unsupported.failure)
        if one.reason in reasons and one.path.lower().endswith(SUFFIX) and _is_within(one.path, wanted.within)
    ]


def _is_within(path: bytes, place: bytes | None) -> bool:
    if place is None or path == place:
        return True
    bounds = path_range(place)
    return bounds["after"] < path < bounds["stop"]


def jobs_of(documents: Sequence[KnownFailure]) -> Iterator[ExtractionJob]:
    """A job for each, keyed by its place among them."""
    for place, one in enumerate(documents):
        yield ExtractionJob(place, Path(os.fsdecode(one.path)), one.size, one.mtime_ns)


def take_scanned(
    catalog: Catalog, wanted: ExtractionScope, record: SpaceRecord, document: KnownFailure, found: Extracted
) -> tuple[TextLine, ...]:
    """Take a document in by the lines of its pages, or note that there are none. Returns its lines.

    The caller holds the writer's lock. A file that changed meanwhile is left to the next ingest.
    """
    place = (document.path, document.root, document.size, document.mtime_ns)
    batch = Batch()
    if found.failure is not None or not cut_lines(found.lines, wanted.extractor.source):
        if found.failure != "transient":
            batch.failures.append(NewFailure(*place, document.failure, NOT_READ))
            catalog.commit(batch, record.id)
        return ()
    try:
        sha256 = content_hash(SourceFile(document.path, document.size, document.mtime_ns))
    except MediaError:
        return ()
    nothing = np.empty((0, record.dim), np.float32)
    batch.contents.append(NewContent(sha256, "text", {"scanned": True}, (), (), nothing))
    batch.placements.append(Placement(document.path, document.root, sha256, document.size, document.mtime_ns))
    catalog.commit(batch, record.id)
    catalog.write(store_extractions, wanted.extractor, [NewExtraction(sha256, "done", found.lines)], catalog.version)
    return found.lines

"""Embedding what the library has into another space: the same decoding and encoding, other places to write to."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from mmsearch.catalog import Batch, Catalog, MissingEmbeddings, NewUnsupported, SpaceRecord
from mmsearch.catalog.batches import RECUT
from mmsearch.catalog.embeddings import count_missing_embeddings, missing_embeddings
from mmsearch.errors import NotEmbedded, Transient, Unreadable
from mmsearch.ingest.plan import FileStep
from mmsearch.ingest.present import LEFT_OUT, present_file
from mmsearch.ingest.report import IngestReport
from mmsearch.ingest.run import DeriveVectors, Ingest, IngestOptions
from mmsearch.media.pool import DecodePool
from mmsearch.types import Space

PAGE = 2000
"""Contents looked up at once: no read transaction stays open for the length of a job."""

_MAY_PASS = frozenset({Transient.failure, Unreadable.failure})
"""What says nothing about a content: it stays missing."""


@dataclass(frozen=True, slots=True)
class BackfillProblem:
    """A file whose content got no vectors."""

    path: Path
    failure: str
    """Its class: a key of `errors.FAILURES`, "missing", "changed" or "not-kept"."""
    reason: str


class Backfill(Ingest):
    """A run over all contents without vectors in `record`, by any of their files that is as it was taken in.

    Every batch is committed by itself, and nothing else in the catalog changes: no lock is needed, and what was
    committed is not done again.
    """

    def __init__(
        self,
        catalog: Catalog,
        space: Space,
        record: SpaceRecord,
        pool: DecodePool,
        options: IngestOptions,
        derive: DeriveVectors,
    ) -> None:
        super().__init__(catalog, space, record, pool, options, derive)
        self.problems: list[BackfillProblem] = []
        self._unsupported: list[NewUnsupported] = []

    def complete(self) -> IngestReport:
        """Give them their vectors. What is left afterwards is in `problems`, or was ingested meanwhile."""
        self._progress.total(self._catalog.read(count_missing_embeddings, self._record))
        self._work(self._steps(), self._planner())
        return self.report

    def _steps(self) -> Iterator[FileStep]:
        for missing in every_missing(self._catalog, self._record):
            found = present_file(missing, self._catalog.originals)
            if isinstance(found, str):
                self._skip(Path(os.fsdecode(missing.files[0][0])), found)
            else:
                path, size, mtime_ns, source = found
                yield FileStep("decode", path, b"", size, mtime_ns, missing.sha256, "completed", source=source)

    def _place(self, step: FileStep) -> None:
        self.report.completed += 1
        self._batched += 1

    def _fail(self, step: FileStep, failure: str, reason: str) -> None:
        if failure not in _MAY_PASS:
            self._unsupported.append(NewUnsupported(step.sha256, failure, reason))
            self._batched += 1
        if failure == NotEmbedded.failure:
            self.report.not_embedded += 1
        else:
            self.report.failed[failure] += 1
            self.problems.append(BackfillProblem(Path(os.fsdecode(step.path)), failure, reason))

    def _commit(self) -> None:
        if self._batch or self._unsupported:
            with self.report.timed("commit"):
                recut = self._catalog.backfill(self._record, self._batch.contents, self._unsupported)
            if recut:
                self.report.completed -= recut
                self.report.failed[RECUT[0]] += recut
            self._batch, self._unsupported, self._batched = Batch(), [], 0
        self._committed_at = monotonic()

    def _skip(self, path: Path, kind: str) -> None:
        self.report.skipped[kind] += 1
        self.problems.append(BackfillProblem(path, kind, LEFT_OUT[kind]))


def every_missing(catalog: Catalog, space: SpaceRecord) -> Iterator[MissingEmbeddings]:
    """All contents without vectors in a space, by id."""
    after = -1
    while True:
        page = catalog.read(missing_embeddings, space, after, PAGE)
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].content_id

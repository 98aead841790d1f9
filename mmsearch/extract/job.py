"""A run of one extractor over a library: lines of every content that lacks them, then segments for every space.

Each group of files is a transaction of its own and none of it needs the writer's lock: searches and an ingest go on
beside it, and a run that was killed goes on where it was.
"""

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import numpy as np

from mmsearch.catalog import Catalog, MissingEmbeddings, SpaceRecord
from mmsearch.catalog.extraction_cuts import NewCut, store_cuts, uncut_extractions
from mmsearch.catalog.extractions import (
    ExtractionScope,
    NewExtraction,
    has_subtitles,
    pending_amounts,
    pending_contents,
    store_extractions,
)
from mmsearch.catalog.spaces import all_spaces
from mmsearch.errors import LibraryLocked
from mmsearch.extract.cuts import CUT, cut_lines
from mmsearch.extract.process import Extracted, ExtractionJob, ExtractionPool
from mmsearch.extract.scanned import jobs_of, scanned_documents, take_scanned
from mmsearch.ingest.present import LEFT_OUT, present_file
from mmsearch.types import Modality, OnProgress, Progress, Segment, Space, Span, Vectors

PAGE = 200
"""Contents looked up at once: no read transaction stays open for the length of a job."""

COMMIT_FILES, COMMIT_S = 64, 5.0
"""Files, or seconds, after which what was extracted is committed and can be found."""

CUT_AT_ONCE = 64
"""Contents whose segments are embedded together."""

SUBTITLES = "it has subtitles"
"""Why a film is not listened to."""

_PASSES = frozenset(("transient", "unreadable"))
"""Failure classes that say nothing about a content: it is looked at again."""

WriterLock = Callable[[], AbstractContextManager[None]]

DeriveVectors = Callable[[Vectors, Sequence[Modality]], Mapping[int, Vectors]]
"""From base vectors and their segments' modalities: space id -> what projections make of them."""


@dataclass(frozen=True, slots=True)
class ExtractionProblem:
    """A file that no lines came of."""

    path: Path
    failure: str
    """Its class: a key of `errors.FAILURES`, "missing", "changed" or "not-kept"."""
    reason: str


@dataclass(slots=True)
class ExtractionTally:
    """What a run did so far."""

    files: int = 0
    """Distinct contents that were looked at."""
    with_lines: int = 0
    lines: int = 0
    segments: int = 0
    """That were embedded, for all spaces together."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Why -> contents that needed no model, or could not be read now."""
    problems: list[ExtractionProblem] = field(default_factory=list)


class Extraction:
    """One run. `spaces` makes a space of its record; `derive` what a projection makes of base vectors."""

    def __init__(
        self,
        catalog: Catalog,
        wanted: ExtractionScope,
        spaces: Callable[[SpaceRecord], Space],
        derive: Callable[[SpaceRecord], DeriveVectors],
        on_progress: OnProgress | None,
        cancel: threading.Event,
    ) -> None:
        self._catalog, self._wanted, self._extractor = catalog, wanted, wanted.extractor
        self._spaces, self._derive = spaces, derive
        self._on_progress, self._cancel = on_progress, cancel
        self._total = 0
        self._made: list[NewExtraction] = []
        self._committed_at = monotonic()
        self._jobs: dict[int, MissingEmbeddings] = {}
        self.tally = ExtractionTally()

    def read_scanned(self, workers: ExtractionPool, record: SpaceRecord, writing: WriterLock) -> None:
        """Take in scanned documents that an ingest refused; where somebody else writes, another time."""
        documents = scanned_documents(self._catalog, self._wanted)
        for found in workers.run(jobs_of(documents)):
            if self._cancel.is_set():
                return
            self.tally.files += 1
            with suppress(LibraryLocked), writing():
                lines = take_scanned(self._catalog, self._wanted, record, documents[found.job.key], found)
                self.tally.with_lines += bool(lines)
                self.tally.lines += len(lines)
            self._tell(found.job.path)

    def run(self, pool: Callable[[], ExtractionPool], record: SpaceRecord, writing: WriterLock) -> ExtractionTally:
        """Extract what is missing, and cut what is not cut. The pool is made if there is something to look at.

        Args:
            record: The space that takes scanned documents in.
            writing: Holds the writer's lock, for these.
        """
        amounts = self._catalog.read(pending_amounts, self._wanted)
        self._total = sum(n for n, _ in amounts.values()) + len(scanned_documents(self._catalog, self._wanted))
        if self._total:
            with pool() as workers:
                for found in workers.run(self._to_do()):
                    self._take(found)
                    if self._cancel.is_set():
                        break
                self.read_scanned(workers, record, writing)
        self._commit()
        self._tell(None)
        return self.tally

    def _to_do(self) -> Iterator[ExtractionJob]:
        for content in self._pending():
            if self._cancel.is_set():
                return
            found = present_file(content, self._catalog.originals)
            if isinstance(found, str):
                self.tally.skipped[LEFT_OUT[found]] += 1
                path = Path(os.fsdecode(content.files[0][0]))
                self.tally.problems.append(ExtractionProblem(path, found, LEFT_OUT[found]))
            elif self._extractor.source == "said" and self._catalog.read(has_subtitles, content.content_id):
                self.tally.skipped[SUBTITLES] += 1
                self._made.append(NewExtraction(content.sha256, "skipped", reason=SUBTITLES))
            else:
                self._jobs[content.content_id] = content
                path = found.source or Path(os.fsdecode(found.path))
                yield ExtractionJob(content.content_id, path, found.size, found.mtime_ns)

    def _pending(self) -> Iterator[MissingEmbeddings]:
        after = -1
        while True:
            page = self._catalog.read(pending_contents, self._wanted, after, PAGE)
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].content_id

    def _take(self, found: Extracted) -> None:
        content = self._jobs.pop(found.job.key)
        self.tally.files += 1
        if found.failure is None:
            self.tally.lines += len(found.lines)
            self.tally.with_lines += bool(found.lines)
            self._made.append(NewExtraction(content.sha256, "done", found.lines))
        else:
            path = Path(os.fsdecode(content.files[0][0]))
            self.tally.problems.append(ExtractionProblem(path, found.failure, found.reason))
            if found.failure not in _PASSES:
                self._made.append(NewExtraction(content.sha256, "failed", reason=f"{found.failure}: {found.reason}"))
        self._tell(found.job.path)
        if len(self._made) >= COMMIT_FILES or monotonic() - self._committed_at > COMMIT_S:
            self._commit()

    def _commit(self) -> None:
        if self._made:
            self._catalog.write(store_extractions, self._extractor, self._made, self._catalog.version)
            self._made = []
        self.tally.segments += fill_cuts(self._catalog, self._spaces, self._derive)
        self._committed_at = monotonic()

    def _tell(self, path: Path | None) -> None:
        if self._on_progress is not None:
            done = self.tally.files + self.tally.skipped.total()
            stage = "extract" if path is not None else "done"
            total = max(self._total, done) if path is not None else done
            self._on_progress(Progress(stage, done, total, len(self.tally.problems), path))


def fill_cuts(
    catalog: Catalog, spaces: Callable[[SpaceRecord], Space], derive: Callable[[SpaceRecord], DeriveVectors]
) -> int:
    """Give every space that knows words the segments of the lines that are there. Returns how many were embedded."""
    embedded = 0
    for record in [one for one in catalog.read(all_spaces) if one.base is None]:
        after = (-1, "")
        while found := catalog.read(uncut_extractions, record, CUT, after, CUT_AT_ONCE):
            space = spaces(record)
            if "text" not in space.encoders:
                break
            spans = [cut_lines(one.lines, one.source) for one in found]
            vectors = embed_spans(space, [span for those in spans for span in those])
            cuts, first, derived = [], 0, derive(record)
            for one, those in zip(found, spans, strict=True):
                rows = vectors[first : first + len(those)]
                first += len(those)
                made = derived(rows, ["text"] * len(those)) if those else {}
                cuts.append(NewCut(one.content_id, one.source, those, rows, made))
            catalog.write(store_cuts, record, cuts, CUT)
            embedded += len(vectors)
            after = (found[-1].content_id, found[-1].source)
    return embedded


def embed_spans(space: Space, spans: Sequence[Span]) -> Vectors:
    """float32 (len(spans), dim), of their words."""
    encoder = space.encoders["text"]
    prepared = [encoder.prepare(Segment("text", span.text or "", span)) for span in spans]
    size = encoder.spec.batch_size
    rows = [encoder.encode(prepared[at : at + size]) for at in range(0, len(prepared), size)]
    return np.concatenate(rows) if rows else np.empty((0, space.dim), np.float32)

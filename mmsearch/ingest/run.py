"""One ingest from the first scanned file to the last published index."""

import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any, TypeAlias

from mmsearch.catalog import Batch, Catalog, KnownFailure, NewContent, NewFailure, Placement, SpaceRecord
from mmsearch.catalog.items import items_under
from mmsearch.catalog.roots import kept_excludes
from mmsearch.core.config import Settings
from mmsearch.core.manners import IdleWait
from mmsearch.core.media_paths import is_media_path
from mmsearch.core.paths import is_away
from mmsearch.errors import InvalidInput, NotEmbedded
from mmsearch.ingest.ahead import StepsAhead
from mmsearch.ingest.embedding import Embedder, FileWork
from mmsearch.ingest.plan import FileStep, Planner
from mmsearch.ingest.report import IngestReport
from mmsearch.ingest.scan import LEADS_OUT, Scan, leads_out, size_of
from mmsearch.media.events import DecodeJob, FileDone, FileFailed, FileSkipped, PreparedSegment
from mmsearch.media.pool import DecodePool
from mmsearch.media.sniff import named_modality
from mmsearch.types import Modality, OnProgress, Progress, SourceFile, Space, Vectors

NOT_KEPT = "the original was not kept"
"""Why a medium that was handed over in memory is not tried again."""

NOT_WANTED = ("", "")
"""In the place of (class, reason): the file is of a modality that was not asked for."""

DeriveVectors: TypeAlias = Callable[[Vectors, Sequence[Modality]], Mapping[int, Vectors]]
"""From a file's vectors, float32 (segments, dim), and the segments' modalities: space id -> other vectors of them."""


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """What a run takes in, and how it reports."""

    exclude: tuple[str, ...] = ()
    """Globs as .gitignore means them, from each root."""
    hidden: bool = False
    follow_links: bool = False
    """Whether to take what links below a root lead to outside of it."""
    within: tuple[Path, ...] = ()
    """Parts of the roots, if not all of them is to be gone through."""
    modalities: frozenset[Modality] | None = None
    """Item modalities to take in."""
    retry: Callable[[KnownFailure], bool] = lambda failure: False
    """Which files of the failure ledger to try again although nothing changed."""
    on_progress: OnProgress | None = None
    when_idle: bool = False
    """Whether to work only while other programs leave the machine idle."""
    cancel: threading.Event = field(default_factory=threading.Event)
    """Set it to stop after the files in hand; what was committed stays."""
    batch_size: int = 0
    commit_segments: int = 512
    commit_s: float = 5.0
    max_bytes: int = 2**60
    regions: int = 0
    """Of a photo, at most."""
    named: bool = True
    """Whether words of names are kept."""

    def parts_of(self, root: Path) -> list[Path | None]:
        """What of a root is gone through; None stands for all of it."""
        whole = not self.within or root in self.within
        return [None] if whole else [one for one in self.within if one.is_relative_to(root)]

    @classmethod
    def of(cls, settings: Settings, **given: Any) -> "IngestOptions":
        """What the settings say, for every run alike; `given` are the fields that are a caller's own."""
        return cls(
            batch_size=settings.batch_size,
            commit_segments=settings.commit_segments,
            commit_s=settings.commit_s,
            max_bytes=settings.file_bytes,
            regions=settings.regions,
            named=settings.keep_names,
            **given,
        )


class Ingest:
    """A run over some roots. `pool` and `space` must be of the same space; `record` is the catalog's row of it.

    `derive` gives the vectors of spaces that projections make out of this one.
    """

    def __init__(
        self,
        catalog: Catalog,
        space: Space,
        record: SpaceRecord,
        pool: DecodePool,
        options: IngestOptions,
        derive: DeriveVectors = lambda vectors, modalities: {},
    ) -> None:
        self._catalog = catalog
        self._space = space
        self._record = record
        self._pool = pool
        self._options = options
        self._derive = derive
        self.report = IngestReport()
        self.scanned: list[bytes] = []
        """Roots that were gone through to the end."""
        self._progress = _Meter(options.on_progress, self.report)
        self._idle = IdleWait(options.cancel) if options.when_idle else None
        self._embedder = Embedder(space, options.batch_size, self.report, self._progress.loading, options.regions)
        self._batch = Batch()
        self._batched = 0
        """Segments and changes of paths in the batch."""
        self._committed_at = monotonic()
        self._in_flight: dict[str, list[FileStep]] = {}
        """Hash being decoded -> other files of this run with the same content."""
        self._given_up: dict[str, tuple[str, str]] = {}
        """Hash that failed in this run -> (class, reason)."""
        self._gone: set[int] = set()
        self._missing: list[tuple[int, bytes]] = []
        self._works: dict[int, FileWork] = {}
        self._keys = count(1)

    def run(self, roots: Sequence[Path]) -> IngestReport:
        """Take in everything below the roots. Raises: InvalidInput for a root that never existed."""
        planner = self._planner()
        scans = _scans(roots, self._options, self._catalog)
        self._progress.expect(roots)
        self._work(_scanned(scans, planner, self.report), planner)
        _account(scans, planner, self.report)
        if not self.report.interrupted:
            self.scanned = [os.fsencode(r) for r in roots if None in self._options.parts_of(r) and not is_away(r)]
        return self.report

    def again(self, failures: Sequence[KnownFailure]) -> IngestReport:
        """Try these files of the failure ledger once more."""
        planner = self._planner()
        self._progress.total(len(failures))
        kept = self._catalog.read(kept_excludes)
        self._work(_listed(failures, planner, self._options, kept), planner)
        return self.report

    def publishing(self) -> None:
        """Say that all files are done, and that what searches need is being written."""
        self._progress.publishing()

    def done(self) -> None:
        """Say that everything is done, and how much it was."""
        self._progress.done()

    def _planner(self) -> Planner:
        options = self._options
        version = self._catalog.version
        return Planner(self._catalog, self._record.id, version, self.report, options.retry, options.max_bytes)

    def _work(self, steps: Iterator[FileStep], planner: Planner) -> None:
        self._carry(StepsAhead(steps, self._options.cancel), planner)

    def _carry(self, ahead: StepsAhead | Generator[FileStep, None, None], planner: Planner) -> None:
        start = perf_counter()
        events = self._pool.run(self._jobs(ahead))
        try:
            for event in events:
                self._yield()
                self._take(event)
                self._settle()
                if self._options.cancel.is_set():
                    break
            if not self._options.cancel.is_set():
                self._embedder.flush()
            self._settle()
            self._batch.missing.extend(self._missing)
            self._commit()
        finally:
            # Closing the generator stops workers that are in the middle of a file.
            events.close()
            ahead.close()
            self.report.missing = len(self._gone - planner.claimed)
            self.report.interrupted = self._options.cancel.is_set()
            self.report.wall_s += perf_counter() - start

    def _yield(self) -> None:
        if self._idle is not None:
            self._idle.wait(self._progress.waiting)

    def _jobs(self, steps: Iterable[FileStep]) -> Iterator[DecodeJob]:
        """Carry out what needs no decoding; hand the rest to the pool."""
        for step in steps:
            self._yield()
            self._progress.at(step.path)
            if step.action == "decode":
                work = self._embedder.begin(step)
                if step.sha256:
                    self._in_flight[step.sha256] = []
                self._works[key := next(self._keys)] = work
                path = step.source or Path(os.fsdecode(step.path))
                yield DecodeJob(path, key, step.size, step.mtime_ns, self._options.modalities)
            else:
                self._carry_out(step)
                # Of a folder that was moved or copied nothing may need decoding: no event comes of it.
                self._settle()
        followers = sum(map(len, self._in_flight.values()))
        self._progress.total(self.report.files + self._embedder.files + followers)

    def _carry_out(self, step: FileStep) -> None:
        if step.action == "missing" and step.known:
            # Marked last: a file that was moved is met at its new path later, and is never out of sight.
            self._missing.append((step.known.id, step.path))
            self._gone.add(step.known.id)
        elif step.action == "fail" and step.error:
            self._fail(step, step.error.failure, step.error.message)
        elif step.action == "place":
            self._place(step)
        elif step.sha256 in self._in_flight:
            self._in_flight[step.sha256].append(step)
        elif step.sha256 in self._given_up:
            self._drop(step, self._given_up[step.sha256])
        else:
            self._place(step)

    def _take(self, event: PreparedSegment | FileDone | FileFailed | FileSkipped) -> None:
        work = self._works[event.job.key]
        seconds = self.report.seconds
        if isinstance(event, PreparedSegment):
            self._embedder.add(work, event.modality, event.span, event.array)
            return
        del self._works[event.job.key]
        if isinstance(event, FileSkipped):
            self._embedder.fail(work, *NOT_WANTED)
            return
        seconds["decode"] += event.decode_s
        seconds["prepare"] += event.prepare_s
        if isinstance(event, FileFailed):
            self._embedder.fail(work, event.failure, event.reason)
        else:
            self._embedder.end(work, event.modality, event.metadata, event.evidence)

    def _settle(self) -> None:
        """Move completed files to the batch; commit when it is large or old enough."""
        waited = monotonic() - self._committed_at > self._options.commit_s
        if self._embedder.stuck and (waited or self._embedder.pending >= 2 * self._options.commit_segments):
            # A lone text among pictures would hold up everything behind it until its batch is full.
            self._embedder.flush()
        for work in self._embedder.completed():
            self._finish(work)
        if waited or self._batched >= self._options.commit_segments:
            self._commit()

    def _finish(self, work: FileWork) -> None:
        step = work.step
        followers = self._in_flight.pop(step.sha256, [])
        self._hand_over(work, step, followers)
        self._progress.at(step.path)

    def _hand_over(self, work: FileWork, step: FileStep, followers: Sequence[FileStep]) -> None:
        """What came of a file goes into the batch, for it and for others with the same content."""
        if work.failure is not None:
            self._given_up[step.sha256] = work.failure
            for each in (step, *followers):
                self._drop(each, work.failure)
            return
        vectors = work.matrix(self._space.dim)
        derived = self._derive(vectors, work.modalities)
        content = NewContent(
            step.sha256, work.modality, work.metadata, work.modalities, work.spans, vectors, derived,
            evidence=work.evidence,
        )  # fmt: skip
        self._batch.contents.append(content)
        self._batched += len(work.spans)
        self.report.segments += len(work.spans)
        for each in (step, *followers):
            self._place(each)

    def _place(self, step: FileStep) -> None:
        place = Placement(
            step.path, step.root, step.sha256, step.size, step.mtime_ns, step.moved, step.kept, self._options.named,
        )  # fmt: skip
        self._batch.placements.append(place)
        self._batch.given_tags.extend((step.sha256, tag) for tag in step.tags)
        setattr(self.report, step.kind, getattr(self.report, step.kind) + 1)
        self._batched += 1

    def _drop(self, step: FileStep, failure: tuple[str, str]) -> None:
        if failure == NOT_WANTED:
            self.report.other_modality += 1
        else:
            self._fail(step, *failure)

    def _fail(self, step: FileStep, failure: str, reason: str) -> None:
        self._batch.failures.append(NewFailure(step.path, step.root, step.size, step.mtime_ns, failure, reason))
        if failure == NotEmbedded.failure:
            self.report.not_embedded += 1
        else:
            self.report.failed[failure] += 1
        self._batched += 1

    def _commit(self) -> None:
        if self._batch:
            with self.report.timed("commit"):
                self._catalog.commit(self._batch, self._record.id)
            self._batch, self._batched = Batch(), 0
        self._committed_at = monotonic()


def plan_only(planner: Planner, roots: Sequence[Path], options: IngestOptions, catalog: Catalog | None) -> IngestReport:
    """A dry run: what an ingest would find, without decoding or writing. New files are all taken for good ones, of the
    kind that their names say.

    Args:
        catalog: That of the library, if there is one; the planner has none as long as it has no space.
    """
    scans = _scans(roots, options, catalog)
    start = perf_counter()
    gone: set[int] = set()
    report = planner.report
    for step in _scanned(scans, planner, report):
        if step.action == "missing" and step.known:
            gone.add(step.known.id)
        elif step.action == "fail" and step.error:
            report.failed[step.error.failure] += 1
        elif options.modalities and named_modality(step.path) not in {None, *options.modalities}:
            report.other_modality += 1
        else:
            setattr(report, step.kind, getattr(report, step.kind) + 1)
    _account(scans, planner, report)
    report.missing, report.dry_run = len(gone - planner.claimed), True
    report.wall_s = perf_counter() - start
    return report


def _scans(roots: Sequence[Path], options: IngestOptions, catalog: Catalog | None) -> list[Scan]:
    kept = catalog.read(kept_excludes) if catalog is not None else {}
    chosen = (options.exclude, options.hidden, options.follow_links, kept)
    return [Scan(root, *chosen, within=part) for root in roots for part in options.parts_of(root)]


def _account(scans: Sequence[Scan], planner: Planner, report: IngestReport) -> None:
    """What the scans skipped, and what of it a user should hear."""
    for scan in scans:
        report.skipped.update(scan.skipped)
        report.warnings.extend(f"can't read the folder {folder}" for folder in scan.blocked)
    unmatched = set.intersection(*(scan.unmatched() for scan in scans)) if scans else set()
    if not report.interrupted:
        report.warnings.extend(f"exclude {glob!r} matched nothing" for glob in sorted(unmatched))
    report.left_out = planner.kept
    if planner.kept:
        report.warnings.append(
            f"files that are left out now, but were taken in before: {planner.kept}; the library keeps them until you"
            " forget them (mmsearch prune --excluded, with the same --exclude unless it is kept)"
        )


def _scanned(scans: Sequence[Scan], planner: Planner, report: IngestReport) -> Iterator[FileStep]:
    for scan in scans:
        steps = planner.steps(scan.root, _timed(scan.files(), report), scan.blocked, scan.leaves_out, scan.within)
        first = next(steps, None)
        _check_root(scan, planner, report)
        if first is not None:
            yield first
        yield from steps


def _check_root(scan: Scan, planner: Planner, report: IngestReport) -> None:
    known = planner.catalog is not None and bool(planner.catalog.read(items_under, os.fsencode(scan.root), None, 1))
    exists = os.path.lexists(scan.root)
    if not exists and not known:
        raise InvalidInput(f"no such file or folder: {scan.root}", hint="check the spelling, or mount the disk")
    if known and is_away(scan.root):
        state = "is empty" if exists else "is not there"
        report.warnings.append(
            f"{scan.root} {state}, although files from it are known: they are kept, marked missing (unmounted disk?)"
        )


def _timed(files: Iterator[SourceFile], report: IngestReport) -> Iterator[SourceFile]:
    start = perf_counter()
    for file in files:
        report.seconds["scan"] += perf_counter() - start
        yield file
        start = perf_counter()
    report.seconds["scan"] += perf_counter() - start


def _listed(
    failures: Sequence[KnownFailure], planner: Planner, options: IngestOptions, kept: Mapping[bytes, Sequence[str]]
) -> Iterator[FileStep]:
    for failure in failures:
        if is_media_path(failure.path):
            planner.report.skipped[NOT_KEPT] += 1
            continue
        if not options.follow_links and failure.path != failure.root and leads_out(failure.path, failure.root):
            planner.report.skipped[LEADS_OUT] += 1
            continue
        path = Path(os.fsdecode(failure.path))
        scan = Scan(path, hidden=True, kept=kept)
        for file in scan.files():
            yield from planner.step(file, failure.root)
        planner.report.skipped.update(scan.skipped)


class _Meter:
    """Turns the report into progress for the caller."""

    def __init__(self, on_progress: OnProgress | None, report: IngestReport) -> None:
        self._on_progress = on_progress
        self._report = report
        self._total = 0

    def expect(self, roots: Sequence[Path]) -> None:
        if self._on_progress is None:
            return
        self._total = sum(size_of(root) for root in roots)
        self._tell("scan", None)

    def total(self, files: int) -> None:
        """How many files it will be, as far as is known now."""
        self._total = files
        self._tell("work", None)

    def loading(self) -> None:
        self._tell("load", None)

    def waiting(self) -> None:
        self._tell("wait", None)

    def publishing(self) -> None:
        self._tell("publish", None)

    def done(self) -> None:
        if not self._report.interrupted:
            self._total = self._report.files
        self._tell("done", None)

    def at(self, path: bytes) -> None:
        if self._on_progress is not None:
            self._tell("work", Path(os.fsdecode(path)))

    def _tell(self, stage: str, path: Path | None) -> None:
        if self._on_progress is not None:
            done, failed = self._report.files, self._report.failed.total()
            self._on_progress(Progress(stage, done, max(self._total, done), failed, path))

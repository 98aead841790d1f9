"""An ingest by many machines: one of them finds the files and queues them, workers anywhere take them in."""

import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from mmsearch.catalog import Batch
from mmsearch.catalog.jobs import ATTEMPTS, Claim, ClaimedFile, QueuedFile, add_jobs, claim_jobs, return_jobs
from mmsearch.core.file_times import size_and_time
from mmsearch.errors import DecoderCrashed, InvalidInput, LibraryLocked, MediaError, Transient, Unreadable
from mmsearch.ingest.plan import FileStep, Planner
from mmsearch.ingest.run import Ingest
from mmsearch.media.events import DecodeJob

QUEUED = 1000
"""Files that are queued in one transaction."""


class QueueIngest(Ingest):
    """Finds what is new, as any ingest; what has to be decoded is queued."""

    def _jobs(self, steps: Iterable[FileStep]) -> Iterator[DecodeJob]:
        waiting: list[QueuedFile] = []
        for step in steps:
            self._yield()
            self._progress.at(step.path)
            if step.action in ("decode", "await"):
                waiting.append(QueuedFile(step.path, step.root, step.size, step.mtime_ns, step.sha256, step.kind))
                self.report.queued += 1
                if len(waiting) >= QUEUED:
                    self._catalog.write(add_jobs, waiting)
                    waiting = []
            else:
                self._carry_out(step)
                self._settle()
        self._catalog.write(add_jobs, waiting)
        self._progress.total(self.report.files)
        yield from ()


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker works."""

    claim: int = 64
    """Files that it claims at once."""
    lease_s: float = 600.0
    """Seconds for which it claims them; every commit begins them anew."""
    idle_s: float = 2.0
    """Seconds between two looks at an empty queue."""
    until_empty: bool = False
    """Whether to end once nothing waits, rather than wait for more."""
    mapped: tuple[tuple[bytes, bytes], ...] = ()
    """(path of the coordinator, path here) of folders that this machine has elsewhere."""

    def local(self, path: bytes) -> bytes:
        """Where a file is on this machine. The longest folder that fits counts."""
        for there, here in sorted(self.mapped, key=lambda pair: -len(pair[0])):
            if path == there or path.startswith(there.rstrip(b"/") + b"/"):
                return here.rstrip(b"/") + path[len(there.rstrip(b"/")) :]
        return path


def mapped_folders(given: Sequence[str]) -> tuple[tuple[bytes, bytes], ...]:
    """Of texts such as /nas/photos=/mnt/photos. Raises: InvalidInput."""
    pairs = [one.partition("=") for one in given]
    for there, equal, here in pairs:
        if not equal or not there.startswith("/") or not here:
            raise InvalidInput(
                f"{there}{equal}{here} maps no folder to another", hint="such as /nas/photos=/mnt/photos"
            )
    return tuple((os.fsencode(there), os.fsencode(os.path.abspath(here))) for there, _, here in pairs)


class ClaimedIngest(Ingest):
    """Takes in what a worker has claimed; every commit gives its files up."""

    def claimed(self, files: Sequence[ClaimedFile], token: int, worker: WorkerOptions) -> None:
        """Take these in. Raises: LibraryLocked if others claimed them meanwhile; what was committed stays."""
        self._token, self._worker = token, worker
        self._ids = {one.file.path: one.id for one in files}
        planner = self._planner()
        self._carry((step for step in self._steps(files, planner)), planner)

    def _steps(self, files: Sequence[ClaimedFile], planner: Planner) -> Iterator[FileStep]:
        for one in files:
            file = one.file
            given = (file.path, file.root, file.size, file.mtime_ns, file.sha256, file.kind)
            try:
                if one.attempts > ATTEMPTS:
                    raise DecoderCrashed(f"{ATTEMPTS} workers claimed it, and ended before they had taken it in")
                source = self._checked(file)
            except MediaError as error:
                yield FileStep("fail", *given, error=error)
                continue
            known = bool(file.sha256) and planner.holders(file.sha256)[1]
            awaited = file.sha256 in planner.planned
            if file.sha256:
                planner.planned.add(file.sha256)
            yield FileStep("place" if known else "await" if awaited else "decode", *given, source=source)

    def _checked(self, file: QueuedFile) -> Path:
        """Where it is here. Raises: Unreadable, Transient."""
        local = self._worker.local(file.path)
        try:
            status = os.stat(local)
        except OSError as error:
            raise Unreadable(f"it can't be read on a worker: {error.strerror or error}") from error
        if size_and_time(status) != (file.size, file.mtime_ns):
            raise Transient("it changed since it was queued")
        return Path(os.fsdecode(local))

    def _commit(self) -> None:
        paths = [one.path for one in self._batch.placements] + [one.path for one in self._batch.failures]
        if self._batch:
            ids = tuple(sorted(self._ids[path] for path in paths))
            with self.report.timed("commit"):
                claim = Claim(self._token, ids, self._worker.lease_s)
                self._catalog.commit_claimed(self._batch, self._record.id, claim)
            self._batch, self._batched = Batch(), 0
        self._committed_at = monotonic()


def work_off(
    make: Callable[[], ClaimedIngest], worker: WorkerOptions, cancel: threading.Event, settle: Callable[[], None]
) -> Iterator[ClaimedIngest]:
    """Claim and take in until somebody cancels, or the queue is empty. Yields each claim's run as it has ended.

    Args:
        settle: Called when nothing waits after something did: what searches need is then brought up to date.
    """
    busy = False
    while not cancel.is_set():
        run, token = make(), secrets.randbits(62)
        catalog = run._catalog
        files = catalog.write_beside_others(claim_jobs, token, worker.claim, worker.lease_s)
        if not files:
            if busy:
                settle()
            busy = False
            if worker.until_empty:
                return
            cancel.wait(worker.idle_s)
            continue
        busy = True
        try:
            run.claimed(files, token, worker)
        except LibraryLocked as error:
            run.report.warnings.append(error.message)
        finally:
            catalog.write_beside_others(return_jobs, token)
        yield run
    if busy:
        settle()

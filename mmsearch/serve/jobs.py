"""Jobs: one at a time, each in a process of its own; the others wait."""

import itertools
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from mmsearch import Library
from mmsearch.core import forks
from mmsearch.core.pace import IDLE, Pace, seconds_left
from mmsearch.errors import TooManyRequests, UnknownName
from mmsearch.serve.job_process import as_opened
from mmsearch.types import Progress

_log = logging.getLogger(__name__)

JobKind: TypeAlias = Literal["ingest", "retry", "prune", "model"]
JobState: TypeAlias = Literal["queued", "running", "done", "failed", "cancelled"]

WAITING, REMEMBERED = 20, 100
"""Jobs that wait at most, and that are told of after they ended."""

STOP_S = 5.0
"""Seconds that a job may go on as the server ends: what it has committed is kept."""

_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from mmsearch.serve.job_process import main; main()"


@dataclass(slots=True)
class Job:
    """A job, as the API tells it."""

    id: int
    kind: JobKind
    state: JobState = "queued"
    stage: str | None = None
    """Of an ingest: scan, work or publish."""
    done: int = 0
    """Files."""
    total: int = 0
    failed: int = 0
    """Files that could not be read."""
    seconds_left: float | None = None
    problem: str | None = None
    """What went wrong."""
    hint: str | None = None
    """What to do about that."""
    began: datetime | None = None
    """UTC."""
    ended: datetime | None = None
    report: Mapping[str, Any] | None = None
    """What came of it."""


class Jobs:
    """Those of one server. Thread safety: all methods may be called from any thread."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._changed = threading.Condition()
        self._ids = itertools.count(1)
        self._known: dict[int, Job] = {}
        self._asked: dict[int, dict[str, Any]] = {}
        self._process: subprocess.Popen[str] | None = None
        self._running: int | None = None
        self._closed = False
        self._thread: threading.Thread | None = None
        self.version = 0
        """Grows with every change of any job."""

    def list(self) -> list[Job]:
        """All that are remembered, the newest first."""
        with self._changed:
            return [self._known[id] for id in sorted(self._known, reverse=True)]

    def begin(self, kind: JobKind, **asked: Any) -> Job:
        """Queue a job. Raises: TooManyRequests if many wait."""
        with self._changed:
            if sum(one.state == "queued" for one in self._known.values()) >= WAITING:
                raise TooManyRequests("many jobs wait already", wait_s=60)
            job = Job(next(self._ids), kind)
            self._known[job.id] = job
            self._asked[job.id] = {"kind": kind, **asked}
            ended = [one.id for one in self._known.values() if one.ended is not None]
            for old in ended[: max(0, len(ended) - REMEMBERED)]:
                del self._known[old]
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="mmsearch-jobs", daemon=True)
                self._thread.start()
            self._tell()
            return job

    def cancel(self, id: int) -> None:
        """Take a job off the queue, or let it end after the files in hand. Raises: UnknownName."""
        with self._changed:
            job = self._known.get(id)
            if job is None:
                raise UnknownName(f"there is no job {id}", hint="GET /api/v1/jobs lists them")
            if job.state == "queued":
                job.state, job.ended = "cancelled", datetime.now(UTC)
            elif job.state == "running":
                job.state = "cancelled"
                self._end_input()
            self._tell()

    def close(self) -> None:
        """End what runs, and start no more."""
        with self._changed:
            self._closed = True
            self._end_input()
            self._tell()
            process, thread = self._process, self._thread
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
            process.kill()
        if thread is not None:
            thread.join()

    def _tell(self) -> None:
        self.version += 1
        self._changed.notify_all()

    def _end_input(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and self._next() is None:
                    self._changed.wait()
                job = self._next()
                if self._closed or job is None:
                    return
                job.state, job.began = "running", datetime.now(UTC)
                self._tell()
            self._run(job)

    def _next(self) -> Job | None:
        return next((one for one in self._known.values() if one.state == "queued"), None)

    def _run(self, job: Job) -> None:
        asked = {**self._asked.pop(job.id), "library": as_opened(self._library)}
        ended: dict[str, Any] = {}
        try:
            process = self._started(asked)
            pace = Pace()
            with process:
                assert process.stdout is not None
                for line in process.stdout:
                    message = json.loads(line)
                    if "progress" in message:
                        self._progressed(job, Progress(**message["progress"]), pace)
                    else:
                        ended = message
        except (OSError, ValueError) as error:
            _log.warning("a job failed: %s", type(error).__name__)
            ended = {"error": {"message": f"the job could not be run: {error}", "hint": None}}
        self._ended(job, ended)

    def _started(self, asked: dict[str, Any]) -> "subprocess.Popen[str]":
        command = [sys.executable, "-P", "-c", _BOOT, json.dumps([one for one in sys.path if isinstance(one, str)])]
        with forks.no_fork():
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
        with self._changed:
            self._process = process
            assert process.stdin is not None
            with suppress(OSError):
                process.stdin.write(json.dumps(asked, default=str) + "\n")
                process.stdin.flush()
            if self._closed:
                self._end_input()
        return process

    def _progressed(self, job: Job, now: Progress, pace: Pace) -> None:
        speed = pace.of(now)
        left = None if now.stage in IDLE else seconds_left(now, speed)
        with self._changed:
            job.stage, job.done, job.total, job.failed = now.stage, now.files_done, now.files_total, now.failed
            job.seconds_left = None if left is None else round(left, 1)
            self._tell()

    def _ended(self, job: Job, message: Mapping[str, Any]) -> None:
        with self._changed:
            self._process = None
            job.ended, job.seconds_left = datetime.now(UTC), None
            if job.state != "cancelled":
                job.state = "done" if "done" in message else "failed"
            if job.state == "failed":
                error = message.get("error") or {"message": "the job's process ended unexpectedly", "hint": None}
                job.problem, job.hint = error["message"], error["hint"]
            job.report = message.get("done")
            if job.state == "done":
                job.done = job.total
            self._tell()

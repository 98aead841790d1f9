"""Extraction workers as their parent process sees them: some processes, each with a thread that hands it files."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmsearch.errors import DecoderCrashed, DecodeTimeout, OutOfMemory
from mmsearch.media.process import DecodeWorker, Watchdog
from mmsearch.media.protocol import ProtocolError
from mmsearch.types import Limits, TextLine

MODULE = "mmsearch.extract.worker"

AHEAD = 2
"""Files handed out beyond one for each worker."""

PATIENCE = 3
"""How many times as long as a decoder an extractor may work without a sign of life: the first file loads a model."""


@dataclass(frozen=True, slots=True)
class ExtractionJob:
    """A file to look at."""

    key: int
    path: Path
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Extracted:
    """What came of it: its lines, or the class of a failure and a reason."""

    job: ExtractionJob
    lines: tuple[TextLine, ...] = ()
    failure: str | None = None
    reason: str = ""


class ExtractionPool:
    """Worker processes of one extractor; use it in a `with` statement. One thread at a time may call `run`."""

    def __init__(self, target: str, limits: Limits, workers: int) -> None:
        """`target`: the extractor's "module:attribute"."""
        self._setup = {"extractor": target, "limits": asdict(limits)}
        self._limits, self._count = limits, workers
        self._watchdog = Watchdog()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="mmsearch-extract")
        self._own = threading.local()
        self._workers: set[DecodeWorker] = set()
        self._mutex = threading.Lock()

    @classmethod
    def maker(cls, target: str, limits: Limits, workers: int) -> Callable[[], "ExtractionPool"]:
        """What makes one, where it is needed."""
        return lambda: cls(target, limits, workers)

    def __enter__(self) -> "ExtractionPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the processes, in the middle of a file too."""
        with self._mutex:
            workers, self._workers = set(self._workers), set()
        for worker in workers:
            worker.kill()
        self._threads.shutdown(cancel_futures=True)
        for worker in workers:
            worker.stop()
        self._watchdog.close()

    def run(self, jobs: Iterable[ExtractionJob]) -> Iterator[Extracted]:
        """What came of each file, in the order of the jobs, so that what is made of them repeats.

        Raises: MmsearchError, WeightsError if the extractor can't be had.
        """
        waiting: deque[Future[Extracted]] = deque()
        for job in jobs:
            waiting.append(self._threads.submit(self._extract, job))
            if len(waiting) >= self._count + AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _extract(self, job: ExtractionJob) -> Extracted:
        worker = self._worker()
        try:
            worker.send({"path": os.fspath(job.path), "size": job.size, "mtime_ns": job.mtime_ns})
            lines: list[TextLine] = []
            while True:
                message, _ = worker.receive(PATIENCE * self._limits.decode_s)
                if message["kind"] == "line":
                    lines += [_line(message["line"])] if message["line"] is not None else []
                elif message["kind"] == "failed":
                    return Extracted(job, failure=str(message["failure"]), reason=str(message["reason"]))
                else:
                    return Extracted(job, tuple(lines))
        except ProtocolError:
            return self._broken(job, worker)

    def _broken(self, job: ExtractionJob, worker: DecodeWorker) -> Extracted:
        """A worker that is gone: the next file gets another one."""
        self._own.worker = None
        with self._mutex:
            self._workers.discard(worker)
        how = worker.end()
        if worker.timed_out:
            return Extracted(job, failure=DecodeTimeout.failure, reason="it took too long")
        kind = OutOfMemory if how == "SIGKILL" else DecoderCrashed
        return Extracted(job, failure=kind.failure, reason=f"its worker ended: {how}")

    def _worker(self) -> DecodeWorker:
        """That of this thread."""
        worker: DecodeWorker | None = getattr(self._own, "worker", None)
        if worker is None:
            worker = self._own.worker = DecodeWorker(self._setup, self._watchdog, MODULE)
            with self._mutex:
                self._workers.add(worker)
        return worker


def _line(fields: dict[str, Any]) -> TextLine:
    box = fields.pop("box")
    return TextLine(**fields, box=None if box is None else tuple(box))

"""Files in, prepared segments out: decoding in worker processes that may be killed, results in input order.

    with DecodePool("mmsearch.encoders.starter:space", windowing, limits, workers=2) as pool:
        for event in pool.run(DecodeJob(path) for path in paths):
            match event: PreparedSegment -> collect; FileDone -> keep them; FileFailed or FileSkipped -> drop them

One thread per busy worker fills the file's own queue; the caller's thread takes the events of the
first file that is not complete. What waits is bounded in bytes, so an hours-long file streams through.
"""

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from weakref import WeakSet

from mmsearch.core import forks, registry
from mmsearch.core.keeping import Keeping
from mmsearch.errors import Forked, InvalidInput, LibraryError, MmsearchError
from mmsearch.media import protocol
from mmsearch.media.events import DecodeEvent, DecodeJob, FileDone, FileFailed, FileSkipped, PreparedSegment
from mmsearch.media.process import DecodeWorker, Watchdog
from mmsearch.types import Limits, Modality, Prepared, Windowing

__all__ = ["DecodeEvent", "DecodeJob", "DecodePool", "FileDone", "FileFailed", "FileSkipped", "PreparedSegment"]

_WAITING_BYTES = 128 * 2**20
"""Memory of decoded segments that wait behind another file."""

_HEAD_BYTES = 16 * 2**20
"""Memory of segments of the file that is being read, beyond that."""


class DecodePool:
    """Decode workers for one space, kept between calls. Several threads may `run` at once.

    Args:
        space: Target string of the space, "module:attribute"; its encoders' `prepare` runs in the workers.
        workers: Processes (and threads) of one `run`, started when first needed.
        modalities: Item modalities to decode; files of others come out as `FileSkipped`.
        decoders: Target strings, asked in this order; None: all that the registry knows.
        keeping: What is kept of what files tell; all by default.
    """

    def __init__(
        self,
        space: str,
        windowing: Windowing,
        limits: Limits,
        workers: int = 1,
        modalities: frozenset[Modality] | None = None,
        *,
        decoders: Sequence[str] | None = None,
        keeping: Keeping | None = None,
    ) -> None:
        if workers < 1:
            raise InvalidInput(f"a decode pool needs at least 1 worker, not {workers}")
        self.limits = limits
        self.workers = workers
        self.modalities = modalities
        targets = list(decoders) if decoders is not None else list(registry.known_targets("decoders").values())
        self._setup: protocol.Message = {
            "space": space,
            "windowing": asdict(windowing),
            "limits": asdict(limits),
            "decoders": targets,
            "keeping": asdict(keeping or Keeping()),
        }
        self._closed = False
        self.forked()
        forks.reset_in_child(self)

    def forked(self) -> None:
        """Begin without workers."""
        self._watchdog = Watchdog()
        self._lock = threading.Lock()
        self._idle: list[DecodeWorker] = []
        self._queues: WeakSet[_Queue] = WeakSet()

    def run(self, jobs: Iterable[DecodeJob]) -> Generator[DecodeEvent, None, None]:
        """Decode files: of each, in input order, `PreparedSegment`s, then `FileDone`, `FileFailed` or `FileSkipped`.

        `jobs` is consumed lazily in the caller's thread, a bounded number of files ahead. Closing the iterator early
        kills what is half done. Raises: MmsearchError if the workers can't start (a wrong space, say).
        """
        queue = _Queue(self)
        self._queues.add(queue)
        ahead: deque[_File] = deque()
        source = iter(jobs)
        try:
            while True:
                while len(ahead) < 32 + 8 * self.workers and (job := next(source, None)) is not None:
                    ahead.append(queue.submit(job))
                if not ahead:
                    return
                yield from queue.drain(ahead[0])
                ahead.popleft()
        finally:
            queue.close()

    def close(self) -> None:
        """End the workers, and every `run`, with an error of the one who is at it; the pool can't be used any more."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            queues = list(self._queues)
        for queue in queues:
            queue.end(_closed())
        for worker in idle:
            worker.stop()
        self._watchdog.close()

    def start_idle(self) -> None:
        """Have a worker that is ready, unless one is."""
        with self._lock:
            if self._idle or self._closed:
                return
        self.give_back(self.take())

    def stop_idle(self) -> None:
        """End the workers that are idle; the next use starts others."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.stop()

    def __enter__(self) -> "DecodePool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def take(self) -> DecodeWorker:
        """An idle worker or a new one."""
        with self._lock:
            if self._closed:
                raise _closed()
            if self._idle:
                return self._idle.pop()
        return DecodeWorker(self._setup, self._watchdog)

    def give_back(self, worker: DecodeWorker) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < self.workers:
                self._idle.append(worker)
                return
        worker.stop()


@dataclass(slots=True, eq=False)
class _File:
    job: DecodeJob
    events: deque[tuple[DecodeEvent, int]]
    waiting_bytes: int = 0
    """Memory of its waiting segments."""
    segments: int = 0
    """Queued so far."""


class _Queue:
    """The files of one `run`: handed to threads in their order, and their events taken in the same order."""

    def __init__(self, pool: DecodePool) -> None:
        self._pool = pool
        self._changed = threading.Condition()
        self._waiting: deque[_File] = deque()
        self._head: _File | None = None
        self._waiting_bytes = 0
        self._idle = 0
        self._threads: list[threading.Thread] = []
        self._busy: set[DecodeWorker] = set()
        self._error: BaseException | None = None
        self._closed = False
        forks.reset_in_child(self)

    def forked(self) -> None:
        """Whoever goes on with the parent's run in a child would wait for its threads."""
        self._changed = threading.Condition()
        self._threads, self._busy, self._closed = [], set(), True
        self._error = Forked("this process was forked in the middle of decoding", hint=forks.HINT)

    # The caller's thread.

    def submit(self, job: DecodeJob) -> _File:
        file = _File(job, deque())
        with self._changed:
            if self._error is not None:
                raise self._error
            self._waiting.append(file)
            if self._idle < len(self._waiting) and len(self._threads) < self._pool.workers:
                thread = threading.Thread(target=self._serve, name="mmsearch-decode", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify_all()
        return file

    def drain(self, file: _File) -> Iterator[DecodeEvent]:
        """The file's events as they come, up to its end."""
        with self._changed:
            self._head = file
            self._changed.notify_all()
        while True:
            with self._changed:
                while not file.events:
                    if self._error is not None:
                        raise self._error
                    self._changed.wait()
                event, size = file.events.popleft()
                file.waiting_bytes -= size
                self._waiting_bytes -= size
                self._changed.notify_all()
            yield event
            if not isinstance(event, PreparedSegment):
                return

    def close(self) -> None:
        """Stop the threads; workers in the middle of a file are killed."""
        self.end(None)
        for thread in self._threads:
            thread.join()

    def end(self, error: MmsearchError | None) -> None:
        """Let the threads stop, and the caller's have the error, if it goes on."""
        with self._changed:
            self._closed = True
            self._error = self._error or error
            for worker in self._busy:
                worker.kill()
            self._changed.notify_all()

    # The threads.

    def _serve(self) -> None:
        try:
            while (file := self._next()) is not None:
                self._decode(file)
        except BaseException as error:
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()

    def _next(self) -> _File | None:
        with self._changed:
            self._idle += 1
            try:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                return None if self._closed else self._waiting.popleft()
            finally:
                self._idle -= 1

    def _put(self, file: _File, event: DecodeEvent, size: int = 0) -> bool:
        """Queue an event, waiting for room; False if the run was ended."""
        with self._changed:
            while not self._closed and self._full(file, size):
                self._changed.wait()
            if self._closed:
                return False
            file.events.append((event, size))
            file.waiting_bytes += size
            self._waiting_bytes += size
            self._changed.notify_all()
            return True

    def _full(self, file: _File, size: int) -> bool:
        # The first file always gets through, so the budget of those behind it can't block it.
        if file is self._head:
            return file.waiting_bytes > 0 and file.waiting_bytes + size > _HEAD_BYTES
        return size > 0 and self._waiting_bytes + size > _WAITING_BYTES

    def _decode(self, file: _File) -> None:
        while (worker := self._start(file.job)) is not None:
            reusable = again = False
            try:
                reusable = self._relay(worker, file)
            except protocol.ProtocolError:
                # A worker that had served others may have died of them, or idle: a fresh one tells.
                again = worker.served > 0 and file.segments == 0 and not worker.timed_out
                how = worker.end()
                if not again:
                    self._put(file, _died(file.job, worker, how, self._pool.limits.decode_s))
            finally:
                self._release(worker, reusable)
            if not again:
                return

    def _release(self, worker: DecodeWorker, reusable: bool) -> None:
        with self._changed:
            self._busy.discard(worker)
            reusable = reusable and not self._closed and not worker.timed_out
        if reusable:
            worker.served += 1
            self._pool.give_back(worker)
        else:
            worker.stop()

    def _start(self, job: DecodeJob) -> DecodeWorker | None:
        """A worker that was sent the request; None if the run was ended meanwhile."""
        modalities = job.modalities if job.modalities is not None else self._pool.modalities
        request = {
            "path": str(job.path),
            "size": job.size,
            "mtime_ns": job.mtime_ns,
            "modalities": None if modalities is None else sorted(modalities),
            "preview": None if job.preview is None else asdict(job.preview),
            "headers": job.headers,
        }
        while True:
            worker = self._pool.take()
            with self._changed:
                if self._closed:
                    self._pool.give_back(worker)
                    return None
                self._busy.add(worker)
            try:
                worker.send(request)
                return worker
            except protocol.ProtocolError:
                # It died while idle, which says nothing about this file.
                with self._changed:
                    self._busy.discard(worker)
                worker.stop()

    def _relay(self, worker: DecodeWorker, file: _File) -> bool:
        """Queue the worker's events of the file; True if the worker can be used again."""
        while True:
            message, array = worker.receive(self._pool.limits.decode_s)
            event = _event(file, message, array)
            if not self._put(file, event, 0 if array is None else array.nbytes + 1):
                return False
            if not isinstance(event, PreparedSegment):
                return not (isinstance(event, FileFailed) and event.failure == "out-of-memory")
            file.segments += 1


def _closed() -> LibraryError:
    return LibraryError(
        "the library was closed meanwhile", hint="do it again: what was committed is kept, and the library opens anew"
    )


def _event(file: _File, message: protocol.Message, array: Prepared | None) -> DecodeEvent:
    """Raises: ProtocolError for a message that makes no sense: its sender can't be trusted any more."""
    try:
        if message["kind"] != "segment":
            return _end(file.job, message, array)
        if array is None:
            raise KeyError("array")
        return PreparedSegment(
            file.job, file.segments, message["modality"], protocol.unpack_span(message["span"]), array
        )
    except (KeyError, TypeError, ValueError) as error:
        raise protocol.ProtocolError(f"malformed message: {error!r}") from error


def _end(job: DecodeJob, message: protocol.Message, evidence: Prepared | None) -> DecodeEvent:
    if message["kind"] == "skipped":
        return FileSkipped(job, message["modality"])
    seconds = (message["decode_s"], message["prepare_s"])
    if message["kind"] == "done":
        kept = b"" if evidence is None else evidence.tobytes()
        if job.preview is not None:
            return FileDone(job, message["modality"], message["metadata"], *seconds, preview=kept)
        return FileDone(job, message["modality"], message["metadata"], *seconds, evidence=kept)
    return FileFailed(job, message["failure"], message["reason"], message["modality"], *seconds)


def _died(job: DecodeJob, worker: DecodeWorker, how: str, limit_s: float) -> FileFailed:
    if worker.timed_out:
        return FileFailed(job, "timeout", f"nothing decoded for {limit_s:g} s", None, limit_s, 0.0)
    if how == "SIGKILL":
        # Nobody here sent it: the kernel does, to a process for which there is no memory.
        return FileFailed(job, "out-of-memory", "the decode worker was killed by the system", None, 0.0, 0.0)
    return FileFailed(job, "crashed", f"the decoder crashed ({how})", None, 0.0, 0.0)

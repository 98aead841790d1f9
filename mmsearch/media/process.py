"""A decode worker as its parent process sees it: started, sent files, timed, killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from mmsearch import errors
from mmsearch.core import forks
from mmsearch.media import protocol

_STARTUP_S = 120.0
_PIPE_BYTES = 2**20
LOOKS = 4
"""At a slow worker, at most, in the time that it may take."""

SLOWEST = 0.01
"""A worker that uses less than this share of a core is not slow but stuck."""

_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {module} import main; main()"


@dataclass(slots=True)
class _Wait:
    """For one message of a worker."""

    seconds: float
    """What it may take."""
    latest: float
    """When it must be there, whatever else the machine does."""
    looked: float
    due: float
    """When it is looked at next."""
    began: float | None
    """Seconds of CPU that the worker had used at the beginning; None where nobody tells."""
    used: float
    """The same, when it was looked at last."""

    def over(self, now: float, used: float | None) -> bool:
        """Whether that was long enough; otherwise it is looked at once more, after a while. On a machine that has much
        else to do a worker gets little of it: so what it has used counts, as long as that grows."""
        if used is None or self.began is None or now >= self.latest:
            return True
        left = self.seconds - (used - self.began)
        if left <= 0 or used - self.used < SLOWEST * (now - self.looked):
            return True
        self.used, self.looked = used, now
        self.due = min(now + max(left, self.seconds / LOOKS), self.latest)
        return False


NO_TELEMETRY = {"ORT_DISABLE_TELEMETRY": "1"}
"""From 1.32 on, ONNX Runtime makes up an id of the machine and reports what runs, on Linux too, unless it is told not
to before it is loaded. No worker does."""


class Watchdog:
    """Kills workers that keep their parent waiting; one thread for all of them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waits: dict[DecodeWorker, _Wait] = {}
        self._wakes_at = float("inf")
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def guard(self, worker: "DecodeWorker", seconds: float) -> Iterator[None]:
        """Kill the worker, with `timed_out` set, if the block takes longer."""
        now, used = time.monotonic(), worker.cpu_s()
        with self._changed:
            self._waits[worker] = _Wait(
                seconds, now + protocol.STRETCH * seconds, now, now + seconds, used, used or 0.0
            )
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="mmsearch-watchdog", daemon=True)
                self._thread.start()
            elif now + seconds < self._wakes_at:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._waits.pop(worker, None)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                for worker, wait in list(self._waits.items()):
                    if wait.due <= now and wait.over(now, worker.cpu_s()):
                        worker.timed_out = True
                        worker.kill()
                        del self._waits[worker]
                self._wakes_at = min((wait.due for wait in self._waits.values()), default=float("inf"))
                self._changed.wait(None if not self._waits else max(self._wakes_at - now, 0))


class DecodeWorker:
    """A running worker process. Used by one thread at a time; `kill` may come from any."""

    def __init__(self, setup: protocol.Message, watchdog: Watchdog, module: str = "mmsearch.media.worker") -> None:
        """`module`: the one whose `main` the process runs."""
        self.timed_out = False
        self.served = 0
        """Files it has finished."""
        self._watchdog = watchdog
        # A child forked in the midst of it would hold the pipes by which it is known that the process has started, and
        # that its parent is there.
        with forks.no_fork():
            self._process = _spawn(module)
            forks.reset_in_child(self)
        try:
            self.send(setup)
            message, _ = self.receive(_STARTUP_S)
        except protocol.ProtocolError as error:
            raise errors.MmsearchError(f"a decode worker can't start: {self.end()}") from error
        except BaseException:
            self.end()
            raise
        if message["kind"] != "ready":
            self.end()
            raise _kind(str(message.get("error")))(str(message.get("reason")))

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_s(self) -> float | None:
        """Seconds of CPU that it has used; None where the system doesn't tell (elsewhere than on Linux)."""
        if sys.platform != "linux":
            return None
        try:
            # The clock of a process, as Linux's headers number it (man 3 clock_getcpuclockid).
            return time.clock_gettime((~self._process.pid << 3) | 2)
        except OSError:
            return None

    def send(self, message: protocol.Message, array: NDArray[Any] | None = None) -> None:
        """Raises: ProtocolError."""
        protocol.write_message(self._process.stdin, message, array)  # type: ignore[arg-type]

    def receive(self, seconds: float) -> tuple[protocol.Message, NDArray[Any] | None]:
        """The next message; the worker is killed if it takes longer. Raises: ProtocolError if it is dead."""
        with self._watchdog.guard(self, seconds):
            return protocol.read_message(self._process.stdout)  # type: ignore[arg-type]

    def kill(self) -> None:
        with suppress(OSError):
            self._process.kill()

    def end(self) -> str:
        """Kill and reap it, close its pipes; how it had ended, in words."""
        # A process whose pipe broke by itself may need a moment to become a corpse with a status of its own.
        if not self.timed_out:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.5)
        return self.stop()

    def stop(self) -> str:
        """As `end`, for a worker that is known to be alive or not to matter."""
        self.kill()
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        return describe_exit(code)

    def forked(self) -> None:
        """It is the parent's, who alone may ask or kill it; with its pipes closed here, it still ends with the parent.
        For this process it has ended."""
        forks.disown(self._process)

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode


def _kind(name: str) -> type[errors.MmsearchError]:
    """The class of ours that a worker names."""
    kind = getattr(errors, name, None)
    return kind if isinstance(kind, type) and issubclass(kind, errors.MmsearchError) else errors.MmsearchError


def describe_exit(code: int) -> str:
    """A return code in words: the signal's name for a negative one."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _spawn(module: str) -> "subprocess.Popen[bytes]":
    if not sys.executable:
        raise errors.MmsearchError("can't start decode workers: this Python doesn't know its own executable")
    # -P: a module that lies in the working folder, perhaps the very folder to be searched, is not imported.
    places = json.dumps([place for place in sys.path if isinstance(place, str)])
    command = [sys.executable, "-P", "-c", _BOOT.format(module=module), places]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    options: dict[str, Any] = {}
    if os.name == "posix":
        # A group of its own: Ctrl-C in the terminal can't reach it, not even while it starts.
        options["process_group"] = 0
    else:
        options["creationflags"] = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env={**os.environ, **threads, "TOKENIZERS_PARALLELISM": "false", **NO_TELEMETRY},
        **options,
    )
    _widen(process.stdout)
    return process


def _widen(pipe: Any) -> None:
    """A whole picture fits into the pipe, so that its worker can go on with the next one (Linux)."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

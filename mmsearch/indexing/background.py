"""The background worker of a process that serves for long: it polls for work, and runs it in a process of its own.

A process, not a thread: FAISS can't be interrupted while it trains, a training of a million vectors takes a minute, and
reading them holds Python's lock. A process is ended at any moment, and its processor time yields to what serves.
"""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from mmsearch.core import forks
from mmsearch.core.config import own_process
from mmsearch.errors import LibraryEmpty, LibraryError, LibraryNotFound, MmsearchError

PERIOD_S = 5.0
"""Seconds between two polls, unless it is woken."""

RETRY_S = 600.0
"""The same, after something went wrong."""

STOP_S = 5.0
"""Seconds that `stop` waits at most for a poll, which may have a large index to load."""

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from mmsearch.indexing.background import run_work; run_work()"
)

_log = logging.getLogger(__name__)


class BackgroundWorker:
    """One thread, and at most one process at a time. Thread safety: all methods may be called from any thread."""

    def __init__(
        self,
        has_work: Callable[[], bool],
        work: str,
        arguments: Sequence[str],
        on_done: Callable[[Any], None],
        secret: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Starts at once.

        Args:
            has_work: Whether there is work; what goes wrong is logged, and tried again later.
            work: "module:function", called with the arguments in the other process; returns what JSON can say.
            on_done: Called with that.
            secret: One more argument, a line that is told through a pipe, since anybody may see the others; None: none.
        """
        self._has_work = has_work
        self._command = [sys.executable, "-P", "-c", _BOOT, json.dumps(sys.path), work, *arguments]
        self._on_done = on_done
        self._secret = secret
        self._wake_event = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._poll, name="mmsearch-background", daemon=True)
        self._thread.start()
        forks.reset_in_child(self)

    def forked(self) -> None:
        """The parent goes on with it; here it has stopped."""
        self._lock, self._wake_event, self._stopped = threading.Lock(), threading.Event(), True
        if self._process is not None:
            forks.disown(self._process)

    def wake(self) -> None:
        """Poll now."""
        self._wake_event.set()

    def stop(self) -> None:
        """End the process, whatever it is at, and the thread."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()
        self._wake_event.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(STOP_S)

    def _poll(self) -> None:
        while not self._stopped:
            self._wake_event.clear()
            pause = PERIOD_S
            try:
                if self._has_work():
                    self._run_once()
            except (LibraryNotFound, LibraryEmpty):
                pass  # nothing yet
            except Exception as error:
                # Whatever it is, the next poll may do better; and an error's own words may name a folder.
                _log.warning("work in the background failed (%s), next try in %.0f s", type(error).__name__, RETRY_S)
                _log.debug("%s", error, exc_info=error)
                pause = RETRY_S
            self._wake_event.wait(pause)

    def _run_once(self) -> None:
        secret = self._secret() or ""
        with self._lock:
            if self._stopped:
                return
            with forks.no_fork():
                # Unbuffered: a buffer has a lock, which this thread holds while a child lets go of the pipe.
                self._process = subprocess.Popen(
                    self._command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
        with self._process as process:
            if process.stdin is not None:
                with suppress(BrokenPipeError):  # it has ended: its exit says so
                    process.stdin.write(f"{secret}\n".encode())
            content = process.stdout.read() if process.stdout else b""
            # With its standard input it would end, as it does when this process has died.
            process.wait()
        if self._stopped:
            return
        if process.returncode:
            raise LibraryError(f"work in the background ended with {process.returncode}", hint="see its messages above")
        answer = json.loads(content)
        if "error" in answer:
            raise LibraryError(answer["error"], hint=answer["hint"])
        self._on_done(answer["done"])


def run_work() -> None:
    """What the other process does; it ends with the one that wants it."""
    # Byte by byte: what is read ahead, `_end_with_parent` would wait for in vain.
    secret = b"".join(iter(lambda: os.read(sys.stdin.fileno(), 1).strip(), b"")).decode()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(10)
    own_process()
    logging.getLogger("mmsearch").addHandler(logging.StreamHandler())
    # Whatever prints here must not speak in our place.
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    module, _, function = sys.argv[2].partition(":")
    answer: dict[str, Any]
    try:
        answer = {"done": getattr(import_module(module), function)(*sys.argv[3:], *filter(None, [secret]))}
    except MmsearchError as error:
        answer = {"error": error.message, "hint": error.hint}
    with output:
        output.write(json.dumps(answer))


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)

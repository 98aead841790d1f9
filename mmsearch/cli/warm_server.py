"""The socket that a warm process answers at, and how long it stays there."""

import json
import os
import secrets
import select
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from mmsearch.cli.answering import Answering, Refused
from mmsearch.cli.warm import WarmStatus
from mmsearch.warm import messages
from mmsearch.warm.address import LOCK, MAX_PATH, PORT, SOCKET
from mmsearch.warm.messages import Request

if TYPE_CHECKING:
    from mmsearch.library import Library

IDLE_S = 600.0
HEAVY_IDLE_S = 120.0
"""Seconds without a query until a process ends: with torch it holds more than a gigabyte."""

LOOK_S = 10.0
"""Seconds without a query until the library's files are closed, so that its disk can be unmounted; and between looks
at whether library, program and settings are still there."""

MOST_ANSWERS = 5000
"""Answers until a process ends: it grows by some 16 kB with each, and the next query by words starts another one."""

REQUEST_S = 2.0
"""Seconds that a shell may take to say what it wants."""


class WarmServer:
    """Answers shells about one library until nobody has asked for a while, or there is a reason to end."""

    def __init__(self, base: str, library: "Library", *, stays: bool = False) -> None:
        """`base`: folder and beginning of the names of its files. `stays`: it does not end because nobody asks.

        Raises: OSError if there can be no socket, Refused where nothing would be answered.
        """
        self._base = base
        self._library = library
        self._answering = Answering(library)
        self._stays = stays
        self._secret = ""
        self._socket = self._listening()
        self._wake, self._woken = socket.socketpair()
        self._end = Event()
        self._answered = self._refused = 0
        self._asked_at = monotonic()

    def run(self, alive: Callable[[], None] = lambda: None) -> None:
        """Answer until the end. `alive` is called every ten seconds, and before every request."""
        try:
            while not self._end.is_set() and self._left() > 0 and (self._stays or self._answered < MOST_ANSWERS):
                alive()
                ready, _, _ = select.select([self._socket, self._woken], [], [], min(LOOK_S, max(self._left(), 0)))
                if self._socket in ready:
                    self._accept()
                elif not ready:
                    self._look()
                    self._library.rest()
        finally:
            self._close()

    def stop(self) -> None:
        """End after the request in hand. From any thread."""
        self._end.set()
        with suppress(OSError):
            self._wake.send(b".")

    def status(self) -> WarmStatus:
        """What `mmsearch warm status` tells."""
        left = None if self._stays else max(self._left(), 0.0)
        return WarmStatus(str(self._library.path), os.getpid(), memory_bytes(), self._answered, self._refused, left)

    def _left(self) -> float:
        """Seconds until nobody has asked for too long."""
        if self._stays:
            return LOOK_S
        return self._asked_at + (HEAVY_IDLE_S if "torch" in sys.modules else IDLE_S) - monotonic()

    def _look(self) -> None:
        """End if there is nothing to answer with, or nobody could find us."""
        path = self._base + (PORT if self._secret else SOCKET)
        try:
            self._answering.check_unchanged()
            found = os.path.exists(path)
        except Refused:
            found = False
        if not found:
            self._end.set()

    def _accept(self) -> None:
        with suppress(OSError, ValueError):
            connection, _ = self._socket.accept()
            with connection:
                connection.settimeout(REQUEST_S)
                request = _received(connection)
                if request is None or not secrets.compare_digest(request.secret.encode(), self._secret.encode()):
                    return
                connection.sendall(messages.TAKEN)
                connection.settimeout(None)
                connection.sendall(self._answer(request))

    def _answer(self, request: Request) -> bytes:
        if request.arguments[:1] == [messages.STATUS]:
            told = json.dumps(asdict(self.status())).encode()
            return messages.packed_answer(0, [(1, told)])
        if request.arguments[:1] == [messages.STOP]:
            self._end.set()
            return messages.packed_answer(0, [])
        try:
            code, pieces = self._answering.answer(request)
        except Refused as error:
            self._refused += 1
            if error.for_good:
                self._end.set()
            return messages.REFUSED
        except Exception:  # whatever it is, a command of its own will say
            self._refused += 1
            self._end.set()
            return messages.REFUSED
        self._answered += 1
        self._asked_at = monotonic()
        return messages.packed_answer(code, pieces)

    def _listening(self) -> socket.socket:
        """Raises: OSError."""
        for suffix in (SOCKET, PORT):
            # Of one that was killed: whoever makes a server holds the lock.
            with suppress(FileNotFoundError):
                os.unlink(self._base + suffix)
        if len(os.fsencode(self._base + SOCKET)) <= MAX_PATH:
            made = socket.socket(socket.AF_UNIX)
            made.bind(self._base + SOCKET)
        else:
            made = socket.socket(socket.AF_INET)
            made.bind(("127.0.0.1", 0))
            self._secret = secrets.token_hex(32)
            number = os.open(self._base + PORT, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(number, "w", encoding="ascii") as file:
                file.write(f"{made.getsockname()[1]} {self._secret}")
        made.listen(8)
        made.setblocking(False)
        return made

    def _close(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._base + (PORT if self._secret else SOCKET))
        for one in (self._socket, self._wake, self._woken):
            one.close()


@contextmanager
def held(base: str) -> Iterator[bool]:
    """Whether this process is the only one at an address, until the end. Waits for nobody."""
    lock = FileLock(base + LOCK, timeout=0, mode=0o600)
    try:
        lock.acquire()
    except (Timeout, OSError):
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def answering(base: str, library: "Library") -> Iterator[None]:
    """Meanwhile another thread answers shells about a library that a server has open; nothing if somebody else does."""
    with held(base) as ours:
        try:
            server = WarmServer(base, library, stays=True) if ours else None
        except (OSError, Refused):
            server = None
        if server is None:
            yield
            return
        thread = Thread(target=server.run, name="warm", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.stop()
            thread.join()


def memory_bytes() -> int:
    """Of this process, resident; the most it ever had where the system tells no more."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _received(connection: socket.socket) -> Request | None:
    """What a shell asks; None if it is gone. Raises: OSError, ValueError."""
    size = int.from_bytes(_exactly(connection, 4), "big")
    if not 0 < size <= messages.MAX_REQUEST:
        return None
    request = Request.unpacked(_exactly(connection, size))
    connection.setblocking(False)
    try:
        # A shell that has waited too long has hung up, and answers by itself.
        gone = connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        gone = False
    connection.setblocking(True)
    connection.settimeout(REQUEST_S)
    return None if gone else request


def _exactly(connection: socket.socket, size: int) -> bytes:
    """Raises: ValueError if the other side says less."""
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ValueError("cut off")
        data += part
    return data

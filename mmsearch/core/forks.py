"""What a fork would tear, and what a forked child may not share with its parent.

A child has its parent's memory as it was in one moment, and of its threads only the one that forked. So what was being
changed stays half changed, a lock that another thread held is never released, and pipes, processes and connections
belong to somebody else who goes on using them. Two things are done about it, here and nowhere else:

- `whole()` is put around what can't be mended in a child (SQLite, and starting processes): a fork waits for its end,
  and then has every connection closed, for SQLite believes in a child to hold the locks that its parent holds.
- `bound(it)` names what is made anew, or let go of, in a child: its `forked` is called there before anything else.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from threading import Condition, RLock, get_ident
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TypeVar
from weakref import WeakSet

from mmsearch.errors import Forked

if TYPE_CHECKING:
    from subprocess import Popen

PATIENCE_S = 5.0
"""Seconds that a fork waits for what is under way; commits take less. After that the child can do nothing here."""

ROUND_S = 0.2
"""Of these, for how long others are kept out at a time."""

HINT = (
    "open the library in a process that was spawned (multiprocessing.get_context('spawn')), or fork before the parent "
    "uses it"
)


class Bound(Protocol):
    """Something of one process."""

    def forked(self) -> None:
        """Called in a forked child, in its only thread: be as new, and touch nothing of the parent's."""


class Connected(Protocol):
    """Something with connections of one process, all of them used under `whole` alone."""

    def disconnect(self) -> None:
        """Called before a fork, while nobody uses them: close them. They are opened anew when needed."""


AnyBound = TypeVar("AnyBound", bound=Bound)
AnyConnected = TypeVar("AnyConnected", bound=Connected)

_bound: "WeakSet[Bound]" = WeakSet()
_connected: "WeakSet[Connected]" = WeakSet()


class _Turn:
    """Who is in the midst of something, and who forks: one at a time."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._changed = Condition(self._lock)
        self._inside: dict[int, int] = {}
        """Thread -> how many deep."""
        self._forking = self._shut = False
        self._quiet = True
        self.torn = False
        """This process is the child of one that was in the midst of something."""

    def enter(self, me: int) -> None:
        with self._lock:
            # Who is in already is waited for, so must not wait.
            while self._shut and me not in self._inside:
                self._changed.wait()
            self._inside[me] = self._inside.get(me, 0) + 1

    def leave(self, me: int) -> None:
        with self._lock:
            # In a child of the thread that was in, nobody is.
            deep = self._inside.pop(me, 0) - 1
            if deep > 0:
                self._inside[me] = deep
            elif self._forking:
                self._changed.notify_all()

    def before(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._forking)
            self._forking, self._quiet = True, False
            # What this thread itself is in the midst of would never end.
            quiet = get_ident() not in self._inside and self._quietened(monotonic() + PATIENCE_S)
        if quiet:
            for one in list(_connected):
                one.disconnect()
            self._quiet = True

    def _quietened(self, deadline: float) -> bool:
        """Keep others out until nobody is in, or it is too late; the caller holds the lock."""
        while True:
            self._shut = True
            if self._changed.wait_for(lambda: not self._inside, ROUND_S):
                return True
            if monotonic() > deadline:
                return False
            # Who is in may be waiting for somebody who was kept out.
            self._shut = False
            self._changed.notify_all()
            self._changed.wait(ROUND_S / 10)

    def in_parent(self) -> None:
        with self._changed:
            self._forking = self._shut = False
            self._changed.notify_all()

    def in_child(self) -> None:
        torn = self.torn or not self._quiet
        self.__init__()  # type: ignore[misc]  # every lock anew
        self.torn = torn
        for one in list(_bound):
            one.forked()


_turn = _Turn()


class whole:
    """What is done in this context is not torn by a fork. May be nested.

    Raises: Forked in a child that was forked in the midst of such a thing all the same.
    """

    __slots__ = ("_me",)

    def __enter__(self) -> None:
        if _turn.torn:
            raise Forked("this process was forked while another thread was using a library", hint=HINT)
        self._me = get_ident()
        _turn.enter(self._me)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _turn.leave(self._me)


def bound(it: AnyBound) -> AnyBound:
    """Have `it.forked()` called in every forked child in which `it` is still there."""
    _bound.add(it)
    return it


def connected(it: AnyConnected) -> AnyConnected:
    """Have `it.disconnect()` called before every fork."""
    _connected.add(it)
    return it


def disown(process: "Popen[bytes]") -> None:
    """In a forked child: let go of the parent's process, its pipes unbuffered; it is neither ended nor waited for."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    process.returncode = 0


class Guard:
    """A lock, re-entrant, that a forked child finds open, whoever held it. For short work on what a fork can't tear."""

    def __init__(self) -> None:
        self.forked()
        bound(self)

    def forked(self) -> None:
        self._lock = RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


def _register(**hooks: Callable[[], None]) -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(**hooks)


_register(before=_turn.before, after_in_parent=_turn.in_parent, after_in_child=_turn.in_child)

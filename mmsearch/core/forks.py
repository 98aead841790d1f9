"""What a fork would tear, and what a forked child may not share with its parent.

A child has its parent's memory as it was in one moment, and of its threads only the one that forked. So what was being
changed stays half changed, a lock that another thread held is never released, and pipes, processes and connections
belong to somebody else who goes on using them. Two things are done about it, here and nowhere else:

- `no_fork()` is put around what a child can't mend (SQLite, and starting processes): a fork waits for its end, then
  closes every connection, since SQLite would believe in a child that it holds the locks of its parent.
- `reset_in_child(it)` registers what a child makes anew or lets go of: `it.forked()` is called there first of all.
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

FORK_WAIT_S = 5.0
"""Seconds that a fork waits for what is under way; commits take less. After that the child can do nothing here."""

CLOSED_S = 0.2
"""Of these, for how long others are kept out at a time."""

HINT = (
    "open the library in a process that was spawned (multiprocessing.get_context('spawn')), or fork before the parent "
    "uses it"
)


class Resettable(Protocol):
    """An object that belongs to one process."""

    def forked(self) -> None:
        """Called in a forked child, in its only thread: be as new, and touch nothing of the parent's."""


class Disconnectable(Protocol):
    """An object whose connections belong to one process; it uses them under `no_fork` alone."""

    def disconnect(self) -> None:
        """Called before a fork, while nobody uses them: close them. They are opened anew when needed."""


AnyResettable = TypeVar("AnyResettable", bound=Resettable)
AnyDisconnectable = TypeVar("AnyDisconnectable", bound=Disconnectable)

_resettable: "WeakSet[Resettable]" = WeakSet()
_disconnectable: "WeakSet[Disconnectable]" = WeakSet()


class _ForkCoordinator:
    """Knows which threads are inside `no_fork`, and lets one thread fork at a time, while nobody is inside."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._changed = Condition(self._lock)
        self._depths: dict[int, int] = {}
        """Thread -> how many deep."""
        self._forking = self._closed = False
        self._consistent = True
        self.inconsistent = False
        """This process is the child of one that was in the midst of something."""

    def enter(self, thread: int) -> None:
        with self._lock:
            # Who is in already is waited for, so must not wait.
            while self._closed and thread not in self._depths:
                self._changed.wait()
            self._depths[thread] = self._depths.get(thread, 0) + 1

    def leave(self, thread: int) -> None:
        with self._lock:
            # In a child of the thread that was in, nobody is.
            depth = self._depths.pop(thread, 0) - 1
            if depth > 0:
                self._depths[thread] = depth
            elif self._forking:
                self._changed.notify_all()

    def before_fork(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._forking)
            self._forking, self._consistent = True, False
            # What this thread itself is in the midst of would never end.
            idle = get_ident() not in self._depths and self._wait_until_idle(monotonic() + FORK_WAIT_S)
        if idle:
            for one in list(_disconnectable):
                one.disconnect()
            self._consistent = True

    def _wait_until_idle(self, deadline: float) -> bool:
        """Keep others out until nobody is in, or it is too late; the caller holds the lock."""
        while True:
            self._closed = True
            if self._changed.wait_for(lambda: not self._depths, CLOSED_S):
                return True
            if monotonic() > deadline:
                return False
            # Who is in may be waiting for somebody who was kept out.
            self._closed = False
            self._changed.notify_all()
            self._changed.wait(CLOSED_S / 10)

    def after_fork_in_parent(self) -> None:
        with self._changed:
            self._forking = self._closed = False
            self._changed.notify_all()

    def after_fork_in_child(self) -> None:
        inconsistent = self.inconsistent or not self._consistent
        self.__init__()  # type: ignore[misc]  # every lock anew
        self.inconsistent = inconsistent
        for one in list(_resettable):
            one.forked()


_coordinator = _ForkCoordinator()


class no_fork:
    """A context that a fork waits for, so that it tears nothing. May be nested.

    Raises: Forked in a child that was forked in the midst of such a thing all the same.
    """

    __slots__ = ("_thread",)

    def __enter__(self) -> None:
        if _coordinator.inconsistent:
            raise Forked("this process was forked while another thread was using a library", hint=HINT)
        self._thread = get_ident()
        _coordinator.enter(self._thread)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _coordinator.leave(self._thread)


def reset_in_child(it: AnyResettable) -> AnyResettable:
    """Have `it.forked()` called in every forked child in which `it` is still there."""
    _resettable.add(it)
    return it


def disconnect_before_fork(it: AnyDisconnectable) -> AnyDisconnectable:
    """Have `it.disconnect()` called before every fork."""
    _disconnectable.add(it)
    return it


def disown(process: "Popen[bytes]") -> None:
    """In a forked child: let go of the parent's process, its pipes unbuffered; it is neither ended nor waited for."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    process.returncode = 0


class ForkSafeLock:
    """A lock, re-entrant, that a forked child finds open, whoever held it. For short work on what a fork can't tear."""

    def __init__(self) -> None:
        self.forked()
        reset_in_child(self)

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


_register(
    before=_coordinator.before_fork,
    after_in_parent=_coordinator.after_fork_in_parent,
    after_in_child=_coordinator.after_fork_in_child,
)

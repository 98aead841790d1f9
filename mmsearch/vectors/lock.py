"""A readers-writer lock: any number of searches at once, or one change."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock

from mmsearch.core import forks


class ReadWriteLock:
    """Readers share, a writer is alone; a waiting writer goes before readers that come after it.

    Not re-entrant: a thread that holds it either way must not ask again.
    """

    def __init__(self) -> None:
        self.forked()
        forks.reset_in_child(self)

    def forked(self) -> None:
        """Nobody is inside."""
        self._changed = Condition(Lock())
        self._readers = 0
        self._writing = False
        self._waiting = 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._writing and not self._waiting)
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: not self._writing and not self._readers)
                self._writing = True
            finally:
                self._waiting -= 1
        try:
            yield
        finally:
            with self._changed:
                self._writing = False
                self._changed.notify_all()

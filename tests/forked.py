"""Work in a forked child, as `multiprocessing` forks by default on Linux up to Python 3.13."""

import multiprocessing
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

WAIT_S = 60.0
"""For what takes a second, so that a child that hangs ends the test."""


class Child:
    """A forked child that does `work`, given a connection to its parent, and says what that returned or raised."""

    def __init__(self, work: Callable[[Connection], object]) -> None:
        fork = multiprocessing.get_context("fork")
        self.pipe, theirs = fork.Pipe()
        self._process: BaseProcess = fork.Process(target=_work, args=(work, theirs))
        with warnings.catch_warnings():
            # Python warns of it from 3.12 on; that it goes well all the same is what is tested.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._process.start()
        theirs.close()

    def said(self) -> Any:
        """The next thing that it sent, or what its work came to. Raises: that, if it is an exception."""
        try:
            assert self.pipe.poll(WAIT_S), "a forked child hangs"
            said = self.pipe.recv()
        except BaseException:
            self._process.kill()
            raise
        if isinstance(said, BaseException):
            raise said
        return said

    def end(self) -> Any:
        """As `said`, for the last of it."""
        said = self.said()
        self._process.join(WAIT_S)
        assert self._process.exitcode == 0
        return said


def _work(work: Callable[[Connection], object], pipe: Connection) -> None:
    try:
        pipe.send(work(pipe))
    except BaseException as error:
        pipe.send(error)


def forked(work: Callable[[], object]) -> Any:
    """What work returns, or raises, in a forked child."""
    return Child(lambda pipe: work()).end()

"""Python's garbage collector in a process of the shell: loading a program makes objects and no garbage.

A collection looks at every object there is. Those while modules load, and the one as a process ends, were a quarter of
what a query in a shell takes. In other people's programs the collector is theirs.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_SELDOM = 50_000
"""Objects more than before until there is a collection while modules load."""

_usual: list[tuple[int, int, int]] = []
"""How often Python collects by itself, while that is changed."""


def begin_loading() -> None:
    """Collect seldom, until `end_loading`."""
    _usual.append(gc.get_threshold())
    gc.set_threshold(_SELDOM, *_usual[0][1:])


def end_loading() -> None:
    """Collect as usual from now on, where that was changed. What is there by now stays, and is looked at no more."""
    if _usual:
        gc.freeze()
        gc.set_threshold(*_usual.pop())


@contextmanager
def seldom() -> Iterator[None]:
    """Collect seldom meanwhile: while something large loads, in whatever program."""
    before = gc.get_threshold()
    gc.set_threshold(max(_SELDOM, before[0]) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def end_process() -> None:
    """Collect nothing as the process ends: all of its memory is given back then."""
    gc.freeze()

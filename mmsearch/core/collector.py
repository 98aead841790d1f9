"""Python's garbage collector in a process of the shell: loading a program makes objects and no garbage.

A collection looks at every object there is. Those while modules load, and the one as a process ends, were a quarter of
what a query in a shell takes. In other people's programs the collector is theirs.
"""

import gc

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


def end_process() -> None:
    """Collect nothing as the process ends: all of its memory is given back then."""
    gc.freeze()

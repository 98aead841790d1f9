"""Modules that load with the first thing that is asked of them: a query in a shell needs few of what a library can do.

A name of one stands twice: under `TYPE_CHECKING`, where type checkers and the test of who may import whom read it, and
as `later(...)` for everybody else.
"""

from importlib import import_module
from typing import Any


class _Later:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)

    def __repr__(self) -> str:
        return f"<{self._name}, later>"


def later(name: str) -> Any:
    """A module by its full name."""
    return _Later(name)

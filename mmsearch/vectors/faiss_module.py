"""faiss itself, for the modules that search with it: it takes longer to load than a small library to be searched."""

import sys
from importlib import import_module
from typing import Any


class _Faiss:
    """Loads faiss when it is first asked for something."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(import_module("faiss"), name)
        setattr(self, name, found)
        return found


faiss: Any = _Faiss()
"""Untyped: its type stubs lack what its Python layer adds."""


def is_loaded() -> bool:
    """Whether something was asked of it."""
    return "faiss" in sys.modules

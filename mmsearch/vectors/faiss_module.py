"""faiss itself, for the modules that search with it."""

from typing import Any

import faiss as _faiss

faiss: Any = _faiss
"""Untyped: its type stubs lack what its Python layer adds."""

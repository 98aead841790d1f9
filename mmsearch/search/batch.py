"""Many queries at once: embedded together, and answered as one by one."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from numbers import Real
from typing import Any

import numpy as np

from mmsearch.catalog import SpaceRecord
from mmsearch.catalog.spaces import active_space
from mmsearch.context.context import LibraryContext
from mmsearch.errors import InvalidInput
from mmsearch.search.pipeline import SearchOptions, answer_queries
from mmsearch.search.query import embed_queries, resolve_query
from mmsearch.types import Hit, Query, QueryLike, Vectors

TOGETHER = 64
"""Queries whose parts go through their encoder together, and that are answered from one commit."""


def embed(given: QueryLike | Sequence[QueryLike], context: LibraryContext) -> Vectors:
    """float32 (dim,) of one query, (n, dim) of several; unit vectors. Raises: InvalidInput, as `embed_queries`."""
    several = _as_list(given)
    asked: Sequence[Any] = [given] if several is None else several

    def work(serving: SpaceRecord | None) -> Vectors:
        space, record = context.serving(serving)
        made = [np.empty((0, space.dim), np.float32)]
        for some in _batches(asked):
            resolved = [resolve_query(query, context, record) for query in some]
            made.append(embed_queries(resolved, space, lambda: context.query_decoding(record)))
        return np.concatenate(made)

    vectors = context.unmoved(active_space, work)
    return vectors[0] if several is None else vectors


def search_many(queries: Sequence[QueryLike], options: SearchOptions, context: LibraryContext) -> list[list[Hit]]:
    """A page of results of each query, as `pipeline.search` gives it. Raises: InvalidInput, as `pipeline.search`."""
    several = _as_list(queries)
    if several is None:
        raise InvalidInput("queries are given as a list", hint="one query by itself is asked by `search`")
    found: list[list[Hit]] = []
    for some in _batches(several):
        found += context.of_one_commit(partial(answer_queries, some, options, context))
    return found


def _is_sound(value: object) -> bool:
    if not isinstance(value, tuple) or len(value) != 2 or isinstance(value[0], str | os.PathLike | Query):
        return False
    return isinstance(value[1], Real)


def _as_list(given: object) -> Sequence[Any] | None:
    """None for what is one query, or nothing of the kind."""
    one = isinstance(given, str | bytes | bytearray | memoryview) or _is_sound(given)
    return given if isinstance(given, Sequence) and not one else None


def _batches(queries: Sequence[QueryLike]) -> Iterator[Sequence[QueryLike]]:
    return (queries[first : first + TOGETHER] for first in range(0, len(queries), TOGETHER))

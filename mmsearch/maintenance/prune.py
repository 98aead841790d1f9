"""Forgetting, and giving back the room that was taken."""

import os
from collections.abc import Sequence
from typing import NamedTuple

from mmsearch.catalog.failures import all_failures
from mmsearch.catalog.spaces import active_space
from mmsearch.context.context import LibraryContext
from mmsearch.core.paths import absolute_path
from mmsearch.errors import InvalidInput


class Pruned(NamedTuple):
    """What `prune` did."""

    items: int
    """Forgotten."""
    freed: int
    """Bytes of the catalog that the disk has back."""


def remove(context: LibraryContext, paths: Sequence[str | os.PathLike[str]]) -> int:
    """Forget every item and failure at or below the paths. Returns how many items. Raises: InvalidInput, where nothing
    is known at one of them."""
    with context.writing():
        catalog = context.catalog()
        removed = 0
        for path in map(absolute_path, paths):
            items, failures = catalog.remove(os.fsencode(path))
            if not items and not failures:
                raise InvalidInput(
                    f"the library has nothing at {path}", hint="mmsearch status shows what the library holds"
                )
            removed += items
        _publish(context)
    return removed


def prune(context: LibraryContext) -> Pruned:
    """Forget items whose file is missing, contents that no path holds, and failures whose file is gone."""
    with context.writing():
        catalog = context.catalog()
        known = catalog.read(all_failures)
        catalog.forget_failures([failure.path for failure in known if not os.path.lexists(failure.path)])
        items, _ = catalog.prune()
        _publish(context)
        return Pruned(items, catalog.release())


def _publish(context: LibraryContext) -> None:
    if context.catalog().read(active_space) is not None:
        context.indexes().publish()

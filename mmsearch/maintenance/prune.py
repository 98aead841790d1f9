"""Forgetting, and giving back the room that was taken."""

import os
from collections.abc import Sequence
from typing import NamedTuple

from mmsearch.catalog import Catalog, Snapshot
from mmsearch.catalog.failures import all_failures, failures_under
from mmsearch.catalog.items import items_under, path_of_item
from mmsearch.catalog.spaces import active_space
from mmsearch.context.context import LibraryContext
from mmsearch.core.media_paths import is_id, is_media_path, item_path, media_folder
from mmsearch.errors import InvalidInput


class Pruned(NamedTuple):
    """What `prune` did."""

    items: int
    """Forgotten."""
    freed: int
    """Bytes of the catalog, and of originals that nothing needed, that the disk has back."""


def remove(context: LibraryContext, items: Sequence[str | os.PathLike[str] | int]) -> int:
    """Forget every item and failure that is meant: by a path at or above it, by its number, or by an application's id.
    Returns how many items. Raises: InvalidInput, where nothing is known of one of them."""
    with context.writing():
        catalog = context.catalog()
        context.sweep()
        removed = 0
        for path in [_meant(catalog, item) for item in items]:
            forgotten, failures = catalog.remove(path)
            if not forgotten and not failures:
                raise _unknown(os.fsdecode(path))
            removed += forgotten
        context.forget_previews()
        _publish(context)
    return removed


def _meant(catalog: Catalog, item: object) -> bytes:
    """The path that is meant. Raises: InvalidInput."""
    if isinstance(item, int) and not isinstance(item, bool):
        if (path := catalog.read(path_of_item, item)) is None:
            raise _unknown(f"the number {item}")
        return path
    if not isinstance(item, str | os.PathLike):
        raise InvalidInput(f"an item is a path, a number or an id, not {type(item).__name__}")
    medium = media_folder(item, "") if isinstance(item, str) and is_id(item) else None
    known = medium is not None and catalog.read(_is_known, medium)
    try:
        path = item_path(item)
    except InvalidInput:
        if medium is None or not known:
            raise
        return medium
    if medium is None or not known or is_media_path(path):
        return path
    if catalog.read(_is_known, path):
        raise InvalidInput(
            f"{item!r} is both the id of a medium and a path that is known",
            hint=f"{os.fsdecode(medium)} is the medium, {os.fsdecode(path)} the path",
        )
    return medium


def _is_known(snapshot: Snapshot, path: bytes) -> bool:
    return bool(items_under(snapshot, path, None, 1) or failures_under(snapshot, path, None, 1))


def _unknown(what: str) -> InvalidInput:
    return InvalidInput(f"the library has nothing at {what}", hint="mmsearch status shows what the library holds")


def prune(context: LibraryContext) -> Pruned:
    """Forget items whose file is missing, contents that no path holds, failures whose file is gone, and originals that
    no item needs."""
    with context.writing():
        catalog = context.catalog()
        known = catalog.read(all_failures)
        gone = [one.path for one in known if not is_media_path(one.path) and not os.path.lexists(one.path)]
        catalog.forget_failures(gone)
        items, _ = catalog.prune()
        freed = catalog.sweep_originals()
        context.forget_previews()
        _publish(context)
        return Pruned(items, freed + catalog.release())


def _publish(context: LibraryContext) -> None:
    if context.catalog().read(active_space) is not None:
        context.indexes().publish()

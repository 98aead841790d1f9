"""Forgetting, and giving back the room that was taken."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from mmsearch.catalog import Catalog, KnownItem, Snapshot
from mmsearch.catalog.contents import orphaned_contents
from mmsearch.catalog.failures import all_failures, failures_under
from mmsearch.catalog.items import items_under, path_of_item
from mmsearch.catalog.paths import SEPARATOR
from mmsearch.catalog.roots import RootRecord, all_roots, items_of_root
from mmsearch.catalog.spaces import active_space
from mmsearch.context.context import LibraryContext
from mmsearch.core.media_paths import is_id, is_media_path, item_path, media_folder
from mmsearch.core.paths import is_away
from mmsearch.errors import InvalidInput
from mmsearch.maintenance.forgetting import ForgettingProof, Noted, proof_of

PAGE = 2000
"""Items read at once."""

OnProof: TypeAlias = Callable[[ForgettingProof], None]

LeavesOut: TypeAlias = Callable[[Path], Callable[[bytes], bool]]
"""From a root: what says of a path below it whether its user leaves it out now."""


class Pruned(NamedTuple):
    """What `prune` did."""

    items: int
    """Forgotten."""
    freed: int
    """Bytes of the catalog, and of originals that nothing needed, that the disk has back."""
    excluded: int = 0
    """Of the items, those whose files are there, but excluded."""
    away: tuple[tuple[Path, int], ...] = ()
    """Roots that are not there, or empty, perhaps a disk that isn't mounted, and how many items are kept of each."""
    wiped: bool = True
    """Whether nothing of what was forgotten is left in the catalog's files; False: a search that goes on still needs
    them. The next `prune` tries again."""


@dataclass(frozen=True, slots=True)
class PruneOptions:
    """What to forget besides missing files."""

    roots: tuple[bytes, ...] = ()
    """Only items at or below these; all by default."""
    leaves_out: LeavesOut | None = None
    """Forget what this says is left out, too."""
    on_proof: OnProof | None = None


def remove(
    context: LibraryContext, items: Sequence[str | os.PathLike[str] | int], on_proof: OnProof | None = None
) -> int:
    """Forget every item and failure that is meant: by a path at or above it, by its number, or by an application's id.
    Returns how many items. Raises: InvalidInput, where nothing is known of one of them."""
    with context.writing():
        catalog = context.catalog()
        context.sweep()
        noted, removed = Noted(), 0
        for path in [_meant(catalog, item) for item in items]:
            if on_proof is not None:
                _note(noted, catalog, path)
            forgotten, failures = catalog.remove(path)
            if not forgotten and not failures:
                raise _unknown(os.fsdecode(path))
            removed += forgotten
        context.forget_previews()
        context.forget_slices()
        _publish(context, on_proof is not None)
        catalog.wipe()
        if on_proof is not None:
            on_proof(proof_of(catalog, noted))
    _build(context, on_proof)
    return removed


def _note(noted: Noted, catalog: Catalog, path: bytes) -> None:
    after: bytes | None = None
    while items := catalog.read(items_under, path, after, PAGE):
        noted.items(catalog, [(item.id, item.path) for item in items])
        after = items[-1].path
        if len(items) < PAGE:
            break
    failures = catalog.read(failures_under, path, None, PAGE)
    noted.paths.update([path, *(one.path for one in failures)])


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


def prune(context: LibraryContext, options: PruneOptions) -> Pruned:
    """Forget items whose file is gone, by a look at the disk; contents that no path holds, failures whose file is gone,
    and originals that no item needs. Of a root that is away nothing is forgotten."""
    with context.writing():
        catalog = context.catalog()
        if catalog.originals.folder.is_dir():
            catalog.originals.claim()
        found = _Found(catalog, options)
        noted = Noted()
        if options.on_proof is not None:
            noted.items(catalog, [(item.id, item.path) for item in found.items])
            noted.contents(catalog, catalog.read(orphaned_contents, 0, 2**31))
            noted.paths.update(found.failures)
        catalog.forget_failures(found.failures)
        catalog.forget(found.items)
        catalog.forget_orphans()
        freed = catalog.sweep_originals()
        context.forget_previews()
        context.forget_slices()
        _publish(context, options.on_proof is not None)
        freed += catalog.wipe() + catalog.release()
        if options.on_proof is not None:
            options.on_proof(proof_of(catalog, noted))
        wiped = not catalog.marked
    _build(context, options.on_proof)
    return Pruned(len(found.items), freed, found.excluded, tuple(found.away), wiped)


class _Found:
    """What a look at the disk finds to forget."""

    def __init__(self, catalog: Catalog, options: PruneOptions) -> None:
        self.items: list[KnownItem] = []
        self.failures: list[bytes] = []
        self.excluded = 0
        self.away: list[tuple[Path, int]] = []
        self._options = options
        failures = catalog.read(all_failures)
        for root in catalog.read(all_roots):
            if not is_media_path(root.path) and _overlaps(root.path, options.roots):
                self._look(catalog, root, [one.path for one in failures if one.root == root.path])

    def _look(self, catalog: Catalog, root: RootRecord, failures: Sequence[bytes]) -> None:
        place, options = Path(os.fsdecode(root.path)), self._options
        items = [item for item in _items(catalog, root) if _within(item.path, options.roots)]
        # A file that was handed over by itself is gone only where others are beside its place.
        by_itself = root.path in failures or any(item.path == root.path for item in items)
        if is_away(place.parent if by_itself else place):
            self.away += [(place, len(items))] if items else []
            return
        left_out = options.leaves_out(place) if options.leaves_out is not None else lambda path: False
        for item in items:
            gone = _is_gone(item.path)
            if gone or left_out(item.path):
                self.items.append(item)
                self.excluded += not gone
        wanted = [path for path in failures if _within(path, options.roots)]
        self.failures += [path for path in wanted if _is_gone(path) or left_out(path)]


def _items(catalog: Catalog, root: RootRecord) -> Iterator[KnownItem]:
    last = 0
    while page := catalog.read(items_of_root, root.id, last, PAGE):
        yield from page
        last = page[-1].id


def _within(path: bytes, roots: Sequence[bytes]) -> bool:
    """Whether a path is one of those, or lies below one; of none, always."""
    return not roots or any(path == root or path.startswith(root.rstrip(SEPARATOR) + SEPARATOR) for root in roots)


def _overlaps(root: bytes, roots: Sequence[bytes]) -> bool:
    return _within(root, roots) or any(_within(one, [root]) for one in roots)


def _is_gone(path: bytes) -> bool:
    """Whether a file is not there; where nobody may look, it may be."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _publish(context: LibraryContext, thorough: bool) -> None:
    """Write the index files without what was forgotten; `thorough`: those of other models and ANN indexes go, too."""
    if context.catalog().read(active_space) is None:
        return
    lists = context.indexes()
    lists.publish(every=context.catalog().marked)
    if not thorough:
        return
    lists.drop_forgetful()
    serving = {lists.path(key).parent for key in lists.refresh()}
    for folder in [path for path in lists.folder.glob("*") if path.is_dir()]:
        if folder not in serving:
            # Of a model that serves no more: made again from the catalog when it does.
            shutil.rmtree(folder, ignore_errors=True)
        for damaged in folder.glob("*.damaged-*"):
            with suppress(OSError):
                damaged.unlink()


def _build(context: LibraryContext, on_proof: OnProof | None) -> None:
    """Build the ANN indexes that a proof took away."""
    if on_proof is not None and context.catalog().read(active_space) is not None:
        context.grown()

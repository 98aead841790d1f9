"""What a library knows of its items, one by one; and what a person says of them: tags and own metadata."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from mmsearch.catalog.folders import as_folder, change_times, folders_below, items_in_folder, tag_counts, tags_of_items
from mmsearch.catalog.items import items_under
from mmsearch.catalog.listing import count_items, item_at, item_with_id, items_with_ids, next_items, utc_time
from mmsearch.catalog.meta import checked_meta
from mmsearch.catalog.store import FORGOTTEN as TOGETHER
from mmsearch.catalog.tags import checked_tags
from mmsearch.context.context import LibraryContext
from mmsearch.core import registry
from mmsearch.core.arguments import checked_methods
from mmsearch.core.filters import filter_of
from mmsearch.core.filters.ast import Filter
from mmsearch.core.media_paths import item_path
from mmsearch.errors import InvalidInput
from mmsearch.types import Item, MetaValue, Modality

MOST_FOLDERS = 2000
"""Folders that are listed of one."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of the library."""

    path: Path
    folders: Mapping[Path, int] = field(hash=False)
    """Folders right below it that hold items -> how many, at any depth; the first 2,000 by name."""
    items: tuple[Item, ...]
    """Items right in it, by path."""


Paths: TypeAlias = str | os.PathLike[str] | Collection[str | os.PathLike[str]]
"""Files or folders: one, or several."""


@checked_methods
class LibraryItems:
    """The part of a library that looks up its items, and says what a person says of them."""

    _context: LibraryContext

    def get(self, which: int | str | os.PathLike[str]) -> Item | None:
        """The item of an id (`Hit.item_id`, `Item.id`) or at a path, with all that is known of it.

        None if the library has no such item, as a dict's `get` has it. One whose file is missing is still an item.

        Raises: LibraryNotFound, InvalidInput for what is neither an id nor a path.
        """
        return _known_item(self._context, which)

    def get_many(self, ids: Sequence[int]) -> dict[int, Item]:
        """The items of these ids, by their ids; an id that no item has is left out. Raises: LibraryNotFound."""
        return {item.id: item for item in self._context.catalog().read(items_with_ids, list(dict.fromkeys(ids)))}

    def items(
        self,
        filter: str | Filter | None = None,
        modalities: Collection[Modality] | None = None,
        *,
        missing: bool = False,
    ) -> Iterator[Item]:
        """Every item that matches, by path.

        They are read 500 at a time, each time from one state of the library, so that memory stays the same however
        many there are, and others may ingest meanwhile.

        Args:
            filter, modalities: Only such items, as in `search`.
            missing: Items whose file is missing, too.

        Raises: LibraryNotFound, InvalidInput, both at once and not at the first item.
        """
        return _all_items(self._context, filter_of(filter), modalities, missing)

    def count(
        self,
        filter: str | Filter | None = None,
        modalities: Collection[Modality] | None = None,
        *,
        missing: bool = False,
    ) -> int:
        """How many items `items` would go through with the same arguments. Raises: as `items`."""
        return _item_count(self._context, filter_of(filter), modalities, missing)

    def folder(self, path: str | os.PathLike[str], *, offset: int = 0, k: int = 100) -> Folder:
        """What of the library lies right in a folder, as the catalog has it; the folder itself is not looked at.

        Args:
            path: Of a folder.
            offset: Items to pass over.
            k: Items at most.

        Raises: LibraryNotFound, InvalidInput.
        """
        if k < 1 or offset < 0:
            raise InvalidInput(f"k must be at least 1 and offset at least 0, not {k} and {offset}")
        place = as_folder(path)
        with self._context.catalog().reading() as snapshot:
            below = folders_below(snapshot, place, MOST_FOLDERS)
            ids = items_in_folder(snapshot, place, offset, k)
            known = {item.id: item for item in items_with_ids(snapshot, ids)}
        folders = {Path(os.fsdecode(one.path)): one.items for one in below}
        return Folder(Path(os.fsdecode(place)), folders, tuple(known[id] for id in ids if id in known))

    def tags(self) -> dict[str, int]:
        """Every tag that a person gave, with the number of items that have it, the most frequent first."""
        return self._context.catalog().read(tag_counts)

    def tags_of(self, ids: Sequence[int]) -> dict[int, list[str]]:
        """The tags that people gave items, sorted, by the items' ids; an item without a tag is left out."""
        return self._context.catalog().read(tags_of_items, ids)

    def modified_of(self, ids: Sequence[int]) -> dict[int, datetime]:
        """When the files of items last changed, UTC, by the items' ids; an id that no item has is left out."""
        found = self._context.catalog().read(change_times, ids)
        return {item: utc_time(time) for item, time in found.items()}

    def tag(self, paths: Paths, add: Sequence[str] = (), remove: Sequence[str] = ()) -> int:
        """Give items tags of a person, and take tags away. Filters (`tag = dog`) and searched words know them at once.

        A tag belongs to what the file holds: copies have it too, and it stays when the file moves or changes. What
        `label` saves never replaces it.

        Args:
            paths: Files, or folders for every item below; one or several.
            remove: Tags to take away, whoever gave them.

        Returns how many items were reached.

        Raises: InvalidInput for a path where nothing is known, LibraryNotFound, LibraryLocked.
        """
        return _tag_items(self._context, paths, add, remove)

    def set_meta(self, paths: Paths, values: Mapping[str, MetaValue | None]) -> int:
        """Give items metadata of your own, which filters know as `meta.KEY`: `{"rating": 5, "due": date(2027, 1, 1)}`.

        Keys that are not named keep their values. As a tag, a value belongs to what the file holds.

        Args:
            paths: As `tag` takes them.
            values: Key -> a str, an int, a float, a bool, a date, or a datetime without a zone; None takes it away.

        Returns how many items were reached.

        Raises: InvalidInput for a key or a value that is none, and as `tag`.
        """
        return _set_item_meta(self._context, paths, values)


def _known_item(context: LibraryContext, which: int | str | os.PathLike[str]) -> Item | None:
    """The item of an id or at a path, present or missing; None if there is none."""
    if isinstance(which, int):
        return context.catalog().read(item_with_id, which)
    return context.catalog().read(item_at, item_path(which))


def _all_items(
    context: LibraryContext, filter: Filter | None, modalities: Collection[Modality] | None, missing: bool
) -> Iterator[Item]:
    """Items that match, by path, a page in memory at a time; each page is of one state of the library.

    Raises: InvalidInput, at once.
    """
    registry.check_modalities(modalities)
    catalog = context.catalog()

    def pages() -> Iterator[Item]:
        after = b""
        while page := catalog.read(next_items, after, filter, modalities, missing=missing):
            yield from page
            after = os.fsencode(page[-1].path)

    return pages()


def _item_count(
    context: LibraryContext, filter: Filter | None, modalities: Collection[Modality] | None, missing: bool
) -> int:
    """How many items `LibraryItems.items` yields. Raises: InvalidInput."""
    registry.check_modalities(modalities)
    return context.catalog().read(count_items, filter, modalities, missing=missing)


def _tag_items(context: LibraryContext, paths: Paths, add: Sequence[str], remove: Sequence[str]) -> int:
    """Give items a person's tags, and take tags away. Returns how many items. Raises: InvalidInput, LibraryLocked."""
    given, gone = checked_tags(add), checked_tags(remove)
    if not given and not gone:
        raise InvalidInput("no tag was named", hint='such as add=["dog"]')
    if both := sorted({*given} & {*gone}):
        raise InvalidInput(f"{both[0]!r} is both to be added and removed", hint="leave one out")
    return _annotate(context, paths, given, gone, {})


def _set_item_meta(context: LibraryContext, paths: Paths, values: Mapping[str, MetaValue | None]) -> int:
    """Give items own metadata; None takes a key away. Returns how many items. Raises: InvalidInput, LibraryLocked."""
    return _annotate(context, paths, (), (), checked_meta(values))


def _annotate(
    context: LibraryContext,
    paths: Paths,
    add: Sequence[str],
    remove: Sequence[str],
    meta: Mapping[str, MetaValue | None],
) -> int:
    roots = _stored_paths(paths)
    with context.annotating() as written:
        catalog = context.catalog()
        for root in roots:
            if not catalog.read(items_under, root, None, 1):
                raise InvalidInput(f"nothing is known at {os.fsdecode(root)}", hint="list all items: mmsearch items")
        reached, contents = 0, set[int]()
        for root in roots:
            after: bytes | None = None
            while page := catalog.read(items_under, root, after, TOGETHER):
                contents.update(item.content_id for item in page)
                reached, after = reached + len(page), page[-1].path
                if len(contents) >= TOGETHER:
                    written.annotate(sorted(contents), add, remove, meta)
                    contents.clear()
        if contents:
            written.annotate(sorted(contents), add, remove, meta)
        return reached


def _stored_paths(paths: Paths) -> list[bytes]:
    """Without those that lie below another: their items would be counted twice."""
    named = [paths] if isinstance(paths, str | os.PathLike) else paths
    found = {Path(os.fsdecode(item_path(path))) for path in named}
    if not found:
        raise InvalidInput("no path was named", hint="name files or folders")
    return [os.fsencode(path) for path in sorted(found) if found.isdisjoint(path.parents)]

"""What a library knows of its items, one by one; and what a person says of them: tags and own metadata."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mmsearch.catalog.items import items_under
from mmsearch.catalog.listing import count_items, item_at, item_with_id, next_items
from mmsearch.catalog.meta import checked_meta
from mmsearch.catalog.records import Item, MetaValue
from mmsearch.catalog.store import FORGOTTEN as TOGETHER
from mmsearch.catalog.tags import checked_tags
from mmsearch.context.context import LibraryContext
from mmsearch.core import registry
from mmsearch.core.file_times import INT64
from mmsearch.core.paths import absolute_path
from mmsearch.errors import InvalidInput
from mmsearch.filters.ast import And, Comparison, Filter, Not, Or
from mmsearch.types import Modality

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def known_item(context: LibraryContext, which: int | str | os.PathLike[str]) -> Item | None:
    """The item of an id or at a path, present or missing; None if there is none. Raises: InvalidInput, for neither."""
    if isinstance(which, int) and not isinstance(which, bool):
        return context.catalog().read(item_with_id, which) if which in INT64 else None
    path = _stored_path(which, "an item's id or its path")
    return context.catalog().read(item_at, path)


def all_items(
    context: LibraryContext, filter: str | Filter | None, modalities: Collection[Modality] | None, missing: bool
) -> Iterator[Item]:
    """Items that match, by path, a page in memory at a time; each page is of one state of the library.

    Raises: InvalidInput, at once.
    """
    chosen = _checked_filter(filter)
    _check_modalities(modalities)
    catalog = context.catalog()

    def pages() -> Iterator[Item]:
        after = b""
        while page := catalog.read(next_items, after, chosen, modalities, missing=missing):
            yield from page
            after = os.fsencode(page[-1].path)

    return pages()


def item_count(
    context: LibraryContext, filter: str | Filter | None, modalities: Collection[Modality] | None, missing: bool
) -> int:
    """How many items `all_items` yields. Raises: InvalidInput."""
    chosen = _checked_filter(filter)
    _check_modalities(modalities)
    return context.catalog().read(count_items, chosen, modalities, missing=missing)


def tag_items(context: LibraryContext, paths: Paths, add: Sequence[str], remove: Sequence[str]) -> int:
    """Give items a person's tags, and take tags away. Returns how many items. Raises: InvalidInput, LibraryLocked."""
    given, gone = checked_tags(add), checked_tags(remove)
    if not given and not gone:
        raise InvalidInput("no tag was named", hint='such as add=["dog"]')
    if both := sorted({*given} & {*gone}):
        raise InvalidInput(f"{both[0]!r} is both to be added and removed", hint="leave one out")
    return _annotate(context, paths, given, gone, {})


def set_item_meta(context: LibraryContext, paths: Paths, values: Mapping[str, MetaValue | None]) -> int:
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
    with context.writing():
        catalog = context.catalog()
        for root in roots:
            if not catalog.read(items_under, root, None, 1):
                raise InvalidInput(f"nothing is known at {os.fsdecode(root)}", hint="see what is: mmsearch items")
        reached, contents = 0, set[int]()
        for root in roots:
            after: bytes | None = None
            while page := catalog.read(items_under, root, after, TOGETHER):
                contents.update(item.content_id for item in page)
                reached, after = reached + len(page), page[-1].path
                if len(contents) >= TOGETHER:
                    catalog.annotate(sorted(contents), add, remove, meta)
                    contents.clear()
        if contents:
            catalog.annotate(sorted(contents), add, remove, meta)
        return reached


def _stored_paths(paths: Paths) -> list[bytes]:
    """Without those that lie below another: their items would be counted twice."""
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    if not isinstance(paths, Iterable) or isinstance(paths, bytes):
        raise InvalidInput(f"paths are given as a list, not as {type(paths).__name__}")
    found = {Path(os.fsdecode(_stored_path(path, "a path"))) for path in paths}
    if not found:
        raise InvalidInput("no path was named", hint="name files or folders")
    return [os.fsencode(path) for path in sorted(found) if found.isdisjoint(path.parents)]


def _stored_path(path: object, wanted: str) -> bytes:
    """As the catalog has it. Raises: InvalidInput."""
    if isinstance(path, str | os.PathLike) and isinstance(given := os.fspath(path), str) and "\0" not in given:
        try:
            return os.fsencode(absolute_path(given))
        except UnicodeEncodeError as error:
            raise InvalidInput(f"{given!r} holds what is in no name") from error
    shown = repr(path) if isinstance(path, str) else f"a {type(path).__name__}"
    raise InvalidInput(f"{shown} is not {wanted}")


def _checked_filter(given: str | Filter | None) -> Filter | None:
    if isinstance(given, str):
        # The parser takes longer to load than a question to answer.
        from mmsearch.filters import parser

        return parser.parse(given)
    if given is not None and not isinstance(given, And | Or | Not | Comparison):
        raise InvalidInput(f"a filter is no {type(given).__name__}", hint='such as: "modality = image and tag = dog"')
    return given


def _check_modalities(given: Collection[Modality] | None) -> None:
    if given is not None and (
        isinstance(given, str) or not isinstance(given, Collection) or not all(isinstance(one, str) for one in given)
    ):
        raise InvalidInput(f"modalities are given as a list, not as {given!r}", hint='such as ["image", "video"]')
    registry.check_modalities(given)

"""The files of items, for who serves them to others: opened once, and only if each is what was taken in."""

import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO, FileIO
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, TypeAlias

from mmsearch.catalog.item_files import CataloguedFile, catalogued_file
from mmsearch.catalog.listing import item_with_id
from mmsearch.context.context import LibraryContext
from mmsearch.core.arguments import checked_methods
from mmsearch.core.file_times import size_and_time
from mmsearch.core.media_paths import is_media_path
from mmsearch.errors import FAILURES, InvalidInput, ItemChanged, MediaError, UnknownName, Unsupported
from mmsearch.media.events import DecodeJob, FileDone, FileFailed, Preview
from mmsearch.media.stripped import strip_of
from mmsearch.types import Modality

PreviewKind: TypeAlias = Literal["thumbnail", "poster", "sprite", "waveform", "clip"]

PLAIN = frozenset((".txt", ".md", ".csv", ".html", ".htm", ".srt", ".vtt", ".log"))
"""Suffixes of texts that hold nothing beside what is read."""

SIDES = (16, 2048)
"""Pixels of a still's longer side, at least and at most."""

LATEST_S = 1e6

_AGAIN = "ingest its folder again"


@dataclass(frozen=True, slots=True, eq=False)
class ItemFile:
    """The file of an item, open for reading, and as it was taken in. Whoever gets it closes it, with `with`, say."""

    item_id: int
    path: Path
    """The item's."""
    place: Path
    """The file: the path, or where the library keeps a medium that was handed over in memory."""
    file: BinaryIO
    size: int
    """Bytes."""
    mtime_ns: int
    sha256: str
    modality: Modality

    def __enter__(self) -> "ItemFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()

    def is_at_its_place(self) -> bool:
        """Whether the file that is open is the one of that name now, and unchanged."""
        try:
            now, opened = os.stat(self.place), os.fstat(self.file.fileno())
        except OSError:
            return False
        return os.path.samestat(now, opened) and size_and_time(opened) == (self.size, self.mtime_ns)


@checked_methods
class LibraryFiles:
    """The part of a library that hands out the files of its items."""

    _context: LibraryContext

    def open_file(self, item_id: int, *, as_kept: bool = False) -> ItemFile:
        """Open the file of an item, if it is the one that was taken in.

        It is a regular file, lies in the folder that was ingested after all links are followed, and has the size and
        the time that the catalog has; all this is asked of the open file, so that no swap comes between.

        Args:
            as_kept: Without what the settings `keep_...` leave out. JPEG, PNG and WebP lose what is written beside
                their pixels; other files that could tell are not handed out.

        Raises: UnknownName for an id that no item has, ItemChanged, NotKept, Unsupported.
        """
        opened = open_item_file(self._context, item_id)
        if not as_kept or self._context.settings.keeping.everything:
            return opened
        with opened:
            return _stripped(self._context, opened)

    def preview(
        self,
        item_id: int,
        kind: PreviewKind = "thumbnail",
        *,
        side: int = 320,
        start: float | None = None,
        end: float | None = None,
    ) -> bytes:
        """Something small to be shown of an item, made in a decode worker, and kept below the library.

        Args:
            kind: "thumbnail": a still of a picture or a video; "poster": the frame of a video at `start`; "sprite": 4
                rows of 5 frames, evenly spaced; all as WebP. "waveform": JSON with 200 `peaks` in [0, 1] along the
                `duration` of a sound. "clip": WebM from `start` to `end`, a minute at most.
            side: Pixels of a still's longer side, in [16, 2048].
            start, end: Seconds.

        Raises: UnknownName, ItemChanged if nothing was kept and the file is another now, MediaError.
        """
        return make_item_preview(self._context, item_id, Preview(kind, side, start, end))


def make_item_preview(context: LibraryContext, item_id: int, preview: Preview) -> bytes:
    """As `LibraryFiles.preview`."""
    if not SIDES[0] <= preview.side <= SIDES[-1]:
        raise InvalidInput(f"a side of {preview.side} pixels", hint=f"from {SIDES[0]} to {SIDES[-1]}")
    if any(at is not None and not 0 <= at <= LATEST_S for at in (preview.start, preview.end)):
        raise InvalidInput("a moment of a preview lies in its medium", hint="seconds from its beginning")
    if preview.start is not None and preview.end is not None and preview.end <= preview.start:
        raise InvalidInput("a clip ends after it begins", hint="give start < end, in seconds")
    known = context.catalog().read(catalogued_file, item_id)
    if known is None:
        raise _unknown(item_id)
    at = [f"{moment:.1f}" for moment in (preview.start, preview.end) if moment is not None]
    name = "-".join([preview.kind, str(preview.side), *at])
    return context.previews.get(known.sha256, name, lambda: _made(context, item_id, preview))


def _made(context: LibraryContext, item_id: int, preview: Preview) -> bytes:
    with open_item_file(context, item_id) as opened:
        job = DecodeJob(opened.place, size=opened.size, mtime_ns=opened.mtime_ns, preview=preview)
        (event,) = context.preview_decoding().run([job])
        # The worker opened it by its name: that it is the same file still is asked of this descriptor.
        if not opened.is_at_its_place():
            raise ItemChanged(f"the file of item {item_id} has changed meanwhile", hint=_AGAIN)
    if isinstance(event, FileDone) and event.preview:
        return event.preview
    if isinstance(event, FileFailed):
        raise FAILURES.get(event.failure, MediaError)(f"item {item_id} can't be shown: {event.reason}")
    raise MediaError(f"item {item_id} can't be shown", hint="look at its file itself")


def _stripped(context: LibraryContext, opened: ItemFile) -> ItemFile:
    """Raises: Unsupported for what tells more than is kept and can't be stripped."""
    head = opened.file.read(16)
    strip = strip_of(head) if opened.modality == "image" else None
    item = context.catalog().read(item_with_id, opened.item_id)
    plain = opened.modality == "text" and opened.path.suffix.lower() in PLAIN
    if strip is None and not (plain and item is not None and not item.metadata.get("sidecar")):
        raise Unsupported(
            f"the file of item {opened.item_id} may tell what this library does not keep",
            hint="look at a preview of it",
        )
    opened.file.seek(0)
    content = FileIO.readall(opened.file) if isinstance(opened.file, FileIO) else opened.file.read()
    made = content if strip is None else strip(content)
    hashed = hashlib.sha256(made).hexdigest()
    return replace(opened, file=BytesIO(made), size=len(made), sha256=hashed)


def _unknown(item_id: int) -> UnknownName:
    return UnknownName(f"there is no item {item_id}", hint="ids are in the answers to a search, as item_id")


def open_item_file(context: LibraryContext, item_id: int) -> ItemFile:
    """As `LibraryFiles.open_file`."""
    known = context.catalog().read(catalogued_file, item_id)
    if known is None:
        raise _unknown(item_id)
    path = Path(os.fsdecode(known.path))
    if not is_media_path(known.path):
        return _opened(item_id, path, known, path, Path(os.fsdecode(known.root)))
    original = context.original(path)
    return _opened(item_id, path, known, original, original.parent)


def _opened(item_id: int, path: Path, known: CataloguedFile, place: Path, root: Path) -> ItemFile:
    """The file at a place within a root; `path` is what the item is called. Raises: ItemChanged."""
    if known.status != "present":
        raise ItemChanged(f"the file of item {item_id} is missing", hint=_AGAIN)
    file = opened_within(place, root)
    size, mtime_ns = size_and_time(os.fstat(file.fileno()))
    # What is kept of media from memory is written by this library, under its hash.
    as_it_was = size == known.size and (mtime_ns == known.mtime_ns or place != path)
    if not as_it_was:
        file.close()
        raise ItemChanged(f"the file of item {item_id} has changed since it was taken in", hint=_AGAIN)
    return ItemFile(item_id, path, place, file, size, mtime_ns, known.sha256, known.modality)


def opened_within(place: Path, root: Path) -> BinaryIO:
    """A regular file, open, that lies in a folder (or is it) once all links are followed. Raises: ItemChanged."""
    refused = ItemChanged("the file of the item is no regular file of its folder any more", hint=_AGAIN)
    # A pipe without a writer would keep whoever opens it.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        if not stat.S_ISREG(os.stat(place).st_mode):
            raise refused
        handle = os.open(place, flags | getattr(os, "O_NOCTTY", 0))
    except (OSError, ValueError) as error:
        raise refused from error
    try:
        opened = os.fstat(handle)
        # Of what is open, not of what a name may lead to by now.
        real = os.path.realpath(place)
        if (
            stat.S_ISREG(opened.st_mode)
            and Path(real).is_relative_to(os.path.realpath(root))
            and os.path.samestat(opened, os.lstat(real))
        ):
            return os.fdopen(handle, "rb", buffering=0)
    except (OSError, ValueError) as error:
        with suppress(OSError):
            os.close(handle)
        raise refused from error
    os.close(handle)
    raise refused

"""What one open library holds."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from mmsearch.catalog import Catalog
from mmsearch.catalog.commits import library_uuid
from mmsearch.catalog.contents import content_ids
from mmsearch.catalog.items import items_at
from mmsearch.catalog.store import WIPED_AT_ONCE
from mmsearch.context.calibration import Calibration
from mmsearch.context.consistency import ConsistentReads
from mmsearch.context.locks import FolderLocks
from mmsearch.context.preview_cache import PreviewCache
from mmsearch.context.resources import PGVECTOR
from mmsearch.core.config import Settings
from mmsearch.core.media_paths import is_media_path, item_path
from mmsearch.errors import InvalidInput, LibraryError, NotKept
from mmsearch.indexing.background import BackgroundWorker
from mmsearch.indexing.tuning import IndexTuner
from mmsearch.types import Hit

SLICES = "slices"
"""The folder below a library's that has a folder for each slice (`context.restricted`): a catalog and its indexes. It
may be deleted at any time."""


class LibraryContext(ConsistentReads, Calibration, FolderLocks):
    """All that the rooms of a library share: its resources, consistent reads of them, its calibration and its locks;
    and who keeps its index files up to date. Thread safety: all methods may be called from any thread."""

    def __init__(
        self, path: Path, settings: Settings, requested: str | None = None, trusted: Iterable[str] = ()
    ) -> None:
        """As `Resources`."""
        super().__init__(path, settings, requested, trusted)
        self.background_worker: BackgroundWorker | None = None
        """Builds structures beside what serves, where somebody asked for it (`mmsearch.maintenance.index`)."""
        self.previews = PreviewCache(self.store.cache, settings.preview_bytes)

    @property
    def restricted(self) -> bool:
        """Whether only some of the items are there for who asks, and nothing may be changed."""
        return False

    def noting_catalog(self) -> Catalog:
        """Where it is noted what was copied from the library."""
        return self.catalog()

    @property
    def tagging(self) -> bool:
        """Whether who asks may say something of the items that are there for them."""
        return True

    @contextmanager
    def annotating(self) -> Iterator[Catalog]:
        """Where it is written what a person says of items, as the one writer. Raises: LibraryLocked."""
        with self.writing():
            yield self.catalog()

    def check_known(self, hit: Hit) -> None:
        """Raises: UnknownName for a hit that who asks may not see."""

    def forked(self) -> None:
        """What is open is kept, but for what goes on in the parent."""
        super().forked()
        self.background_worker = None

    def catalog(self, *, create: bool = False) -> Catalog:
        """The catalog, opened when it is first asked for. What a process that died left behind then goes, unless
        somebody is writing."""
        fresh = self._catalog is None
        opened = super().catalog(create=create)
        if fresh and (opened.originals.unfinished or opened.marked):
            with suppress(LibraryError), self.writing(wait=0):
                self._sweep(opened)
        return opened

    def sweep(self) -> None:
        """The same, for who is writing."""
        self._sweep(self.catalog())

    def _sweep(self, opened: Catalog) -> None:
        if opened.originals.unfinished and not opened.originals.foreign:
            opened.sweep_originals()
        if opened.marked:
            opened.forget_orphans()
            opened.wipe(WIPED_AT_ONCE)

    def original(self, path: str | os.PathLike[str]) -> Path:
        """The file that holds what an item at a path holds. Raises: NotKept, InvalidInput."""
        if not isinstance(path, str | os.PathLike):
            raise InvalidInput(f"an item's path is no {type(path).__name__}", hint="hit.path, for example")
        address = item_path(path)
        if not is_media_path(address):
            return Path(path)
        found = self.catalog().read(items_at, [address]).get(address)
        if found is None:
            raise InvalidInput(f"nothing is known at {path}", hint="see what is: mmsearch status")
        originals = self.catalog().originals
        if originals.is_whole(found.sha256):
            return originals.path(found.sha256)
        if found.kept:
            raise NotKept(
                f"the kept original of {path} is missing or damaged",
                hint="hand it over again with keep=True, or restore a backup; see mmsearch doctor",
            )
        raise NotKept(f"the original of {path} was not kept", hint="hand it over again, with keep=True")

    def forget_previews(self) -> None:
        """Remove what the page was shown of contents that are no more; to be called when some were forgotten."""
        self.previews.sweep(lambda hashes: set(self.catalog().read(content_ids, hashes)))

    def forget_slices(self) -> None:
        """Remove what restricted libraries read, when something was forgotten; who uses one makes it anew."""
        shutil.rmtree(self.path / SLICES, ignore_errors=True)

    def close(self) -> None:
        """Stop the background and decode workers, and close the catalog, which the next use opens anew."""
        with self._mutex:
            background_worker, self.background_worker = self.background_worker, None
        if background_worker is not None:
            background_worker.stop()
        self.let_go()

    def rest(self) -> None:
        """Close the connections that nobody uses; the next use opens them anew."""
        with self._mutex:
            catalog = self._catalog
        if catalog is not None:
            catalog.rest()

    def identity(self) -> str:
        """Of the library and of its catalog's file. Raises: LibraryNotFound."""
        identity = self.store.identity()
        return f"{self.catalog().read(library_uuid)}-{identity}"

    def start_background_worker(self, start: Callable[[], BackgroundWorker]) -> None:
        """Have one from now on, until `close`, unless there is one."""
        with self._mutex:
            if self.background_worker is None:
                self.background_worker = start()

    def repair(self) -> None:
        """Write damaged or far outdated index files anew, if nobody else writes and the folder can be written."""
        lists = list(self._lists.values())
        if not any(one.worth_publishing() or one.owner_files.asks_for_files() for one in lists):
            return
        try:
            with self._mending():
                self.indexes().publish()
        except LibraryError:
            # The answer was right all the same: it came from memory.
            return

    def _mending(self) -> AbstractContextManager[None]:
        return self.writing(wait=0)

    def builder(self, recall: float | None = None) -> IndexTuner:
        """What builds ANN indexes for the active space's large lists; `recall` is asked for in the setting's place."""
        space, record = self.embedding()
        target = self.settings.recall if recall is None else recall
        lists = self.indexes(record)
        if self.settings.index == PGVECTOR:
            from mmsearch.indexing.pg_lists import PgLists, PgTuner

            assert isinstance(lists, PgLists)
            return PgTuner(lists, self.catalog(), space, record, target)
        return IndexTuner(self.catalog(), lists, space, record, target)

    def grown(self) -> None:
        """Build what has outgrown its ANN index, now, or leave it to the background worker, where there is one."""
        if self.background_worker is not None:
            self.background_worker.wake()
        else:
            self.builder().build_outgrown()

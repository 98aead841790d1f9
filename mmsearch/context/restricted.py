"""A library as if it held only some of its items: what it reads is a slice, which has nothing else."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from mmsearch.calibration import ScoreCalibrator
from mmsearch.catalog import FILE_NAME, Catalog
from mmsearch.catalog.commits import current_commit
from mmsearch.catalog.items import items_at
from mmsearch.catalog.slices import bring_up_to_date, state_of
from mmsearch.context.context import SLICES, LibraryContext
from mmsearch.context.locks import LOCK_NAME
from mmsearch.core import vault
from mmsearch.core.atomic import make_folder
from mmsearch.core.filters.ast import Filter
from mmsearch.core.media_paths import item_path
from mmsearch.errors import LibraryReadOnly, UnknownName
from mmsearch.media.pool import DecodePool
from mmsearch.types import Hit, Query, Space, Vectors

MEASURING_S = 60.0
"""Seconds that a search waits for another process that measures the same slice."""


class RestrictedContext(LibraryContext):
    """What an open library holds for whoever may see some of its items and change nothing.

    It reads a slice of the catalog and its indexes, and shares models, decode workers, previews and kept originals with
    the whole: of these it asks by what the slice says.
    """

    def __init__(self, whole: LibraryContext, filter: Filter, *, owning: bool = False, tagging: bool = False) -> None:
        """`owning`: nobody else uses the whole, which ends with this. `tagging`: what it holds may be tagged."""
        super().__init__(slice_folder(whole.path, filter), whole.settings)
        self.trained_path = whole.trained_path
        self._whole = whole
        self._filter = filter
        self._owning = owning
        self._tagging = tagging
        self._spaces, self.trust, self.previews = whole._spaces, whole.trust, whole.previews
        self._following = threading.Lock()
        self._measuring = threading.Lock()
        self._state: tuple[object, ...] | None = None
        """Of the whole, as the slice was brought up to date last."""
        self._calibrated: tuple[str, int] | None = None
        """Space and generation of the slice for which the scores have been measured."""

    @property
    def restricted(self) -> bool:
        """As `LibraryContext.restricted`."""
        return True

    @property
    def tagging(self) -> bool:
        """As `LibraryContext.tagging`."""
        return self._tagging

    @contextmanager
    def annotating(self) -> Iterator[Catalog]:
        """As `LibraryContext.annotating`: in the whole, whose ids these are. Raises: LibraryReadOnly, LibraryLocked."""
        if not self._tagging:
            raise LibraryReadOnly("this library was opened to be read", hint="open the whole of it")
        with self._whole.annotating() as whole:
            yield whole

    def forked(self) -> None:
        """As `LibraryContext.forked`."""
        super().forked()
        self._following, self._measuring = threading.Lock(), threading.Lock()

    def let_go(self) -> None:
        """As `Resources.let_go`."""
        super().let_go()
        self._state = self._calibrated = None

    def _close_spaces(self) -> None:
        """They are the whole's."""

    def close(self) -> None:
        """As `LibraryContext.close`."""
        super().close()
        if self._owning:
            self._whole.close()

    def rest(self) -> None:
        """As `LibraryContext.rest`."""
        super().rest()
        if self._owning:
            self._whole.rest()

    def noting_catalog(self) -> Catalog:
        """As `LibraryContext.noting_catalog`."""
        return self._whole.noting_catalog()

    def catalog(self, *, create: bool = False) -> Catalog:
        """The slice, as the whole is now. Raises: LibraryNotFound, LibraryReadOnly."""
        whole = self._whole.catalog()
        if not self.store.exists():
            # Something was forgotten, and all slices with it.
            self.let_go()
            make_folder(self.path.parent, private=True)
            make_folder(self.path, private=True)
        with self._mutex:
            opened = super().catalog(create=True)
            opened.originals = whole.originals
        self._follow(whole, opened)
        return opened

    def _follow(self, whole: Catalog, own: Catalog) -> None:
        with self._following:
            state = whole.read(state_of)
            if state != self._state:
                bring_up_to_date(whole, own, self._filter)
                self._state = state

    def calibrator(self, query: Query, vector: Vectors, space: Space) -> ScoreCalibrator:
        """As `Calibration.calibrator`: of scores as they are among the slice's items."""
        with self._measuring:
            now = space.name, self.catalog().read(current_commit).generation
            if now != self._calibrated:
                active, record = self.embedding()
                if active.name == space.name:
                    with self.locked(LOCK_NAME, "measuring", MEASURING_S):
                        self.calibrate(active, record)
                self._calibrated = space.name, self.catalog().read(current_commit).generation
        return super().calibrator(query, vector, space)

    def preview_decoding(self) -> DecodePool:
        """As `Resources.preview_decoding`."""
        return self._whole.preview_decoding()

    def check_known(self, hit: Hit) -> None:
        """As `LibraryContext.check_known`."""
        paths = [item_path(path) for path in (hit.path, hit.part) if path is not None]
        if set(paths) - set(self.catalog().read(items_at, paths)):
            raise UnknownName(f"there is no item {hit.item_id}", hint="ids are in the answers to a search, as item_id")

    def writing(self, *, create: bool = False, wait: float = 0.0) -> AbstractContextManager[None]:
        """Nobody may. Raises: LibraryReadOnly."""
        raise LibraryReadOnly(
            "this library was opened for some of its items, and changes nothing", hint="open the whole of it"
        )

    @contextmanager
    def _mending(self) -> Iterator[None]:
        """Files of the slice's own."""
        with self.locked(LOCK_NAME, "mending", 0.0):
            yield


def slice_folder(library: Path, filter: Filter) -> Path:
    """Where the slice of a filter lies."""
    key = vault.key_of_library(library / FILE_NAME)
    told = repr(filter).encode("utf-8", "surrogatepass")
    # Where the library is encrypted, nobody is to guess the filter by its hash.
    hashed = hashlib.sha256(told if key is None else key.derived("filters") + told)
    return library / SLICES / hashed.hexdigest()[:32]

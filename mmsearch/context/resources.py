"""What a library is made of: catalog, spaces, lists and decode workers, each opened when it is first needed."""

import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.catalog import Catalog, SpaceRecord, layouts
from mmsearch.catalog.moving import is_unfinished
from mmsearch.catalog.spaces import active_space, all_spaces, base_space, projection_weights
from mmsearch.catalog.stores import store_of
from mmsearch.context.proofs import Proofs
from mmsearch.context.spaces import Spaces
from mmsearch.core import forks, registry
from mmsearch.core.config import AUTO, Settings
from mmsearch.core.trust import Trust
from mmsearch.core.version import VERSION
from mmsearch.encoders.projected import ProjectedEncoder
from mmsearch.errors import LibraryEmpty, LibraryError, SpaceChanged, WeightsError
from mmsearch.indexing.lists import Lists
from mmsearch.media.pool import DecodePool
from mmsearch.types import Modality, Space, Vectors, Windowing

if TYPE_CHECKING:
    from mmsearch.vectors.gpu import Gpu

INDEX_FOLDER = "indexes"
PGVECTOR = "pgvector"
"""The setting `index` that lets PostgreSQL search its lists itself."""
DEFAULT_SPACE = Settings().space

PREVIEW_SPACE = "mmsearch.media.previews:empty_space"
PREVIEW_WORKERS = max(1, min(os.cpu_count() or 1, 4))
"""Processes that make previews."""


class Resources:
    """Catalog, spaces, lists and decode workers of one library, open until `let_go`. Thread safety: all methods may be
    called from any thread."""

    def __init__(
        self, path: Path, settings: Settings, requested: str | None = None, trusted: Iterable[str] = ()
    ) -> None:
        """`requested`: the space that was asked for by name, not by a default for new libraries. `trusted`: the spaces
        that the user named anyhow, which may be code."""
        self.path = path
        self.store = store_of(path)
        self.trained_path = path
        """Whose folder has the trained models that searches use."""
        self.settings = settings
        self._requested = requested
        self._chosen: str | None = None
        self.similarity_thresholds = settings.similar_segments
        """Segment modality -> cosine from which two segments may be of the same thing; every search asks for it."""
        self.proofs = Proofs()
        """That two contents are the same; of this catalog, until `let_go`."""
        self.trust = Trust(path)
        for target in trusted:
            self.trust.name(target)
        self._mutex = threading.RLock()
        """Of what is below, for moments: no model is loaded and none of its files read while somebody holds it."""
        self._catalog: Catalog | None = None
        self._spaces = Spaces(settings, lambda record: self.catalog().read(projection_weights, record), self.trust)
        self._active: SpaceRecord | None = None
        self._previews: DecodePool | None = None
        self._lists: dict[SpaceRecord, Lists] = {}
        self._former_lists: list[Lists] = []
        """Of spaces that serve no more; they may still be reading a file."""
        forks.reset_in_child(self)

    @property
    def state(self) -> str:
        """In a word, without opening anything: "open", "closed", or "not made yet"."""
        if self._catalog is not None:
            return "open"
        return "closed" if self.store.exists() else "not made yet"

    def forked(self) -> None:
        """What is open is kept; whoever held the mutex is not here."""
        self._mutex = threading.RLock()
        self._spaces.forked()

    def let_go(self) -> None:
        """Stop the decode workers and close the catalog; the next use opens them anew."""
        with self._mutex:
            catalog, lists = self._catalog, [*self._lists.values(), *self._former_lists]
            previews, self._previews = self._previews, None
            self._catalog = self._active = None
            self._lists, self._former_lists = {}, []
            self.proofs = Proofs()
        for one in lists:
            one.close()
        self._close_spaces()
        if previews is not None:
            previews.close()
        if catalog is not None:
            catalog.close()

    def settle(self, settings: Settings) -> None:
        """Go on with other settings."""
        self.let_go()
        self.settings = settings
        self._spaces.settle(settings)

    def _close_spaces(self) -> None:
        self._spaces.close()

    def catalog(self, *, create: bool = False) -> Catalog:
        with self._mutex:
            if self._catalog is None:
                self._catalog = Catalog.open(self.path, VERSION, create=create)
            return self._catalog

    def embedding(self, *, create: bool = False) -> tuple[Space, SpaceRecord]:
        """The library's space, checked against what its vectors were made with. Raises: SpaceChanged, LibraryEmpty."""
        record = self.catalog().read(active_space)
        if record is None:
            if not create:
                raise LibraryEmpty(f"the library at {self.store.name} is empty", hint="fill it: mmsearch ingest FOLDER")
            if self.catalog().read(is_unfinished):
                raise LibraryError(
                    f"the library at {self.store.name} is a copy that was not finished",
                    hint="go on with it: mmsearch move SOURCE TARGET; or remove it",
                )
            target = self.asked()
            base = self._spaces.loaded(target)
            record = self.catalog().add_space(
                base.name, target, base.dim, base.fingerprint, layouts.layout_of(base), self.settings.storage
            )
        space = self.space_of(record)
        if record != self._active:
            # Another thread or process may have switched the model since the last call.
            self._serve(record)
        return space, record

    def _serve(self, record: SpaceRecord) -> None:
        """Let go of what other spaces need, if this one is the active one still."""
        with self._mutex:
            if self.catalog().read(active_space) != record:
                return
            self._former_lists += [lists for one, lists in self._lists.items() if one != record]
            self._active, self._lists = record, {one: it for one, it in self._lists.items() if one == record}
        self._spaces.keep_only(record)

    def load(self, target: str) -> Space:
        """A space that the library may not have yet, by its target string. Raises: Untrusted, UnknownName."""
        return self._spaces.loaded(target)

    def asked(self) -> str:
        """The target of the setting `space`; of what was chosen where that leaves the choice."""
        name = self.settings.space
        return registry.target_of("spaces", (self._chosen or DEFAULT_SPACE) if name == AUTO else name)

    def choose(self, name: str) -> None:
        """Take this model for a new library whose setting `space` leaves the choice."""
        self._chosen = name

    def space_of(self, record: SpaceRecord) -> Space:
        """A space of the library, checked. Raises: SpaceChanged, WeightsError."""
        try:
            return self._spaces.of(record)
        except WeightsError as error:
            others = [
                one.name for one in self.catalog().read(all_spaces) if one.base is None and one.target != record.target
            ]
            if not others:
                raise
            way = f"search with another model that this library has: mmsearch model switch {others[0]}"
            raise WeightsError(error.message, hint=f"{error.hint}; or {way}" if error.hint else way) from error

    def check_named(self) -> None:
        """Raises: SpaceChanged if another space was asked for than the library uses, or has a projection of."""
        base = self.catalog().read(base_space)
        if self._requested in (None, AUTO) or base is None:
            return
        # Where a library has a model's former version, the name stands for that.
        if base.target == registry.target_of("spaces", self._requested) or self._requested == registry.FORMER.get(
            base.target
        ):
            return
        raise SpaceChanged(
            f"the library at {self.store.name} has the model {base.name!r}: {self._requested!r} is another",
            hint="leave it out; or make a new library: "
            f"mmsearch ingest FOLDER --library NEW --space {self._requested}; "
            f"or change this one's model: mmsearch model add {self._requested}",
        )

    def take_any(self) -> None:
        """Forget which space was asked for by name: another one was chosen since."""
        self._requested = None

    def base(self) -> tuple[Space, SpaceRecord]:
        """The space that encoders make; the active one may be made of it by a projection. Raises: as `embedding`."""
        self.embedding()
        record = self.catalog().read(base_space)
        if record is None:
            raise LibraryEmpty(f"the library at {self.store.name} is empty", hint="fill it: mmsearch ingest FOLDER")
        return self.space_of(record), record

    def derived(self, vectors: Vectors, modalities: Sequence[Modality]) -> dict[int, Vectors]:
        """What the active space's projection makes of base vectors, float32 (n, dim), by the space's id; nothing if
        there is none."""
        space, record = self.embedding()
        if record.base is None:
            return {}
        made = vectors.copy()
        for modality in set(modalities):
            rows = np.array([one == modality for one in modalities])
            encoder = space.encoders[modality]
            if isinstance(encoder, ProjectedEncoder):
                made[rows] = encoder.projector(vectors[rows], modality)
        return {record.id: made}

    def indexes(self, record: SpaceRecord | None = None) -> Lists:
        """Those of a space, kept until another one becomes active; of the active one if none is named."""
        if record is None:
            _, record = self.embedding()
        with self._mutex:
            if record not in self._lists:
                folder = self.store.cache / INDEX_FOLDER
                if self.settings.index == PGVECTOR:
                    self._lists[record] = self._lists_of_server(folder, record)
                    return self._lists[record]
                gpu = self._gpu() if self.settings.index_device == "gpu" else None
                self._lists[record] = Lists(self.catalog(), folder, record, self.settings.index, gpu)
            return self._lists[record]

    def _lists_of_server(self, folder: Path, record: SpaceRecord) -> Lists:
        self.store.check_server("the index pgvector")
        # Loads psycopg.
        from mmsearch.indexing.pg_lists import PgLists

        return PgLists(self.catalog(), folder, record, self.store.name)

    def _gpu(self) -> "Gpu":
        # Loads faiss.
        from mmsearch.vectors import gpu

        return gpu.find_gpu()

    def decoding(self) -> DecodePool:
        """The decode workers of an ingest."""
        return self._spaces.pool(self.embedding()[1], self.settings.decode_workers)

    def preview_decoding(self) -> DecodePool:
        """The decode workers of previews; they load no model."""
        with self._mutex:
            if self._previews is None:
                self._previews = DecodePool(PREVIEW_SPACE, Windowing(), self.settings.limits, PREVIEW_WORKERS)
            return self._previews

    def query_decoding(self, record: SpaceRecord | None = None) -> DecodePool:
        """The one decode worker of queries, for a space; for the active one if none is named."""
        return self._spaces.pool(record or self.embedding()[1], 1)

"""What a library is made of, each part opened when it is first needed and kept until `close`."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from mmsearch import registry
from mmsearch.building import Builder
from mmsearch.calibration import Backgrounds, Fitted, Judge, measure, stale
from mmsearch.catalog import Catalog, SpaceRecord, background, layouts
from mmsearch.config import Settings
from mmsearch.encoders.projected import ProjectedEncoder, Projector
from mmsearch.encoders.projected import space as projected_space
from mmsearch.errors import LibraryEmpty, LibraryError, LibraryLocked, LibraryReadOnly, SpaceChanged
from mmsearch.indexing import IndexSet
from mmsearch.media.pool import DecodePool
from mmsearch.types import Modality, Query, Space, Vectors
from mmsearch.vectors.atomic import make_folder
from mmsearch.version import VERSION

LOCK_NAME = "writer.lock"
INDEX_FOLDER = "indexes"


class Parts:
    """Catalog, space, indexes, backgrounds and decode workers of one library. Thread safety: all methods may be called
    from any thread."""

    def __init__(self, path: Path, chosen: Settings, named: str | None = None) -> None:
        """`named`: the space that was asked for by name, not by a default for new libraries."""
        self.path = path
        self.settings = chosen
        self._named = named
        self._mutex = threading.RLock()
        self._catalog: Catalog | None = None
        self._base: Space | None = None
        self._space: tuple[SpaceRecord, Space] | None = None
        self._indexes: tuple[SpaceRecord, IndexSet] | None = None
        self._backgrounds: tuple[int, str, Backgrounds] | None = None
        self._pool: DecodePool | None = None
        self._query_pool: DecodePool | None = None

    def close(self) -> None:
        """Stop the decode workers and close the catalog; the next use opens them anew."""
        with self._mutex:
            for pool in (self._pool, self._query_pool):
                if pool is not None:
                    pool.close()
            if self._catalog is not None:
                self._catalog.close()
            self._catalog = self._base = self._space = self._indexes = self._backgrounds = None
            self._pool = self._query_pool = None

    def catalog(self, *, create: bool = False) -> Catalog:
        with self._mutex:
            if self._catalog is None:
                self._catalog = Catalog.open(self.path, VERSION, create=create)
            return self._catalog

    def embedding(self, *, create: bool = False) -> tuple[Space, SpaceRecord]:
        """The library's space, checked against what its vectors were made with. Raises: SpaceChanged, LibraryEmpty."""
        with self._mutex:
            record = self.catalog().space()
            if record is None:
                if not create:
                    raise LibraryEmpty(f"the library at {self.path} is empty", hint="fill it: mmsearch ingest FOLDER")
                target = registry.target("spaces", self.settings.space)
                base = self._loaded(target)
                record = self.catalog().add_space(
                    base.name, target, base.dim, base.fingerprint, layouts.of(base), self.settings.storage
                )
            return self._built(record), record

    def check_named(self) -> None:
        """Raises: SpaceChanged if another space was asked for than the library has, or has a projection of."""
        spaces = self.catalog().spaces()
        if self._named is None or not spaces or registry.target("spaces", self._named) == spaces[0].target:
            return
        raise SpaceChanged(
            f"the library at {self.path} has the space {spaces[0].name!r} and keeps it: {self._named!r} is another",
            hint=f"leave it out, or make a new library: mmsearch ingest FOLDER --library NEW --space {self._named}",
        )

    def base(self) -> tuple[Space, SpaceRecord]:
        """The space that encoders make; another one may be made of it by a projection. Raises: as `embedding`."""
        self.embedding()
        record = self.catalog().spaces()[0]
        with self._mutex:
            return self._checked(self._loaded(record.target), record), record

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

    def _loaded(self, target: str) -> Space:
        if self._base is None:
            self._base = registry.load("spaces", target)(self.settings.device, self.settings.precision)
        return self._base

    def _built(self, record: SpaceRecord) -> Space:
        # Another process may have switched the space since the last call.
        if self._space is None or self._space[0] != record:
            base = self._loaded(record.target)
            if record.base is None:
                made = base
            else:
                made = projected_space(base, record.name, Projector(self.catalog().projection(record)))
            self._space = record, self._checked(made, record)
        return self._space[1]

    def _checked(self, space: Space, record: SpaceRecord) -> Space:
        if record.fingerprint == space.fingerprint:
            return space
        raise SpaceChanged(
            f"the vectors in {self.path} were made by another version of the space {record.name!r}",
            hint="put back the weights or the mmsearch release that made them, or ingest into a new library: "
            "--library PATH",
        )

    def indexes(self, record: SpaceRecord | None = None) -> IndexSet:
        """Those of a space, kept for as long as the same one is asked for; of the active one if none is named."""
        with self._mutex:
            if record is None:
                _, record = self.embedding()
            if self._indexes is None or self._indexes[0] != record:
                made = IndexSet(self.catalog(), self.path / INDEX_FOLDER, record, self.settings.index)
                self._indexes = record, made
            return self._indexes[1]

    def decoding(self) -> DecodePool:
        with self._mutex:
            if self._pool is None:
                self._pool = self._new_pool(self.settings.decode_workers)
            return self._pool

    def query_decoding(self) -> DecodePool:
        with self._mutex:
            if self._query_pool is None:
                self._query_pool = self._new_pool(1)
            return self._query_pool

    def _new_pool(self, workers: int) -> DecodePool:
        space, record = self.embedding()
        return DecodePool(record.target, space.windowing, self.settings.limits, workers)

    @contextmanager
    def writing(self, *, create: bool = False) -> Iterator[None]:
        """Be the one writer. Raises: LibraryLocked at once if another process or thread is."""
        if create:
            make_folder(self.path)
        elif not self.path.is_dir():
            self.catalog()  # says that there is none
        lock = FileLock(self.path / LOCK_NAME, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise LibraryLocked(
                f"another process is writing to the library at {self.path}",
                hint="wait until it is done, then repeat; searching works meanwhile",
            ) from error
        except OSError as error:
            raise LibraryReadOnly(
                f"the library at {self.path} can't be written: {error.strerror or error}", hint="check permissions"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def repair(self) -> None:
        """Write damaged or far outdated index files anew, if nobody else writes and the folder can be written."""
        if not self.indexes().worth_publishing():
            return
    def builder(self) -> Builder:
        """What builds structures for the active space's large lists."""
        space, record = self.embedding()
        return Builder(self.catalog(), self.indexes(record), space, record, self.settings.recall)

        try:
            with self.writing():
                self.indexes().publish()
        except LibraryError:
            # The answer was right all the same: it came from memory.
            return

    def judge(self, query: Query, vector: Vectors, space: Space) -> Judge:
        """What is known about scores of a query and its vector, float32 (1, dim); a mix is taken for its main part."""
        generation, _ = self.catalog().generation()
        with self._mutex:
            if self._backgrounds is None or self._backgrounds[:2] != (generation, space.name):
                with self.catalog().reading() as snapshot:
                    stored = background.load(snapshot, space.name)
                known = {key: Fitted.from_dict(found) for key, found in stored.items()}
                self._backgrounds = generation, space.name, known
            main = max(query.parts, key=lambda part: part.weight)
            return Judge.of(self._backgrounds[2], main.modality, vector, self.settings.false_accepts)

    def calibrate(self, space: Space, record: SpaceRecord) -> None:
        """Measure the backgrounds anew if the library has outgrown them. The caller holds the writer lock."""
        catalog, indexes = self.catalog(), self.indexes(record)
        with catalog.reading() as snapshot:
            stored = background.load(snapshot, space.name)
        if stale({key: Fitted.from_dict(found) for key, found in stored.items()}, indexes.sizes()):
            measured = measure(catalog, indexes, space)
            catalog.keep_backgrounds(record.id, {key: fitted.as_dict() for key, fitted in measured.items()})
        self._backgrounds = None

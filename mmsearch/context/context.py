"""What a library is made of, each part opened when it is first needed and kept until `close`."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from filelock import FileLock, Timeout

from mmsearch.calibration import Backgrounds, ScoreCalibrator, backgrounds_stale, measure_backgrounds, read_calibration
from mmsearch.catalog import Catalog, SpaceRecord, background, layouts
from mmsearch.context.spaces import Spaces
from mmsearch.core import forks, registry
from mmsearch.core.atomic import make_folder, told
from mmsearch.core.config import Settings
from mmsearch.core.trust import Trust
from mmsearch.core.version import VERSION
from mmsearch.encoders.projected import ProjectedEncoder
from mmsearch.errors import (
    CatalogDamaged,
    LibraryEmpty,
    LibraryError,
    LibraryLocked,
    MmsearchError,
    SpaceChanged,
    WeightsError,
)
from mmsearch.indexing.background import BackgroundWorker
from mmsearch.indexing.lists import Lists
from mmsearch.indexing.tuning import IndexTuner
from mmsearch.media.pool import DecodePool
from mmsearch.types import Modality, Query, Space, Vectors

if TYPE_CHECKING:
    from mmsearch.vectors.gpu import Gpu

LOCK_NAME = "writer.lock"
ADDING_NAME = "adding.lock"
INDEX_FOLDER = "indexes"

TRIES = 5
"""Answers that are made in vain, because of a change in between, before commits are held up."""

T = TypeVar("T")

GRACE_S = 1.0
"""Seconds a writer waits for another: a search that mends an index file must not turn an ingest away."""


class LibraryContext:
    """Catalog, space, indexes, backgrounds and decode workers of one library. Thread safety: all methods may be called
    from any thread."""

    def __init__(self, path: Path, chosen: Settings, named: str | None = None, trusted: Iterable[str] = ()) -> None:
        """`named`: the space that was asked for by name, not by a default for new libraries. `trusted`: the spaces that
        the user named anyhow, which may be code."""
        self.path = path
        self.settings = chosen
        self._named = named
        self.trust = Trust(path)
        for one in trusted:
            self.trust.name(one)
        self._mutex = threading.RLock()
        """Of what is below, for moments: no model is loaded and none of its files read while somebody holds it."""
        self._catalog: Catalog | None = None
        self._spaces = Spaces(chosen, lambda record: self.catalog().projection(record), self.trust)
        self._active: SpaceRecord | None = None
        self._indexes: dict[SpaceRecord, Lists] = {}
        self._former: list[Lists] = []
        """Of spaces that serve no more; they may still be reading a file."""
        self._backgrounds: tuple[int, str, Backgrounds] | None = None
        self.caretaker: BackgroundWorker | None = None
        """Builds structures beside what serves, where somebody asked for it (`mmsearch.maintenance.index`)."""
        forks.bound(self)

    def forked(self) -> None:
        """What is open is kept, but for what goes on in the parent; whoever held the mutex is not here."""
        self._mutex = threading.RLock()
        self._spaces.forked()
        self.caretaker = None

    def close(self) -> None:
        """Stop the caretaker for good, and the decode workers, and close the catalog, which the next use opens anew."""
        with self._mutex:
            caretaker, self.caretaker = self.caretaker, None
        if caretaker is not None:
            caretaker.stop()
        self.let_go()

    def let_go(self) -> None:
        """Stop the decode workers and close the catalog; the next use opens them anew."""
        with self._mutex:
            catalog, indexes = self._catalog, [*self._indexes.values(), *self._former]
            self._catalog = self._active = self._backgrounds = None
            self._indexes, self._former = {}, []
        for one in indexes:
            one.close()
        self._spaces.close()
        if catalog is not None:
            catalog.close()

    def keep_caretaker(self, start: Callable[[], BackgroundWorker]) -> None:
        """Have one from now on, until `close`, unless there is one."""
        with self._mutex:
            if self.caretaker is None:
                self.caretaker = start()

    def catalog(self, *, create: bool = False) -> Catalog:
        with self._mutex:
            if self._catalog is None:
                self._catalog = Catalog.open(self.path, VERSION, create=create)
            return self._catalog

    def embedding(self, *, create: bool = False) -> tuple[Space, SpaceRecord]:
        """The library's space, checked against what its vectors were made with. Raises: SpaceChanged, LibraryEmpty."""
        record = self.catalog().space()
        if record is None:
            if not create:
                raise LibraryEmpty(f"the library at {self.path} is empty", hint="fill it: mmsearch ingest FOLDER")
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
            if self.catalog().space() != record:
                return
            self._former += [indexes for one, indexes in self._indexes.items() if one != record]
            self._active, self._indexes = record, {one: it for one, it in self._indexes.items() if one == record}
        self._spaces.keep_only(record)

    def load(self, target: str) -> Space:
        """A space that the library may not have yet, by its target string. Raises: Untrusted, UnknownName."""
        return self._spaces.loaded(target)

    def asked(self) -> str:
        """The target of the setting `space`."""
        return registry.target_of("spaces", self.settings.space)

    def space_of(self, record: SpaceRecord) -> Space:
        """A space of the library, checked. Raises: SpaceChanged, WeightsError."""
        try:
            return self._spaces.of(record)
        except WeightsError as error:
            others = [one.name for one in self.catalog().spaces() if one.base is None and one.target != record.target]
            if not others:
                raise
            way = f"search with another model that this library has: mmsearch model use {others[0]}"
            raise WeightsError(error.message, hint=f"{error.hint}; or {way}" if error.hint else way) from error

    def unmoved(self, state: Callable[[Catalog], object], work: Callable[[SpaceRecord | None], T]) -> T:
        """An answer, of one state of the library from its beginning to its end; making it changes nothing.

        Where the state is another one in the end, the answer is made again: what was read first need not fit what was
        read last, and whoever switched the space may have forgotten the vectors that were being looked through.

        Args:
            state: What may not change meanwhile.
            work: Makes the answer, of the space that serves as it begins; None in an empty library.

        Raises: what `work` raises, unless the state changed meanwhile.
        """
        catalog = self.catalog()
        for _ in range(TRIES):
            before, serving = state(catalog), catalog.space()
            try:
                answer = work(serving)
            except MmsearchError:
                if state(catalog) == before:
                    raise
                continue
            if state(catalog) == before:
                return answer
        # Changes come faster than answers can be made: the next one waits for this answer.
        with catalog.still():
            return work(catalog.space())

    def of_one_space(self, work: Callable[[Space, SpaceRecord], T]) -> T:
        """An answer made of the space that serves, and again if another one does in the end. Raises: as `embedding`."""
        return self.unmoved(Catalog.space, lambda serving: work(*self.serving(serving)))

    def serving(self, record: SpaceRecord | None) -> tuple[Space, SpaceRecord]:
        """The space that an answer began with, though another one may be active by now. Raises: as `embedding`."""
        space, active = self.embedding()
        return (space, active) if record in (None, active) else (self.space_of(record), record)

    def check_named(self) -> None:
        """Raises: SpaceChanged if another space was asked for than the library uses, or has a projection of."""
        base = self.catalog().base()
        if self._named is None or base is None or registry.target_of("spaces", self._named) == base.target:
            return
        raise SpaceChanged(
            f"the library at {self.path} has the space {base.name!r}: {self._named!r} is another",
            hint=f"leave it out; or make a new library: mmsearch ingest FOLDER --library NEW --space {self._named}; "
            f"or change this one's model: mmsearch model add {self._named}",
        )

    def take_any(self) -> None:
        """Forget which space was asked for by name: another one was chosen since."""
        self._named = None

    def base(self) -> tuple[Space, SpaceRecord]:
        """The space that encoders make; the active one may be made of it by a projection. Raises: as `embedding`."""
        self.embedding()
        record = self.catalog().base()
        if record is None:
            raise LibraryEmpty(f"the library at {self.path} is empty", hint="fill it: mmsearch ingest FOLDER")
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
            if record not in self._indexes:
                folder = self.path / INDEX_FOLDER
                gpu = self._gpu() if self.settings.index_device == "gpu" else None
                self._indexes[record] = Lists(self.catalog(), folder, record, self.settings.index, gpu)
            return self._indexes[record]

    def _gpu(self) -> "Gpu":
        # Loads faiss.
        from mmsearch.vectors import gpu

        return gpu.find_gpu()

    def decoding(self) -> DecodePool:
        """The decode workers of an ingest."""
        return self._spaces.pool(self.embedding()[1], self.settings.decode_workers)

    def query_decoding(self, record: SpaceRecord | None = None) -> DecodePool:
        """The one decode worker of queries, for a space; for the active one if none is named."""
        return self._spaces.pool(record or self.embedding()[1], 1)

    def writing(self, *, create: bool = False, wait: float = GRACE_S) -> AbstractContextManager[None]:
        """Be the one writer. Raises: LibraryLocked if another process or thread is, for so many seconds."""
        if create:
            make_folder(self.path)
        return self._locked(LOCK_NAME, "writing to", wait)

    def adding(self) -> AbstractContextManager[None]:
        """Be the one who adds a model, beside a writer. Raises: LibraryLocked at once if somebody else is."""
        return self._locked(ADDING_NAME, "adding a model to", 0.0)

    @contextmanager
    def _locked(self, name: str, doing: str, wait: float) -> Iterator[None]:
        if not self.path.is_dir():
            self.catalog()  # says that there is none
        lock = FileLock(self.path / name, timeout=wait)
        with told(self.path / name):
            try:
                lock.acquire()
            except Timeout as error:
                raise LibraryLocked(
                    f"another process is {doing} the library at {self.path}",
                    hint="wait until it is done, then repeat; searching works meanwhile",
                ) from error
        try:
            yield
        finally:
            lock.release()

    def repair(self) -> None:
        """Write damaged or far outdated index files anew, if nobody else writes and the folder can be written."""
        if not any(indexes.worth_publishing() for indexes in list(self._indexes.values())):
            return
        try:
            with self.writing(wait=0):
                self.indexes().publish()
        except LibraryError:
            # The answer was right all the same: it came from memory.
            return

    def builder(self, recall: float | None = None) -> IndexTuner:
        """What builds structures for the active space's large lists; `recall` is asked for in the setting's place."""
        space, record = self.embedding()
        target = self.settings.recall if recall is None else recall
        return IndexTuner(self.catalog(), self.indexes(record), space, record, target)

    def grown(self) -> None:
        """Build what has outgrown its structure, now, or leave it to the caretaker, where there is one."""
        if self.caretaker is not None:
            self.caretaker.wake()
        else:
            self.builder().due()

    def calibrator(self, query: Query, vector: Vectors, space: Space) -> ScoreCalibrator:
        """What is known about scores of a query and its vector, float32 (1, dim); a mix is taken for its main part."""
        generation, _ = self.catalog().generation()
        with self._mutex:
            if self._backgrounds is None or self._backgrounds[:2] != (generation, space.name):
                with self.catalog().reading() as snapshot:
                    stored = background.load_backgrounds(snapshot, space.name)
                self._backgrounds = generation, space.name, read_calibration(stored, space.dim)
            main = max(query.parts, key=lambda part: part.weight)
            return ScoreCalibrator.of(self._backgrounds[2], main.modality, vector, self.settings.false_accepts)

    def calibrate(self, space: Space, record: SpaceRecord) -> None:
        """Measure the backgrounds anew if the library has outgrown them. The caller holds the writer lock."""
        catalog, indexes = self.catalog(), self.indexes(record)
        with catalog.reading() as snapshot:
            stored = background.load_backgrounds(snapshot, space.name)
        try:
            known = read_calibration(stored, space.dim)
        except CatalogDamaged:
            known = {}  # measured anew
        if backgrounds_stale(known, indexes.sizes()):
            measured = measure_backgrounds(catalog, indexes, space)
            catalog.keep_backgrounds(record.id, {key: fitted.as_dict() for key, fitted in measured.items()})
        self._backgrounds = None

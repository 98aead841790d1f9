"""What `Library.model` offers: other models for the files that are here, made beside the one that serves.

A model is added by embedding every content again, in batches that are committed one by one: killed at any moment,
it goes on there. Then one transaction switches, and a search sees the one space or the other.
"""

import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from mmsearch.catalog import SpaceRecord, layouts
from mmsearch.catalog.contents import counts_by_modality, length_of_texts, lengths_by_modality
from mmsearch.catalog.embeddings import count_missing_embeddings
from mmsearch.catalog.spaces import active_space, all_spaces, base_space
from mmsearch.catalog.unsupported import unsupported_counts
from mmsearch.context.context import LibraryContext
from mmsearch.context.encoding import dealt_space
from mmsearch.context.resources import INDEX_FOLDER
from mmsearch.core import paths as core_paths
from mmsearch.core import registry
from mmsearch.core.arguments import checked_methods
from mmsearch.core.config import LEARNED
from mmsearch.errors import InvalidInput, LibraryEmpty, LibraryLocked, SpaceIncomplete, UnknownName
from mmsearch.extract.job import fill_cuts
from mmsearch.indexing.tuning import IndexTuner
from mmsearch.ingest import Backfill, BackfillProblem, IngestOptions
from mmsearch.maintenance.status import ModelStatus, library_models
from mmsearch.media.pool import DecodePool
from mmsearch.models.holdings import Holdings, folder_holdings
from mmsearch.types import Modality, OnProgress, Vectors

if TYPE_CHECKING:
    from mmsearch.models.recommend import SpaceChoice

POLL_S = 0.5
"""Seconds between two looks whether another writer is done."""


@dataclass(frozen=True, slots=True)
class ModelAdded:
    """What a run of `add` did."""

    name: str
    completed: int
    """Contents that got their vectors."""
    segments: int
    """Segments that went through an encoder."""
    lacking: int
    """Contents that still lack theirs."""
    not_embedded: int
    """Contents of kinds that the model doesn't embed."""
    problems: tuple[BackfillProblem, ...]
    """Files whose content got none for another reason."""
    interrupted: bool
    seconds: Mapping[str, float] = field(hash=False)
    """Stage -> seconds, as an ingest's."""
    wall_s: float


@dataclass(frozen=True, slots=True)
class ModelSwitched:
    """What `switch` did."""

    name: str
    before: str
    unreachable: Mapping[Modality, int] = field(hash=False)
    """Item modality -> items that only their names and tags find from now on."""
    forgotten: int
    """Files that the last model's space didn't embed: the next ingest tries them again."""


@checked_methods
class LibraryModels:
    """The models of one library; searches continue meanwhile, and so do ingests while a model is added."""

    def __init__(self, context: LibraryContext) -> None:
        self._context = context

    def list(self) -> Sequence[ModelStatus]:
        """The models that the library has vectors of, and how many files each lacks."""
        return library_models(self._context.catalog())

    def holdings(self, *paths: str | os.PathLike[str]) -> Holdings:
        """What a model would have to embed: pictures, seconds of sounds and videos, passages as they are cut now.

        Args:
            paths: Folders or files: what an ingest of them would add, by names and sizes and a look at some of each
                kind. Without any: what the library has.

        Raises: LibraryNotFound without paths, InvalidInput for the library itself.
        """
        if paths:
            roots, settings = core_paths.checked_roots(paths, self._context.path), self._context.settings
            known = self._context.catalog() if self._context.store.exists() else None
            return folder_holdings(known, roots, settings)
        catalog = self._context.catalog()
        record = catalog.read(active_space)
        held = catalog.read(lengths_by_modality)
        counts = catalog.read(counts_by_modality, record.name) if record else []
        passages = sum(one.segments for one in counts if one.modality == "text")
        (pictures, _), sounds, videos = (held.get(kind, (0, 0.0)) for kind in ("image", "audio", "video"))
        texts, letters = catalog.read(length_of_texts)
        return Holdings(pictures, sounds[1], videos[1], passages, sounds[0], videos[0], letters, texts)

    def choice(self, *paths: str | os.PathLike[str]) -> "SpaceChoice":
        """What `space = "auto"` takes for a new library of these folders: the best model that is here, fits this
        machine, may be used commercially and takes an hour at most; measured first, where that was not done before.

        Args:
            paths: Folders or files that are to be ingested.
        """
        # No search needs it.
        from mmsearch.models.recommend import chosen_space

        settings = self._context.settings
        return chosen_space(lambda: self.holdings(*paths), settings.devices[0], settings.precision)

    def add(
        self,
        name: str,
        *,
        retry: bool = False,
        on_progress: OnProgress | None = None,
        cancel: threading.Event | None = None,
    ) -> ModelAdded:
        """Embed every file of the library with another model, or continue an earlier run. Changes no search.

        A file that has changed since it was ingested is left out and reported. A file that is ingested later gets
        vectors of the model in use: call this again.

        Args:
            name: A name of `mmsearch models`, as the argument `space` of `mmsearch.open` takes it.
            retry: Try again the files that failed in an earlier run.
            on_progress: Called now and then with a `Progress`.
            cancel: Set it from another thread to stop after the current files.

        Raises: LibraryEmpty, UnknownName, WeightsError, LibraryLocked if a model is being added already, SpaceChanged
        if it is another version of the model than the one that was added.
        """
        with self._context.adding():
            record = self._newest(name) or self._new(name)
            if retry:
                self._context.catalog().forget_unsupported(record)
            return self._complete(record, on_progress, cancel or threading.Event())

    def switch(
        self,
        name: str,
        *,
        when_complete: bool = False,
        on_progress: OnProgress | None = None,
        cancel: threading.Event | None = None,
    ) -> ModelSwitched | None:
        """Search and ingest with another model from now on; the model before is kept.

        Args:
            name: A model that was added.
            when_complete: First add missing vectors, as `add` does, after a running ingest.
            on_progress: Called now and then with a `Progress`.
            cancel: Set it from another thread to stop after the current files.

        Returns:
            What was switched; None if it was cancelled.

        Raises: InvalidInput for a model that was not added, SpaceIncomplete if files lack its vectors, LibraryLocked,
        WeightsError, SpaceChanged.
        """
        stop = cancel or threading.Event()
        if when_complete:
            with self._context.adding():
                record = self._newest(name) or self._new(name)
                if self._complete(record, on_progress, stop).interrupted:
                    return None
        else:
            record = self._named(name, self._newest(name))
        if not self._count_missing(record):
            # Before anybody has to wait: large lists may take minutes.
            space = self._context.space_of(record)
            indexes = self._context.indexes(record)
            IndexTuner(self._context.catalog(), indexes, space, record, self._context.settings.recall).build_outgrown()
        with self._writer_lock(stop if when_complete else None) as acquired:
            if not acquired:
                return None
            if when_complete and self._count_missing(record):
                # What was ingested meanwhile; nothing more can come now.
                with self._context.adding():
                    if self._complete(record, on_progress, stop).interrupted:
                        return None
            return self._activate(record)

    def drop(self, name: str) -> int:
        """Forget a model: its vectors, its indexes, and everything that projections computed from it.

        Returns:
            Bytes of the catalog that were freed on the disk.

        Raises: InvalidInput for an unknown model or the one in use, LibraryLocked.
        """
        record = self._named(name, self._known(name))
        with self._context.writing(), self._context.adding():
            catalog = self._context.catalog()
            if catalog.read(base_space) == record:
                raise InvalidInput(
                    f"searches use the model {record.name!r}", hint="first use another one: mmsearch model switch NAME"
                )
            dropped = [one for one in catalog.read(all_spaces) if record.id in (one.id, one.base)]
            catalog.drop_space(record)
            for one in dropped:
                shutil.rmtree(self._context.store.cache / INDEX_FOLDER / quote(one.name, safe=""), ignore_errors=True)
            return catalog.release()

    def _activate(self, record: SpaceRecord) -> ModelSwitched:
        """Make ready what a search needs, then switch. The caller holds the writer lock."""
        context, catalog = self._context, self._context.catalog()
        space = context.space_of(record)
        if missing := self._count_missing(record):
            raise SpaceIncomplete(
                f"the model {record.name!r} has not looked at {missing} of the library's files yet",
                hint=f"add them: mmsearch model add {record.name}, or mmsearch model switch {record.name} "
                "--when-complete; for files that moved or changed, mmsearch ingest their folders first; hand over "
                "again, with keep=True, media that were not kept",
            )
        if context.settings.fusion.startswith(LEARNED):
            # It loads torch, and most libraries have no such setting.
            from mmsearch.search import learned_fusion

            learned_fusion.load_fusion(context, context.settings.fusion.removeprefix(LEARNED), record)
        before = catalog.read(active_space)
        context.calibrate(space, record)
        context.indexes(record).publish()
        forgotten = catalog.activate(record)
        context.take_any()
        with catalog.reading() as snapshot:
            unsupported = unsupported_counts(snapshot, record)
        unreachable: dict[Modality, int] = {}
        for (modality, _), n in unsupported.items():
            unreachable[modality] = unreachable.get(modality, 0) + n
        return ModelSwitched(record.name, before.name if before else "", unreachable, forgotten)

    def _complete(self, record: SpaceRecord, on_progress: OnProgress | None, cancel: threading.Event) -> ModelAdded:
        context, settings = self._context, self._context.settings
        catalog, space = context.catalog(), context.space_of(record)
        options = IngestOptions.of(settings, on_progress=on_progress, cancel=cancel)
        derive = context.derived if catalog.read(base_space) == record else _derive_nothing
        with (
            DecodePool(
                record.target, space.windowing, settings.limits, settings.decode_workers, keeping=settings.keeping
            ) as pool,
            dealt_space(space, record.target, settings) as dealt,
        ):
            job = Backfill(catalog, dealt, record, pool, options, derive)
            report = job.complete()
        if not report.interrupted:
            fill_cuts(catalog, context.space_of, lambda one: derive if one == record else _derive_nothing)
        job.done()
        return ModelAdded(
            record.name, report.completed, report.embedded, self._count_missing(record), report.not_embedded,
            tuple(job.problems), report.interrupted, report.seconds, report.wall_s,
        )  # fmt: skip

    def _count_missing(self, record: SpaceRecord) -> int:
        with self._context.catalog().reading() as snapshot:
            return count_missing_embeddings(snapshot, record)

    def _named(self, name: str, record: SpaceRecord | None) -> SpaceRecord:
        if record is None:
            raise InvalidInput(
                f"this library has no model {name!r}", hint=f"see what it has: mmsearch model list; or add it: "
                f"mmsearch model add {name}",
            )  # fmt: skip
        return record

    def _known(self, name: str) -> SpaceRecord | None:
        """The recorded space of that name, or that `--space` would find so: what the user calls so may be code."""
        self._context.trust.name(name)
        try:
            target = registry.target_of("spaces", name)
        except UnknownName:
            target = ""
        bases = [one for one in self._context.catalog().read(all_spaces) if one.base is None]
        named = [one for one in bases if one.name == name]
        return next(iter([*named, *(one for one in bases if one.target == target)]), None)

    def _newest(self, name: str) -> SpaceRecord | None:
        """The same, but the version of now where the name leads to that, though a former one is recorded under it."""
        known = self._known(name)
        if known is None or registry.FORMER.get(known.target) != name:
            return known
        target = registry.target_of("spaces", name)
        return next((one for one in self._context.catalog().read(all_spaces) if one.target == target), None)

    def _new(self, name: str) -> SpaceRecord:
        catalog = self._context.catalog()
        if catalog.read(active_space) is None:
            raise LibraryEmpty(
                f"the library at {self._context.store.name} is empty",
                hint=f"fill it: mmsearch ingest FOLDER --space {name}",
            )
        target = registry.target_of("spaces", name)
        space = self._context.load(target)
        if space.name in [one.name for one in catalog.read(all_spaces)]:
            raise InvalidInput(
                f"this library has another model named {space.name!r}",
                hint="rename the new one's folder, or first: mmsearch model drop NAME",
            )
        return catalog.add_space(
            space.name, target, space.dim, space.fingerprint, layouts.layout_of(space), self._context.settings.storage
        )

    @contextmanager
    def _writer_lock(self, cancel: threading.Event | None) -> Iterator[bool]:
        """Hold the writer lock; whether it was acquired. With an event, wait for the lock until the event is set."""
        with ExitStack() as locks:
            acquired = False
            while not acquired and not (cancel is not None and cancel.is_set()):
                try:
                    locks.enter_context(self._context.writing())
                    acquired = True
                except LibraryLocked:
                    if cancel is None:
                        raise
                    cancel.wait(POLL_S)
            yield acquired


def _derive_nothing(_vectors: Vectors, _modalities: Sequence[Modality]) -> Mapping[int, Vectors]:
    return {}

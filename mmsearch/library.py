"""Library: a folder of vectors and what they stand for. The only thing the shell and the server know."""

import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mmsearch import evaluate as evaluation
from mmsearch.catalog import FILE_NAME
from mmsearch.catalog.commits import current_commit
from mmsearch.catalog.failures import failures_to_retry
from mmsearch.catalog.spaces import base_space
from mmsearch.context.context import LibraryContext
from mmsearch.core import config, registry
from mmsearch.core import paths as core_paths
from mmsearch.core.config import Settings
from mmsearch.core.paths import absolute_path, default_library
from mmsearch.core.version import VERSION
from mmsearch.errors import LibraryEmpty
from mmsearch.evaluate import Evaluation
from mmsearch.filters.ast import Filter
from mmsearch.ingest import Ingest, IngestOptions, IngestReport, plan_only
from mmsearch.ingest.plan import Planner
from mmsearch.labels import labelling
from mmsearch.maintenance import backup, doctor
from mmsearch.maintenance import export as maintenance_export
from mmsearch.maintenance import prune as maintenance_prune
from mmsearch.maintenance.export import Exported, Imported
from mmsearch.maintenance.index import LibraryIndex
from mmsearch.maintenance.prune import Pruned
from mmsearch.maintenance.status import Status, library_status
from mmsearch.models.switch import LibraryModels
from mmsearch.search import duplicates, pipeline
from mmsearch.search import keywords as search_keywords
from mmsearch.search import query as search_query
from mmsearch.search.duplicates import DuplicateGroup
from mmsearch.search.explanations import Explanation
from mmsearch.search.witnesses import fill_evidence
from mmsearch.types import Failure, Finding, Hit, Label, Modality, OnProgress, Query

if TYPE_CHECKING:
    from mmsearch.training.training import LibraryTraining


class Library:
    """One library. Open it with `mmsearch.open`; close it, or use it in a `with` statement.

    Thread safety: `search` and the other readers may be called from any number of threads; one ingest, remove or
    prune runs at a time, in this process or any other (LibraryLocked). Nothing is read or written before it is
    needed; the folder is made by the first ingest.
    """

    def __init__(self, path: Path, chosen: Settings, space: str | None = None, trusted: Sequence[str] = ()) -> None:
        self.path = path
        self.settings = chosen
        self._context = LibraryContext(path, chosen, space, trusted)

    def __enter__(self) -> "Library":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the decode workers and close the catalog. The library may be used again: it opens anew."""
        self._context.close()

    # Taking media in

    def ingest(
        self,
        *paths: str | os.PathLike[str],
        exclude: Sequence[str] = (),
        hidden: bool = False,
        follow_links: bool = False,
        modalities: Collection[Modality] | None = None,
        dry_run: bool = False,
        on_progress: OnProgress | None = None,
        cancel: threading.Event | None = None,
    ) -> IngestReport:
        """Take in every file below the paths that is new or changed; note moved, copied and missing ones.

        Nothing is ever deleted: what is missing is kept until `prune`. A killed or cancelled run loses at most the
        files in hand and goes on where it was when called again.

        Args:
            exclude: Globs; with a slash they match the path below the root, without one any single name.
            follow_links: Take what links below a path lead to outside of it; they are skipped otherwise.
            modalities: Item modalities to take in ("text", "image", "audio", "video").
            cancel: Set it from another thread to stop after the files in hand.

        Raises: InvalidInput for a path that never existed, LibraryLocked, SpaceChanged, WeightsError.
        """
        roots = core_paths.checked_roots(paths, self.path)
        registry.check_modalities(modalities)
        options = IngestOptions.of(
            self.settings,
            exclude=tuple(exclude),
            hidden=hidden,
            follow_links=follow_links,
            modalities=frozenset(modalities) if modalities is not None else None,
            on_progress=on_progress,
            cancel=cancel or threading.Event(),
        )
        if dry_run:
            return self._plan(roots, options)
        return self._ingest(options, lambda job: job.run(roots))

    def retry(
        self,
        failure: str | None = None,
        on_progress: OnProgress | None = None,
        cancel: threading.Event | None = None,
        *,
        follow_links: bool = False,
    ) -> IngestReport:
        """Try the files of the failure ledger again, all or those of one class.

        Args:
            cancel, follow_links: As `ingest` takes them.
        """
        options = IngestOptions.of(
            self.settings,
            follow_links=follow_links,
            retry=lambda known: True,
            on_progress=on_progress,
            cancel=cancel or threading.Event(),
        )
        with self._context.catalog().reading() as snapshot:
            known = failures_to_retry(snapshot, failure)
        return self._ingest(options, lambda job: job.again(known))

    def _ingest(self, options: IngestOptions, work: Callable[[Ingest], IngestReport]) -> IngestReport:
        with self._context.writing(create=True):
            catalog = self._context.catalog(create=True)
            self._context.check_named()
            space, record = self._context.embedding(create=True)
            run_id = catalog.begin_run()
            job = Ingest(catalog, *self._context.base(), self._context.decoding(), options, self._context.derived)
            state = "failed"
            try:
                report = work(job)
                state = "interrupted" if report.interrupted else "done"
                job.publishing()
                with report.timed("calibrate"):
                    self._context.calibrate(space, record)
                with report.timed("publish"):
                    self._context.indexes().publish()
            finally:
                catalog.finish_run(run_id, state, job.report.as_dict())
        # Others may ingest meanwhile: nobody waits for it but the caller.
        with report.timed("build"):
            self._context.grown()
        return report

    def _plan(self, roots: Sequence[Path], options: IngestOptions) -> IngestReport:
        exists = (self.path / FILE_NAME).exists()
        catalog = self._context.catalog() if exists else None
        space = catalog.read(base_space) if catalog else None
        if catalog:
            self._context.check_named()
        report = IngestReport()
        planner = Planner(
            catalog if space else None, space.id if space else 0, VERSION, report, options.retry, options.max_bytes
        )
        return plan_only(planner, roots, options)

    # Finding

    def search(
        self,
        query: str | os.PathLike[str] | Query,
        k: int = 10,
        *,
        offset: int = 0,
        modalities: Collection[Modality] | None = None,
        mode: search_keywords.Mode = "hybrid",
        filter: str | Filter | None = None,
        dedup: bool | None = None,
        moments: bool = False,
    ) -> list[Hit]:
        """The k items that match best.

        Args:
            query: A str is words; a path is the medium in that file; a `Query` says it explicitly.
            offset: Results to pass over: `k=10, offset=10` is the second page.
            modalities: Item modalities to search; all by default.
            mode: "hybrid": where the query is words, a file whose name, folder, title, tags or passages hold them
                is lifted; "keyword": nothing else counts; "vector": only the meaning does.
            filter: Only items that match, as `mmsearch.filters.parser` reads it or as a tree of `mmsearch.filters.ast`.
            dedup: Show near-duplicates (`mmsearch.search.similarity`) as one hit, the others in its `duplicates`; by
                default as the setting `dedup` says.
            moments: Say in each hit's `moments` all stretches and passages that match, not just the best.

        Raises: LibraryNotFound, LibraryEmpty, InvalidInput, NoSharedSpace, MediaError for an unreadable query file.
        """
        registry.check_modalities(modalities)
        chosen = _filter(filter)
        self._require_items()
        dedup_on = self.settings.dedup == "on" if dedup is None else dedup
        options = pipeline.SearchOptions(k, offset, modalities, mode, chosen, dedup_on, moments)
        found = pipeline.search(query, options, self._context)
        if mode != "keyword":
            self._context.repair()
        return found

    def duplicates(
        self,
        threshold: float | None = None,
        *,
        kinds: Collection[str] | None = None,
        modalities: Collection[Modality] | None = None,
        filter: str | Filter | None = None,
    ) -> list[DuplicateGroup]:
        """Copies, other versions and what resembles, those that take most space first. Deletes nothing.

        A cosine proposes two files; only what their pixels, spectra or words prove (`mmsearch.sameness`) is told. What
        an older release took in without that evidence gets it now, where its file is there.

        Args:
            threshold: Cosine in (0, 1] from which two pictures, windows or passages are compared; by default what the
                setting `similarity` says of each kind, and whatever is alike by its evidence.
            kinds: Of `mmsearch.sameness.proof.KINDS`, all by default.
            filter, modalities: Only such items, as in `search`.

        Raises: InvalidInput for a senseless threshold or kind, LibraryEmpty.
        """
        registry.check_modalities(modalities)
        thresholds = duplicates.thresholds(threshold, self.settings.similarity_thresholds)
        wanted = duplicates.Wanted(
            thresholds, duplicates.checked_kinds(kinds), threshold is None, modalities, _filter(filter)
        )
        self._require_items()
        context = self._context
        return context.of_one_space(
            lambda _, record: duplicates.find_duplicates(
                context.catalog(), context.indexes(record), record, wanted, lambda files: fill_evidence(context, files)
            )
        )

    def interpret(self, value: str) -> Query:
        """What a word in a shell means: an existing media file is that medium, anything else is words."""
        return search_query.interpret_query(value, self._context.query_decoding)

    def evaluate(
        self,
        pairs: str | os.PathLike[str],
        *,
        directions: Collection[str] | None = None,
        k: Sequence[int] = (1, 5, 10),
        plot: str | os.PathLike[str] | None = None,
    ) -> Evaluation:
        """Measure vector search by questions whose right answers are known. Changes no setting, learns nothing.

        Args:
            pairs: A TSV file with the header query<TAB>relevant (see `mmsearch.evaluate.pairs`).
            directions: Such as "text-image"; all that the pairs have by default.
            k: Counts of first places to measure.
            plot: Draw recall@k into this file.

        Raises: InvalidInput if nothing can be used, LibraryEmpty.
        """
        if plot is not None:
            evaluation.plot.require(Path(plot))
        judged = evaluation.pairs.read_pairs(Path(pairs))
        self._require_items()
        found = evaluation.evaluate(judged, self._context, directions=directions, k=k)
        if plot is not None:
            evaluation.plot.draw_evaluation(found, Path(plot))
        return found

    def _require_items(self) -> None:
        catalog = self._context.catalog()
        with catalog.reading() as snapshot:
            if current_commit(snapshot).generation > 0:
                return
        raise LibraryEmpty(f"the library at {self.path} is empty", hint="fill it: mmsearch ingest FOLDER")

    def explain(
        self, query: str | os.PathLike[str] | Query, hit: Hit, *, overlay: str | os.PathLike[str] | None = None
    ) -> Explanation:
        """Why a hit was found: concepts, sentences, regions or seconds that count, and each part's share of a mix.

        Its file is decoded once more, in the same guarded way.

        Args:
            query: As it was given to `search`.
            overlay: Write a PNG here, the picture with its heat drawn over it; nothing is written for other hits.

        Raises: MediaError if the file can't be read any more, InvalidInput if it is another one by now.
        """
        # Nothing else needs Pillow in this process.
        from mmsearch.search import explain

        return explain.explain(query, hit, self._context, None if overlay is None else Path(overlay))

    def label(
        self,
        names: Sequence[str] = (),
        *,
        model: str | None = None,
        filter: str | Filter | None = None,
        modalities: Collection[Modality] | None = None,
        save: bool = False,
        min_confidence: float | None = None,
    ) -> list[Label]:
        """Which of some names fits each item best, or that none does; by path. Writes nothing unless told to.

        Args:
            names: Two or more, such as ["cat", "dog", "car"].
            model: Instead, a head that `train.labels` made: its names, and its sureness.
            filter, modalities: Only such items, as in `search`.
            save: Keep the labels as tags with their confidence, which filters and searches then know. They replace
                what earlier calls said of these items with the same names, and never a person's tag.
            min_confidence: In [0, 1]; below it none of the names fits. By default 1 - `false_accepts`, 0 for a model.

        Raises: InvalidInput for senseless names or an unknown model, LibraryEmpty, LibraryLocked.
        """
        options = labelling.LabelOptions(names, model, _filter(filter), modalities, min_confidence)
        registry.check_modalities(modalities)
        self._require_items()
        return labelling.label_items(options, self._context, save=save)

    @property
    def train(self) -> "LibraryTraining":
        """Learning from your own pairs, and searching with it (`mmsearch.training.training`); loads torch."""
        from mmsearch.training.training import LibraryTraining

        return LibraryTraining(self._context)

    @property
    def model(self) -> LibraryModels:
        """Other models for the files that are here, made beside the one that serves (`mmsearch.models.switch`)."""
        return LibraryModels(self._context)

    @property
    def index(self) -> LibraryIndex:
        """What vectors are searched with: to see, tune, build and verify (`mmsearch.maintenance.index`)."""
        return LibraryIndex(self._context)

    # Knowing and forgetting

    def status(self) -> Status:
        """What the library holds. Raises: LibraryNotFound."""
        return library_status(self._context)

    def failures(self, failure: str | None = None) -> list[Failure]:
        """The failure ledger, by path: one class ("not-embedded" too, which is no failure), or all that failed."""
        with self._context.catalog().reading() as snapshot:
            known = failures_to_retry(snapshot, failure)
        return [Failure(Path(os.fsdecode(f.path)), f.failure, f.reason, f.attempts) for f in known]

    def remove(self, *paths: str | os.PathLike[str]) -> int:
        """Forget every item at or below the paths. Files on disk are not touched. Returns how many items.

        Raises: InvalidInput if nothing is known there.
        """
        return maintenance_prune.remove(self._context, paths)

    def prune(self) -> Pruned:
        """Forget items whose file is missing, and failures whose file is gone; give their room back. Searches go on."""
        return maintenance_prune.prune(self._context)

    # Keeping it safe

    def doctor(self) -> list[Finding]:
        """Look at all that mmsearch needs of this machine and this library. Changes nothing; faults don't raise."""
        return list(doctor.examine_library(self._context))

    def backup(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> int:
        """Write all that the library knows into one file, while others search and ingest. Returns its size in bytes.

        Raises: LibraryNotFound, InvalidInput if the file exists and may not be overwritten.
        """
        return backup.back_up(self._context.catalog(), Path(path), overwrite=overwrite)

    def export(self, folder: str | os.PathLike[str]) -> Exported:
        """Write what is findable, with its vectors, into a new folder that any program can read, while others go on."""
        return maintenance_export.export_library(self._context, Path(folder))

    def import_(
        self, folder: str | os.PathLike[str], roots: Mapping[str, str] | None = None, models: Sequence[str] = ()
    ) -> Imported:
        """Take in what `export` wrote, of this library or another; opens no medium. What is known here stays.

        Args:
            roots: Folder there -> folder here, such as {"/home/ann/Pictures": "/mnt/pictures"}.
            models: Other models, by name, whose vectors are taken too, although this library has none of theirs yet.

        Raises: InvalidInput for what is no such folder, SpaceChanged if it is of another space, LibraryLocked.
        """
        return maintenance_export.import_folder(self._context, Path(folder), roots or {}, models)

    def restore(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> int:
        """Make the library what it was when `backup` wrote the file. Returns how many items it has.

        Raises: InvalidInput for what is no backup, or if a library is here and may not be overwritten; LibraryLocked.
        """
        with self._context.writing(create=True):
            items = backup.restore_backup(Path(path), self.path, overwrite=overwrite)
            self._context.let_go()
        return items


def open_library(path: str | os.PathLike[str] | None = None, **arguments: Any) -> Library:
    """Open the library at a folder, or the default one. `arguments` are settings (see `mmsearch.core.config.Settings`).

    A library of another space than the argument `space` can be searched, but not ingested into (SpaceChanged).

    >>> with mmsearch.open("photos.mmsearch") as library:  # doctest: +SKIP
    ...     library.ingest("~/Pictures")
    ...     hits = library.search("a dog on a beach", k=5)
    """
    folder = absolute_path(path) if path is not None else default_library()
    found = config.warn_of_ignored(config.read_configuration(folder, **arguments))
    return Library(folder, found.settings, arguments.get("space"), found.named)


def _filter(given: str | Filter | None) -> Filter | None:
    if not isinstance(given, str):
        return given
    # The parser takes longer to load than a query to answer.
    from mmsearch.filters import parser

    return parser.parse(given)

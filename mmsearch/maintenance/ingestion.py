"""What `Library` takes in: files below folders, media that an application has in memory, and what failed before."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mmsearch.catalog import Catalog
from mmsearch.catalog.failures import failures_to_retry
from mmsearch.catalog.items import items_under
from mmsearch.catalog.roots import all_roots, kept_excludes
from mmsearch.catalog.spaces import base_space
from mmsearch.catalog.store import WIPED_AT_ONCE
from mmsearch.catalog.traces import merge_words
from mmsearch.context.context import LibraryContext
from mmsearch.context.encoding import dealt_space
from mmsearch.core import paths as core_paths
from mmsearch.core import registry
from mmsearch.core.arguments import checked_methods
from mmsearch.core.config import Settings
from mmsearch.core.later import later
from mmsearch.core.media_paths import is_media_path, item_path
from mmsearch.core.version import VERSION
from mmsearch.errors import InvalidInput, LibraryError, LibraryLocked
from mmsearch.types import LibraryRoot, Modality, OnProgress, Progress

if TYPE_CHECKING:
    from mmsearch import ingest as ingests
    from mmsearch.extract import extractors as extracting
    from mmsearch.extract.library_extraction import LibraryExtraction
    from mmsearch.ingest import estimate as estimates
    from mmsearch.ingest import excludes as excluding
    from mmsearch.ingest import media as handed_over
    from mmsearch.ingest import plan as plans
    from mmsearch.ingest import queue as queues
    from mmsearch.ingest import scan as scans
    from mmsearch.maintenance import prune as pruning
    from mmsearch.maintenance import status
else:
    ingests, estimates = later("mmsearch.ingest"), later("mmsearch.ingest.estimate")
    excluding, handed_over = later("mmsearch.ingest.excludes"), later("mmsearch.ingest.media")
    plans, queues, scans = later("mmsearch.ingest.plan"), later("mmsearch.ingest.queue"), later("mmsearch.ingest.scan")
    extracting = later("mmsearch.extract.extractors")
    pruning, status = later("mmsearch.maintenance.prune"), later("mmsearch.maintenance.status")

Job = TypeVar("Job", bound="ingests.Ingest")


@checked_methods
class LibraryIngestion:
    """The part of a library that takes media in."""

    path: Path
    settings: Settings
    _context: LibraryContext

    def ingest(
        self,
        *paths: str | os.PathLike[str],
        exclude: Sequence[str] = (),
        hidden: bool = False,
        follow_links: bool = False,
        modalities: Collection[Modality] | None = None,
        dry_run: bool = False,
        when_idle: bool = False,
        queue: bool = False,
        on_progress: OnProgress | None = None,
        cancel: threading.Event | None = None,
    ) -> ingests.IngestReport:
        """Add every new or changed file below the paths; note moved, copied and missing ones.

        Nothing is deleted: a missing file is kept until `prune`. A killed or cancelled run loses at most the current
        files; call it again to continue.

        Args:
            paths: Folders or files.
            exclude: Globs of what to skip, as .gitignore means them: `private/` is a folder, a slash elsewhere counts
                from the ingested folder; a path from the working folder is taken too.
            hidden: Include hidden files and folders.
            follow_links: Follow links that lead out of their folder; they are skipped otherwise.
            modalities: Only these kinds: "text", "image", "audio", "video".
            dry_run: Only report what would happen; decode and write nothing.
            when_idle: Work only while other programs use less than a quarter of the machine's cores (Linux).
            queue: Decode nothing here; leave it to those who `work` on the library, which is on a server.
            on_progress: Called now and then with a `Progress`; its last call has the stage "done".
            cancel: Set it from another thread to stop after the current files.

        Returns:
            Counts of files by what happened to them. A file that cannot be read is counted in `failed` and raises
            nothing.

        Raises: InvalidInput for a path that never existed, LibraryLocked, SpaceChanged, WeightsError.

        >>> report = library.ingest("~/Pictures", exclude=["*.tmp"])  # doctest: +SKIP
        >>> print(report.new, "new,", report.failed.total(), "failed")  # doctest: +SKIP
        """
        roots = core_paths.checked_roots(paths, self.path)
        registry.check_modalities(modalities)
        options = ingests.IngestOptions.of(
            self.settings,
            exclude=tuple(exclude),
            hidden=hidden,
            follow_links=follow_links,
            modalities=frozenset(modalities) if modalities is not None else None,
            when_idle=when_idle,
            on_progress=on_progress,
            cancel=cancel or threading.Event(),
        )
        if dry_run:
            return self._plan(roots, options)
        if queue:
            self._context.store.check_server("a queue")
        chosen = self._choose_space(roots)
        report = self._ingest(options, lambda job: job.run(roots), queues.QueueIngest if queue else ingests.Ingest)
        report.warnings += chosen
        return report

    def work(
        self,
        *,
        claim: int = 64,
        lease_s: float = 600.0,
        until_empty: bool = False,
        mapped: Sequence[str] = (),
        on_claim: Callable[[ingests.IngestReport], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> int:
        """Take in files that `ingest(queue=True)` queued, on this machine, beside any number of others who do.

        Args:
            claim: Files that are claimed at once.
            lease_s: Seconds for which they are; every commit begins them anew. Then others may claim them.
            until_empty: Return once nothing waits, rather than wait for more.
            mapped: Folders that this machine has elsewhere than who queued: "/nas/photos=/mnt/photos".
            on_claim: Called with what came of each claim.
            cancel: Set it from another thread to stop after the current files.

        Returns:
            Number of files.

        Raises: InvalidInput for a library that is not on a server, LibraryNotFound, LibraryEmpty, SpaceChanged.
        """
        self._context.store.check_server("a worker")
        worker = queues.WorkerOptions(claim, lease_s, until_empty=until_empty, mapped=queues.mapped_folders(mapped))
        options = ingests.IngestOptions.of(self.settings, cancel=cancel or threading.Event())
        self._context.check_named()

        def make() -> queues.ClaimedIngest:
            context = self._context
            return queues.ClaimedIngest(
                context.catalog(), *context.base(), context.decoding(), options, context.derived
            )

        done = 0
        for run in queues.work_off(make, worker, options.cancel, self._settle_claims):
            done += run.report.files
            if on_claim is not None:
                on_claim(run.report)
        return done

    def _settle_claims(self) -> None:
        """Measure scores anew where a library has grown, unless somebody else writes."""
        with suppress(LibraryLocked), self._context.writing(wait=0):
            self._context.calibrate(*self._context.embedding())
            self._context.catalog().write(merge_words)

    def _choose_space(self, roots: Sequence[Path]) -> list[str]:
        """Where the setting `space` leaves that to us, choose the model of a new library of these folders. Returns what
        to say of it."""
        return []

    def watch(
        self,
        *paths: str | os.PathLike[str],
        exclude: Sequence[str] = (),
        hidden: bool = False,
        follow_links: bool = False,
        modalities: Collection[Modality] | None = None,
        times: ingests.WatchTimes | None = None,
        on_event: Callable[[ingests.WatchEvent], None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> ingests.Watch:
        """Take in what changes below folders, as `ingest` does, from when the result's `run` is called.

        Args:
            paths: Folders. One that is not there now is watched once it is.
            exclude, hidden, follow_links, modalities, on_progress: As in `ingest`.
            times: How long to wait for quiet, and how often to scan everything.
            on_event: Called with what is done and found, in the thread of `run`.

        Returns:
            A `Watch`: its `run` goes on until its `stop` is called, from any thread.

        Raises: InvalidInput for a path that is no folder.
        """
        roots = core_paths.checked_roots(paths, self.path)
        registry.check_modalities(modalities)
        for root in roots:
            if root.exists() and not root.is_dir():
                raise InvalidInput(f"{root} is no folder", hint="name the folder that it is in")
        kinds = frozenset(modalities) if modalities is not None else None

        def take_in(there: Sequence[Path], within: Sequence[Path], cancel: threading.Event) -> ingests.IngestReport:
            options = ingests.IngestOptions.of(
                self.settings, exclude=tuple(exclude), hidden=hidden, follow_links=follow_links, modalities=kinds,
                within=tuple(within), on_progress=on_progress, cancel=cancel,
            )  # fmt: skip
            return self._ingest(options, lambda job: job.run(there), ingests.Ingest)

        return ingests.Watch(
            roots, self.path, take_in, self._is_known, times or ingests.WatchTimes(), on_event or (lambda event: None)
        )

    def _is_known(self, root: Path) -> bool:
        """Whether files below a folder are in the library."""
        if not self._context.store.exists():
            return False
        return bool(self._context.catalog().read(items_under, os.fsencode(root), None, 1))

    def estimate(self, *paths: str | os.PathLike[str]) -> estimates.IngestEstimate:
        """What `ingest` would take in below the paths, and about how long that takes; nothing is opened or written.

        Args:
            paths: Folders or files.

        Raises: InvalidInput for the library itself.
        """
        roots = core_paths.checked_roots(paths, self.path)
        exists = self._context.store.exists()
        return estimates.estimate_ingest(self._context.catalog() if exists else None, roots)

    def ingest_media(
        self,
        media: handed_over.Media | Iterable[handed_over.Media],
        *,
        on_progress: OnProgress | None = None,
        cancel: threading.Event | None = None,
    ) -> ingests.IngestReport:
        """Add media that the application holds in memory.

        Each gets the path `mem:/ID/NAME` and is never missing. A medium that cannot be decoded affects only itself:
        `failures` lists it under that path, and what its id held before stays.

        Args:
            media: One medium or many. A generator is asked for the next one when the last was taken, in this thread.
            on_progress: Called now and then with a `Progress`.
            cancel: Set it from another thread to stop after the current media.

        Returns:
            Counts of media by what happened to them, as for `ingest`.

        Raises: InvalidInput for anything that is not a `Media`, LibraryLocked, SpaceChanged, WeightsError,
        LibraryError.

        >>> library.ingest_media(mmsearch.Media("cat.jpg", data, id="doc-17"))  # doctest: +SKIP
        """
        checked = handed_over.checked_media(media)
        options = ingests.IngestOptions.of(self.settings, on_progress=on_progress, cancel=cancel or threading.Event())
        return self._ingest(options, lambda job: job.take(checked), handed_over.MediaIngest)

    def original(self, path: str | os.PathLike[str]) -> Path:
        """The file that holds the content of an item: the file itself, or the kept bytes of a medium from memory.

        Only read it.

        Raises: NotKept if the bytes were not kept or are damaged, InvalidInput if there is no such medium.
        """
        return self._context.original(path)

    def retry(
        self,
        failure: str | None = None,
        on_progress: OnProgress | None = None,
        cancel: threading.Event | None = None,
        *,
        follow_links: bool = False,
    ) -> ingests.IngestReport:
        """Try again the files that could not be read.

        Args:
            failure: Only this failure class, such as "timeout"; all by default.
            on_progress, cancel, follow_links: As in `ingest`.

        Returns:
            Counts of files by what happened to them, as for `ingest`.

        Raises: InvalidInput for an unknown class, LibraryNotFound, LibraryLocked.
        """
        options = ingests.IngestOptions.of(
            self.settings,
            follow_links=follow_links,
            retry=lambda known: True,
            on_progress=on_progress,
            cancel=cancel or threading.Event(),
        )
        with self._context.catalog().reading() as snapshot:
            known = failures_to_retry(snapshot, failure)
        return self._ingest(options, lambda job: job.again(known), ingests.Ingest)

    @property
    def extract(self) -> LibraryExtraction:
        """What is said and written in the library's files: extract it, see what there is, forget it."""
        from mmsearch.extract.library_extraction import LibraryExtraction

        return LibraryExtraction(self._context)

    def _extract(self, names: Sequence[str], options: ingests.IngestOptions, report: ingests.IngestReport) -> None:
        """Look for words in what the library has. The last word of the progress is the ingest's own."""

        def shown(progress: Progress) -> None:
            if options.on_progress is not None and progress.stage != "done":
                options.on_progress(progress)

        for name in names:
            if options.cancel.is_set():
                break
            try:
                with report.timed("extract"):
                    self.extract.add(name, on_progress=shown, cancel=options.cancel)
            except LibraryLocked:
                report.warnings.append(f"{name}: something is being extracted already, it goes on with these files")
        report.interrupted = options.cancel.is_set()

    def _ingest(
        self, options: ingests.IngestOptions, work: Callable[[Job], ingests.IngestReport], make: Callable[..., Job]
    ) -> ingests.IngestReport:
        extractors = extracting.wanted_extractors(self.settings)
        with self._context.writing(create=True), ExitStack() as running:
            catalog = self._context.catalog(create=True)
            self._context.sweep()
            self._context.check_named()
            space, record = self._context.embedding(create=True)
            run_id = catalog.begin_run()
            base, base_record = self._context.base()
            dealt = running.enter_context(dealt_space(base, base_record.target, self.settings))
            job = make(catalog, dealt, base_record, self._context.decoding(), options, self._context.derived)
            state = "failed"
            try:
                report = work(job)
                running.close()
                state = "interrupted" if report.interrupted else "done"
                if catalog.marked:
                    # What changed files held before.
                    catalog.forget_orphans()
                    self._context.forget_slices()
                job.publishing()
                with report.timed("calibrate"):
                    self._context.calibrate(space, record)
                with report.timed("publish"):
                    self._context.indexes().publish()
            finally:
                catalog.finish_run(run_id, state, job.report.as_dict(), job.scanned)
            report.warnings += self._wiped(catalog)
            if command := status.newer_version(catalog):
                report.warnings.append(f"this library uses a former version of its model; to the newer one: {command}")
        # Others may ingest meanwhile: nobody waits for it but the caller.
        with report.timed("build"):
            self._context.grown()
        self._extract(extractors, options, report)
        job.done()
        return report

    @staticmethod
    def _wiped(catalog: Catalog) -> list[str]:
        """Leave nothing of what changed files held before. Returns what to say where that has to wait."""
        try:
            catalog.wipe(WIPED_AT_ONCE)
            why = ""
        except LibraryError as error:
            why = f" ({error.message})"
        if not catalog.marked:
            return []
        return [f"words of files as they were before are still in the library's files{why}; mmsearch prune wipes them"]

    # Roots

    def roots(self) -> list[LibraryRoot]:
        """The folders and files that were handed to `ingest`, by path, with what is left out below them.

        Raises: LibraryNotFound.
        """
        known = self._context.catalog().read(all_roots)
        places = [(one, Path(os.fsdecode(one.path))) for one in known if not is_media_path(one.path)]
        return [
            LibraryRoot(one.id, path, one.items, one.missing, os.path.lexists(path), one.exclude, one.scanned_at)
            for one, path in places
        ]

    def set_excludes(self, root: str | os.PathLike[str], globs: Sequence[str]) -> tuple[str, ...]:
        """Leave these out of every ingest at or below a root from now on, in place of what was left out.

        What is known of them already stays: `prune(excluded=True)` forgets it.

        Args:
            root: A folder that was ingested, or will be.
            globs: As `exclude` of `ingest`; a path from the working folder is kept as it is below the root.

        Returns:
            The globs as they are kept.

        Raises: InvalidInput for what is no glob, LibraryLocked.
        """
        (place,) = core_paths.checked_roots([os.fsdecode(item_path(root))], self.path)
        kept = tuple(dict.fromkeys(excluding.to_keep(glob, place) for glob in globs))
        with self._context.writing(create=True):
            self._context.catalog(create=True).keep_excludes(os.fsencode(place), kept)
        return kept

    # Forgetting

    def remove(self, *paths: str | os.PathLike[str] | int, on_proof: pruning.OnProof | None = None) -> int:
        """Forget every item at or below the paths, and return how many. The files are not touched.

        Args:
            paths: Paths, or numbers of items (`Hit.item_id`), or ids of media that were handed over in memory. Bytes
                that were kept for these alone are deleted at once.
            on_proof: Called with what a search of all bytes of the library's files still finds of it.

        Raises: InvalidInput if the library has nothing there, or if a path and an id are the same text.
        """
        return pruning.remove(self._context, paths, on_proof)

    def prune(
        self,
        *roots: str | os.PathLike[str],
        excluded: bool = False,
        exclude: Sequence[str] = (),
        on_proof: pruning.OnProof | None = None,
    ) -> pruning.Pruned:
        """Forget items and failures whose file is gone, by a look at the disk; free their space. Searches continue.

        Of a root that is not there, or empty, as where a disk isn't mounted, nothing is forgotten.

        Args:
            roots: Only what lies at or below these folders.
            excluded: Forget also what is excluded now: by globs that are kept with a root, or an ignore file.
            exclude: Forget also what these globs exclude, as for `ingest`.
            on_proof: As for `remove`.

        Raises: InvalidInput for what is no glob, LibraryLocked.
        """
        leaves_out = self._leaves_out(exclude) if excluded or exclude else None
        within = tuple(map(item_path, roots))
        return pruning.prune(self._context, pruning.PruneOptions(within, leaves_out, on_proof))

    def _leaves_out(self, exclude: Sequence[str]) -> Callable[[Path], Callable[[bytes], bool]]:
        """From a root: what says of a path below it whether its user leaves it out now."""
        kept = self._context.catalog().read(kept_excludes)

        @cache
        def below(root: Path) -> Callable[[bytes], bool]:
            scan = scans.Scan(root, tuple(exclude), hidden=True, kept=kept)
            for _ in scan.files():
                pass  # it reads the ignore files on its way
            return scan.leaves_out

        return below

    def _plan(self, roots: Sequence[Path], options: ingests.IngestOptions) -> ingests.IngestReport:
        exists = self._context.store.exists()
        catalog = self._context.catalog() if exists else None
        space = catalog.read(base_space) if catalog else None
        if catalog:
            self._context.check_named()
        report = ingests.IngestReport()
        planner = plans.Planner(
            catalog if space else None, space.id if space else 0, VERSION, report, options.retry, options.max_bytes
        )
        return ingests.plan_only(planner, roots, options, catalog)

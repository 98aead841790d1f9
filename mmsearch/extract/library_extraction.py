"""What `Library.extract` offers: extractors run over the files that are here, and what they left."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter

from mmsearch.catalog.extractions import ExtractionCounts, extraction_counts, forget_extractions, pending_amounts
from mmsearch.catalog.spaces import active_space, base_space
from mmsearch.catalog.store import WIPED_AT_ONCE
from mmsearch.context.context import LibraryContext
from mmsearch.core import registry
from mmsearch.core.arguments import checked_methods
from mmsearch.core.version import VERSION
from mmsearch.errors import InvalidInput, LibraryEmpty, LibraryLocked
from mmsearch.extract.extractors import ExtractionEstimate, estimate_cost, make_extractor, record_of
from mmsearch.extract.job import DeriveVectors, Extraction, ExtractionProblem, fill_cuts
from mmsearch.extract.process import ExtractionPool
from mmsearch.types import Modality, OnProgress, Vectors


@dataclass(frozen=True, slots=True)
class ExtractionAdded:
    """What a run of `add` did."""

    extractor: str
    source: str
    """said or written."""
    files: int
    """Distinct files that were looked at."""
    with_lines: int
    lines: int
    segments: int
    """That were embedded."""
    skipped: Mapping[str, int] = field(hash=False)
    """Why -> files that needed no model, or could not be read now."""
    problems: tuple[ExtractionProblem, ...]
    interrupted: bool
    wall_s: float


@dataclass(frozen=True, slots=True)
class ExtractionDropped:
    """What `drop` forgot."""

    contents: int
    segments: int
    freed: int
    """Bytes of the catalog that were freed on the disk."""


@checked_methods
class LibraryExtraction:
    """What is said and written in the files of one library; searches and ingests continue while it is extracted."""

    def __init__(self, context: LibraryContext) -> None:
        self._context = context

    def list(self) -> Sequence[ExtractionCounts]:
        """What extractors left in the library."""
        return self._context.catalog().read(extraction_counts)

    def estimate(self, name: str, *, retry: bool = False) -> ExtractionEstimate:
        """What `add` would take. Raises: UnknownName, WeightsError if the extractor can't run here, LibraryEmpty."""
        self._require_space()
        extractor = make_extractor(name, self._context.settings.limits)
        amounts = self._context.catalog().read(pending_amounts, record_of(extractor), retry=retry, version=VERSION)
        return estimate_cost(extractor, amounts)

    def add(
        self,
        name: str,
        *,
        retry: bool = False,
        on_progress: OnProgress | None = None,
        cancel: threading.Event | None = None,
    ) -> ExtractionAdded:
        """Look at every file of the library that an extractor takes and has not looked at, or continue a run.

        Args:
            name: "speech", "ocr", or that of another package's extractor.
            retry: Try again the files that failed in an earlier run.
            on_progress: Called now and then with a `Progress`.
            cancel: Set it from another thread to stop after the current files.

        Raises: UnknownName, WeightsError if what it needs is not here, LibraryEmpty, LibraryLocked if something is
        being extracted already.
        """
        self._require_space()
        context, stop, start = self._context, cancel or threading.Event(), perf_counter()
        settings = context.settings
        extractor = record_of(make_extractor(name, settings.limits))
        target = registry.target_of("extractors", name)
        with context.extracting():
            job = Extraction(context.catalog(), extractor, context.space_of, self._derived, on_progress, stop)
            done = job.run(lambda: ExtractionPool(target, settings.limits, settings.decode_workers), retry=retry)
        if done.segments:
            self._publish()
        return ExtractionAdded(
            extractor.name, extractor.source, done.files, done.with_lines, done.lines, done.segments,
            dict(sorted(done.skipped.items())), tuple(done.problems), stop.is_set(), perf_counter() - start,
        )  # fmt: skip

    def fill(self) -> int:
        """Give models that were added since the segments of what is extracted already. No file is looked at again.

        Returns:
            How many segments were embedded.
        """
        with self._context.extracting():
            made = fill_cuts(self._context.catalog(), self._context.space_of, self._derived)
        if made:
            self._publish()
        return made

    def drop(self, name: str) -> ExtractionDropped:
        """Forget what an extractor left: its lines, and the segments that were cut from them. Searches answer as they
        did before.

        Args:
            name: That of an extractor which left something, or that is known here.

        Raises: InvalidInput for an unknown one, LibraryLocked.
        """
        context = self._context
        sources = {one.extractor: one.source for one in self.list()}
        if name not in sources and name not in registry.known_targets("extractors"):
            raise InvalidInput(f"nothing here was extracted by {name!r}", hint="see what was: mmsearch extract list")
        source = sources.get(name) or make_extractor(name, context.settings.limits).source
        with context.writing(), context.extracting():
            catalog = context.catalog()
            contents, segments = catalog.write(forget_extractions, source)
            if contents or segments:
                self._measured()
            freed = catalog.wipe(WIPED_AT_ONCE)
        return ExtractionDropped(contents, segments, freed)

    def _require_space(self) -> None:
        if self._context.catalog().read(active_space) is None:
            raise LibraryEmpty(f"the library at {self._context.path} is empty", hint="fill it: mmsearch ingest FOLDER")

    def _derived(self, record: object) -> DeriveVectors:
        serving = self._context.catalog().read(base_space) == record
        return self._context.derived if serving else _derive_nothing

    def _publish(self) -> None:
        """Calibrate new lists and publish their indexes, unless an ingest is at it, which does so in its end."""
        with suppress(LibraryLocked), self._context.writing():
            self._measured()

    def _measured(self) -> None:
        space, record = self._context.embedding()
        self._context.calibrate(space, record)
        self._context.indexes().publish()


def _derive_nothing(_vectors: Vectors, _modalities: Sequence[Modality]) -> Mapping[int, Vectors]:
    return {}

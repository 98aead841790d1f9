"""What `Library.extract` offers: extractors run over the files that are here, and what they left."""

import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal

from mmsearch.catalog.extraction_cuts import forget_extractions
from mmsearch.catalog.extractions import (
    ExtractionScope,
    extraction_counts,
    pending_amounts,
    spoken_lines,
)
from mmsearch.catalog.items import items_at
from mmsearch.catalog.spaces import active_space, base_space
from mmsearch.catalog.store import WIPED_AT_ONCE
from mmsearch.context.context import LibraryContext
from mmsearch.core import registry
from mmsearch.core.arguments import checked_methods
from mmsearch.core.media_paths import item_path
from mmsearch.core.version import VERSION
from mmsearch.errors import InvalidInput, LibraryEmpty, LibraryLocked
from mmsearch.extract.cuts import passes
from mmsearch.extract.extractors import ExtractionEstimate, estimate_cost, make_extractor, record_of
from mmsearch.extract.job import DeriveVectors, Extraction, ExtractionProblem, fill_cuts
from mmsearch.extract.process import ExtractionPool
from mmsearch.extract.scanned import scanned_documents
from mmsearch.extract.transcripts import as_srt, as_vtt
from mmsearch.types import Extractor, Modality, OnProgress, TextLine, Vectors


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
class ExtractionCounts:
    """What an extractor left in a library."""

    extractor: str
    source: str
    """said or written."""
    contents: int
    """Distinct files that it was through with, with text or without."""
    with_text: int
    segments: int
    """Passages that can be found."""
    failed: int
    skipped: int


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
        return [ExtractionCounts(*one) for one in self._context.catalog().read(extraction_counts)]

    def estimate(
        self, name: str, path: str | os.PathLike[str] | None = None, *, retry: bool = False
    ) -> ExtractionEstimate:
        """What `add` would take. Raises: UnknownName, WeightsError if the extractor can't run here, LibraryEmpty."""
        self._require_space()
        extractor = make_extractor(name, self._context.settings.limits)
        wanted, catalog = _wanted(extractor, path, retry), self._context.catalog()
        scanned = len(scanned_documents(catalog, wanted))
        return estimate_cost(extractor, catalog.read(pending_amounts, wanted), scanned)

    def add(
        self,
        name: str,
        path: str | os.PathLike[str] | None = None,
        *,
        retry: bool = False,
        on_progress: OnProgress | None = None,
        cancel: threading.Event | None = None,
    ) -> ExtractionAdded:
        """Look at every file of the library that an extractor takes and has not looked at, or continue a run.

        Args:
            name: "speech", "ocr", or that of another package's extractor.
            path: Only files at or below it.
            retry: Try again the files that failed in an earlier run.
            on_progress: Called now and then with a `Progress`.
            cancel: Set it from another thread to stop after the current files.

        Raises: UnknownName, WeightsError if what it needs is not here, LibraryEmpty, LibraryLocked if something is
        being extracted already.
        """
        self._require_space()
        context, stop, start = self._context, cancel or threading.Event(), perf_counter()
        settings = context.settings
        wanted = _wanted(make_extractor(name, settings.limits), path, retry)
        extractor = wanted.extractor
        target = registry.target_of("extractors", name)
        with context.extracting():
            job = Extraction(context.catalog(), wanted, context.space_of, self._derived, on_progress, stop)
            pool = ExtractionPool.maker(target, settings.limits, settings.decode_workers)
            done = job.run(pool, context.base()[1], context.writing)
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
            contents, segments, empty = catalog.write(forget_extractions, source)
            # Documents that were taken in by these lines alone: the next ingest refuses them again.
            catalog.forget(empty)
            self._measured()
            freed = catalog.wipe(WIPED_AT_ONCE)
        return ExtractionDropped(contents, segments, freed)

    def transcript(self, path: str | os.PathLike[str]) -> tuple[TextLine, ...]:
        """What is said in a file of the library, in order: its subtitles, or what was heard and is worth being found.

        Raises: InvalidInput if nothing is known at the path, or of what is said there.
        """
        address = item_path(path)
        with self._context.catalog().reading() as snapshot:
            if not items_at(snapshot, [address]):
                raise InvalidInput(f"nothing is known at {path}", hint="see what is: mmsearch items")
            lines = tuple(line for line in spoken_lines(snapshot, address) if passes(line))
        if not lines:
            raise InvalidInput(
                f"nothing is known of what is said in {path}", hint="listen to it: mmsearch extract add speech"
            )
        return lines

    def subtitles(self, path: str | os.PathLike[str], form: Literal["srt", "vtt"]) -> str:
        """`transcript` as a file of subtitles. Raises: as `transcript`."""
        lines = self.transcript(path)
        return as_srt(lines) if form == "srt" else as_vtt(lines)

    def _require_space(self) -> None:
        if self._context.catalog().read(active_space) is None:
            raise LibraryEmpty(
                f"the library at {self._context.store.name} is empty", hint="fill it: mmsearch ingest FOLDER"
            )

    def _derived(self, record: object) -> DeriveVectors:
        serving = self._context.catalog().read(base_space) == record
        return self._context.derived if serving else _derive_nothing

    def _publish(self) -> None:
        """Calibrate new lists and publish their indexes, unless an ingest is at it, which does so in its end.

        Also where nothing is new: a run may have been killed just before.
        """
        with suppress(LibraryLocked), self._context.writing():
            self._measured()

    def _measured(self) -> None:
        if self._context.catalog().read(active_space) is None:
            return
        space, record = self._context.embedding()
        self._context.calibrate(space, record)
        self._context.indexes().publish()


def _wanted(extractor: Extractor, path: str | os.PathLike[str] | None, retry: bool) -> ExtractionScope:
    return ExtractionScope(record_of(extractor), VERSION, retry, None if path is None else item_path(path))


def _derive_nothing(_vectors: Vectors, _modalities: Sequence[Modality]) -> Mapping[int, Vectors]:
    return {}

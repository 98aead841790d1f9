"""Batches across files: prepared segments in, vectors out, files completed in the order they came."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from mmsearch.catalog.segments import REGION
from mmsearch.errors import EncodeError, WeightsError
from mmsearch.ingest.plan import FileStep
from mmsearch.ingest.report import IngestReport
from mmsearch.types import Encoder, Metadata, Modality, Prepared, SeenRegion, SeesRegions, Space, Span, Vectors


@dataclass(slots=True, eq=False)
class FileWork:
    """One file on its way through: its spans, its vectors as they come, and how it ended."""

    step: FileStep
    spans: list[Span] = field(default_factory=list)
    modalities: list[Modality] = field(default_factory=list)
    vectors: list[NDArray[np.float32] | None] = field(default_factory=list)
    regions: list[SeenRegion] = field(default_factory=list)
    """Of the photo, beside what decoding makes."""
    encoded: int = 0
    ended: bool = False
    modality: Modality = ""
    metadata: Metadata = field(default_factory=dict)
    evidence: bytes | None = None
    failure: tuple[str, str] | None = None
    """(class, reason)."""

    @property
    def complete(self) -> bool:
        return self.ended and (self.failure is not None or self.encoded == len(self.spans))

    def take_regions(self) -> None:
        """Make them segments, behind all others; a collage and a panorama have parts enough."""
        for one in () if any(span.box is not None for span in self.spans) else self.regions:
            self.spans.append(Span(source=REGION, box=one.box))
            self.modalities.append("image")
            self.vectors.append(one.vector)

    def matrix(self, dim: int) -> NDArray[np.float32]:
        """float32 (segments, dim)."""
        rows = [vector for vector in self.vectors if vector is not None]
        return np.stack(rows) if rows else np.empty((0, dim), np.float32)


class Embedder:
    """Collects prepared segments until a batch is full; hands completed files back in the order of `begin`."""

    def __init__(
        self,
        space: Space,
        batch_size: int,
        report: IngestReport,
        on_load: Callable[[], None] = lambda: None,
        regions: int = 0,
    ) -> None:
        """`on_load` is called before each encoder's first batch, for which its model is loaded. `regions`: of a photo,
        at most, where its encoder sees such."""
        self._space = space
        self._regions = min(regions, space.windowing.regions)
        self._on_load = on_load
        self._used = set[Modality]()
        self._report = report
        self._sizes = {m: batch_size or encoder.spec.batch_size for m, encoder in space.encoders.items()}
        self._waiting: dict[Modality, list[tuple[FileWork, int, Prepared]]] = {m: [] for m in space.encoders}
        self._order: deque[FileWork] = deque()
        self.pending = 0
        """Segments of files that are not completed yet."""

    def begin(self, step: FileStep) -> FileWork:
        work = FileWork(step)
        self._order.append(work)
        return work

    def add(self, work: FileWork, modality: Modality, span: Span, prepared: Prepared) -> None:
        """One more segment of a file; encodes when that fills a batch."""
        work.spans.append(span)
        work.modalities.append(modality)
        work.vectors.append(None)
        self.pending += 1
        waiting = self._waiting[modality]
        waiting.append((work, len(work.spans) - 1, prepared))
        if len(waiting) >= self._sizes[modality]:
            self._flush(modality)

    def end(self, work: FileWork, modality: Modality, metadata: Metadata, evidence: bytes | None = None) -> None:
        work.ended, work.modality, work.metadata, work.evidence = True, modality, metadata, evidence

    def fail(self, work: FileWork, failure: str, reason: str) -> None:
        """Give a file up; its segments that wait are not encoded."""
        work.ended, work.failure = True, (failure, reason)
        for waiting in self._waiting.values():
            waiting[:] = [entry for entry in waiting if entry[0] is not work]

    @property
    def files(self) -> int:
        """Files that are not completed yet."""
        return len(self._order)

    @property
    def stuck(self) -> bool:
        """Whether the file whose turn it is only waits for its batch to fill."""
        return bool(self._order) and self._order[0].ended and not self._order[0].complete

    def flush(self) -> None:
        """Encode everything that waits, however little."""
        for modality in self._waiting:
            self._flush(modality)

    def completed(self) -> Iterator[FileWork]:
        """Files that are complete and have none before them that isn't."""
        while self._order and self._order[0].complete:
            work = self._order.popleft()
            self.pending -= len(work.spans)
            work.take_regions()
            yield work

    def _flush(self, modality: Modality) -> None:
        waiting, self._waiting[modality] = self._waiting[modality], []
        if not waiting:
            return
        if modality not in self._used:
            self._used.add(modality)
            self._on_load()
        start = perf_counter()
        try:
            self._encode(modality, waiting)
        except WeightsError:
            raise  # no file's fault
        except EncodeError:
            self._one_by_one(modality, waiting)
        self._report.seconds["encode"] += perf_counter() - start
        self._report.embedded += len(waiting)

    def _encode(self, modality: Modality, waiting: list[tuple[FileWork, int, Prepared]]) -> None:
        batch = [prepared for _, _, prepared in waiting]
        vectors, regions = self._encoded(self._space.encoders[modality], batch)
        if vectors.shape != (len(waiting), self._space.dim) or not np.isfinite(vectors).all():
            raise EncodeError(f"the {modality} encoder gave unusable vectors")
        for (work, index, _), vector, seen in zip(waiting, vectors, regions, strict=True):
            work.vectors[index] = vector
            work.encoded += 1
            if _is_photo(work.spans[index]):
                work.regions += seen

    def _encoded(self, encoder: Encoder, batch: Sequence[Prepared]) -> tuple[Vectors, Sequence[Sequence[SeenRegion]]]:
        if self._regions and isinstance(encoder, SeesRegions):
            return encoder.encode_regions(batch, self._regions)
        return encoder.encode(batch), [()] * len(batch)

    def _one_by_one(self, modality: Modality, waiting: list[tuple[FileWork, int, Prepared]]) -> None:
        """Find the segment that spoils a batch, so that only its file fails."""
        for entry in waiting:
            if entry[0].failure is not None:
                continue
            try:
                self._encode(modality, [entry])
            except EncodeError as error:
                entry[0].failure = ("corrupt", f"its vector can't be used: {error.message}")


def _is_photo(span: Span) -> bool:
    """Whether a picture is neither a moment of a film nor a page, nor a part of another picture."""
    return span.start is None and span.page is None and span.box is None

"""What an ingest did: counts that account for every file, and where the time went."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from time import perf_counter

from mmsearch.types import Metadata

STAGES = ("scan", "hash", "decode", "prepare", "encode", "commit", "publish", "calibrate", "build", "extract")


@dataclass(slots=True)
class IngestReport:
    """Every scanned file is in exactly one of new ... failed, failed_before, not_embedded, other_modality."""

    new: int = 0
    changed: int = 0
    """Known paths with another content."""
    moved: int = 0
    """Known contents that left their old path for a new one."""
    copied: int = 0
    """Known contents at an additional path."""
    unchanged: int = 0
    restored: int = 0
    """Items that had been missing and are back as they were."""
    completed: int = 0
    """Known contents that got the vectors which another model's space lacked."""
    failed: Counter[str] = field(default_factory=Counter)
    """Failure class -> files that failed in this run."""
    failed_before: int = 0
    """Files that failed in an earlier run and were not tried again."""
    not_embedded: int = 0
    """Good files of a modality that the space has no encoder for."""
    other_modality: int = 0
    """Files left out because of `modalities`."""
    missing: int = 0
    """Items whose file was there before and is not now. They are kept; `prune` forgets them."""
    queued: int = 0
    """Files that wait for a worker (`mmsearch worker`)."""
    left_out: int = 0
    """Items that were taken in before, and whose files are excluded now. They are kept; `prune` forgets them if asked
    to."""
    skipped: Counter[str] = field(default_factory=Counter)
    """What the scan skipped, by reason: hidden, excluded, link loop, not a regular file, ..."""
    warnings: list[str] = field(default_factory=list)
    segments: int = 0
    embedded: int = 0
    """Segments that went through an encoder."""
    interrupted: bool = False
    dry_run: bool = False
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    """Stage -> seconds. decode and prepare add up over the workers, which run beside everything else."""
    wall_s: float = 0.0

    @property
    def files(self) -> int:
        """Files accounted for."""
        found = self.new + self.changed + self.moved + self.copied + self.unchanged + self.restored + self.completed
        return found + self.failed.total() + self.failed_before + self.not_embedded + self.other_modality + self.queued

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to a stage."""
        start = perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += perf_counter() - start

    def as_dict(self) -> Metadata:
        """JSON-able, for the catalog's record of the run and for `--json`."""
        made = asdict(self)
        made["failed"], made["skipped"] = dict(self.failed), dict(self.skipped)
        made["seconds"] = {stage: round(spent, 3) for stage, spent in self.seconds.items()}
        return {**made, "files": self.files, "wall_s": round(self.wall_s, 3)}

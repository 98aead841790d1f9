"""What a decode pool is asked, and what it answers about each file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from mmsearch.types import Metadata, Modality, Prepared, Span


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A file to decode. `key` and `payload` are the caller's own and come back with every event."""

    path: Path
    key: int = 0
    size: int | None = None
    """Bytes, as scanned: another size or time at decoding means "transient"."""
    mtime_ns: int | None = None
    only: frozenset[Modality] | None = None
    """Item modalities wanted; None: those of the pool."""
    payload: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """One segment of a file, as its encoder's `prepare` made it."""

    job: Job
    index: int
    """0-based within the file."""
    modality: Modality
    """Of the segment: names the encoder."""
    span: Span
    array: Prepared


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """The file is complete, with at least one piece."""

    job: Job
    modality: Modality
    """Of the item."""
    metadata: Metadata
    decode_s: float
    prepare_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Failed:
    """The file failed; pieces that came before are to be dropped."""

    job: Job
    failure: str
    """A key of `errors.FAILURES`."""
    reason: str
    """One line, without folders."""
    modality: Modality | None
    decode_s: float
    prepare_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Skipped:
    """The file is of a modality that was not asked for; nothing of it was decoded."""

    job: Job
    modality: Modality


Event: TypeAlias = Piece | Done | Failed | Skipped

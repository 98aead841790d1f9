"""The jobs of a decode pool, and the events that come back for each file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from mmsearch.types import Metadata, Modality, Prepared, Span


@dataclass(frozen=True, slots=True)
class Preview:
    """What is to be shown of a medium (`mmsearch.media.previews`), instead of its segments."""

    kind: str
    """thumbnail, poster, sprite, waveform or clip."""
    side: int = 320
    """Pixels of a still's longer side."""
    start: float | None = None
    """Seconds."""
    end: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class DecodeJob:
    """A file to decode. `key` and `payload` are the caller's own and come back with every event."""

    path: Path
    key: int = 0
    size: int | None = None
    """Bytes, as scanned: another size or time at decoding means "transient"."""
    mtime_ns: int | None = None
    modalities: frozenset[Modality] | None = None
    """Item modalities to decode; None: those of the pool."""
    payload: Any = None
    preview: Preview | None = None
    """What is to be made of it instead of segments."""
    headers: bool = False
    """Whether nothing is decoded: what the headers say comes with `FileDone`."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedSegment:
    """One segment of a file, as its encoder's `prepare` made it."""

    job: DecodeJob
    index: int
    """0-based within the file."""
    modality: Modality
    """Of the segment: names the encoder."""
    span: Span
    array: Prepared


@dataclass(frozen=True, slots=True, eq=False)
class FileDone:
    """The file is complete, with at least one segment, or with the preview that was asked for."""

    job: DecodeJob
    modality: Modality
    """Of the item."""
    metadata: Metadata
    decode_s: float
    prepare_s: float
    evidence: bytes = b""
    """What tells whether another content is the same (`mmsearch.media.sameness.evidence`); empty: nothing does."""
    preview: bytes = b""
    """What was asked for instead of segments."""


@dataclass(frozen=True, slots=True, eq=False)
class FileFailed:
    """The file failed; segments that came before are to be dropped."""

    job: DecodeJob
    failure: str
    """A key of `errors.FAILURES`."""
    reason: str
    """One line, without folders."""
    modality: Modality | None
    decode_s: float
    prepare_s: float


@dataclass(frozen=True, slots=True, eq=False)
class FileSkipped:
    """The file is of a modality that is not to be decoded; nothing of it was decoded."""

    job: DecodeJob
    modality: Modality


DecodeEvent: TypeAlias = PreparedSegment | FileDone | FileFailed | FileSkipped

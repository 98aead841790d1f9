"""What the parts that can be swapped exchange and promise: decoders, encoders, spaces and vector indexes.

Frozen dataclasses and Protocols over numpy and the standard library. `mmsearch.testing` holds a part to its promise.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Modality: TypeAlias = str
"""An open set, named by decoders: "text", "image", "audio", "video"."""

Ids: TypeAlias = NDArray[np.int64]
"""(n,), catalog segment ids, >= 0."""

Vectors: TypeAlias = NDArray[np.float32]
"""(n, dim), rows of L2 norm 1."""

Prepared: TypeAlias = NDArray[Any]
"""What one encoder takes for one segment; shape and dtype are the encoder's own business."""

MODALITIES: tuple[Modality, ...] = ("text", "image", "audio", "video")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost before it is given up; each has the failure class named."""

    pixels: int = 250_000_000
    """Width x height a picture or a frame may declare (limit)."""
    file_bytes: int = 16 * 2**30
    """Size of a file (limit)."""
    text_bytes: int = 64 * 2**20
    """Size of a text document (limit)."""
    duration_s: float = 12 * 3600.0
    """Length of a sound or a video, seconds (limit)."""
    decode_s: float = 60.0
    """Seconds a decoder may work without delivering a segment (timeout)."""
    memory_bytes: int = 3 * 2**30
    """Private memory of one decode worker; enforced by the kernel on Linux (out-of-memory)."""


@dataclass(frozen=True, slots=True)
class Windowing:
    """How a space wants files cut into segments. Part of its fingerprint: other windows are other vectors."""

    image_side: int = 292
    """Pixels: decoders may deliver a picture reduced as long as its shorter side keeps this."""
    animation_frames: int = 3
    """Frames taken from an animated picture, evenly spaced."""
    audio_rate: int = 16_000
    """Hz."""
    audio_window_s: float = 5.0
    audio_hop_s: float = 2.5
    min_frames: int = 3
    """Frames of a video, at least (fewer only if it has fewer)."""
    frames_per_minute: int = 12
    """Frames of a video, at most, once that exceeds `min_frames`."""
    passage_words: int = 180
    passage_overlap: int = 40
    """Words two neighbouring passages share."""


class SourceFile(NamedTuple):
    """A regular file that a scan found. One is made for every file of every scan: a tuple costs a third."""

    path: bytes
    """As the file system gives it."""
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Span:
    """Where in its file a segment lies, and the words to show for it."""

    start: float | None = None
    """Seconds."""
    end: float | None = None
    page: int | None = None
    """1-based page of a paged document."""
    char_start: int | None = None
    """Offset into the document's text (the page's, if paged), in characters."""
    char_end: int | None = None
    text: str | None = None
    """The passage itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """One piece of a file, as an encoder's `prepare` takes it.

    `data` is a str for "text", uint8 (height, width, 3) sRGB for "image", float32 (samples,) mono in [-1, 1] for
    "audio" at `rate` Hz. A video yields "image" and "audio" segments.
    """

    modality: Modality
    data: str | NDArray[Any]
    span: Span = Span()
    rate: int | None = None


Metadata: TypeAlias = dict[str, Any]
"""JSON-able facts about a file: duration, width, height, taken, camera, gps, title, artist, pages, ..."""


class Decoder(Protocol):
    """Turns files of one modality into segments. Built as `Decoder(windowing, limits)`; holds no open file.

    Runs in a worker process that may be killed. Raises `MediaError` subclasses, nothing else, for a bad file.
    """

    @property
    def modality(self) -> Modality: ...

    def accepts(self, path: Path, head: bytes) -> bool:
        """Whether the content (first 8 KiB in `head`) is this decoder's. The signature beats the suffix."""
        ...

    def describe(self, path: Path) -> Metadata:
        """Facts for the catalog, from headers and tags."""
        ...

    def decode(self, path: Path) -> Iterator[Segment]:
        """At least one segment, in time or reading order; the same file gives the same segments."""
        ...


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Facts about an encoder, readable before its weights are loaded."""

    name: str
    modality: Modality
    """Segment modality it takes: "text", "image" or "audio"."""
    dim: int
    weights: Mapping[str, str] = field(hash=False)
    """File name -> sha256 of every weight file the vectors depend on."""
    preprocessing: str
    """Version tag of `prepare` and of the pooling; changed whenever the vectors would change."""
    batch_size: int = 32


class Encoder(Protocol):
    """Maps segments of one modality into a space. Building one is cheap: weights load at the first `encode`.

    Thread safety: `encode` may be called from several threads.
    """

    @property
    def spec(self) -> EncoderSpec: ...

    def prepare(self, segment: Segment) -> Prepared:
        """The model's input for one segment. Pure, deterministic, no torch: it runs in decode workers.

        Raises: InvalidInput for a segment of another modality.
        """
        ...

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        """float32 (len(batch), dim), rows of L2 norm 1, in input order.

        Raises: EncodeError if the vectors can't be used, WeightsError if the weights aren't the recorded ones.
        """
        ...


@dataclass(frozen=True, slots=True)
class Space:
    """Where vectors may be compared: one dimension, one encoder per segment modality."""

    name: str
    dim: int
    windowing: Windowing
    encoders: Mapping[Modality, Encoder] = field(hash=False)

    @property
    def fingerprint(self) -> str:
        """sha256 over weights, preprocessing and windowing: equal fingerprints mean comparable vectors."""
        specs = {m: _identity(e.spec) for m, e in sorted(self.encoders.items())}
        text = json.dumps([self.name, self.dim, asdict(self.windowing), specs], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _identity(spec: EncoderSpec) -> dict[str, Any]:
    return {"name": spec.name, "dim": spec.dim, "weights": dict(spec.weights), "preprocessing": spec.preprocessing}


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The segments a search may return: sorted unique ids."""

    ids: Ids


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Result of a search for q queries: ids and scores, both (q, m) with m = min(k, matches).

    Each row is sorted by (-score, id); scores are cosines in [-1, 1].
    """

    ids: Ids
    scores: NDArray[np.float32]


class VectorIndex(Protocol):
    """Vectors under ids, searched by cosine. Thread safety: concurrent `search`, one writer."""

    @property
    def dim(self) -> int: ...

    def __len__(self) -> int: ...

    def ids(self) -> Ids:
        """Every id in it, ascending."""
        ...

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Insert; a known id is replaced. Raises: InvalidInput for NaN, zero or non-unit rows, or another dim."""
        ...

    def remove(self, ids: Ids) -> int:
        """Forget ids; unknown ones are ignored. Returns how many were there."""
        ...

    def search(self, queries: Vectors, k: int, *, selection: Selection | None = None) -> Neighbours:
        """The k nearest of each query (q, dim), exactly min(k, matches) of them under any selection."""
        ...

    def save(self, path: Path) -> None:
        """Write atomically: temp file, fsync, rename."""
        ...

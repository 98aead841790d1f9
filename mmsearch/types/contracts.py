"""What the parts that can be swapped exchange and promise: decoders, encoders, spaces and vector indexes.

Frozen dataclasses and Protocols over numpy and the standard library. `mmsearch.testing` holds a part to its promise.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Modality: TypeAlias = str
"""An open set, named by decoders: "text", "image", "audio", "video"."""

Ids: TypeAlias = NDArray[np.int64]
"""(n,), catalog segment ids, >= 0."""

Vectors: TypeAlias = NDArray[np.float32]
"""(n, dim), rows of L2 norm 1."""

TextBox: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of a picture, as shares of its width and height, in [0, 1]."""

Prepared: TypeAlias = NDArray[Any]
"""What one encoder takes for one segment; shape and dtype are the encoder's own business."""

MODALITIES: tuple[Modality, ...] = ("text", "image", "audio", "video")


@dataclass(frozen=True, slots=True)
class Limits:
    """What decoding one file may cost; a failure class in parentheses is that of a file beyond it."""

    pixels: int = 250_000_000
    """Width x height of a picture or a frame (limit)."""
    file_bytes: int = 16 * 2**30
    """Size of a file, in bytes (limit)."""
    text_bytes: int = 64 * 2**20
    """Size of a text document, in bytes (limit)."""
    duration_s: float = 12 * 3600.0
    """Length of a sound or a video, in seconds (limit)."""
    decode_s: float = 60.0
    """Seconds that a decoder may work without delivering a segment (timeout)."""
    frames_per_minute: int = 60
    """Frames taken of the shots of a video, at most, a minute of it, and as many again for the whole."""
    memory_bytes: int = 3 * 2**30
    """Private memory of one decoding process, in bytes; the kernel enforces it on Linux only (out-of-memory)."""


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
    clip_s: float = 0.0
    """Seconds of a video's clip, at most, for spaces that embed clips; 0: they embed frames alone."""
    clip_frames: int = 0
    """Frames of a clip, at most."""
    clip_side: int = 0
    """Pixels of the shorter side of a clip's frames; 0: as of pictures."""
    clip_sound: bool = False
    """Whether a clip comes with its sound, for spaces that see and hear it as one."""
    page_side: int = 0
    """Pixels of the shorter side of a document's page as a picture, for spaces that read such; 0: pages are words."""
    shots: int = 0
    """How the shots of a video are told apart, by version: each gets a frame, and a clip, of its own. 0: not at all,
    the video is cut into even spans."""
    regions: int = 0
    """Regions of a photo beside the whole, at most, for spaces whose encoder sees such (`SeesRegions`)."""

    def cut(self) -> dict[str, Any]:
        """All of it by name, as fingerprints have it: what came later is left out where it says nothing."""
        return {name: value for name, value in asdict(self).items() if value or not name.startswith(_LATER)}


_LATER = ("clip_", "page_", "shots", "regions")


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
    """1-based number of the page, slide, sheet, chapter or section of a document that has such."""
    char_start: int | None = None
    """Offset into the document's text (that of the page, if it has such), in characters."""
    char_end: int | None = None
    text: str | None = None
    """The passage itself."""
    place: str | None = None
    """Where that is in words, unless it is a page: "slide 3", "sheet Budget, rows 2-9", "chapter The Storm"."""
    source: str | None = None
    """"said" or "written" where an extractor made the words out of a sound or a picture, "region" of a part of a
    picture that its encoder found beside the whole."""
    box: TextBox | None = None
    """Where in the picture, the frame or the page they stand, or the region lies."""


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """One piece of a file, as an encoder's `prepare` takes it.

    `data` is a str for "text", uint8 (height, width, 3) sRGB for "image", float32 (samples,) mono in [-1, 1] for
    "audio" at `rate` Hz, uint8 (frames, height, width, 3) evenly spaced in its span for "video". A video yields "image"
    and "audio" segments, "text" for what is said, and "video" where the space embeds clips (`Windowing.clip_s`).
    """

    modality: Modality
    data: str | NDArray[Any]
    span: Span = Span()
    rate: int | None = None
    part: bool = False
    """Whether it shows a part of what another segment shows whole, or what is beside it: whether two files are the same
    thing is told without it."""
    title: str | None = None
    """Of the document that a text is of."""
    sound: NDArray[np.float32] | None = None
    """Of a clip, where the space wants it and there is any: float32 (samples,) mono in [-1, 1] at `rate` Hz."""


Metadata: TypeAlias = dict[str, Any]
"""JSON-able facts about a file: duration, width, height, taken, camera, gps, title, artist, pages, ..."""


class Decoder(Protocol):
    """Turns files of one modality into segments.

    It is built as `Decoder(windowing, limits)`, holds no open file between calls, and runs in a worker process that
    may be killed. For a bad file it raises `MediaError` subclasses, and nothing else.
    """

    @property
    def modality(self) -> Modality: ...

    def accepts(self, path: Path, head: bytes) -> bool:
        """Whether the content is this decoder's; the signature decides, not the suffix.

        Args:
            path: The file.
            head: Its first 8 KiB, or all of it.
        """
        ...

    def describe(self, path: Path) -> Metadata:
        """Facts for the catalog, from headers and tags, that JSON can hold.

        Raises: MediaError if the file cannot be read.
        """
        ...

    def decode(self, path: Path) -> Iterator[Segment]:
        """The segments of a file, at least one, in time or reading order.

        The same file gives the same segments. A generator may return more `Metadata`: what only decoding shows.

        Raises: MediaError if the file cannot be decoded.
        """
        ...


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text that an extractor made out of a sound or a picture, as the model gave it."""

    text: str
    start: float | None = None
    """Seconds."""
    end: float | None = None
    page: int | None = None
    """1-based number of the page of a document."""
    box: TextBox | None = None
    scores: Mapping[str, float] = field(default_factory=dict, hash=False)
    """What the model says of itself, by name; what they have to be is in `mmsearch.extract.cuts`."""
    language: str | None = None
    """ISO 639-1, where the model tells."""


class Extractor(Protocol):
    """Turns media into lines of text: what is said, or what is written in pictures.

    It is built as `Extractor(limits)`, which is cheap: weights are loaded at the first `extract`. It runs in a worker
    process that may be killed, without torch. For a bad file it raises `MediaError` subclasses, and nothing else.
    """

    @property
    def name(self) -> str: ...

    @property
    def source(self) -> str:
        """ "said" or "written": a library keeps the lines of one extractor for each."""
        ...

    @property
    def modalities(self) -> Sequence[Modality]:
        """Item modalities that it takes."""
        ...

    @property
    def fingerprint(self) -> str:
        """Of its weights and of whatever else decides about the lines: equal ones mean equal lines.

        Raises: WeightsError if its weights or its package are not here, with a hint that says how to get them.
        """
        ...

    @property
    def cost(self) -> Mapping[Modality, float]:
        """CPU seconds that a second of sound or video, a picture or a page takes, about, by item modality."""
        ...

    def extract(self, path: Path) -> Iterator[TextLine | None]:
        """The lines of a file, in the order of time or of reading; none if there are none.

        None stands for a step of work without a line: a worker that yields nothing for long is taken to be stuck. The
        same file gives the same lines.

        Raises: MediaError if the file cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Facts about an encoder, readable before its weights are loaded."""

    name: str
    modality: Modality
    """Segment modality it takes: "text", "image", "audio", or "video" for clips."""
    dim: int
    weights: Mapping[str, str] = field(hash=False)
    """File name -> sha256 of every weight file the vectors depend on."""
    preprocessing: str
    """Version tag of `prepare` and of the pooling; changed whenever the vectors would change."""
    batch_size: int = 32


class SeenRegion(NamedTuple):
    """A part of a picture that has a vector of its own."""

    box: TextBox
    """Left, top, right and bottom, as shares of the picture's sides."""
    vector: NDArray[np.float32]
    """float32 (dim,), of L2 norm 1."""


class Encoder(Protocol):
    """Maps segments of one modality into a space.

    Building one is cheap: weights are loaded at the first `encode`. Thread safety: several threads may call `encode`.
    """

    @property
    def spec(self) -> EncoderSpec: ...

    def prepare(self, segment: Segment) -> Prepared:
        """The model's input for one segment.

        Pure and deterministic, without torch: it runs in decoding workers.

        Args:
            segment: Of the modality in `spec`.

        Returns:
            An array of a shape and dtype of the encoder's own choice.
        """
        ...

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        """Vectors of prepared segments.

        Args:
            batch: What `prepare` returned.
            query: Whether they are queries; some models embed queries and documents differently.

        Returns:
            float32 (len(batch), dim), rows of L2 norm 1, in input order.

        Raises: EncodeError if the vectors cannot be used, WeightsError if the weights are not the recorded ones.
        """
        ...


@runtime_checkable
class SeesRegions(Protocol):
    """An encoder of pictures that finds regions which show something else than the whole, in one pass; optional."""

    def encode_regions(self, batch: Sequence[Prepared], most: int) -> tuple[Vectors, list[list[SeenRegion]]]:
        """What `encode` gives, bit for bit, and of each picture at most so many regions, the most telling first.

        Raises: as `Encoder.encode`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Space:
    """Where vectors may be compared: one dimension, and one encoder for each segment modality."""

    name: str
    dim: int
    windowing: Windowing
    encoders: Mapping[Modality, Encoder] = field(hash=False)

    @property
    def fingerprint(self) -> str:
        """sha256 over weights, preprocessing and windowing: equal fingerprints mean comparable vectors."""
        specs = {m: _identity(e.spec) for m, e in sorted(self.encoders.items())}
        text = json.dumps([self.name, self.dim, self.windowing.cut(), specs], sort_keys=True)
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
    """Vectors under ids, searched by cosine.

    Thread safety: any number of threads may call `search` while one writes.
    """

    @property
    def dim(self) -> int: ...

    def __len__(self) -> int: ...

    def ids(self) -> Ids:
        """All ids, int64 (n,), ascending."""
        ...

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Insert vectors; the vector of a known id is replaced.

        Args:
            ids: int64 (n,), 0 or more, without repetition.
            vectors: float32 (n, dim), rows of L2 norm 1.

        Raises: InvalidInput for NaN, zero or non-unit rows, or another dimension.
        """
        ...

    def remove(self, ids: Ids) -> int:
        """Forget ids; unknown ones are ignored.

        Returns:
            How many were there.
        """
        ...

    def search(self, queries: Vectors, k: int, *, selection: Selection | None = None) -> Neighbours:
        """The nearest vectors of each query by cosine.

        Args:
            queries: float32 (q, dim), rows of L2 norm 1.
            k: 1 or more.
            selection: Only these ids may be found; all by default.

        Returns:
            Ids and scores of shape (q, min(k, matches)), sorted by (-score, id).
        """
        ...

    def save(self, path: Path) -> None:
        """Write the index atomically: a temporary file, fsync, rename."""
        ...

"""The values that users meet: what they look for and what they get. Only numpy and the standard library.

What decoders, encoders and indexes exchange is `mmsearch.types.contracts`; its names are here too.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from numbers import Real
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from numpy.typing import NDArray

from mmsearch.errors import InvalidInput
from mmsearch.types.contracts import MODALITIES as MODALITIES
from mmsearch.types.contracts import Decoder as Decoder
from mmsearch.types.contracts import Encoder as Encoder
from mmsearch.types.contracts import EncoderSpec as EncoderSpec
from mmsearch.types.contracts import Extractor as Extractor
from mmsearch.types.contracts import Ids as Ids
from mmsearch.types.contracts import Limits as Limits
from mmsearch.types.contracts import Metadata as Metadata
from mmsearch.types.contracts import Modality as Modality
from mmsearch.types.contracts import Neighbours as Neighbours
from mmsearch.types.contracts import Prepared as Prepared
from mmsearch.types.contracts import SeenRegion as SeenRegion
from mmsearch.types.contracts import SeesRegions as SeesRegions
from mmsearch.types.contracts import Segment as Segment
from mmsearch.types.contracts import Selection as Selection
from mmsearch.types.contracts import SourceFile as SourceFile
from mmsearch.types.contracts import Space as Space
from mmsearch.types.contracts import Span as Span
from mmsearch.types.contracts import TextBox as TextBox
from mmsearch.types.contracts import TextLine as TextLine
from mmsearch.types.contracts import VectorIndex as VectorIndex
from mmsearch.types.contracts import Vectors as Vectors
from mmsearch.types.contracts import Windowing as Windowing


@runtime_checkable
class PillowImage(Protocol):
    """A PIL image (`PIL.Image.Image`), by what is used of one."""

    @property
    def size(self) -> tuple[int, int]: ...

    @property
    def info(self) -> Mapping[Any, Any]: ...

    def getexif(self) -> Any: ...

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None: ...


Encoded: TypeAlias = bytes | bytearray | memoryview
"""The content of a media file."""

Sound: TypeAlias = tuple[NDArray[Any] | Sequence[float] | Sequence[Sequence[float]], float]
"""(samples, rate): samples (n,) or (n, channels) in [-1, 1], the rate in Hz."""

QueryValue: TypeAlias = "str | os.PathLike[str] | Encoded | PillowImage | Sound | Hit | int | StoredVector"
"""What a part of a query is made of."""


Compose: TypeAlias = Literal["auto", "joint", "vector"]
"""How the parts of a query become one vector."""


@dataclass(frozen=True, slots=True, eq=False)
class QueryPart:
    """One ingredient of a query; a negative weight pushes results away from it. Raises: InvalidInput."""

    modality: Modality
    value: QueryValue
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.modality, str):
            raise InvalidInput("the modality of a query's part is a text", hint=f"known: {', '.join(MODALITIES)}")
        if isinstance(self.weight, bool) or not isinstance(self.weight, Real) or not math.isfinite(self.weight):
            raise InvalidInput("a weight must be a finite number")
        if not _fits(self.modality, self.value):
            raise InvalidInput(
                f"a query's {self.modality} can't be a {type(self.value).__name__}",
                hint=f"it is {_TAKES.get(self.modality, 'of no such modality')}",
            )


@dataclass(frozen=True, slots=True, eq=False)
class StoredVector:
    """An item of the library as a part of a query: float32 (dim,), a unit vector."""

    item_id: int
    path: Path
    vector: Vectors


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """What to look for: words, a picture, a sound, a video, or a mix of them.

    Queries add up: `Query("beach") + 0.5 * Query(image="sunset.jpg") - Query("people")`. Every part counts as a unit
    vector times its weight, 1 if nothing is said.

    Raises: InvalidInput for a part of a wrong type.
    """

    text: str | os.PathLike[str] | Encoded | None = None
    """Words; a path (`pathlib.Path`) or content is a document."""
    image: str | os.PathLike[str] | Encoded | PillowImage | None = None
    """A path, the content of a file, or a PIL image."""
    audio: str | os.PathLike[str] | Encoded | Sound | None = None
    """A path, the content of a file, or (samples, rate)."""
    video: str | os.PathLike[str] | Encoded | None = None
    """A path, or the content of a file."""
    mixed: tuple[QueryPart, ...] = ()
    """Further parts, as arithmetic leaves them."""
    like: "Hit | int | None" = None
    """An item of the library, by its stored vectors: a `Hit`, or its `item_id`. It is not its own answer."""
    compose: Compose = "auto"
    """How words and a picture or a sound become one: "joint", the model reads them as one input; "vector", their
    vectors add up, as in arithmetic; "auto", joint where the model can."""

    def __post_init__(self) -> None:
        if self.compose not in ("auto", "joint", "vector"):
            raise InvalidInput(f"a query can't be composed by {self.compose!r}", hint="known: auto, joint, vector")
        if not isinstance(self.mixed, tuple) or not all(isinstance(part, QueryPart) for part in self.mixed):
            raise InvalidInput("`mixed` is a tuple of QueryPart", hint="queries add up: Query('a') + Query('b')")
        _ = self.parts  # each is checked as it is made

    @classmethod
    def mix(
        cls,
        *,
        without: "str | Query | None" = None,
        text: str | os.PathLike[str] | Encoded | None = None,
        image: str | os.PathLike[str] | Encoded | PillowImage | None = None,
        audio: str | os.PathLike[str] | Encoded | Sound | None = None,
        video: str | os.PathLike[str] | Encoded | None = None,
        like: "Hit | int | None" = None,
    ) -> "Query":
        """`Query.mix(text="beach", image="sunset.jpg", without="people")`; `without` is words or a `Query`."""
        made = cls(text, image, audio, video, (), like)
        return made if without is None else made - (without if isinstance(without, Query) else cls(text=without))

    @property
    def parts(self) -> tuple[QueryPart, ...]:
        """What it is made of, those named first."""
        named: tuple[tuple[Modality, QueryValue | None], ...] = (
            ("text", self.text), ("image", self.image), ("audio", self.audio), ("video", self.video),
            ("like", self.like),
        )  # fmt: skip
        return (*(QueryPart(modality, value) for modality, value in named if value is not None), *self.mixed)

    def __add__(self, other: "Query") -> "Query":
        if not isinstance(other, Query):
            return NotImplemented
        return Query(mixed=self.parts + other.parts, compose="vector" if self.parts and other.parts else self.compose)

    def __sub__(self, other: "Query") -> "Query":
        return self + -1.0 * other if isinstance(other, Query) else NotImplemented

    def __mul__(self, weight: float) -> "Query":
        if isinstance(weight, bool) or not isinstance(weight, Real):
            return NotImplemented
        return Query(mixed=tuple(QueryPart(part.modality, part.value, part.weight * weight) for part in self.parts))

    __rmul__ = __mul__


QueryLike: TypeAlias = str | os.PathLike[str] | Query | PillowImage | Sound
"""What is looked for: words, the path of a media file, a query, a PIL image, or (samples, rate)."""


def as_query(value: Query | PillowImage | Sound) -> Query:
    """The query that a picture or a sound in memory makes; a query is one already."""
    if isinstance(value, Query):
        return value
    return Query(audio=value) if isinstance(value, tuple) else Query(image=value)


_TAKES: Mapping[Modality, str] = {
    "text": "words, a path, or the content of a file",
    "image": "a path, the content of a file, or a PIL image",
    "audio": "a path, the content of a file, or (samples, rate)",
    "video": "a path, or the content of a file",
    "like": "a hit, or an item's id",
}


def _fits(modality: Modality, value: object) -> bool:
    if isinstance(value, StoredVector):
        return True
    if modality == "like":
        return isinstance(value, Hit | int) and not isinstance(value, bool)
    in_memory = (modality == "image" and isinstance(value, PillowImage)) or (
        modality == "audio" and isinstance(value, tuple) and len(value) == 2
    )
    return in_memory or isinstance(value, str | os.PathLike | Encoded)


@dataclass(frozen=True, slots=True)
class Moment:
    """A stretch of a sound or a video, or a passage of a document, that matches (see `mmsearch.search.moments`)."""

    start: float | None
    """Seconds, up to `end`."""
    end: float | None
    page: int | None
    passage: str | None
    cosine: float
    """Raw cosine in [-1, 1], of its best part."""
    confidence: float | None
    """In [0, 1], as a hit's, by its meaning alone."""
    matched: Modality
    """Segment modality: "image" for what is seen, "audio" for what is heard, "text" for what is said or written, and
    "video" for a clip."""
    place: str | None = None
    """As a hit's."""
    source: str | None = None
    """As a hit's."""
    box: TextBox | None = None
    """As a hit's."""


Level: TypeAlias = Literal["sure", "likely", "unlikely"]
"""What a confidence comes to."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One found file and the part of it that matched best."""

    rank: int
    """1-based."""
    path: Path
    modality: Modality
    confidence: float | None = None
    """In [0, 1]: the probability that it answers the query, by its meaning and by the words that it holds. It means the
    same for every modality, and a list is ordered by it. None if the library has nothing to compare scores with yet."""
    level: Level | None = None
    """What that comes to: "sure", "likely" or "unlikely"."""
    cosine: float | None = None
    """Raw cosine in [-1, 1]. Those of two modalities live on different scales: compare them within one. None if words
    alone brought it."""
    keyword_score: float | None = None
    """In [0, 1]: the part of the confidence that the words it holds would give by themselves; 1 for an exact name or a
    quoted phrase. None if it holds none, or none that is telling."""
    start: float | None = None
    """Seconds: the best moment of a sound or a video, up to `end`."""
    end: float | None = None
    page: int | None = None
    """1-based number of the page, slide, sheet, chapter or section of a document that has such."""
    passage: str | None = None
    """The best passage of a text."""
    matched: Modality | None = None
    """Segment modality that matched: a video may be found by its picture ("image"), its sound ("audio"), what is said
    in it ("text") or, with models that see motion, a clip ("video")."""
    item_id: int = -1
    segment_id: int = -1
    metadata: Metadata = field(default_factory=dict, hash=False)
    by: tuple[str, ...] = ("vector",)
    """What brought it: "vector", "keywords" or both."""
    duplicates: tuple[Path, ...] = ()
    """Copies and near-duplicates of it that would have come further down, best first."""
    moments: tuple[Moment, ...] = ()
    """If they were asked for: all moments that match, in order."""
    members: tuple[Path, ...] = ()
    """All files of a bundle, `path` first; empty if the file is alone."""
    part: Path | None = None
    """Of a bundle, the file that matched best: cosine, confidence, moment, page and passage are its own."""
    media_id: str | None = None
    """The id that an application gave to a medium that it handed over in memory."""
    missing: bool = False
    """Whether its file was not there when it was found: moved, deleted, or on a disk that isn't mounted."""
    place: str | None = None
    """Where in a document it is, unless that is a page: "slide 3", "sheet Budget, rows 2-9", "chapter The Storm"."""
    source: str | None = None
    """"said" or "written" where the passage was made out of a sound or a picture (`mmsearch help extract`), "region"
    where a part of a photo was found beside the whole."""
    box: TextBox | None = None
    """Where in the picture it is, written or seen: left, top, right, bottom, in [0, 1]."""


MetaValue: TypeAlias = str | int | float | bool | date | datetime
"""A value of a person's own metadata; a datetime has no zone."""


@dataclass(frozen=True, slots=True)
class Item:
    """A file that the library knows, with all that is said of it. Hashable, by all but its dicts."""

    id: int
    """Never given to another one; it stays when the file moves or changes."""
    path: Path
    modality: Modality
    state: Literal["present", "missing"]
    """missing: the last ingest did not find the file any more, and no `prune` was made since."""
    size: int
    """Bytes."""
    modified: datetime
    """When the file last changed, UTC."""
    ingested: datetime
    """When it was last taken in, UTC."""
    sha256: str
    """Of the file's bytes: equal for copies."""
    duration: float | None = None
    """Seconds."""
    width: int | None = None
    """Pixels, as shown."""
    height: int | None = None
    taken: datetime | None = None
    """By the clock of the camera, without a zone."""
    camera: str | None = None
    gps: tuple[float, float] | None = None
    """Degrees north, degrees east."""
    title: str | None = None
    tags: tuple[str, ...] = ()
    """What a person gave: `Library.tag`, and the file's own keywords."""
    labels: tuple[tuple[str, float], ...] = ()
    """What `Library.label` saved, with its confidence in [0, 1]."""
    meta: Mapping[str, MetaValue] = field(default_factory=dict, hash=False)
    """What `Library.set_meta` gave, and what the file itself says: `artist`, `album`, `genre` or `year` of a song or a
    film, its `author`, or who a mail is `from` and `to`."""
    metadata: Metadata = field(default_factory=dict, hash=False)
    """Everything the file says of itself, as a hit has it."""


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """A search that somebody saved under a name."""

    name: str
    address: str
    """What is asked, as the query of an address, with the names of `Library.search`: text=dog&modalities=image."""
    saved: datetime
    """UTC."""


@dataclass(frozen=True, slots=True)
class Label:
    """What `Library.label` says of one item."""

    path: Path
    modality: Modality
    label: str | None
    """The name it is nearest to; None: none of them fits."""
    confidence: float
    """In [0, 1]: how sure it is that the nearest name's score is no accident among all the names tried."""
    runner_up: str
    """The next nearest name; where none fits, the nearest."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A row of the failure ledger."""

    path: Path
    failure: str
    """corrupt, unsupported, limit, unreadable, timeout, crashed, out-of-memory or transient."""
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True)
class LibraryRoot:
    """A folder or a file that was handed to an ingest."""

    id: int
    """Never given to another one while this one is known."""
    path: Path
    items: int
    """Present ones."""
    missing: int
    """Items whose file the last ingest did not find any more."""
    there: bool
    """Whether it is on the disk now; a disk that isn't mounted, is not."""
    exclude: tuple[str, ...] = ()
    """Globs of what every ingest leaves out below it (`Library.set_excludes`)."""
    scanned: datetime | None = None
    """When an ingest last came to its end, UTC."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where an ingest stands; handed to `on_progress`."""

    stage: str
    """"scan", "load" (a model), "work", "extract" (words), "wait" (till all is idle), "publish", at last "done"."""
    files_done: int
    files_total: int
    """Estimated until every file is planned; at the end it is `files_done`. "extract" counts its own files."""
    failed: int
    path: Path | None = None


OnProgress: TypeAlias = Callable[[Progress], None]


FindingState: TypeAlias = Literal["ok", "warning", "error"]
"""error: something mmsearch needs doesn't work. warning: it works, but slower or with less than it could."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    state: FindingState
    detail: str
    remedy: str | None = None
    """What to do about it, unless all is well."""


@dataclass(frozen=True, slots=True)
class Location:
    """A place on this machine where mmsearch keeps something, or looks for it."""

    name: str
    """What is kept there, in a word: "library", "models", ..."""
    path: Path
    """A file, a folder, or for what comes and goes a pattern."""
    detail: str
    bytes: int | None
    """What lies there now takes; None: there is nothing."""

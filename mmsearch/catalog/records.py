"""What the catalog takes and gives: plain frozen values, no SQLAlchemy in sight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from mmsearch.types import Ids, Metadata, MetaValue, Modality, Span, Vectors


class ListKey(NamedTuple):
    """One list of vectors that may be ranked together: a space, an item modality and the segments' modality.

    A video has two lists, its frames ("image") and its sound track ("audio"), since their scores live on
    different scales. A tuple, since every search looks things up by it.
    """

    space: str
    item: Modality
    segment: Modality


class KnownItem(NamedTuple):
    """A path the catalog knows. One is made for every known file of every scan: a tuple costs a third."""

    id: int
    path: bytes
    size: int
    mtime_ns: int
    status: str
    content_id: int
    kept: int
    """1 where the library keeps the bytes."""


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """A path in the failure ledger."""

    path: bytes
    size: int
    mtime_ns: int
    failure: str
    reason: str
    attempts: int
    version: str
    root: bytes


@dataclass(frozen=True, slots=True, eq=False)
class NewContent:
    """A decoded and embedded content. `vectors` is float32 (len(spans), dim), row i belongs to segment i."""

    sha256: str
    modality: Modality
    metadata: Metadata
    modalities: Sequence[Modality]
    spans: Sequence[Span]
    vectors: Vectors
    derived: Mapping[int, Vectors] = field(default_factory=dict)
    """Space id -> what that space's projection makes of them."""
    tags: Sequence[str] | None = None
    """A person's; None: the file's keywords."""
    meta: Mapping[str, MetaValue] = field(default_factory=dict)
    """A person's own metadata."""
    evidence: bytes | None = None
    """What tells whether another content is the same (`mmsearch.media.sameness.evidence`); None: it was not made."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A content (by hash) is at a path. `moved` is the id of the item that left its old path for this one."""

    path: bytes
    root: bytes
    sha256: str
    size: int
    mtime_ns: int
    moved: int | None = None
    kept: bool = False
    """Whether the library keeps the bytes."""
    named: bool = True
    """Whether words of the name and of the folders are kept for searches."""


@dataclass(frozen=True, slots=True)
class NewFailure:
    """A file that can't be taken in."""

    path: bytes
    root: bytes
    size: int
    mtime_ns: int
    failure: str
    reason: str


@dataclass(frozen=True, slots=True)
class NewUnsupported:
    """A content that a space can't have vectors of."""

    sha256: str
    failure: str
    reason: str


@dataclass(frozen=True, slots=True)
class MissingEmbeddings:
    """A findable content without vectors in a space."""

    content_id: int
    sha256: str
    files: tuple[tuple[bytes, int, int], ...]
    """(path, size, mtime_ns) of its present items."""


@dataclass(frozen=True, slots=True)
class NewTag:
    """What a model says of a content, in place of what it said before. `tag` None: none of the names fits."""

    content_id: int
    tag: str | None
    confidence: float
    """In [0, 1]."""


@dataclass(slots=True)
class Batch:
    """One transaction's worth of changes, applied in this order."""

    contents: list[NewContent] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)
    failures: list[NewFailure] = field(default_factory=list)
    missing: list[tuple[int, bytes]] = field(default_factory=list)
    """(item id, path): only marked where the item still has that path."""
    tags: list[tuple[str, str, float]] = field(default_factory=list)
    """(hash, tag, confidence) that a model gave to contents."""
    given_tags: list[tuple[str, str]] = field(default_factory=list)
    """(hash, tag) that a person or an application gave to contents."""

    def __bool__(self) -> bool:
        return any(getattr(self, one.name) for one in fields(self))


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """A piece of what an index has to catch up with: rows to add or replace, ids to forget."""

    ids: Ids
    vectors: Vectors
    gone: Ids


class ResolvedSegment(NamedTuple):
    """A segment resolved to one of the paths that hold it. A search makes many and shows few: hence a tuple, without
    what only a shown one needs (`HitDetails`)."""

    segment_id: int
    content_id: int
    item_id: int
    path: bytes
    """Empty while it was not read."""
    modality: Modality
    matched: Modality
    alone: bool = False
    """Whether the item is known to share its group key with no other present one."""
    single: bool = False
    """Whether a decoder is known to have made of the content this segment and no other."""


@dataclass(frozen=True, slots=True)
class HitDetails:
    """What is said of a hit beside its place in the ranking."""

    metadata: Mapping[int, Metadata]
    """By item id."""
    spans: Mapping[int, Span]
    """By segment id."""


class GroupSegment(NamedTuple):
    """A segment of a file of a file group."""

    item_id: int
    modality: Modality
    """The item's."""
    matched: Modality
    """The segment's own."""


@dataclass(frozen=True, slots=True)
class GroupFile:
    """A present file of a file group."""

    item_id: int
    content_id: int
    path: bytes
    modality: Modality
    metadata: Metadata
    wanted: bool
    """Whether it meets the conditions of the search."""


class WordMatch(NamedTuple):
    """Where an item holds a word or a phrase of a query."""

    word: str
    """As the query has it, case and diacritics folded; the words of a phrase with spaces between them."""
    named: bool
    """In its name, title or tags."""
    in_folder: bool
    density: float
    """In [0, 2.2): how much of the passage is about it, the part of bm25 that its number and the passage's length
    make; 1 for once in a passage of average length, 0 if it isn't there."""
    common: float
    """In [0, 1]: share of the library's items, or passages if those are more, that hold it."""


class Row(NamedTuple):
    """How far a passage has the words of a query one after the other."""

    pairs: float
    """Words of the query that follow each other in the passage as they do there: the root of the sum of the squares of
    unbroken rows of pairs, so that one long row counts for more than many short ones."""
    asked: int
    """Pairs in the query; 0 where nobody looked."""

    @property
    def share(self) -> float:
        """Of what would be one unbroken row, in [0, 1]."""
        return self.pairs / self.asked if self.asked else 0.0


NO_ROW = Row(0.0, 0)


@dataclass(frozen=True, slots=True)
class KeywordMatch:
    """An item that holds words of a query."""

    item_id: int
    content_id: int
    path: bytes
    modality: Modality
    segment_id: int | None
    """The passage that holds most of them; None where only name, folder, title or tags do."""
    score: float
    """bm25 with column weights, above 0; comparable within one search."""
    words: tuple[WordMatch, ...]
    """Every word and phrase of the query, found or not, in its order."""
    exact: bool
    """Whether the whole name is the query, or every quoted phrase occurs: its words, not others of their stems."""
    verbatim: bool = False
    """Whether it is exact with the same signs between the words: "red boat" is not "red-boat"."""
    row: Row = NO_ROW
    """How the passage has the query's words one after the other, the common ones too."""

    @property
    def share(self) -> float:
        """Share of the query's words and phrases that were found, in [0, 1]."""
        return sum(one.named or one.in_folder or one.density > 0 for one in self.words) / len(self.words)


@dataclass(frozen=True, slots=True)
class Counts:
    """Sizes of one modality."""

    modality: Modality
    items: int
    missing: int
    segments: int
    vectors: int


@dataclass(frozen=True, slots=True)
class SpaceRecord:
    """A space as the library recorded it."""

    id: int
    name: str
    target: str
    dim: int
    fingerprint: str
    layout: str = ""
    """How the segments that have vectors in it were cut (`catalog.layouts`)."""
    base: int | None = None
    """Id of the space whose vectors a projection turns into its own; None: encoders make them."""
    storage: str = "float32"
    """What its vectors are stored as: a key of `catalog.blobs.TYPES`."""


@dataclass(frozen=True, slots=True, eq=False)
class SegmentRows:
    """Segments of one modality: ids (n,) and vectors float32 (n, dim)."""

    modality: Modality
    ids: Ids
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One ingest as the catalog tells it; times are ISO 8601 UTC."""

    id: int
    started_at: str
    finished_at: str | None
    state: str
    pid: int
    report: Metadata

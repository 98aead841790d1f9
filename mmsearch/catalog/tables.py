"""The tables. Migrations make them; a test holds these models against what the migrations made.

Paths are BLOBs (`os.fsencode`), so that every name a file system allows is kept, and compared byte by byte:
SQLite's LIKE ignores case and gives `_` and `%` a meaning.
"""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from mmsearch.catalog.values import BytesColumn, JsonColumn, RealColumn, TextColumn, WholeColumn

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {int: WholeColumn, float: RealColumn, str: TextColumn}


class LibraryRow(Base):
    """The one row of facts about the library itself."""

    __tablename__ = "library"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str]
    generation: Mapped[int]
    """Grows by one with every commit that changes what can be found."""
    floor: Mapped[int]
    """Removals before this generation are no longer listed: an older index must be rebuilt whole."""
    created_at: Mapped[datetime]
    version: Mapped[str]
    space_id: Mapped[int | None] = mapped_column(ForeignKey("spaces.id"))
    """The space that searches use."""


class Root(Base):
    """A folder or a file that was handed to ingest."""

    __tablename__ = "roots"

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[bytes] = mapped_column(BytesColumn, unique=True)
    exclude: Mapped[str] = mapped_column(server_default="")
    """Globs of what every ingest leaves out below it, one a line."""
    scanned_at: Mapped[datetime | None]
    """When an ingest last came to its end."""


class CopyRow(Base):
    """A backup or an export that this library wrote: it may still hold what was forgotten since."""

    __tablename__ = "copies"

    path: Mapped[bytes] = mapped_column(BytesColumn, primary_key=True)
    kind: Mapped[str]
    """backup or export."""
    made_at: Mapped[datetime]


class Content(Base):
    """What a file holds, whatever its path: one row per distinct sha256, so a moved or copied file costs nothing."""

    __tablename__ = "contents"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(unique=True)
    modality: Mapped[str] = mapped_column(index=True)
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", JsonColumn)
    changed: Mapped[int] = mapped_column(index=True)
    """Generation at which it was added, or last began or ceased to be findable."""
    duration: Mapped[float | None]
    """Seconds. This and the columns below repeat what filters ask for, out of the metadata."""
    width: Mapped[int | None]
    height: Mapped[int | None]
    taken: Mapped[str | None]
    """ISO 8601, local time of the camera."""
    camera: Mapped[str | None]
    title: Mapped[str | None]
    latitude: Mapped[float | None]
    """Degrees north."""
    longitude: Mapped[float | None]
    """Degrees east."""


class Tag(Base):
    """A word that was given to a content, by a person or by a model. A person's counts for its whole file group."""

    __tablename__ = "tags"

    content_id: Mapped[int] = mapped_column(ForeignKey("contents.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(primary_key=True, index=True)
    confidence: Mapped[float | None]
    """In [0, 1] where a model gave it; None where a person did."""


class Meta(Base):
    """A value of a person's own metadata, under its key, of a content."""

    __tablename__ = "meta"
    __table_args__ = (
        CheckConstraint("kind IN ('text', 'whole', 'number', 'bool', 'date', 'datetime')", name="kind"),
        Index("ix_meta_key_number", "key", "number"),
        Index("ix_meta_key_text", "key", "text"),
    )

    content_id: Mapped[int] = mapped_column(ForeignKey("contents.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    """What `text` is read as: see `catalog.meta`."""
    text: Mapped[str]
    """The value as it is written; of a date or a datetime the whole moment in ISO 8601, so that moments compare."""
    number: Mapped[float | None]
    """The value of a number; None for other kinds."""


class ItemRow(Base):
    """A path at which a content was found."""

    __tablename__ = "items"
    __table_args__ = (
        CheckConstraint("status IN ('present', 'missing')", name="status"),
        Index("ix_items_bundle_status", "bundle", "status"),
        Index("ix_items_content_id_status", "content_id", "status"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[bytes] = mapped_column(BytesColumn, unique=True)
    display: Mapped[str]
    """The path as text, undecodable bytes replaced: for people, never to open."""
    name: Mapped[str]
    """The last part of `display`; SQLite could cut it out, but takes its time."""
    bundle: Mapped[bytes] = mapped_column(BytesColumn)
    """Folder and stem (`catalog.group_key`): equal for files that belong together."""
    root_id: Mapped[int] = mapped_column(ForeignKey("roots.id"), index=True)
    content_id: Mapped[int] = mapped_column(ForeignKey("contents.id"))
    size: Mapped[int]
    mtime_ns: Mapped[int]
    status: Mapped[str]
    seen_at: Mapped[datetime]
    kept: Mapped[int] = mapped_column(server_default="0")
    """1 where the library keeps the bytes (`catalog.originals`); only media that were handed over in memory have it."""


class SegmentRow(Base):
    """A piece of a content: a picture, a window of sound, a frame, a passage."""

    __tablename__ = "segments"
    __table_args__ = (
        Index("ix_segments_content_id_layout_ordinal", "content_id", "layout", "ordinal", unique=True),
        # Filters go from contents to a list's segments without reading their passages.
        Index("ix_segments_content_id_modality_layout", "content_id", "modality", "layout"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    content_id: Mapped[int] = mapped_column(ForeignKey("contents.id", ondelete="CASCADE"))
    layout: Mapped[str]
    """How the content was cut (`catalog.layouts`): a content has segments once for each layout of the spaces here."""
    ordinal: Mapped[int]
    modality: Mapped[str]
    start: Mapped[float | None]
    end: Mapped[float | None]
    page: Mapped[int | None]
    char_start: Mapped[int | None]
    char_end: Mapped[int | None]
    text: Mapped[str | None]
    place: Mapped[str | None]
    """What its part of a document is called."""
    source: Mapped[str | None]
    """said or written: cut from the lines of an extractor (`catalog.extractions`). None: a decoder made it."""
    box: Mapped[str | None]
    """Where in a picture it stands: four shares of its sides, a JSON list."""


class SpaceRow(Base):
    """A space whose vectors the library holds, with the fingerprint they were made under."""

    __tablename__ = "spaces"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    target: Mapped[str]
    dim: Mapped[int]
    fingerprint: Mapped[str]
    layout: Mapped[str]
    """Of the segments that have vectors in it."""
    filled: Mapped[int]
    """Generation at which contents that were there before last got vectors in it: an older index lacks some."""
    storage: Mapped[str]
    """What its vectors are stored as: float32 or float16."""


class UnsupportedRow(Base):
    """A content that a space has no vectors for, because its encoders or the decoders can't take it: and why."""

    __tablename__ = "refusals"

    space_id: Mapped[int] = mapped_column(ForeignKey("spaces.id", ondelete="CASCADE"), primary_key=True)
    content_id: Mapped[int] = mapped_column(ForeignKey("contents.id", ondelete="CASCADE"), primary_key=True, index=True)
    failure: Mapped[str]
    reason: Mapped[str]
    version: Mapped[str]


class ProjectionRow(Base):
    """What makes the vectors of a space out of those of its base: a safetensors file."""

    __tablename__ = "projections"

    space_id: Mapped[int] = mapped_column(ForeignKey("spaces.id", ondelete="CASCADE"), primary_key=True)
    base_id: Mapped[int] = mapped_column(ForeignKey("spaces.id"))
    weights: Mapped[bytes] = mapped_column(BytesColumn)


class Embedding(Base):
    """A segment's vector in a space: little-endian float32 or float16 (`catalog.blobs`), 4 or 2 bytes a dimension."""

    __tablename__ = "embeddings"

    space_id: Mapped[int] = mapped_column(ForeignKey("spaces.id", ondelete="CASCADE"), primary_key=True)
    segment_id: Mapped[int] = mapped_column(ForeignKey("segments.id", ondelete="CASCADE"), primary_key=True, index=True)
    vector: Mapped[bytes] = mapped_column(BytesColumn)


class ExtractionRow(Base):
    """What came of looking for words in a content: one extractor for what is said, and one for what is written."""

    __tablename__ = "extractions"
    __table_args__ = (CheckConstraint("state IN ('done', 'failed', 'skipped')", name="state"),)

    content_id: Mapped[int] = mapped_column(ForeignKey("contents.id", ondelete="CASCADE"), primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    extractor: Mapped[str]
    fingerprint: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str | None]
    """Why there are no lines, unless it is done."""
    version: Mapped[str]


class ExtractionLine(Base):
    """A line as the model gave it; segments are cut from those that pass the gates."""

    __tablename__ = "extraction_lines"
    __table_args__ = (
        ForeignKeyConstraint(
            ["content_id", "source"], ["extractions.content_id", "extractions.source"], ondelete="CASCADE"
        ),
    )

    content_id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True)
    start: Mapped[float | None]
    end: Mapped[float | None]
    page: Mapped[int | None]
    box: Mapped[str | None]
    text: Mapped[str]
    scores: Mapped[dict[str, Any]] = mapped_column(JsonColumn)
    language: Mapped[str | None]


class ExtractionCut(Base):
    """A space has the segments of an extraction, cut in this way, with their vectors."""

    __tablename__ = "extraction_cuts"
    __table_args__ = (
        ForeignKeyConstraint(
            ["content_id", "source"], ["extractions.content_id", "extractions.source"], ondelete="CASCADE"
        ),
    )

    space_id: Mapped[int] = mapped_column(ForeignKey("spaces.id", ondelete="CASCADE"), primary_key=True)
    content_id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    cut: Mapped[str]


class EvidenceRow(Base):
    """What is kept of a content to tell whether another is the same (`mmsearch.media.sameness.evidence`)."""

    __tablename__ = "evidence"

    content_id: Mapped[int] = mapped_column(ForeignKey("contents.id", ondelete="CASCADE"), primary_key=True)
    data: Mapped[bytes] = mapped_column(BytesColumn)
    """Empty: nothing can be told of it."""


class SearchRow(Base):
    """A search that somebody saved under a name."""

    __tablename__ = "searches"

    name: Mapped[str] = mapped_column(primary_key=True)
    address: Mapped[str]
    """What is asked, as the query of an address: text=dog&modalities=image."""
    saved_at: Mapped[datetime]


class ListRow(Base):
    """A list of vectors that are ranked together; known here so that no query has to look for them."""

    __tablename__ = "lists"

    space_id: Mapped[int] = mapped_column(ForeignKey("spaces.id", ondelete="CASCADE"), primary_key=True)
    item: Mapped[str] = mapped_column(primary_key=True)
    segment: Mapped[str] = mapped_column(primary_key=True)


class Background(Base):
    """How high the best score of an unrelated query usually is in a list: what makes scores comparable."""

    __tablename__ = "backgrounds"

    space_id: Mapped[int] = mapped_column(ForeignKey("spaces.id", ondelete="CASCADE"), primary_key=True)
    query: Mapped[str] = mapped_column(primary_key=True)
    """Modality of the query."""
    item: Mapped[str] = mapped_column(primary_key=True)
    segment: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int]
    """The catalog's generation it was measured at."""
    fitted: Mapped[dict[str, Any]] = mapped_column(JsonColumn)
    """What `mmsearch.calibration` measured."""


class Commit(Base):
    """Every commit that there was, by the generation it made, with a random number that tells it from the commit of
    the same generation in another copy of the library, or before it was set back."""

    __tablename__ = "commits"

    generation: Mapped[int] = mapped_column(primary_key=True)
    mark: Mapped[int]


class Tombstone(Base):
    """A segment that is gone, for indexes that still hold it."""

    __tablename__ = "tombstones"

    segment_id: Mapped[int] = mapped_column(primary_key=True)
    generation: Mapped[int] = mapped_column(index=True)


class FailureRow(Base):
    """The failure ledger: a file that could not be taken in, and why."""

    __tablename__ = "failures"

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[bytes] = mapped_column(BytesColumn, unique=True)
    display: Mapped[str]
    root_id: Mapped[int] = mapped_column(ForeignKey("roots.id"), index=True)
    size: Mapped[int]
    mtime_ns: Mapped[int]
    failure: Mapped[str] = mapped_column(index=True)
    reason: Mapped[str]
    attempts: Mapped[int]
    version: Mapped[str]
    at: Mapped[datetime]


class Run(Base):
    """One ingest."""

    __tablename__ = "runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    state: Mapped[str]
    """running, done, interrupted, failed or killed."""
    pid: Mapped[int]
    version: Mapped[str]
    report: Mapped[dict[str, Any]] = mapped_column(JsonColumn)


WORD_TABLES = ("item_words", "passage_words")
"""FTS5 tables, kept by triggers: SQLAlchemy has no word for either, so a migration makes them as they are."""


def modelled(_object: object, name: str | None, kind: str, _reflected: bool, _compared: object) -> bool:
    """Whether Alembic may compare a thing with the models: all but the FTS5 tables and what SQLite keeps of them."""
    return kind != "table" or not (name or "").startswith(WORD_TABLES)

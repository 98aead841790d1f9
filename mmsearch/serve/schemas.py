"""What requests and answers hold, as the API's description has it. What the library returns keeps its own names."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mmsearch import Hit
from mmsearch.types import Modality

MOST_PARTS, MOST_WORDS, MOST_HITS, DEEPEST = 16, 10_000, 200, 100_000

Kind: TypeAlias = Literal["text", "image", "audio", "video"]
Words: TypeAlias = Annotated[str, Field(max_length=MOST_WORDS)]
ItemId: TypeAlias = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Given(BaseModel):
    """What a client sends: no other names than these."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Told(BaseModel):
    """What the server answers."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class ErrorAnswer(Told):
    """What went wrong."""

    code: str
    """The class of the error: see the chapter `errors`."""
    message: str
    """What went wrong, and why."""
    hint: str | None
    """What to do."""


class AskedOptions(Given):
    """What a search asks besides its query; the names are those of `Library.search`."""

    modalities: list[Kind] | None = None
    """Kinds of item to search; all by default. In an address also `modalities=image,audio`."""
    mode: Literal["hybrid", "keyword", "vector"] = "hybrid"
    filter: Words | None = None
    """Only items that match, such as `taken >= 2024-05 and tag = dog`: see the chapter `filters`."""
    k: Annotated[int, Field(ge=1, le=MOST_HITS)] = 20
    offset: Annotated[int, Field(ge=0, le=DEEPEST)] = 0
    dedup: bool | None = None
    """Show near-duplicates as one hit; by default as the library's setting says."""
    moments: bool = False
    """Say all stretches and passages that match, not just the best."""
    min_confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    """Leave out hits below this confidence."""

    @model_validator(mode="before")
    @classmethod
    def _kinds_with_commas(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(given.get("modalities"), list | str):
            kinds = [given["modalities"]] if isinstance(given["modalities"], str) else given["modalities"]
            split = [part for kind in kinds for part in (kind.split(",") if isinstance(kind, str) else [kind])]
            return {**given, "modalities": [part.strip() if isinstance(part, str) else part for part in split] or None}
        return given


class QuickSearch(AskedOptions):
    """A search in an address."""

    text: Words | None = None
    like: ItemId | None = None
    """The `item_id` of an item: more like it."""


class QueryPartGiven(Given):
    """An ingredient of a query: one of `text`, `like` and `upload`."""

    text: Words | None = None
    like: ItemId | None = None
    """The `item_id` of an item."""
    upload: Annotated[str, Field(max_length=64)] | None = None
    """The id that `POST /uploads` gave."""
    weight: Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)] = 1.0
    """Below 0 for what is not wanted."""

    @model_validator(mode="after")
    def _one_of_them(self) -> "QueryPartGiven":
        if sum(one is not None for one in (self.text, self.like, self.upload)) != 1:
            raise ValueError("a part is one of text, like and upload")
        return self


class MixedSearch(AskedOptions):
    """A search by several things, weighted."""

    parts: Annotated[list[QueryPartGiven], Field(min_length=1, max_length=MOST_PARTS)]


class ExplainedSearch(MixedSearch):
    """A search, and one of its hits to explain."""

    item_id: ItemId


@dataclass(frozen=True, slots=True)
class MediaLinks:
    """Addresses of a hit's or an item's media; None where there is no such thing."""

    file: str
    playable: bool = False
    """Whether a browser shows or plays the file itself."""
    thumbnail: str | None = None
    """A still picture, WebP; `?size=` its longer side in pixels."""
    poster: str | None = None
    """Of a video: the frame at `?t=` seconds."""
    sprite: str | None = None
    """Of a video: many frames in one picture."""
    waveform: str | None = None
    """Of a sound or a video with sound: how loud it is, along its time."""
    clip: str | None = None
    """Of a sound or a video: `?start=&end=` as WebM, for what a browser can't play itself."""


@dataclass(frozen=True, slots=True)
class ServedHit(Hit):
    """A hit, as `mmsearch query --json` prints it, with addresses of its media."""

    name: str = ""
    """The last part of its path."""
    folder: str = ""
    """The rest of its path."""
    width: int | None = None
    """Pixels, as shown."""
    height: int | None = None
    duration: float | None = None
    """Seconds."""
    taken: str | None = None
    """By the clock of the camera: a day, or a moment without a zone."""
    title: str | None = None
    modified: datetime | None = None
    """When the file last changed, UTC."""
    tags: tuple[str, ...] = ()
    links: MediaLinks = field(default_factory=lambda: MediaLinks(""))


class SearchPage(Told):
    """A page of hits."""

    hits: list[ServedHit]
    level: Literal["sure", "likely", "unlikely"] | None
    """How sure the first one is."""
    more: bool
    """Whether there are hits behind these."""
    generation: int
    """The library's: another one on the next page says that the library changed in between."""
    offset: int
    k: int
    took_ms: float
    """Milliseconds that the search took in the server."""


class UploadAnswer(Told):
    """A file that was sent to be searched with."""

    id: str
    """For `upload` in a part of a query."""
    modality: Modality
    name: str
    expires: datetime
    """UTC; using it moves this on."""


class SessionAnswer(Told):
    """Who asks, and what they may."""

    name: str
    rights: list[str]
    """search, tag, manage."""
    on_this_machine: bool
    """Whether the caller sits at the machine that serves, and so sees its folders."""


class SignIn(Given):
    """What begins a session."""

    token: Annotated[str, Field(max_length=512)]


class ReadyAnswer(Told):
    """Whether queries of every kind are answered without a wait."""

    ready: bool
    problem: str | None = None
    """Why not, if it will not become so by waiting."""


class HealthAnswer(Told):
    """That the server runs."""

    ok: bool = True
    version: str


class Tagging(Given):
    """Tags to give and to take away."""

    items: Annotated[list[ItemId], Field(min_length=1, max_length=1000)]
    add: Annotated[list[Words], Field(max_length=100)] = Field(default_factory=list)
    remove: Annotated[list[Words], Field(max_length=100)] = Field(default_factory=list)


class TagCount(Told):
    """A tag."""

    name: str
    count: int
    """Items that have it."""


class SearchSaved(Given):
    """A search to save."""

    name: Annotated[str, Field(max_length=200)]
    address: Words
    """What follows the ? of its address: text=dog&modalities=image."""


class FolderName(Told):
    """A folder on the way to another."""

    path: str
    name: str


class FolderItems(FolderName):
    """A folder, and how many items lie in it, at any depth."""

    count: int


class FolderAnswer(FolderName):
    """A folder of the library."""

    parents: list[FolderName]
    """From its root down."""
    folders: list[FolderItems]
    items: list[dict[str, Any]]
    """As `GET /items/{item_id}` has them, with `item_id`."""


class ChapterSummary(Told):
    """A chapter of the docs."""

    name: str
    title: str
    summary: str


class ChapterText(Told):
    """A chapter of the docs, whole."""

    name: str
    title: str
    text: str
    """Markdown."""


class JobAsked(Given):
    """A job to begin."""

    kind: Literal["ingest", "retry", "prune"]
    roots: Annotated[list[Annotated[int, Field(ge=0, le=2**63 - 1)]], Field(max_length=1000)] | None = None
    """Of an ingest: ids of `GET /roots`; all by default."""
    failure: Annotated[str, Field(max_length=40)] | None = None
    """Of a retry: only this class of failures."""


class ChosenModel(Given):
    """A model to use."""

    name: Annotated[str, Field(max_length=200)]


class ModelAnswer(Told):
    """A model, as `mmsearch models --json` says it, and what it is to this library."""

    name: str
    modalities: list[Modality]
    dim: int | None
    bytes: int | None
    """Of its weights."""
    languages: str | None
    licence: str | None
    non_commercial: bool
    installed: bool
    problem: str | None
    speed: dict[str, float]
    """Segments a second, as last measured on this machine."""
    device: str | None
    here: bool
    """Whether the library has vectors of it."""
    active: bool
    lacking: int | None
    """Contents without its vectors."""
    needs_s: float | None
    """Seconds that embedding the whole library would take here; null where nothing was measured yet."""
    needs_bytes: int | None
    """Bytes that its vectors of the whole library take."""

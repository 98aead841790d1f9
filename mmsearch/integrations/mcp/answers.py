"""What an assistant may ask of a library, and what it is told. Nothing here changes the library or reads a file that it
does not hold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mmsearch import Box, Comparison, Explanation, Filter, Hit, Item, Library, Query
from mmsearch.errors import InvalidInput, UnknownName
from mmsearch.types import MODALITIES, Modality

Kind: TypeAlias = Literal["text", "image", "audio", "video"]
Mode: TypeAlias = Literal["hybrid", "keyword", "vector"]

AGAIN = "ids are in the answers of search and more_like, as item_id"


@dataclass(frozen=True)
class FoundItem:
    """A hit: a file, and the place in it that matched best."""

    rank: int
    item_id: int
    path: str
    modality: str
    confidence: float | None
    """In [0, 1]: the probability that it answers the query."""
    level: str | None
    """What that comes to: sure, likely or unlikely."""
    start: float | None = None
    """Seconds: the moment of a sound or a video, up to `end`."""
    end: float | None = None
    page: int | None = None
    place: str | None = None
    """Such as "slide 3"."""
    passage: str | None = None
    matched: str | None = None
    """What of a video matched: image (seen), audio (heard) or text (said)."""
    title: str | None = None
    taken: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoundItems:
    """Hits, the likeliest first."""

    hits: tuple[FoundItem, ...]
    level: str | None
    """Of the first: "unlikely" if the library seems to hold no answer; None if nothing was found."""
    more: bool
    """Whether a larger offset finds more."""


@dataclass(frozen=True)
class WhyFound:
    """Why an item is found by a query."""

    confidence: float | None
    by: tuple[str, ...]
    """vector, keywords or both."""
    start: float | None
    end: float | None
    concepts: tuple[str, ...]
    """What ties them, best first."""
    sentences: tuple[str, ...]
    """Of a text, what counts most."""
    regions: tuple[tuple[float, float, float, float], ...]
    """Of a picture, the parts that count most: left, top, right and bottom in [0, 1]."""


@dataclass(frozen=True)
class LibraryFacts:
    """What there is to search."""

    path: str
    items: dict[str, int]
    """Kind -> files."""
    tags: dict[str, int]
    """The most frequent ones."""
    model: str
    generation: int
    """Goes up with each change."""


class LibraryTools:
    """The tools over one library: `Library.only` makes one of some of its items.

    Args:
        asked: The library of whoever asks now.
    """

    def __init__(self, asked: Callable[[], Library]) -> None:
        self._asked = asked

    @property
    def _library(self) -> Library:
        return self._asked()

    def search(
        self,
        words: str,
        k: int = 10,
        modalities: Sequence[Modality] | None = None,
        filter: str | None = None,
        mode: Mode = "hybrid",
        offset: int = 0,
    ) -> FoundItems:
        """Items that words describe. Raises: as `Library.search`."""
        return self._found(Query(text=words), k, modalities, filter, mode, offset)

    def more_like(
        self,
        item_id: int,
        words: str | None = None,
        without: str | None = None,
        k: int = 10,
        modalities: Sequence[Modality] | None = None,
        filter: str | None = None,
    ) -> FoundItems:
        """Items like one of the library, nearer to some words or farther from others. Raises: as `Library.search`."""
        query = Query(like=self._item(item_id).id)
        query = query + Query(words) if words else query
        query = query - Query(without) if without else query
        return self._found(query, k, modalities, filter, "hybrid", 0)

    def explain(self, words: str, item_id: int) -> WhyFound:
        """Why an item is found by words. Raises: InvalidInput if it is not, MediaError if its file can't be read."""
        item, query = self._item(item_id), Query(text=words)
        hits = self._library.search(query, 1, filter=_at(item), dedup=False)
        if not hits:
            raise InvalidInput(f"{words!r} does not find item {item_id}", hint="ask with the words that found it")
        return _why(hits[0], self._library.explain(query, hits[0]))

    def view(self, item_id: int, at: float | None = None, side: int = 512) -> bytes:
        """A still, WebP: of a picture, or of a video at a moment.

        Args:
            at: Seconds into a video; its first frame that shows something by default.
            side: Pixels of the longer side.

        Raises: InvalidInput for what can't be seen, ItemChanged, MediaError.
        """
        item = self._item(item_id)
        if item.modality not in ("image", "video"):
            what = "a sound" if item.modality == "audio" else "a text"
            raise InvalidInput(f"item {item_id} is {what}, which has no picture", hint="its hit says what is in it")
        if item.modality == "video" and at is not None:
            return self._library.preview(item.id, "poster", side=side, start=at)
        return self._library.preview(item.id, "thumbnail", side=side)

    def status(self) -> LibraryFacts:
        """What there is to search. Raises: LibraryNotFound."""
        known = self._library.status()
        counts = {kind: self._library.count(modalities=(kind,)) for kind in MODALITIES}
        tags = self._library.tags()
        return LibraryFacts(
            str(known.path),
            {kind: count for kind, count in counts.items() if count},
            dict(sorted(tags.items(), key=lambda one: -one[1])[:50]),
            known.space,
            known.generation,
        )

    def _found(
        self, query: Query, k: int, modalities: Sequence[Modality] | None, asked: str | None, mode: Mode, offset: int
    ) -> FoundItems:
        hits = self._library.search(
            query,
            k + 1,
            offset=offset,
            modalities=modalities or None,
            mode=mode,
            filter=asked,
        )
        tags = self._library.tags_of([hit.item_id for hit in hits])
        told = tuple(_told(hit, tags.get(hit.item_id, [])) for hit in hits[:k])
        return FoundItems(told, hits[0].level if hits else None, len(hits) > k)

    def _item(self, item_id: int) -> Item:
        """Raises: UnknownName if there is no such item."""
        item = self._library.get(item_id)
        if item is None:
            raise UnknownName(f"there is no item {item_id}", hint=AGAIN)
        return item


def _at(item: Item) -> Filter:
    return Comparison("path", "=", str(item.path))


def _told(hit: Hit, tags: Sequence[str]) -> FoundItem:
    said = {name: hit.metadata.get(name) for name in ("title", "taken")}
    return FoundItem(
        hit.rank, hit.item_id, str(hit.path), hit.modality, _short(hit.confidence), hit.level,
        _short(hit.start), _short(hit.end), hit.page, hit.place, hit.passage, hit.matched, tags=tuple(tags),
        **{name: None if value is None else str(value) for name, value in said.items()},
    )  # fmt: skip


def _why(hit: Hit, told: Explanation) -> WhyFound:
    return WhyFound(
        _short(hit.confidence), told.by, _short(told.start), _short(told.end),
        tuple(one.name for one in told.ties), tuple(one.text for one in told.cues),
        tuple(_box(one.box) for one in told.regions),
    )  # fmt: skip


def _box(box: Box) -> Box:
    left, top, right, bottom = (round(float(edge), 3) for edge in box)
    return left, top, right, bottom


def _short(number: float | None) -> float | None:
    """Digits that say something: an assistant pays for each."""
    return None if number is None else round(float(number), 3)

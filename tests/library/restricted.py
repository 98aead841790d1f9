"""Two libraries that must answer alike: one of public and private files, opened for the public ones alone, and one that
never saw any other. And random requests to ask of both."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from mmsearch import Query, QueryPart
from mmsearch.errors import MmsearchError
from mmsearch.library import Library
from tests.generated import pattern, picture, sound, words

SECRET = "Zanzibar"
"""A word that no public file holds."""

WITHIN = 0.02
"""How far apart two confidences may be."""

COLOURS = ("red", "green", "blue", "dark")
TONES = ("low", "mid", "high")


def fill(media: Path) -> Path:
    """Public files, and more private ones that resemble them, copy them, and are beside them."""
    public, private = media / "public", media / "private"
    for number in range(8):
        pattern(public / f"walk {number}.png", COLOURS[number % 3], mark=number, seed=number)
        pattern(private / f"{SECRET} {number}.png", COLOURS[number % 4], mark=number + 100, seed=number)
        words(public / f"note {number}.txt", f"a {COLOURS[number % 4]} boat on day {number}, and a harbour")
        words(private / f"diary {number}.txt", f"{SECRET} at {COLOURS[number % 3]} noon, boat {number}, a harbour")
    for tone in TONES:
        sound(public / f"{tone}.wav", tone)
        sound(private / f"{tone} {SECRET}.wav", tone, "high")
    picture(public / "same.png", "red", mark=9)
    picture(private / "same too.png", "red", mark=9)
    picture(public / "trip.png", "green", mark=11)
    words(public / "trip.txt", "a green day")
    picture(public / "deep" / "down.png", "blue", mark=5)
    (public / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (private / f"broken {SECRET}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return public


def libraries(open_tiny: Callable[..., Library], media: Path) -> tuple[Library, Library, Library]:
    """The whole, it for the public files alone, and the library that has no others."""
    public = fill(media)
    whole, alone = open_tiny("whole"), open_tiny("alone")
    whole.ingest(public, media / "private")
    alone.ingest(public)
    for library in (whole, alone):
        library.tag(public / "walk 1.png", ["dear"])
        library.set_meta(public / "walk 2.png", {"rating": 4})
    whole.tag(sorted((media / "private").glob(f"{SECRET}*")), [f"of {SECRET}"])
    whole.save_search(SECRET, f"text={SECRET}")
    whole.set_excludes(public, [f"{SECRET}/"])
    return whole, whole.only(within(public)), alone


def within(folder: Path) -> str:
    return f"path glob '{folder}{os.sep}*'"


LEFT_OUT = frozenset(
    ("segment_id", "generation", "catalog_bytes", "index_bytes", "last_run", "ingested", "scanned", "id", "content_id")
)
"""Fields of which two libraries have their own."""

CLOSE = frozenset(("confidence", "keyword_score", "cosine"))


def plain(value: Any, names: Mapping[int, str]) -> Any:
    """An answer as something that two libraries have in common: ids by the paths they stand for."""
    if is_dataclass(value) and not isinstance(value, type):
        found = {}
        for field in fields(value):
            one = getattr(value, field.name)
            if field.name in LEFT_OUT or (field.name == "path" and "models" in value.__dataclass_fields__):
                continue
            found[field.name] = names[one] if field.name == "item_id" else plain(one, names)
        return found
    if isinstance(value, Mapping):
        return {names.get(key, str(key)) if isinstance(key, int) else str(key): plain(v, names)
                for key, v in value.items()}  # fmt: skip
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict(), names)
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one, names) for one in value]
    return value


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two plain answers differ; confidences by more than they may."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return [f"{where}: {sorted(one.keys() ^ other.keys(), key=str)}"]
        return [found for key in one for found in differences(one[key], other[key], f"{where}.{key}")]
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return [f"{where}: {len(one)} and {len(other)}"]
        pairs = enumerate(zip(one, other, strict=True))
        return [found for n, (a, b) in pairs for found in differences(a, b, f"{where}[{n}]")]
    if isinstance(one, float) and isinstance(other, float):
        far = WITHIN if where.rpartition(".")[2] in CLOSE else 1e-6
        return [] if math.isclose(one, other, rel_tol=0, abs_tol=far) else [f"{where}: {one} and {other}"]
    return [] if one == other else [f"{where}: {one!r} and {other!r}"]


TEXTS = ("red", "a green boat", "harbour", SECRET, "day 3", '"boat on day"', "low", "walk", "note*", "high noon")
FILTERS = (None, "tag = dear", "modality = image", f"name contains {SECRET}", "size < 500", "missing camera",
           "meta.rating >= 3", "name glob 'n*'")  # fmt: skip
KINDS = st.sampled_from((None, ("image",), ("text", "audio"), ("audio",)))

searches = st.fixed_dictionaries({
    "query": st.sampled_from(TEXTS), "k": st.integers(1, 30), "offset": st.integers(0, 12), "modalities": KINDS,
    "mode": st.sampled_from(("hybrid", "keyword", "vector")), "filter": st.sampled_from(FILTERS),
    "dedup": st.booleans(), "moments": st.booleans(),
})  # fmt: skip
"""Arguments of a search."""

requests = st.one_of(
    st.tuples(st.just("search"), searches),
    st.tuples(st.just("like"), st.integers(0, 45)),
    st.tuples(st.just("item"), st.integers(0, 45)),
    st.tuples(st.just("preview"), st.integers(0, 45)),
    st.tuples(st.just("explain"), st.tuples(st.sampled_from(TEXTS), st.integers(0, 6), st.booleans())),
    st.tuples(st.just("mixed"), st.tuples(st.sampled_from(TEXTS), st.integers(0, 45), st.sampled_from((0.3, 1, -0.5)))),
    st.tuples(st.just("narrower"), st.tuples(st.sampled_from(FILTERS[1:]), st.sampled_from(TEXTS))),
    st.tuples(st.sampled_from(("file", "still", "original")), st.integers(0, 45)),
    st.tuples(st.sampled_from(("count", "items")), st.tuples(st.sampled_from(FILTERS), KINDS)),
    st.tuples(st.just("label"), st.sampled_from((("red", "green"), ("low", "high", SECRET)))),
    st.tuples(st.just("duplicates"), st.sampled_from(FILTERS[:3])),
    st.tuples(st.sampled_from(("status", "tags", "roots", "failures", "saved_searches", "folder")), st.none()),
)
"""(what, of what)."""


def answer(library: Library, media: Path, known: list[Path], request: tuple[str, Any]) -> Any:
    """What a library says, or the error it raises. An item is meant by its number among all files there are: ids are
    each library's own."""
    what, asked = request
    try:
        if what == "search":
            rest = dict(asked)
            return library.search(rest.pop("query"), rest.pop("k"), **rest)
        if what in ("like", "item", "preview"):
            path = known[asked % len(known)]
            item = library.get(path)
            if what == "item" or item is None:
                return item
            return library.search(mmquery(item.id), 8) if what == "like" else (
                library.preview(item.id, side=64) if item.modality == "image" else item.modality)  # fmt: skip
        if what == "explain":
            query, rank, moments = asked
            hits = library.search(query, rank + 1, moments=moments)[rank:]
            return [library.explain(query, hit) for hit in hits]
        if what == "mixed":
            query, number, weight = asked
            known_here = library.get(known[number % len(known)])
            if known_here is None:
                return None
            parts = QueryPart("text", query), QueryPart("like", known_here.id, weight)
            return library.search(Query(mixed=parts), 9, moments=True)
        if what == "narrower":
            filter, query = asked
            within = library.only(filter)
            return within.count(), within.tags(), within.search(query, 9)
        if what in ("file", "still", "original"):
            return bytes_of(library, what, known[asked % len(known)])
        if what in ("count", "items"):
            found = getattr(library, what)(*asked)
            return list(found) if what == "items" else found
        if what == "label":
            return library.label(list(asked))
        if what == "duplicates":
            return library.duplicates(filter=asked)
        if what == "folder":
            return [library.folder(media), library.folder(media / "private"), library.folder(media / "public")]
        found = getattr(library, what)
        return found()
    except MmsearchError as error:
        return type(error).__name__


def bytes_of(library: Library, what: str, path: Path) -> Any:
    """Of an item's file, or its picture as a page of results shows it."""
    item = library.get(path)
    if item is None:
        return None
    if what == "original":
        return library.original(item.path)
    if what == "file":
        with library.open_file(item.id) as opened:
            return opened.path, opened.sha256, opened.file.read()
    hits = [hit for hit in library.search(Query(like=item.id), 30) if hit.modality == "image"]
    return library.stills(hits[:2])


def mmquery(item_id: int) -> Any:
    return Query(like=item_id)


def names_of(library: Library) -> dict[int, str]:
    """Item id -> path."""
    return {item.id: str(item.path) for item in library.items(missing=True)}

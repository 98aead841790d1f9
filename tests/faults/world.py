"""Media that can be read without decoding, operations on a library of them, and what is right after each of them.

A medium here is a few words: the first line names its modality, each further one a segment, as "image 200 30 40" or
"audio low". So an ingest is real in all but its decode workers, takes milliseconds, and every vector is known by hand.
"""

import math
import os
import sqlite3
import tempfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import mmsearch
from mmsearch.catalog.connections import open_file
from mmsearch.core import vault
from mmsearch.indexing import lists
from mmsearch.library import Library
from mmsearch.media.events import DecodeEvent, DecodeJob, FileDone, PreparedSegment
from mmsearch.types import Prepared, Span
from mmsearch.vectors import presets
from tests import tiny

Media = Mapping[str, str]
"""Name below the root -> content."""

QUERY = "red"
"""Every vector here has another cosine to it."""

ENCRYPTED = "FAULTS_ENCRYPTED"
"""A variable: where it is set, every library is an encrypted one."""

SECOND_NS = 1_000_000_000


def image(*rgb: int) -> str:
    return f"image\nimage {' '.join(map(str, rgb))}\n"


def text(word: str) -> str:
    return f"text\ntext {word}\n"


def video(*segments: str) -> str:
    return "video\n" + "".join(f"{segment}\n" for segment in segments)


def lay(root: Path, media: Media) -> None:
    """Make a folder hold exactly these media. Equal content has equal times, other content other times."""
    root.mkdir(exist_ok=True)
    for path in sorted(root.rglob("*"), reverse=True):
        if path.is_file() and str(path.relative_to(root)) not in media:
            path.unlink()
    for name, content in media.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        when = SECOND_NS * (10**9 + zlib.crc32(content.encode()) % 10**8)
        os.utime(path, ns=(when, when))


class InlinePool:
    """Reads such media in this process; stands where decode workers do."""

    def run(self, jobs: Iterable[DecodeJob]) -> Generator[DecodeEvent, None, None]:
        for job in jobs:
            modality, *segments = job.path.read_text().splitlines()
            for index, segment in enumerate(segments):
                kind, prepared = _prepared(segment)
                span = Span(text=segment) if kind == "text" else Span(start=float(index), end=index + 1.0)
                yield PreparedSegment(job, index, kind, span, prepared)
            yield FileDone(job, modality, {}, 0.0, 0.0)

    def close(self) -> None:
        pass


def _prepared(segment: str) -> tuple[str, Prepared]:
    """(modality, what the tiny space's encoder takes)."""
    kind, _, rest = segment.partition(" ")
    if kind == "image":
        return kind, np.array(rest.split(), np.float32) / np.float32(255)
    if kind == "audio":
        return kind, np.array([{"low": 200.0, "mid": 1000.0, "high": 4000.0}[rest]], np.float32)
    return kind, np.frombuffer(rest.encode(), np.uint8).copy()


STRUCTURES = ("auto", "ivf", "ivf-sq8", "hnsw", "hnsw-sq8")
"""Index presets that lists as short as these can have."""


@contextmanager
def small_structures() -> Iterator[None]:
    """Presets are taken for lists of three vectors on, and their structures soon built anew: otherwise the tests would
    need thousands of files to see one. A single cell, so that few vectors are enough to train on."""
    kept = presets.SMALLEST, presets.cells, lists.REBUILD_AFTER
    presets.SMALLEST, presets.cells, lists.REBUILD_AFTER = 3, lambda count: 1, (2, 4)
    try:
        yield
    finally:
        presets.SMALLEST, presets.cells, lists.REBUILD_AFTER = kept


def open_library(folder: Path, **settings: Any) -> Library:
    """A library of the tiny space that commits after every two segments and reads media by itself."""
    chosen: dict[str, Any] = {
        "space": "tests.tiny:space",
        "workers": 1,
        "dedup": False,
        "commit_segments": 2,
        "commit_s": 1e9,
    }
    if os.environ.get(ENCRYPTED) and not (folder / vault.HEADER).exists() and not (folder / "catalog.sqlite").exists():
        settings["encrypt"] = f"file:{tempfile.mkdtemp(prefix='mmsearch-keys-')}/key"
    library = mmsearch.open(folder, **{**chosen, "commit_s": 1e9, **settings})
    library._context.decoding = InlinePool  # type: ignore[method-assign,assignment]
    return library


def catalog_file(path: Path) -> sqlite3.Connection:
    """A catalog's file as SQLite, or SQLCipher, opens it."""
    return open_file(path, vault.key_of_library(path))


def vectors(content: str) -> dict[str, list[list[float]]]:
    """Segment modality -> unit vectors, by hand: nothing of the code under test computes them."""
    found: dict[str, list[list[float]]] = {}
    for segment in content.splitlines()[1:]:
        kind, _, rest = segment.partition(" ")
        row = [0.0] * tiny.DIM
        if kind == "image":
            rgb = [int(part) for part in rest.split()]
            row[:3] = [part / math.hypot(*rgb) for part in rgb]
        else:
            row[tiny.AXES.index(rest)] = 1.0
        found.setdefault(kind, []).append(row)
    return found


def scores(content: str, query: str) -> list[float]:
    """The cosine to an axis word of the best segment of each list that an item is in: a hit shows one of them."""
    axis = tiny.AXES.index(query)
    return [max(row[axis] for row in rows) for rows in vectors(content).values()]


def near(score: float | None, expected: Iterable[float]) -> bool:
    """Whether it is one of those, but for the rounding of float32."""
    return score is not None and any(abs(score - one) < 1e-6 for one in expected)


def wrong_answers(library: Library, media: Mapping[Path, str]) -> list[str]:
    """What is wrong with a library's answers, given all that it should know: of everything, and of the best pictures,
    which lie in one list, where the order is by score alone."""
    wrong: list[str] = []
    expected = {path: scores(content, QUERY) for path, content in media.items()}
    found = {hit.path: hit.cosine for hit in library.search(QUERY, 1000, mode="vector")}
    if found.keys() != expected.keys():
        lost, odd = expected.keys() - found.keys(), found.keys() - expected.keys()
        wrong.append(f"missing {sorted(p.name for p in lost)}, unexpected {sorted(p.name for p in odd)}")
    elif off := [path.name for path, score in found.items() if not near(score, expected[path])]:
        wrong.append(f"wrong scores of {off}")
    pictures = [content for content in media.values() if content.startswith("image")]
    best = sorted((max(scores(content, QUERY)) for content in pictures), reverse=True)[:3]
    hits = [hit.cosine for hit in library.search(QUERY, 3, modalities=["image"], mode="vector")]
    if len(hits) != len(best) or not all(near(hit, [score]) for hit, score in zip(hits, best, strict=True)):
        wrong.append(f"the best scores are {best}, not {hits}")
    return wrong


FIRST: Media = {
    "a.img": image(250, 10, 20),
    "b.img": image(20, 240, 30),
    "c.note": text("red"),
    "d.film": video("image 200 100 0", "image 0 100 200", "audio low"),
    "e.img": image(90, 80, 200),
}
SECOND: Media = {
    "a.img": image(120, 130, 60),
    "d.film": FIRST["d.film"],
    "e.img": FIRST["e.img"],
    "e2.img": FIRST["e.img"],
    "f.img": image(10, 60, 250),
    "sub/c.note": FIRST["c.note"],
}
THIRD: Media = {
    **SECOND,
    "d.film": video("image 10 10 255", "audio high"),
    "g.img": image(255, 200, 0),
    "h.img": image(77, 99, 111),
    "i.note": text("green"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a trial happens: the media lie outside of what is harmed."""

    root: Path
    """The media."""
    harmed: Path
    """A real path; library and backup lie in it."""

    @property
    def library(self) -> Path:
        return self.harmed / "library"

    @property
    def backup(self) -> Path:
        return self.harmed / "kept.backup"

    def known(self, media: Media) -> dict[Path, str]:
        return {Path(name) if name.startswith("mem:") else self.root / name: one for name, one in media.items()}


@dataclass(frozen=True, slots=True)
class Operation:
    """Something one does with a library, what lies on the disk then, and what is to be found after it."""

    name: str
    work: Callable[[Library, Place], object]
    media: Media
    after: Media


def _remove(library: Library, place: Place) -> None:
    from mmsearch.errors import InvalidInput

    try:
        library.remove(place.root / "sub")
    except InvalidInput:
        # It had been done before whatever happened then.
        return


HANDED = ("a.img", image(5, 50, 240), True), ("b.img", image(60, 61, 5), False), ("c.note", text("blue"), True)
"""(name, content, whether to keep the bytes) of media that are handed over in memory, by the number as id."""
HANDED_AGAIN = ("a.img", image(99, 9, 9), True), ("b2.img", image(60, 61, 5), True), ("d.img", image(60, 61, 5), False)


def _hand(library: Library, media: Iterable[tuple[str, str, bool]]) -> None:
    found = [
        mmsearch.Media(name, content.encode(), id=str(number), keep=keep and not os.environ.get(ENCRYPTED))
        for number, (name, content, keep) in enumerate(media)
    ]
    library.ingest_media(found)


def _in_memory(media: Iterable[tuple[str, str, bool]]) -> dict[str, str]:
    return {f"mem:/{number}/{name}": content for number, (name, content, _) in enumerate(media)}


def _forget(library: Library, place: Place) -> None:
    from mmsearch.errors import InvalidInput

    try:
        library.remove("0")
    except InvalidInput:
        return


_REMOVED = {name: content for name, content in SECOND.items() if not name.startswith("sub/")}

OPERATIONS = (
    Operation("ingest", lambda library, place: library.ingest(place.root), FIRST, FIRST),
    Operation("changed", lambda library, place: library.ingest(place.root), SECOND, SECOND),
    Operation("remove", _remove, SECOND, _REMOVED),
    Operation("prune", lambda library, place: library.prune(), SECOND, _REMOVED),
    Operation("backup", lambda library, place: library.backup(place.backup, overwrite=True), SECOND, _REMOVED),
    Operation("more", lambda library, place: library.ingest(place.root), THIRD, THIRD),
    Operation("restore", lambda library, place: library.restore(place.backup, overwrite=True), THIRD, _REMOVED),
    Operation("hand", lambda library, place: _hand(library, HANDED), THIRD, _REMOVED | _in_memory(HANDED)),
    Operation("back up handed", lambda library, place: library.backup(place.backup, overwrite=True), THIRD,
              _REMOVED | _in_memory(HANDED)),
    Operation("hand again", lambda library, place: _hand(library, HANDED_AGAIN), THIRD,
              _REMOVED | _in_memory(HANDED_AGAIN)),
    Operation("forget", _forget, THIRD, _REMOVED | dict(list(_in_memory(HANDED_AGAIN).items())[1:])),
    Operation("restore handed", lambda library, place: library.restore(place.backup, overwrite=True), THIRD,
              _REMOVED | _in_memory(HANDED)),
)  # fmt: skip

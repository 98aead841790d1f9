"""Exported folders: an export whose JSON and bytes are changed anywhere, sealed so that its hashes fit, or not."""

import itertools
import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

import mmsearch
from tests.exports import Export, copied
from tests.fuzz.target import Target
from tests.generated import picture, sound, words
from tests.temporary import kept_folder

FILES = ("manifest.json", "contents.jsonl", "items.jsonl", "spaces/1/contents.jsonl", "spaces/1/refusals.jsonl")

_NUMBER = (
    st.integers() | st.floats() | st.sampled_from([0, 1, -1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 10**400])
)
_STRING = st.text(max_size=8) | st.sampled_from(
    [
        "",
        "text",
        "image",
        "audio",
        "smell",
        "..",
        "/",
        "/a",
        "spaces/1",
        "spaces/1/vectors.npy",
        "corrupt",
        "\ud800",
        "\0",
    ]
)
VALUE = st.recursive(
    st.none() | st.booleans() | _NUMBER | _STRING,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_STRING, inner, max_size=3),
    max_leaves=6,
)


class Put(NamedTuple):
    """Another value, or none, in some place of a file's JSON."""

    file: str
    steps: list[int]
    """Which child to go to, counted beyond the last from the first again; a line of a file is a child of it."""
    value: Any
    how: str
    """put, drop, twice or swap (with the place before it)."""


class Bytes(NamedTuple):
    """Other bytes in some place of a file."""

    file: str
    at: int
    data: bytes
    more: int


_PUT = st.builds(
    Put, st.sampled_from(FILES), st.lists(st.integers(0, 12), max_size=5), VALUE,
    st.sampled_from(["put", "put", "put", "drop", "twice", "swap"]),
)  # fmt: skip
_BYTES = st.builds(
    Bytes, st.sampled_from([*FILES, "vectors.npy", "vectors.npy", "spaces/1/vectors.npy"]), st.integers(0, 400),
    st.binary(max_size=12) | st.sampled_from([b"[", b"{", b"(", b"9", b"\n", b"\x00"]), st.integers(0, 100_000),
)  # fmt: skip


@cache
def _place() -> Path:
    """An export of four files of a library with two models, for as long as this process lives."""
    place = kept_folder("mmsearch-fuzz-")
    words(place / "media" / "a.txt", "a red apple")
    words(place / "media" / "b.txt", "a green pear")
    picture(place / "media" / "c.png", "blue")
    sound(place / "media" / "d.wav", "low")
    with mmsearch.open(place / "library", space="tests.tiny:space", workers=1) as library:
        library.ingest(place / "media")
        library.label(["red", "green"], save=True)
        library.model.add("tests.model_spaces:mute")
        library.export(place / "out")
    return place


_NUMBERS = itertools.count()


def step(case: tuple[list[Put], list[Bytes], bool]) -> None:
    """Import what was changed; what is taken has to be found, told of and exported again."""
    puts, others, sealed = case
    work = _place() / f"work{next(_NUMBERS)}"
    try:
        export = copied(_place() / "out", work / "out")
        _change(export, puts, others, sealed)
        with mmsearch.open(work / "library", space="tests.tiny:space", workers=1) as library:
            done = library.import_(work / "out", models=["tests.model_spaces:mute"])
            if done.items:
                assert len(library.search("red", 99, dedup=False)) == done.items
            library.status()
            library.duplicates() if done.items else None
            library.export(work / "again")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _change(export: Export, puts: list[Put], others: list[Bytes], sealed: bool) -> None:
    docs: dict[str, Any] = {name: export.lines(name) for name in FILES[1:]} | {"manifest.json": export.manifest}
    for put in puts:
        docs[put.file] = _put(docs[put.file], put)
    export.manifest = docs.pop("manifest.json")
    raw = {name: _lines(told) for name, told in docs.items()}
    for name in ("vectors.npy", "spaces/1/vectors.npy"):
        raw[name] = (export.folder / name).read_bytes()
    for other in others:
        if other.file in raw:
            data = raw[other.file]
            raw[other.file] = data[: other.at] + other.data * (other.more // max(len(other.data), 1)) + data[other.at :]
    for name, data in raw.items():
        if sealed:
            export.write(name, data)
        else:
            (export.folder / name).write_bytes(data)
    export.close()


def _lines(told: Any) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in (told if isinstance(told, list) else [told]))


def _put(document: Any, put: Put) -> Any:
    """The document with the change made."""
    at, above, key = document, None, None
    for step in put.steps:
        keys = list(at) if isinstance(at, dict) else list(range(len(at))) if isinstance(at, list) else []
        if not keys:
            break
        above, key = at, keys[step % len(keys)]
        at = at[key]
    if above is None:
        return put.value if put.how == "put" else document
    if put.how == "put":
        above[key] = put.value
    elif put.how == "drop":
        del above[key]
    elif isinstance(above, list):
        above.insert(0, at) if put.how == "twice" else above.reverse()
    return document


TARGET = Target(
    st.tuples(st.lists(_PUT, max_size=3), st.lists(_BYTES, max_size=1), st.sampled_from([True, True, True, False])),
    step,
)

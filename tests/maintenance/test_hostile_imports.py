"""Exported folders that no export wrote: each is refused as a whole, in our words, before anything is made of it."""

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmsearch
from mmsearch.errors import InvalidInput
from mmsearch.library import Library
from mmsearch.maintenance.export import Imported
from tests.conftest import Run
from tests.exports import Change, Export, copied, sealed
from tests.generated import picture, sound, words

Open = Callable[..., Library]

HUGE = 10**30
NONSENSE: list[Any] = [None, True, -1, 1.5, HUGE, "x", [], {}, ["x"], {"a": 1}, "\ud800"]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two letters, a picture and a sound; with another model's vectors, and a refusal of it."""
    place = tmp_path_factory.mktemp("exported")
    words(place / "media" / "a.txt", "a red apple")
    words(place / "media" / "b.txt", "a green pear")
    picture(place / "media" / "c.png", "blue")
    sound(place / "media" / "d.wav", "low")
    with mmsearch.open(place / "library", space="tests.tiny:space", workers=1) as library:
        library.ingest(place / "media")
        library.model.add("tests.model_spaces:mute")
        library.export(place / "out")
    return place / "out"


def put(where: str, value: Any) -> Change:
    """A value in the place that a path of names and numbers says, such as contents/0/segments."""

    def change(one: Export) -> None:
        *above, last = [int(step) if step.isdecimal() else step for step in where.split("/")]
        at: Any = one.__dict__
        for step in above:
            at = at[step]
        at[last] = value

    return change


def dropped(where: str) -> Change:
    def change(one: Export) -> None:
        *above, last = [int(step) if step.isdecimal() else step for step in where.split("/")]
        at: Any = one.__dict__
        for step in above:
            at = at[step]
        del at[last]

    return change


def text(name: str, data: bytes) -> Change:
    """A file of these bytes, its hash in the manifest."""

    def change(one: Export) -> Path:
        one.seal()
        one.write(name, data)
        return one.close()

    return change


def array(values: Any) -> Change:
    file = io.BytesIO()
    np.save(file, values)
    return text("vectors.npy", file.getvalue())


def header(told: bytes) -> Change:
    return text("vectors.npy", b"\x93NUMPY\x01\x00" + len(told).to_bytes(2, "little") + told + bytes(4 * 8 * 4))


def manifest(data: bytes) -> Change:
    def change(one: Export) -> Path:
        (one.folder / "manifest.json").write_bytes(data)
        return one.folder

    return change


def twice(name: str) -> Change:
    return lambda one: getattr(one, name).append(getattr(one, name)[0])


def pipe(name: str) -> Change:
    def change(one: Export) -> Path:
        one.seal()
        (one.folder / name).unlink()
        os.mkfifo(one.folder / name)
        return one.folder

    return change


def rows(count: int, dim: int = 8, kind: str = "<f4", value: float = 0.0) -> Any:
    made = np.zeros((count, dim), kind)
    made[:, 0] = 1
    made[-1, -1] = value
    return made


NAN, INFINITY = float("nan"), float("inf")

TURNS = 8
"""Tests that the cases are dealt to: one for each would take longer to begin than to run."""

IN_A_CONTENT: dict[str, list[Any]] = {
            "segments": [None, {}, "x", [None], [[]], [{}], [{"modality": 1}], [{"modality": "text", "more": 1}]],
            "segments/0/start": ["x", True, [], HUGE, NAN, INFINITY], "segments/0/page": [1.5, "1", -1, HUGE, 2**63],
            "segments/0/char_start": [{}, -5], "segments/0/text": [1, [], "\ud800"],
            "segments/0/modality": [None, "smell", "", "TEXT"], "modality": [None, "smell", 3, "image\x00"],
            "sha256": [None, 1, "", "ab", "G" * 64, "A" * 64, "0" * 63, ["0" * 64]],
            "metadata": [None, [], "x", {"width": {"a": 1}}, {"width": HUGE}, {"width": -1}, {"duration": "long"},
                         {"duration": NAN}, {"gps": 1}, {"gps": [1]}, {"gps": [91, 0]}, {"gps": ["a", "b"]},
                         {"keywords": "x"}, {"keywords": [1]}, {"keywords": [""]}, {"title": 1}, {"title": "\ud800"},
                         {"make": []}, {"deep": HUGE}, {"deep": INFINITY}],
            "given": [None, {}, [1], [["a"]], [""], ["a", "a"], ["\0"], ["\ud800"], "a"],
            "meta": [
                None, [], "a", {"a": None}, {"a b": 1}, {"": 1}, {"a": [1]}, {"a": {}}, {"a": {"date": 5}},
                {"a": {"date": "2024-13-01"}}, {"a": {"date": "2024-05-01", "b": 1}}, {"a": {"datetime": "now"}},
                {"a": {"datetime": "2024-05-01T12:00:00+02:00"}}, {"a": HUGE}, {"a": 1e30}, {"a": "\0"},
                {"a": "x" * 10_001}, {"a" * 65: 1},
            ],
            "tags": [None, {}, [1], [["a"]], [["a", 2]], [["a", -1]], [["a", None]], [["a", NAN]], [[1, 0.5]],
                     [["a\x00", 0.5]], [["", 0.5]], [["a", 0.5], ["a", 0.6]]],
        }  # fmt: skip
IN_AN_ITEM: dict[str, list[Any]] = {
            "path": [None, 1, "", "a.txt", "./a.txt", "/a/../b", "/a//b", "/a\x00b", "/\ud800", "~/a", "/a/", "/" * 9,
                     "/" + "a" * 40_000],
            "root": [None, "", "media", "/a\x00b"], "sha256": [None, "0", "0" * 64], "size": [None, -1, 1.5, HUGE, "9"],
            "mtime_ns": [None, "1", 1e18, HUGE, -(2**63) - 1, True],
        }  # fmt: skip

REFUSED: dict[str, Change] = {
    # manifest.json
    **{f"manifest is {value!r}": lambda one, value=value: one.__dict__.update(manifest=value) for value in NONSENSE},  # type: ignore[misc]
    **{
        f"{name} is {value!r}": put(f"manifest/{name}", value)
        for name, values in {
            "space": NONSENSE, "counts": NONSENSE, "files": [None, [], ["a"], {"a": 0}, {"\x1b[31m": "0"}, {"/a": "0"}],
            "spaces": [None, {}, [None], [{}], [{"folder": "../x"}]], "trained": [None, {}, [1], [{"name": []}]],
            "serving": [1, [], {}], "format": [None, "1", [], 1.0, 2, HUGE, -1],
            "space/name": [None, 1, ""], "space/fingerprint": [None, 7, [], "0"], "space/dim": [None, "8", 7, HUGE, -8],
            "counts/items": [None, "4", 5, 3.0], "counts/contents": [5, HUGE], "counts/segments": [0, 5, HUGE, "4"],
            "spaces/0/folder": ["", "..", "/etc", "a\x00b", "spaces/2", 1, "C:"], "spaces/0/counts/segments": [0, 99],
            "spaces/0/space/dim": [3, None], "spaces/0/space": [None, {}],
        }.items()
        for value in values
    },
    "manifest is no JSON": manifest(b"{"), "manifest is no text": manifest(b"\xff\xfe\xfd"),
    "manifest is nested": manifest(b"[" * 100_000), "manifest has many digits": manifest(b"1" * 100_000),
    "manifest is a pipe": pipe("manifest.json"), "contents are a pipe": pipe("contents.jsonl"),
    **{f"no {name}": dropped(f"manifest/{name}") for name in ("space", "counts", "files", "spaces", "trained")},
    # contents.jsonl
    "no segments": put("contents/0/segments", []),
    **{
        f"{where} is {value!r}": put(f"contents/0/{where}", value)
        for where, values in IN_A_CONTENT.items()
        for value in values
    },
    "a keyword is a tag too": lambda one: (
        one.contents[0].update(metadata={"keywords": ["a"]}, tags=[["a", 0.5]]), one.contents[0].pop("given")
    ),
    "a given tag is a model's too": lambda one: one.contents[0].update(given=["a"], tags=[["a", 0.5]]),
    "contents twice": twice("contents"),
    "a content more": lambda one: one.contents.append({**one.contents[0], "sha256": "0" * 64}),
    "a content less": lambda one: one.contents.pop(),
    "contents are nested": text("contents.jsonl", b"[" * 100_000 + b"\n"),
    "contents hold deep metadata": text("contents.jsonl", b'{"metadata":' + b'{"a":' * 900 + b"1" + b"}" * 901 + b"\n"),
    "contents are no text": text("contents.jsonl", b"\x80\x81\n"), "contents are empty": text("contents.jsonl", b""),
    "contents have an empty line": lambda one: one.contents.append(None),
    # items.jsonl
    **{
        f"{where} is {value!r}": put(f"items/0/{where}", value)
        for where, values in IN_AN_ITEM.items()
        for value in values
    },
    "a path twice": twice("items"), "an item less": lambda one: one.items.pop(),
    "an item without a path": dropped("items/0/path"),
    # vectors.npy
    "vectors of other numbers": array(rows(4, kind="<f8")), "vectors of big-endian numbers": array(rows(4, kind=">f4")),
    "vectors of too few rows": array(rows(3)), "vectors of too few columns": array(rows(4, 7)),
    "vectors of one dimension": array(rows(4).reshape(-1)), "a vector of NaN": array(rows(4, value=NAN)),
    "an infinite vector": array(rows(4, value=INFINITY)), "a long vector": array(rows(4, value=1.0)),
    "no vector": array(np.zeros((4, 8), np.float32)), "vectors are objects": array(np.array([[None] * 8] * 4, object)),
    "vectors are empty": text("vectors.npy", b""), "vectors are a zip": text("vectors.npy", b"PK\x03\x04"),
    "vectors are cut short": text("vectors.npy", b"\x93NUMPY\x01\x00\x76\x00{"),
    "vectors of a nested header": header(b"(" * 5000),
    "vectors of a strange header": header(b"__import__('os').abort()"),
    "vectors of a huge shape": header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 100000000000000000)}\n"),
    "vectors of a negative shape": header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-4, 8)}\n"),
    # Another model's
    **{
        f"a refusal is {value!r}": text("spaces/1/refusals.jsonl", value)
        for value in (b"{}\n", b"[]\n", b"x\n", b'{"sha256": "0", "failure": "corrupt", "reason": "x"}\n',
                      b'{"sha256": "' + b"0" * 64 + b'", "failure": "strange", "reason": "x"}\n')
    },
    "another model's contents are nonsense": text("spaces/1/contents.jsonl", b"{}\n" * 3),
    "another model's vectors are nonsense": text("spaces/1/vectors.npy", b"x"),
}  # fmt: skip


@pytest.fixture
def fresh(open_tiny: Open) -> Library:
    return open_tiny("elsewhere")


@pytest.mark.parametrize("turn", range(TURNS))
@pytest.mark.slow
def test_a_tampered_export_is_refused_and_nothing_imported(
    export: Path, fresh: Library, tmp_path: Path, turn: int
) -> None:
    for name in list(REFUSED)[turn::TURNS]:
        out = sealed(copied(export, tmp_path / "out"), REFUSED[name])
        with pytest.raises(mmsearch.MmsearchError) as refused:
            raise AssertionError(f"{name}: taken, {fresh.import_(out)}")
        assert isinstance(refused.value, InvalidInput) or "space" in name, "SpaceChanged where the space is another"
        assert refused.value.hint, name
        assert not fresh.path.exists(), name
        shutil.rmtree(out)


def test_at_least_eighty_tampered_exports_are_tried() -> None:
    assert len(REFUSED) >= 80


def test_odd_but_valid_values_are_imported(export: Path, fresh: Library, tmp_path: Path) -> None:
    def odd(one: Export) -> None:
        one.contents[0]["metadata"] |= {"title": "é\x00", "deep": [[[{"a": None}]]], "gps": [-90, 180], "artist": "x"}
        one.contents[0]["tags"] = [["a", 0], ["b", 1]]
        one.contents[0]["segments"][0] |= {"start": 0, "end": 1e300, "page": 0}
        one.items[0] |= {"mtime_ns": -(2**63), "size": 2**63 - 1, "path": "/new\nline", "root": "/"}
        one.manifest["more"] = [1]

    out = sealed(copied(export, tmp_path / "out"), odd)
    assert fresh.import_(out) == Imported(4, 4, 0, 0, (), (), (("mute", "this library doesn't have this model; "
                                                               "it is taken with --model"),))  # fmt: skip
    assert len(fresh.search("red", 9)) == 4
    assert fresh.import_(out, models=["tests.model_spaces:mute"]).models == ("mute",)


@pytest.mark.slow
def test_an_incomplete_export_leaves_a_library_as_it_was(export: Path, fresh: Library, tmp_path: Path) -> None:
    """The wrong line comes last: nothing of those before it is taken."""
    fresh.import_(export)
    before = [(hit.path, hit.cosine) for hit in fresh.search("red", 9)]
    out = sealed(copied(export, tmp_path / "out"), put("items/3/size", -1))
    with pytest.raises(InvalidInput, match=r"items\.jsonl, line 4 is not valid: 'size' is -1"):
        fresh.import_(out, {"/": "/elsewhere"})
    assert [(hit.path, hit.cosine) for hit in fresh.search("red", 9)] == before


@pytest.mark.slow
def test_the_import_command_refuses_in_an_error_and_a_hint(export: Path, run: Run, tmp_path: Path) -> None:
    sealed(copied(export, tmp_path / "out"), put("contents/0/segments", []))
    done = run("import", "out")
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 2
    assert lines[0].endswith("contents.jsonl, line 1 is not valid: a content without segments could never be found")
    assert [line.partition(":")[0] for line in lines] == ["Error", "Hint"]

"""Other models' vectors, and trained models, go through an exported folder and do there what they did here."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mmsearch.errors import InvalidInput, LibraryError, SpaceIncomplete
from mmsearch.library import Library
from mmsearch.maintenance.export import Imported
from mmsearch.types import Hit
from tests import tiny
from tests.conftest import Run
from tests.generated import picture, sound, words

pytestmark = pytest.mark.slow

Open = Callable[..., Library]

TWIN, WIDE, MUTE = (f"tests.model_spaces:{name}" for name in ("twin", "wide", "mute"))
COLOURS = ("red", "green", "blue")


@pytest.fixture
def filled(library: Library, folder: Path) -> Library:
    """Twelve pictures, a sound and a letter; each picture belongs with a name and with a question."""
    for n in range(12):
        picture(folder / f"{COLOURS[n % 3]}{n:02d}.png", COLOURS[n % 3], mark=n)
    sound(folder / "tones.wav", "low", "high", seconds=4)
    words(folder / "letter.txt", "nobody counts the boats that come home in the evening, a red lantern at the mast")
    library.ingest(folder)
    return library


@pytest.fixture
def exported(filled: Library, tmp_path: Path) -> Callable[[], Path]:
    """Exports what the library has now; each time anew."""
    numbers = iter(range(100))

    def export() -> Path:
        made = tmp_path / f"out{next(numbers)}"
        filled.export(made)
        return made

    return export


def table(folder: Path, name: str, header: str, rows: list[str]) -> Path:
    path = folder.parent / name
    path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return path


def pairs(folder: Path) -> Path:
    rows = [f"word {n}\tmedia/{COLOURS[n % 3]}{n:02d}.png" for n in range(12)]
    return table(folder, "pairs.tsv", "query\trelevant", rows)


def labels(folder: Path) -> Path:
    rows = [f"media/{COLOURS[n % 3]}{n:02d}.png\t{COLOURS[n % 3]} one" for n in range(9)]
    return table(folder, "labels.tsv", "path\tlabel", rows)


def told(hit: Hit) -> tuple[Any, ...]:
    return hit.path, hit.cosine, hit.confidence, hit.start, hit.end, hit.passage


def answers(library: Library) -> list[Any]:
    asked = ("red", "a blue lantern", "low", "word 3")
    return [[told(hit) for hit in library.search(query, 50, mode="vector")] for query in asked]


def rows(library: Library) -> tuple[int, int, int]:
    with closing(sqlite3.connect(library.path / "catalog.sqlite")) as db:
        one = "SELECT (SELECT count(*) FROM segments), (SELECT count(*) FROM embeddings), count(*) FROM refusals"
        segments, embeddings, refusals = db.execute(one).fetchone()
        return int(segments), int(embeddings), int(refusals)


def test_the_vectors_of_other_models_are_imported_and_can_serve(
    filled: Library, exported: Callable[[], Path], open_tiny: Open
) -> None:
    for name in (TWIN, WIDE, MUTE):
        filled.model.add(name)
    out, fresh = exported(), open_tiny("elsewhere")
    tiny.reset()
    taken = fresh.import_(out, models=[TWIN, WIDE, MUTE])
    assert taken == Imported(14, 14, 0, 0, ("twin", "wide", "mute"))
    assert rows(fresh) == rows(filled) and rows(fresh)[2] == 1, "the sound that one of them can't take"
    for name in ("wide", "mute", "twin", "tiny"):
        switched, here = filled.model.switch(name), fresh.model.switch(name)
        assert switched is not None and here is not None and switched.unreachable == here.unreachable
        assert answers(fresh) == answers(filled)
    assert not tiny.ENCODED, "nothing was embedded"
    assert fresh.import_(out, models=[WIDE]) == Imported(0, 0, 14, 0, ("twin", "wide", "mute"))
    assert rows(fresh) == rows(filled)


def test_models_not_asked_for_are_left_out_and_named(
    filled: Library, exported: Callable[[], Path], open_tiny: Open, folder: Path
) -> None:
    filled.model.add(WIDE)
    out, fresh = exported(), open_tiny("elsewhere")
    taken = fresh.import_(out)
    assert (taken.models, [name for name, _ in taken.left]) == ((), ["wide"])
    assert [one.name for one in fresh.model.list()] == ["tiny"]
    picture(folder.parent / "new.png", "green", mark=77)
    fresh.ingest(folder.parent / "new.png")
    assert fresh.import_(out, models=[WIDE]).models == ("wide",)
    (wide,) = (one for one in fresh.model.list() if one.name == "wide")
    assert wide.lacking == 1, "what was taken in here"
    with pytest.raises(SpaceIncomplete):
        fresh.model.switch("wide")


def test_a_model_the_library_has_is_imported_unasked(
    filled: Library, exported: Callable[[], Path], open_tiny: Open, folder: Path
) -> None:
    filled.model.add(WIDE)
    out, other = exported(), open_tiny("other")
    other.ingest(folder / "red00.png")
    other.model.add(WIDE)
    assert other.import_(out).models == ("wide",)
    filled.model.switch("wide"), other.model.switch("wide")
    assert answers(other) == answers(filled)


@pytest.mark.parametrize("name", [TWIN, "tests.tiny:space", "tests.tiny:other_weights"])
def test_a_model_that_is_not_in_the_folder_is_refused_before_anything_is_made(
    filled: Library, exported: Callable[[], Path], open_tiny: Open, name: str
) -> None:
    filled.model.add(WIDE)
    fresh = open_tiny("elsewhere")
    with pytest.raises(InvalidInput, match="no vectors of the model") as refused:
        fresh.import_(exported(), models=[name])
    assert "wide" in str(refused.value.hint) and not fresh.path.exists()


def test_an_active_projection_is_active_after_the_import(
    filled: Library, exported: Callable[[], Path], open_tiny: Open, folder: Path
) -> None:
    filled.train.projection(pairs(folder), "mine", epochs=2, modality=("image", "text"))
    plain = answers(filled)
    waiting = exported()
    filled.train.apply("mine")
    assert answers(filled) != plain
    out, fresh, other = exported(), open_tiny("elsewhere"), open_tiny("other")
    tiny.reset()
    assert fresh.import_(out).trained == ("mine",)
    assert not tiny.ENCODED and answers(fresh) == answers(filled)
    assert fresh.train.models() == filled.train.models() and fresh.train.models()[0].active
    assert other.import_(waiting).trained == ("mine",) and answers(other) == plain, "it is there, and doesn't serve"
    assert other.import_(out).trained == ("mine",) and answers(other) == plain, "nor in a library that was there before"
    other.train.apply("mine")
    assert answers(other) == answers(filled)


def test_imported_heads_and_fusions_give_the_same_answers(
    filled: Library, exported: Callable[[], Path], open_tiny: Open, folder: Path
) -> None:
    for n in range(6):
        words(folder / f"{COLOURS[n % 3]}{n:02d}.txt", f"what belongs to {COLOURS[n % 3]} {n}")
    filled.ingest(folder)
    filled.train.labels(labels(folder), "kinds")
    filled.train.fusion(pairs(folder), "ours", strategy="sum", epochs=1)
    out, fresh = exported(), open_tiny("elsewhere", fusion="learned:ours")
    assert set(fresh.import_(out).trained) == {"kinds", "ours"}
    named = fresh.label(model="kinds")
    assert named == filled.label(model="kinds") and any(one.label for one in named)
    assert answers(fresh) == answers(open_tiny(fusion="learned:ours"))
    cards = [(library.path / "training" / "ours" / "model.json").read_bytes() for library in (filled, fresh)]
    assert cards[0] == cards[1]
    assert not (out / "trained" / "ours" / "data.safetensors").exists(), "what it was trained on stays"


def test_unusable_models_are_left_out_with_their_reason(
    filled: Library, exported: Callable[[], Path], open_tiny: Open, folder: Path
) -> None:
    filled.model.add(WIDE)
    filled.model.switch("wide")
    filled.train.labels(labels(folder), "foreign")
    filled.model.switch("tiny")
    filled.train.labels(labels(folder), "kinds")
    out, other = exported(), open_tiny("other")
    other.ingest(folder)
    other.train.labels(labels(folder), "kinds", seed=5)
    mine = (other.path / "training" / "kinds" / "model.json").read_bytes()
    taken = other.import_(out)
    assert taken.trained == () and [name for name, _ in taken.left] == ["wide", "foreign", "kinds"]
    reasons = dict(taken.left)
    assert "'wide'" in reasons["foreign"] and "another one" in reasons["kinds"]
    assert (other.path / "training" / "kinds" / "model.json").read_bytes() == mine
    assert other.import_(out, models=[WIDE]).trained == ("foreign",), "now its space is here"


@pytest.mark.parametrize("name", ["trained/kinds/head.safetensors", "spaces/1/vectors.npy", "spaces/1/refusals.jsonl"])
def test_a_changed_model_file_is_refused_before_anything_is_imported(
    filled: Library, exported: Callable[[], Path], open_tiny: Open, folder: Path, name: str
) -> None:
    filled.model.add(MUTE)
    filled.train.labels(labels(folder), "kinds")
    out, fresh = exported(), open_tiny("elsewhere")
    data = bytearray((out / name).read_bytes())
    data[-5] ^= 1
    (out / name).write_bytes(data)
    with pytest.raises(InvalidInput, match="not what was exported"):
        fresh.import_(out)
    assert not fresh.path.exists()


def test_an_import_reads_no_file_outside_its_folder(
    filled: Library, exported: Callable[[], Path], open_tiny: Open, folder: Path
) -> None:
    filled.train.labels(labels(folder), "kinds")
    out = exported()
    (out / "trained" / "kinds" / "more.txt").write_text("nobody vouches for this")
    fresh = open_tiny("elsewhere")
    assert fresh.import_(out).trained == ("kinds",)
    assert not (fresh.path / "training" / "kinds" / "more.txt").exists()
    path = out / "manifest.json"
    whole = json.loads(path.read_text())
    for files, trained in (
        ({"../secret": "0"}, "kinds"),
        ({"/etc/passwd": "0"}, "kinds"),
        ({}, "../kinds"),
    ):
        other = {**whole, "files": whole["files"] | files, "trained": [{**whole["trained"][0], "name": trained}]}
        path.write_text(json.dumps(other))
        with pytest.raises(InvalidInput, match=r"is not a part of it|can't be a model's name"):
            open_tiny("another").import_(out)


@pytest.mark.parametrize("name", ["../../../secret", "ABSOLUTE", "..", "a/b", "link", "missing"])
def test_an_export_copies_no_file_from_outside_the_library(
    filled: Library, folder: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "secret").write_text("mine")
    model = filled.path / "training" / "kinds"
    model.mkdir(parents=True)
    (model / "link").symlink_to(tmp_path / "secret")
    for file in ("plan.json", "README.md"):
        (model / file).write_text("{}")
    named = str(tmp_path / "secret") if name == "ABSOLUTE" else name
    card = {"name": "kinds", "kind": "labels", "base": "tiny", "fingerprint": "f", "files": {named: "0"}}
    (model / "model.json").write_text(json.dumps(card))
    with pytest.raises(LibraryError, match=r"is not a part of it|can't be exported") as caught:
        filled.export(tmp_path / "out")
    assert caught.value.hint is not None and "mmsearch train drop kinds" in caught.value.hint
    assert not (tmp_path / "out").exists() and (tmp_path / "secret").read_text() == "mine"


def test_the_export_and_import_commands_name_models(filled: Library, run: Run, folder: Path) -> None:
    filled.model.add(WIDE)
    filled.train.labels(labels(folder), "kinds")
    lines = run("export", "out").stdout.decode().splitlines()
    assert lines[1:] == ["other models' vectors: wide", "trained models: kinds"]
    lines = run("import", "out", "--library", "new").stdout.decode().splitlines()
    assert lines[1:] == [
        "trained models: kinds", "left out wide: this library doesn't have this model; it is taken with --model",
    ]  # fmt: skip
    lines = run("import", "out", "--library", "new", "--model", WIDE).stdout.decode().splitlines()
    assert lines[1:] == ["other models' vectors: wide", "trained models: kinds"]

"""Evaluation through a library of the tiny space and through the command line, with figures worked out by hand."""

import json
import os
import subprocess
from collections.abc import Callable
from math import log2
from pathlib import Path

import pytest
from PIL import Image

from mmsearch.core import registry
from mmsearch.errors import InvalidInput, LibraryEmpty, LibraryNotFound
from mmsearch.evaluate import Evaluation
from mmsearch.library import Library
from mmsearch.types import Neighbours
from mmsearch.vectors.flat import FlatIndex
from tests.generated import picture, sound, video, words
from tests.module_library import ModuleLibrary


def fill(folder: Path) -> None:
    """Three red pictures, two green, one blue; a low, a mid and a high sound; a text."""
    for name in ("red1", "red2", "red3", "green1", "green2", "blue1"):
        picture(folder / f"{name}.png", name[:-1], mark=int(name[-1]))
    for tone in ("low", "mid", "high"):
        sound(folder / f"{tone}.wav", tone)
    words(folder / "red.txt", "a red bus")


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


@pytest.fixture
def filled(library: Library) -> Library:
    return library


def pairs(folder: Path, *rows: str) -> Path:
    path = folder.parent / "pairs.tsv"
    path.write_text("\n".join(["query\trelevant", *rows]) + "\n", "utf-8")
    return path


def values(found: Evaluation, direction: str) -> dict[str, float]:
    (result,) = (one for one in found.directions if one.name == direction)
    return {name: estimate.value for name, estimate in result.metrics.items()}


def test_text_to_image_measures_equal_those_worked_out_by_hand(filled: Library, folder: Path) -> None:
    # "blue" has its picture first. "green" has both greens, then the reds by how much of another colour their marked
    # pixel has: red3, red2, red1. The last scores the same as blue1, so it is sixth of six.
    table = pairs(folder, "blue\tmedia/blue1.png", "green\tmedia/red1.png")
    found = filled.evaluate(table, k=(3, 1))
    (result,) = found.directions
    assert [outcome.ranks for outcome in result.outcomes] == [(1,), (6,)]
    assert (result.name, result.items, found.k, found.unused) == ("text-image", 6, (1, 3), ())
    assert values(found, "text-image") == pytest.approx(
        {
            "success@1": 0.5, "success@3": 0.5, "recall@1": 0.5, "recall@3": 0.5,
            "median rank": 3.5, "MRR": 7 / 12, "mAP": 7 / 12, "nDCG@3": 0.5,
        }
    )  # fmt: skip
    # Two queries are drawn twice: a quarter of the samples are all right, a quarter all wrong.
    estimate = result.metrics["success@1"]
    assert (estimate.low, estimate.high) == (0, 1)
    assert filled.evaluate(table, k=(3, 1)) == found, "the same every time"


def test_measures_count_all_relevant_files_of_a_query(filled: Library, folder: Path) -> None:
    # Sounds: "low" scores 1 with low.wav and 0 with the others, which tie; ties count against us, so a relevant mid.wav
    # is third. Ranks 1 and 3: precision 1 and 2/3, recall@1 a half.
    found = filled.evaluate(pairs(folder, "low\tmedia/low.wav,media/mid.wav"), k=(1, 2, 3))
    assert found.directions[0].outcomes[0].ranks == (1, 3)
    best = 1 + 1 / log2(3)
    assert values(found, "text-audio") == pytest.approx(
        {
            "success@1": 1, "success@2": 1, "success@3": 1, "recall@1": 0.5, "recall@2": 0.5, "recall@3": 1,
            "median rank": 1, "MRR": 1, "mAP": 5 / 6, "nDCG@3": (1 + 1 / log2(4)) / best,
        }
    )  # fmt: skip


@pytest.mark.slow
def test_a_query_file_is_no_candidate_of_its_own_query(filled: Library, folder: Path, tmp_path: Path) -> None:
    outside = picture(tmp_path / "blue.png", "blue", side=40)
    table = pairs(folder, "media/green1.png\tmedia/green2.png,media/green1.png", f"{outside}\tmedia/blue1.png")
    found = filled.evaluate(table)
    assert [outcome.ranks for outcome in found.directions[0].outcomes] == [(1,), (1,)]
    assert found.directions[0].name == "image-image"
    assert [(one.line, one.why) for one in found.unused] == [
        (2, f"the query is no answer to itself: {folder / 'green1.png'}")
    ]


@pytest.mark.slow
def test_each_pair_of_modalities_is_a_direction_that_can_be_chosen(filled: Library, folder: Path) -> None:
    table = pairs(folder, "red\tmedia/red1.png,media/red.txt", "media/low.wav\tmedia/red1.png", "low\tmedia/low.wav")
    assert [one.name for one in filled.evaluate(table).directions] == [
        "audio-image",
        "text-audio",
        "text-image",
        "text-text",
    ]
    chosen = filled.evaluate(table, directions=("text-text", "audio-image"))
    assert [(one.name, len(one.outcomes)) for one in chosen.directions] == [("audio-image", 1), ("text-text", 1)]
    with pytest.raises(InvalidInput, match="no usable pair for the direction 'image-text'"):
        filled.evaluate(table, directions=("image-text",))


@pytest.mark.slow
def test_videos_are_ranked_as_a_search_ranks_them(filled: Library, folder: Path, tmp_path: Path) -> None:
    for name in ("red", "green", "blue"):
        video(folder / f"{name}.mp4", name)
    filled.ingest(folder)
    Image.new("RGB", (32, 32), (40, 200, 90)).save(tmp_path / "meadow.png")
    rows = [f"meadow.png\tmedia/{name}.mp4" for name in ("red", "green", "blue")]
    (outcome,) = filled.evaluate(pairs(folder, *rows[::2])).directions[0].outcomes
    assert outcome.ranks == (2, 3)
    hits = filled.search(tmp_path / "meadow.png", 3, modalities=("video",))
    assert [hit.path.name for hit in hits] == ["green.mp4", "blue.mp4", "red.mp4"]


def test_items_are_ranked_as_a_search_shows_them_or_by_their_cosines(filled: Library, folder: Path) -> None:
    table = pairs(folder, 'red "green1"\tmedia/green1.png')
    ranks = {by: filled.evaluate(table, by=by).directions[0].outcomes[0].ranks for by in ("confidence", "cosine")}
    shown = {
        mode: [hit.path.name for hit in filled.search('red "green1"', 10, modalities=("image",), mode=mode)]
        for mode in ("hybrid", "vector")
    }
    assert ranks["confidence"] == (1,) and shown["hybrid"][0] == "green1.png", "by its name"
    assert ranks["cosine"] == (shown["vector"].index("green1.png") + 1,) and ranks["cosine"][0] > 3, "three are red"
    with pytest.raises(InvalidInput, match="by can't be 'luck'"):
        filled.evaluate(table, by="luck")  # type: ignore[arg-type]


@pytest.mark.slow
def test_unusable_pairs_are_listed_with_their_reason(filled: Library, folder: Path) -> None:
    broken = folder / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    gone = picture(folder / "gone.png", "red")
    filled.ingest(folder)
    gone.unlink()
    filled.ingest(folder)
    picture(folder / "later.png", "red")
    rows = [
        "red\tmedia/nowhere.png,media/later.png,media/broken.png,media/gone.png,media/red1.png",
        "media/broken.png\tmedia/red1.png",
        "",
        "red",
        "absent.png\tmedia/red1.png",
    ]
    table = pairs(folder, *rows)
    found = filled.evaluate(table)
    assert [len(one.outcomes) for one in found.directions] == [1]
    assert {one.file for one in found.unused} == {table}
    told = [(one.line, one.why.replace(f"{folder}{os.sep}", "")) for one in found.unused]
    assert told[:4] == [
        (2, "could not be taken in (corrupt): broken.png"),
        (2, "missing since the last ingest: gone.png"),
        (2, "no such file: nowhere.png"),
        (2, "not in the library: later.png"),
    ]
    assert (told[4][0], "broken.png" in told[4][1]) == (3, True)
    assert told[5:] == [(4, "empty line"), (5, "too few columns"), (6, "no such query file: absent.png")]


@pytest.mark.slow
def test_a_table_without_usable_pairs_is_an_error(open_tiny: Callable[..., Library], tmp_path: Path) -> None:
    library, folder = open_tiny("nothing yet"), tmp_path / "none"
    folder.mkdir()
    table = pairs(folder, "red\tmedia/nowhere.png")
    with pytest.raises(LibraryNotFound):
        library.evaluate(table)
    library.ingest(folder)
    with pytest.raises(LibraryEmpty):
        library.evaluate(table)
    picture(folder / "red.png", "red")
    library.ingest(folder)
    with pytest.raises(InvalidInput, match=r"can be used: line 2: no such file: .*nowhere\.png"):
        library.evaluate(table)
    with pytest.raises(InvalidInput, match="at least 1"):
        library.evaluate(table, k=(0,))


class LazyIndex(FlatIndex):
    """An approximate index at its worst: it misses the best."""

    def search(self, queries, k, *, selection=None):  # type: ignore[no-untyped-def]
        found = super().search(queries, k + 1, selection=selection)
        return Neighbours(found.ids[:, 1:], found.scores[:, 1:])


@pytest.mark.slow
def test_the_recall_of_the_index_is_measured_against_exact_search(
    filled: Library, open_tiny: Callable[..., Library], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(20):
        picture(folder / f"n{n:02d}.png", ("red", "green", "blue")[n % 3], side=33 + n)
    filled.ingest(folder)
    table = pairs(folder, "red\tmedia/red1.png", "blue\tmedia/blue1.png", f"{folder / 'green1.png'}\tmedia/green2.png")
    assert [one.index_recall for one in filled.evaluate(table).directions] == [1, 1]
    # As a package would bring it.
    monkeypatch.setitem(registry.BUILTIN["indexes"], "lazy", "tests.evaluate.test_evaluate:LazyIndex")
    registry.known_targets.cache_clear()
    with open_tiny("lazy", index="lazy") as lazy:
        lazy.ingest(folder)
        found = lazy.evaluate(pairs(folder, "media/red1.png\tmedia/red2.png"))
    registry.known_targets.cache_clear()
    assert found.directions[0].index_recall == pytest.approx(0.9), "of the ten nearest it misses the first"


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(run: Callable[..., "subprocess.CompletedProcess[bytes]"], filled: Library) -> Run:
    """`mmsearch evaluate` of the library that is filled, its output as text."""

    def run_it(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        done = run("evaluate", *arguments)
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run_it


def test_the_evaluate_command_prints_every_measure(run: Run, folder: Path) -> None:
    done = run(pairs(folder, "low\tmedia/low.wav", "mid\tmedia/nowhere.wav"), "--k", "1")
    assert done.returncode == 0, done.stderr
    names = ("success@1", "recall@1", "median rank", "MRR", "mAP", "nDCG@1")
    assert done.stdout.splitlines() == [
        "text-audio: 1 queries, 3 items, index recall@10 1.000",
        *(f"{name}\t1.000\t1.000\t1.000" for name in names),
        "not used: 1",
        f"pairs.tsv\t3\tno such file: {folder / 'nowhere.wav'}",
    ]


def test_the_evaluate_command_prints_json(run: Run, folder: Path, filled: Library) -> None:
    done = run(pairs(folder, "low\tmedia/low.wav", "red\tmedia/red1.png"), "--json", "--direction", "text-audio")
    found = json.loads(done.stdout)
    assert (found["space"], found["library"], found["k"]) == ("tiny", str(filled.path), [1, 5, 10])
    (direction,) = found["directions"]
    assert (direction["query"], direction["item"], direction["index_recall"]) == ("text", "audio", 1.0)
    assert direction["metrics"]["mAP"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert direction["outcomes"] == [{"query": "low", "line": 2, "ranks": [1]}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.tsv"], "does not exist"),
        (["pairs.tsv", "--k", "one"], "not a list of numbers"),
        (["pairs.tsv", "--k", "0"], "at least 1"),
        (["pairs.tsv", "--direction", "text-video"], "the pairs have: text-audio"),
        (["pairs.tsv", "--plot", "curve.doc"], "can't draw a .doc"),
        (["media", "--dataset", "esc10"], "No such option"),
    ],
)
def test_senseless_evaluate_commands_are_refused(run: Run, folder: Path, arguments: list[str], message: str) -> None:
    pairs(folder, "low\tmedia/low.wav")
    done = run(*arguments)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_plot_has_a_curve_for_each_direction(filled: Library, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    filled.evaluate(pairs(folder, "low\tmedia/low.wav", "red\tmedia/red1.png"), plot=tmp_path / "curve.svg")
    drawn = (tmp_path / "curve.svg").read_text("utf-8")
    assert "text-audio (1 queries)" in drawn and "text-image (1 queries)" in drawn


def test_without_matplotlib_a_plot_is_refused_with_the_install_command(
    filled: Library, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmsearch.evaluate.plot.find_spec", lambda name: None)
    with pytest.raises(InvalidInput, match="needs matplotlib") as refused:
        filled.evaluate(pairs(folder, "low\tmedia/low.wav"), plot=tmp_path / "curve.png")
    assert refused.value.hint == "pip install 'mmsearch[plot]'"

"""Which model suits a machine, and what one costs on this."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import mmsearch
from mmsearch.core import registry
from mmsearch.encoders.model_store import Memory
from mmsearch.encoders.presets import MODEL_PRESETS, ModelPreset
from mmsearch.library import Library
from mmsearch.models import recommend
from mmsearch.models.cost import ModelCost, measure_cost
from mmsearch.models.holdings import Holdings
from mmsearch.models.recommend import Machine, recommended, this_machine
from mmsearch.types import Query
from tests.conftest import Run
from tests.generated import picture, sound, video, words

GB = 2**30


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        (Machine(32 * GB, True), "embeddinggemma-2"),
        (Machine(16 * GB, False), "embeddinggemma-2"),
        (Machine(8 * GB, False), "embeddinggemma-2-text-image"),
        (Machine(6 * GB, False), "siglip2-b-16"),
        (Machine(1 * GB, False), "starter"),
        (Machine(None, False), "embeddinggemma-2"),
    ],
)
def test_the_best_model_that_fits_memory_is_recommended(machine: Machine, name: str) -> None:
    assert recommended(machine).name == name


def test_a_model_that_forbids_commercial_use_is_recommended_only_where_that_does_not_matter() -> None:
    small = Machine(2 * GB, False)
    assert recommended(small).name == "starter"
    assert recommended(small, commercial=False).name == "mobileclip2-s2"


def test_the_shell_names_the_model_that_suits_this_machine(run: Run) -> None:
    said = run("prepare").stderr.decode()
    machine = this_machine()
    best = recommended(machine)
    first, about, cost, *commands = said.splitlines()
    assert first == f"Recommended for this machine ({machine}): {best.name}"
    assert about == f"  {best.summary.removeprefix('recommended: ')}; languages: {best.languages}"
    assert cost.startswith("  cost here: ")
    assert commands[0].endswith("takes" if best.repository is None else f": mmsearch prepare {best.name}")
    assert run("models").stderr.decode() == said


def test_a_recommended_model_that_is_here_is_told_with_its_cost_and_how_to_use_it(
    run: Run, preset: str, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(recommend, "BEST_FIRST", ("good",))
    monkeypatch.setattr(recommend, "_fits", lambda *_: True)
    made = ModelPreset("good", "good", ("image",), 8, 1, "English", "MIT", repository="a/b")
    monkeypatch.setattr(recommend, "MODEL_PRESETS", (*MODEL_PRESETS, made))
    unmeasured = run("prepare").stderr.decode().splitlines()
    assert unmeasured[2] == "  cost here: not measured yet: mmsearch models --cost"
    Memory("cost.json").note(preset, [45.0, *[None] * 3, 0.0, 1.0, 0.0, 0, 0])
    assert run("prepare").stderr.decode().splitlines()[1:] == [
        "  good; languages: English",
        "  cost here: 45 s a picture",
        "  a new library: mmsearch ingest FOLDER --library NEW --space good",
        "  the library you have: mmsearch model add good",
    ]


@pytest.mark.slow
def test_a_cost_is_multiplied_by_what_a_library_holds(folder: Path, open_tiny: Callable[..., Library]) -> None:
    for number in range(3):
        picture(folder / f"{number}.png", "red", mark=number)
    sound(folder / "a.wav", "low", seconds=6.0)
    video(folder / "b.mp4", "red", "blue", seconds=3.0)
    words(folder / "c.txt", "waves on a beach")
    library = open_tiny()
    library.ingest(folder)
    holds = library.model.holdings()
    assert holds == Holdings(pictures=3, sound_s=6.0, video_s=6.0, passages=1, sounds=1, videos=1, letters=16, texts=1)
    assert ModelCost("x", 2.0, 10.0, 100.0, 0.5).of(holds) == pytest.approx(3 * 2 + 1 + 10 + 0.5)
    assert ModelCost("x", picture=2.0).of(holds) == 6.0


def test_short_sounds_and_short_videos_cost_what_is_embedded_of_them() -> None:
    cost = ModelCost("x", sound_minute=60.0, video_minute=120.0, window_s=10.0, overlap=2.0, video_least=0.25)
    # Of five seconds there is one window; of 60 s there are 11 windows of ten.
    assert cost.of(Holdings(sound_s=50.0, sounds=10)) == pytest.approx(60 * 50 / 120)
    assert cost.of(Holdings(sound_s=60.0, sounds=1)) == pytest.approx(60 * 110 / 120)
    assert cost.of(Holdings(video_s=20.0, videos=10)) == pytest.approx(2.5 * 120)
    assert cost.of(Holdings(video_s=600.0, videos=10)) == pytest.approx(10 * 120)


def test_documents_cost_a_model_the_passages_that_it_cuts_them_into() -> None:
    held = Holdings(passages=30, letters=10 * 6 * 390, texts=10, passage_words=180)  # ten notes of 390 words
    assert ModelCost("x", passage=2.0, passage_words=180, passage_overlap=40).of(held) == pytest.approx(
        2 * (3900 + 20 * 40) / 180
    )
    short = ModelCost("x", passage=2.0, passage_words=42, passage_overlap=8)
    count = 10 * ((390 - 8) / 34 + 0.5)
    assert short.of(held) == pytest.approx(2 * (3900 + (count - 10) * 8) / 42)
    notes = Holdings(passages=10, letters=10 * 6 * 30, texts=10, passage_words=180)  # of 30 words
    assert short.of(notes) == pytest.approx(20 * 30 / 42)
    assert short.of(replace(notes, letters=10 * 6)) == pytest.approx(20 * 0.2)  # of one


@pytest.mark.slow
def test_what_a_folder_holds_is_told_before_it_is_taken_in(folder: Path, open_tiny: Callable[..., Library]) -> None:
    for number in range(3):
        picture(folder / f"{number}.png", "red", mark=number)
    sound(folder / "a.wav", "low", seconds=6.0)
    video(folder / "b.mp4", "red", "blue", seconds=3.0)
    words(folder / "c.txt", "waves on a beach")
    (folder / "broken.wav").write_bytes(b"RIFF")
    library = open_tiny()
    held = library.model.holdings(folder)
    assert (held.pictures, held.passages, held.sounds, held.videos) == (3, 1, 2, 1)
    assert (held.letters, held.texts) == (len("waves on a beach"), 1)
    assert held.sound_s == pytest.approx(6.0, rel=0.01) and held.video_s == pytest.approx(6.0)
    library.ingest(folder)
    picture(folder / "new.png", "green")
    assert library.model.holdings(folder) == Holdings(pictures=1)


@pytest.fixture
def preset(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A model that suits every machine: the tests' own, as if its publishers had a name for it."""
    registry.known_targets.cache_clear()
    monkeypatch.setitem(registry.BUILTIN["spaces"], "good", "tests.tiny:space")
    made = ModelPreset("good", "good", ("image",), 8, 1, "English", "MIT")
    monkeypatch.setattr(recommend, "MODEL_PRESETS", (*MODEL_PRESETS, made))
    monkeypatch.setattr(recommend, "BEST_FIRST", ("good", "starter"))
    yield "tests.tiny:space auto auto"
    registry.known_targets.cache_clear()


@pytest.mark.slow
def test_auto_takes_the_best_model_that_is_here_and_quick_enough(folder: Path, tmp_path: Path, preset: str) -> None:
    picture(folder / "a.png", "red")
    Memory("cost.json").note(preset, [3000.0, *[None] * 3, 0.0, 1.0, 0.0, 0, 0])
    with mmsearch.open(tmp_path / "library", space="auto") as library:
        assert library.model.choice(folder) == recommend.SpaceChoice("good", 3000.0)
        report = library.ingest(folder)
        assert report.warnings == ["space = auto took good"]
        assert [one.name for one in library.model.list()] == ["tiny"]
        # Chosen once: what is there keeps its model.
        Memory("cost.json").note(preset, [4000.0, *[None] * 3, 0.0, 1.0, 0.0, 0, 0])
        picture(folder / "b.png", "blue")
        assert library.ingest(folder).warnings == []
    with mmsearch.open(tmp_path / "library", space="auto") as again:
        assert again.search(Query(image=folder / "b.png"), 1)[0].path.name == "b.png"


def test_auto_takes_no_model_that_would_need_hours_or_is_not_here(
    folder: Path, tmp_path: Path, preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(folder / "a.png", "red")
    Memory("cost.json").note(preset, [9000.0, *[None] * 3, 0.0, 1.0, 0.0, 0, 0])
    library = mmsearch.open(tmp_path / "library", space="auto")
    found = library.model.choice(folder)
    assert found == recommend.SpaceChoice("starter", None, "good", 9000.0)
    assert found.instead == "; good finds more, but would take about 2 h here: --space good takes it"
    monkeypatch.setattr(recommend, "BEST_FIRST", ("embeddinggemma-2-text-image", "starter"))
    monkeypatch.setattr(recommend, "this_machine", lambda: Machine(32 * GB, False))
    missing = library.model.choice(folder)
    assert missing == recommend.SpaceChoice("starter", None, "embeddinggemma-2-text-image", None)
    assert missing.instead.endswith("mmsearch prepare embeddinggemma-2-text-image")


def test_the_shell_says_what_a_folder_would_take(folder: Path, run: Run) -> None:
    for number in range(2):
        picture(folder / f"{number}.png", "red", mark=number)
    for name in ("starter", "starter-open"):
        Memory("cost.json").note(
            f"{registry.target_of('spaces', name)} auto auto", [45.0, *[None] * 3, 5.0, 2.0, 0.25, 0, 0]
        )
    listed = run("models").stdout.decode().splitlines()
    assert [line.split("\t")[-1] for line in listed if line.startswith("starter")] == ["yes, 45 s a picture"] * 2
    said = run("models", "--cost", str(folder)).stdout.decode()
    assert [line.split()[-2:] for line in said.splitlines() if line.startswith("starter")] == [["2", "min"]] * 2
    refused = run("models", folder)
    assert refused.returncode == 2 and b"PATHS say what --cost is about" in refused.stderr


@pytest.mark.slow
def test_a_measured_cost_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    first = measure_cost("tests.tiny:space")
    assert all(one is not None and one > 0 for one in (first.picture, first.sound_minute, first.passage))
    assert measure_cost("tests.tiny:space") == first

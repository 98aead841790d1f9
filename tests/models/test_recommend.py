"""Which model suits a machine, and what one costs on this."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mmsearch.library import Library
from mmsearch.models.cost import Holdings, ModelCost, measure_cost
from mmsearch.models.recommend import Machine, recommended, this_machine
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
    best = recommended(this_machine())
    assert f": {best.name}, " in said
    assert run("models").stderr.decode() == said


def test_a_cost_is_multiplied_by_what_a_library_holds(folder: Path, open_tiny: Callable[..., Library]) -> None:
    for number in range(3):
        picture(folder / f"{number}.png", "red", mark=number)
    sound(folder / "a.wav", "low", seconds=6.0)
    video(folder / "b.mp4", "red", "blue", seconds=3.0)
    words(folder / "c.txt", "waves on a beach")
    library = open_tiny()
    library.ingest(folder)
    holds = library.model.holdings()
    assert holds == Holdings(pictures=3, sound_s=6.0, video_s=6.0, passages=1)
    assert ModelCost("x", 2.0, 10.0, 100.0, 0.5).of(holds) == pytest.approx(3 * 2 + 1 + 10 + 0.5)
    assert ModelCost("x", picture=2.0).of(holds) == 6.0


def test_a_measured_cost_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    first = measure_cost("tests.tiny:space")
    assert all(one is not None and one > 0 for one in (first.picture, first.sound_minute, first.passage))
    assert measure_cost("tests.tiny:space") == first

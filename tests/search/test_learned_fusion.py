"""Fusions through a library of the tiny space: from pairs to the order of bundles."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmsearch.encoders.fusion import restore_fusion
from mmsearch.errors import InvalidInput, SpaceChanged
from mmsearch.library import Library
from mmsearch.training.loop import EpochReport
from tests.conftest import Run
from tests.generated import picture, sound, words

pytestmark = pytest.mark.slow

COLOURS, TONES = ("red", "green", "blue"), ("low", "mid", "high")


def fill(folder: Path) -> None:
    """Bundles of a picture and a sound, every colour with every tone; and a picture that is alone."""
    for colour in COLOURS:
        for tone in TONES:
            picture(folder / f"{colour}-{tone}.png", colour, mark=TONES.index(tone))
            sound(folder / f"{colour}-{tone}.wav", tone)
    picture(folder / "alone.png", "red", mark=9)
    for n in range(6):
        words(folder / f"note{n}.txt", f"something about matter number {n}")


def table(folder: Path, *more: str) -> Path:
    """A bundle is asked for by the name of its colour: the sound says nothing."""
    rows = [f"{colour}\t{colour}-{tone}.wav" for colour in COLOURS for tone in TONES]
    path = folder.parent / "pairs.tsv"
    path.write_text(
        "\n".join(
            ["query\trelevant", *(f"{row.split(chr(9))[0]}\tmedia/{row.split(chr(9))[1]}" for row in rows), *more]
        )
        + "\n"
    )
    return path


@pytest.fixture
def filled(library: Library, folder: Path) -> Library:
    fill(folder)
    library.ingest(folder)
    return library


def stopped(epoch: EpochReport) -> None:
    if epoch.number == 2:
        raise KeyboardInterrupt


def test_fusion_training_uses_file_groups_and_resumes_after_a_kill(filled: Library, folder: Path) -> None:
    lines = ("a red one\tmedia/alone.png", "red and gone\tmedia/gone.png", "media/red-low.wav\tmedia/red-low.png")
    pairs = table(folder, *lines)
    whole = filled.train.fusion(pairs, "whole", strategy="concat", epochs=4, batch=4)
    said = {one.line: one.why.split(":")[0] for one in whole.unused}
    assert said == {2 + 9: "shares its stem with no other file", 2 + 10: "no such file"}
    with pytest.raises(KeyboardInterrupt):
        filled.train.fusion(pairs, "cut", strategy="concat", epochs=4, batch=4, on_epoch=stopped)
    cut = filled.train.resume("cut")
    one, two = (
        restore_fusion((found.path / "fusion.safetensors").read_bytes())[0].state_dict() for found in (whole, cut)
    )
    assert all(((one[name] - two[name]).abs() <= 1e-6).all() for name in one)
    card = json.loads((cut.path / "model.json").read_text())
    assert card["kind"] == "fusion" and card["splits"]["training pairs"] + card["splits"]["validation pairs"] == 10
    assert {model.name: model.kind for model in filled.train.models()} == {"whole": "fusion", "cut": "fusion"}


def test_file_groups_are_ranked_by_their_fused_vector(
    filled: Library, folder: Path, open_tiny: Callable[..., Library]
) -> None:
    filled.train.fusion(table(folder), "colours", strategy="mean", epochs=1)
    plain = [hit.path.name for hit in filled.search("low", k=30, mode="vector")]
    searching = open_tiny(fusion="learned:colours")
    hits = searching.search("low", k=30, mode="vector")
    assert sorted(hit.path.name for hit in hits) == sorted(plain)
    # The picture leads a bundle; all that sound low are alike by their best file, and by the mean.
    assert {hit.path.name for hit in hits[:3]} == {f"{colour}-low.png" for colour in COLOURS}
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    assert [hit.item_id for hit in searching.search("low", k=4, offset=2, mode="vector")] == [
        h.item_id for h in hits[2:6]
    ]
    alone = [place for place, hit in enumerate(hits) if not hit.members]
    assert alone == [place for place, name in enumerate(plain) if "-" not in name], "what is alone stays in its place"


def test_a_mixed_query_is_nearest_to_the_group_that_has_both(
    filled: Library, folder: Path, open_tiny: Callable[..., Library]
) -> None:
    from mmsearch.types import Query

    filled.train.fusion(table(folder), "colours", strategy="mean", epochs=1)
    both = Query("green") + Query("high")
    found = open_tiny(fusion="learned:colours").search(both, k=1, mode="vector")
    assert found[0].path.name == "green-high.png"


def test_senseless_fusion_training_and_searches_are_refused(
    filled: Library, folder: Path, open_tiny: Callable[..., Library]
) -> None:
    nothing = folder.parent / "nothing.tsv"
    nothing.write_text("query\trelevant\nred\tmedia/alone.png\n")
    with pytest.raises(InvalidInput, match=r"no pair of nothing\.tsv asks for a group of files"):
        filled.train.fusion(nothing)
    with pytest.raises(InvalidInput, match="unknown strategy 'magic'"):
        filled.train.fusion(table(folder), strategy="magic")
    with pytest.raises(InvalidInput, match="unknown training settings: colour"):
        filled.train.fusion(table(folder), colour=1)
    with pytest.raises(InvalidInput, match="no trained fusion 'gone'"):
        open_tiny(fusion="learned:gone").search("red")
    filled.train.fusion(table(folder), "colours", strategy="weights", epochs=1, batch=4)
    other = open_tiny("other", space="tests.tiny:other_weights", fusion="learned:colours")
    other.ingest(folder)
    kept = other.path / "training" / "colours" / "fusion.safetensors"
    kept.parent.mkdir(parents=True)
    kept.write_bytes((filled.path / "training" / "colours" / "fusion.safetensors").read_bytes())
    with pytest.raises(SpaceChanged, match="was trained in the space"):
        other.search("red")


def test_the_train_fusion_command_trains_and_names_the_setting(run: Run, folder: Path) -> None:
    fill(folder)
    run("ingest", folder)
    done = run(
        "train", "fusion", table(folder), "--strategy", "weights", "--epochs", "2", "--attack", "fgm", "--batch", "4"
    )
    assert done.returncode == 0, done.stderr
    assert b"fusion = learned:fused" in done.stdout and b"epoch   2" in done.stderr
    assert run("train", "fusion").returncode == 2

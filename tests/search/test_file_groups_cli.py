"""Files that belong together, through the shell: found by any part, shown once, moved together."""

import json
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.generated import picture, sound, words
from tests.media.test_sidecar import xmp

KEYWORDS = "<rdf:Description><dc:subject><rdf:Bag><rdf:li>holiday</rdf:li></rdf:Bag></dc:subject></rdf:Description>"


@pytest.fixture
def filled(run: Run, folder: Path) -> Run:
    picture(folder / "IMG_1.png", "red")
    words(folder / "IMG_1.txt", "a green bus")
    sound(folder / "IMG_1.wav", "low")
    words(folder / "IMG_1.png.xmp", xmp(KEYWORDS))
    picture(folder / "IMG_2.png", "blue")
    assert run("ingest", folder).returncode == 0
    return run


def best(run: Run, *arguments: str | Path) -> dict[str, object]:
    found = json.loads(run("query", *arguments, "-k", "1", "--json").stdout)["hits"][0]
    return {name: found[name] for name in ("path", "part", "modality", "matched", "members")}


@pytest.mark.slow
def test_a_group_is_found_by_any_file_and_shown_once(filled: Run, folder: Path) -> None:
    names = ["IMG_1.png", "IMG_1.wav", "IMG_1.txt", "IMG_1.png.xmp"]
    whole = {"path": str(folder / names[0]), "modality": "image", "members": [str(folder / name) for name in names]}
    assert best(filled, "red") == whole | {"part": str(folder / "IMG_1.png"), "matched": "image"}
    assert best(filled, "green") == whole | {"part": str(folder / "IMG_1.txt"), "matched": "text"}
    assert best(filled, "low") == whole | {"part": str(folder / "IMG_1.wav"), "matched": "audio"}
    assert best(filled, "holiday")["part"] == str(folder / "IMG_1.png.xmp")
    (why,) = (hit["why"] for hit in json.loads(filled("query", "low", "-k", "1", "--json", "--explain").stdout)["hits"])
    assert (why["matched"], round(why["score"], 3)) == ("audio", 1.0), "the part is explained, not the lead"
    lines = filled("query", "green", "--all").stdout.decode().splitlines()
    assert [line.split("\t")[3:] for line in lines] == [
        ["image", "media/IMG_1.png", "IMG_1.txt a green bus +3 files"],
        ["image", "media/IMG_2.png", ""],
    ]
    assert b"bundles  1 stem that several files share" in filled("status").stdout


def test_modalities_and_filters_choose_which_file_of_a_group_is_shown(filled: Run, folder: Path) -> None:
    sounds = filled("query", "red", "--in", "audio", "--paths").stdout.decode().split()
    assert sounds == [str(folder / "IMG_1.wav")]
    texts = best(filled, "green", "--filter", "modality = text")
    assert texts["path"] == texts["part"] == str(folder / "IMG_1.txt")
    tagged = filled("query", "red", "--filter", "tag = holiday", "--paths").stdout.decode().split()
    assert tagged == [str(folder / "IMG_1.png")]


@pytest.mark.slow
def test_moving_files_keeps_or_splits_their_group(filled: Run, folder: Path) -> None:
    (folder / "moved").mkdir()
    for path in list(folder.glob("IMG_1*")):
        path.rename(folder / "moved" / path.name)
    report = json.loads(filled("ingest", folder, "--json").stdout)
    assert (report["moved"], report["new"]) == (4, 0)
    found = best(filled, "green")
    assert found["path"] == str(folder / "moved" / "IMG_1.png") and len(found["members"]) == 4  # type: ignore[arg-type]
    (folder / "moved" / "IMG_1.txt").rename(folder / "IMG_1.txt")
    filled("ingest", folder)
    alone = best(filled, "green")
    assert (alone["path"], alone["members"], alone["part"]) == (str(folder / "IMG_1.txt"), [], None)
    assert len(best(filled, "red")["members"]) == 3  # type: ignore[arg-type]


def test_removing_one_file_leaves_the_rest_of_its_group(filled: Run, folder: Path) -> None:
    filled("remove", folder / "IMG_1.png")
    found = best(filled, "green")
    assert found["path"] == str(folder / "IMG_1.wav") and len(found["members"]) == 3  # type: ignore[arg-type]


def test_with_fusion_off_every_file_is_a_hit_of_its_own(
    filled: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.parent / "library" / "mmsearch.toml").write_text('fusion = "off"\n', "utf-8")
    found = json.loads(filled("query", "green", "--json").stdout)["hits"]
    assert len(found) == 5 and all(hit["members"] == [] and hit["part"] is None for hit in found)
    assert found[0]["path"] == str(folder / "IMG_1.txt")

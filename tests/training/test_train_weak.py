"""mmsearch train projection --weak: which pairs come out of a library, and training on them."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mmsearch.errors import InvalidInput
from mmsearch.library import Library
from mmsearch.training import weak
from tests.conftest import Run

pytestmark = pytest.mark.slow

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
xmlns:dc="http://purl.org/dc/elements/1.1/"><rdf:Description rdf:about=""><dc:subject><rdf:Bag>
<rdf:li>{}</rdf:li></rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"""

Open = Callable[..., Library]

NAMES = ("red fox", "greenFrog", "blue-bird", "dark_night", "yellow sun", "olive", "purple rain", "cyan sea")
"""Of pictures in as many colours."""
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0), (255, 255, 0), (90, 255, 0), (255, 0, 255), (0, 255, 255))


@pytest.fixture
def named(folder: Path, library: Library) -> Library:
    for place, (name, colour) in enumerate(zip(NAMES, COLOURS, strict=True)):
        modalities = folder / ("Zoo" if place < 2 else "2024")
        modalities.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), colour).save(modalities / f"{name}.png")
    Image.new("RGB", (8, 8), (200, 90, 90)).save(folder / "2024" / "IMG_0001.png")
    (folder / "2024" / "IMG_0001.txt").write_text("A brick\nwall.", "utf-8")
    (folder / "2024" / "olive.png.xmp").write_text(XMP.format("tree"), "utf-8")
    library.ingest(folder)
    return library


def pairs(library: Library, source: str, modality: tuple[str, ...] = ()) -> dict[str, list[str]]:
    with library._context.catalog().reading() as snapshot:
        (found,) = weak.collect(snapshot, [source], modality)
    return {text: [path.name for path in paths] for text, paths in found.pairs.items()}


def test_file_names_give_weak_pairs(named: Library) -> None:
    said = ("blue bird", "cyan sea", "dark night", "olive", "purple rain", "yellow sun", "green frog", "red fox")
    files = ("blue-bird", "cyan sea", "dark_night", "olive", "purple rain", "yellow sun", "greenFrog", "red fox")
    assert list(pairs(named, "names").items()) == [
        (text, [f"{file}.png"]) for text, file in zip(said, files, strict=True)
    ]


def test_folder_names_give_weak_pairs(named: Library) -> None:
    assert pairs(named, "folders") == {"zoo": ["greenFrog.png", "red fox.png"]}  # 2024 says nothing


def test_sidecar_texts_give_weak_pairs(named: Library) -> None:
    assert pairs(named, "sidecars") == {"A brick wall.": ["IMG_0001.png"], "tree": ["olive.png"]}


def test_a_person_s_tags_give_weak_pairs(named: Library) -> None:
    named.label(["red", "green"], save=True, min_confidence=0)  # a model's don't count
    assert pairs(named, "tags") == {"tree": ["olive.png"]}


def test_a_text_shared_by_too_many_files_gives_no_weak_pair(named: Library, folder: Path) -> None:
    (folder / "Zoo" / "copy.png").write_bytes((folder / "Zoo" / "red fox.png").read_bytes())
    named.ingest(folder)
    assert pairs(named, "folders") == {"zoo": ["copy.png", "greenFrog.png"]}  # a copy is no second file
    Image.new("RGB", (8, 8), (9, 99, 9)).save(folder / "Zoo" / "IMG_0002.png")
    named.ingest(folder)
    with pytest.raises(InvalidInput, match=r"the folders of 11 files give no pairs; too many files share 'zoo'"):
        pairs(named, "folders")


def test_only_the_trained_modalities_give_weak_pairs(named: Library) -> None:
    assert pairs(named, "names", ("image",)) == pairs(named, "names")
    with pytest.raises(InvalidInput, match="the names of 0 files give no pairs"):
        pairs(named, "names", ("audio",))


def test_missing_files_give_no_weak_pairs(named: Library, folder: Path) -> None:
    (folder / "2024" / "olive.png").unlink()
    named.ingest(folder)
    assert "olive" not in pairs(named, "names")


def test_training_on_weak_pairs_reports_and_records_them(named: Library) -> None:
    found = named.train.projection(weak=["names", "folders"], epochs=1)
    assert found.warnings[:2] == (
        'weak pairs from names: 8 of 8 texts, such as "blue bird"',
        'weak pairs from folders: 2 of 1 texts, such as "zoo"',
    )
    lines = (found.path / "weak.tsv").read_text("utf-8").splitlines()
    assert (lines[0], len(lines)) == ("query\trelevant\tsource", 11)
    assert lines[1].split("\t")[::2] == ["blue bird", "names"] and lines[1].endswith("blue-bird.png\tnames")
    card = json.loads((found.path / "model.json").read_text("utf-8"))
    assert [(os.path.basename(one["path"]), one["used"]) for one in card["sources"]] == [("weak.tsv", 10)]
    assert sum(card["splits"][f"{side} pairs"] for side in ("training", "validation")) == 10


def test_given_and_weak_pairs_are_trained_on_together(named: Library, folder: Path) -> None:
    given = folder.parent / "pairs.tsv"
    given.write_text("query\trelevant\nolive\tmedia/2024/dark_night.png\nstop\tmedia/Zoo/red fox.png\n", "utf-8")
    found = named.train.projection(given, weak=["names"], epochs=1)
    card = json.loads((found.path / "model.json").read_text("utf-8"))
    assert [(os.path.basename(one["path"]), one["used"]) for one in card["sources"]] == [
        ("pairs.tsv", 2),
        ("weak.tsv", 8),
    ]
    assert sum(card["splits"][f"{side} pairs"] for side in ("training", "validation")) == 10


def test_training_without_pairs_is_refused(named: Library) -> None:
    with pytest.raises(InvalidInput, match="nothing to learn from"):
        named.train.projection()
    with pytest.raises(InvalidInput, match="there are no weak pairs from colours"):
        named.train.projection(weak=["names", "colours"])
    assert not named.train.models()


def test_the_train_command_takes_weak_pairs(named: Library, run: Run) -> None:
    trained = run("train", "projection", "--weak", "names", "--epochs", "1")
    assert trained.returncode == 0, trained.stderr
    assert b'note: weak pairs from names: 8 of 8 texts, such as "blue bird"' in trained.stderr
    assert run("train", "projection", "--weak", "names", "--resume").returncode == 2
    assert (
        b"known: names, folders, sidecars, tags"
        in run("train", "projection", "--weak", "faces", "--name", "other").stderr
    )

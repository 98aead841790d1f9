"""mmsearch train apply: a projection that is there becomes the space that serves, and back; killed, dropped, lost."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mmsearch.encoders.projected import Projector
from mmsearch.encoders.projection import Projection, dump_projection
from mmsearch.errors import InvalidInput, SpaceChanged
from mmsearch.library import Library
from mmsearch.training.serving import apply as applying
from mmsearch.types import Modality, Vectors
from tests import tiny
from tests.module_library import ModuleLibrary

pytestmark = pytest.mark.slow

Open = Callable[..., Library]


def stored(library: Library, space: str) -> dict[int, Vectors]:
    """Segment id -> vector."""
    with closing(sqlite3.connect(library.path / "catalog.sqlite")) as db:
        rows = db.execute(
            "SELECT segment_id, vector FROM embeddings JOIN spaces ON id = space_id WHERE name = ?", (space,)
        ).fetchall()
    return {segment: np.frombuffer(vector, "<f4") for segment, vector in rows}


def swapping(library: Library, name: str = "swap") -> bytes:
    """Put a finished model into the library that makes red of green and green of red, in pictures."""
    projection = Projection(tiny.DIM, 2, ("image",))
    layer = projection.maps["image"]
    with torch.no_grad():
        difference = torch.from_numpy(tiny.axis("green") - tiny.axis("red"))
        layer.down.weight.copy_(torch.stack([-difference, difference]) * 3)  # type: ignore[union-attr, operator]
        layer.down.bias.zero_()  # type: ignore[union-attr, operator]
        # GELU lets one of the two through: what is red is moved towards green, and the other way round.
        layer.up.weight.copy_(torch.stack([difference, -difference], dim=1) * 1.0)  # type: ignore[union-attr, operator]
    content = dump_projection(projection, {"base": "tiny", "fingerprint": tiny.space().fingerprint, "name": name})
    folder = library.path / "training" / name
    folder.mkdir(parents=True)
    (folder / "projection.safetensors").write_bytes(content)
    return content


def first(library: Library, words: str) -> str:
    return library.search(words, k=1, mode="vector")[0].path.name


def fill(folder: Path) -> None:
    for name in ("red", "green", "blue"):
        Image.new("RGB", (8, 8), name if name != "green" else (0, 255, 0)).save(folder / f"{name}.png")


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


@pytest.fixture
def red_and_green(library: Library) -> Library:
    return library


def test_an_applied_projection_serves_and_can_be_undone(red_and_green: Library) -> None:
    library = red_and_green
    content = swapping(library)
    assert (first(library, "red"), first(library, "green")) == ("red.png", "green.png")
    assert library.train.apply("swap").name == "tiny+swap" == library.status().space
    assert (first(library, "red"), first(library, "green")) == ("green.png", "red.png")
    base, made = stored(library, "tiny"), stored(library, "tiny+swap")
    assert base.keys() == made.keys()
    expected = Projector(content)(np.stack(list(base.values())), "image")
    assert np.allclose(np.stack([made[segment] for segment in base]), expected, atol=1e-6)
    library.train.to_base()
    assert (first(library, "red"), library.status().space) == ("red.png", "tiny")


def test_applying_a_projection_opens_and_embeds_no_file(red_and_green: Library, folder: Path) -> None:
    swapping(red_and_green)
    for path in folder.iterdir():
        path.unlink()
    tiny.reset()
    red_and_green.train.apply("swap")
    assert not tiny.ENCODED["image"]
    assert first(red_and_green, "red") == "green.png"


def test_files_ingested_after_apply_are_in_both_spaces(red_and_green: Library, folder: Path) -> None:
    swapping(red_and_green)
    red_and_green.train.apply("swap")
    Image.new("RGB", (8, 8), (0, 250, 60)).save(folder / "new.png")
    red_and_green.ingest(folder)
    assert {hit.path.name for hit in red_and_green.search("red", k=2, mode="vector")} == {"green.png", "new.png"}
    assert stored(red_and_green, "tiny").keys() == stored(red_and_green, "tiny+swap").keys()
    red_and_green.train.to_base()
    assert {hit.path.name for hit in red_and_green.search("green", k=2, mode="vector")} == {"green.png", "new.png"}


def test_applying_again_projects_files_ingested_meanwhile(red_and_green: Library, folder: Path) -> None:
    swapping(red_and_green)
    red_and_green.train.apply("swap")
    red_and_green.train.to_base()
    Image.new("RGB", (8, 8), (0, 250, 60)).save(folder / "new.png")
    red_and_green.ingest(folder)
    red_and_green.train.apply("swap")
    assert {hit.path.name for hit in red_and_green.search("red", k=2, mode="vector")} == {"green.png", "new.png"}


@pytest.mark.parametrize("when", ["project", "keep_backgrounds", "activate"])
def test_a_killed_apply_changes_nothing_and_can_be_resumed(
    red_and_green: Library, open_tiny: Open, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    swapping(red_and_green)
    monkeypatch.setattr(applying, "ROWS", 1)
    catalog = red_and_green._context.catalog()
    real, calls = getattr(catalog, when), iter([False])

    def killed(*arguments: Any) -> object:
        if when != "project":
            raise KeyboardInterrupt
        space, limit, project = arguments

        def interrupted(vectors: Vectors, modality: Modality) -> Vectors:
            if next(calls, True):
                raise KeyboardInterrupt
            made: Vectors = project(vectors, modality)
            return made

        return real(space, limit, interrupted)

    monkeypatch.setattr(catalog, when, killed)
    with pytest.raises(KeyboardInterrupt):
        red_and_green.train.apply("swap")
    monkeypatch.undo()
    again = open_tiny()
    assert (first(again, "red"), again.status().space) == ("red.png", "tiny")
    again.train.apply("swap")
    assert first(again, "red") == "green.png"


def test_another_process_notices_the_switch(red_and_green: Library, open_tiny: Open) -> None:
    swapping(red_and_green)
    other = open_tiny()
    assert first(other, "red") == "red.png"
    red_and_green.train.apply("swap")
    assert first(other, "red") == "green.png"
    red_and_green.train.drop("swap")
    assert first(other, "red") == "red.png"


def test_searches_during_apply_answer_from_one_space(red_and_green: Library, open_tiny: Open) -> None:
    swapping(red_and_green)
    reader, seen, done = open_tiny(), set(), threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(first(reader, "red"))

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(3):
        red_and_green.train.apply("swap")
        red_and_green.train.to_base()
    done.set()
    thread.join()
    assert seen <= {"red.png", "green.png"} and "red.png" in seen


def test_dropping_a_projection_leaves_nothing_of_it(red_and_green: Library) -> None:
    swapping(red_and_green)
    red_and_green.train.apply("swap")
    red_and_green.train.drop("swap")
    assert (first(red_and_green, "red"), red_and_green.status().space) == ("red.png", "tiny")
    assert not stored(red_and_green, "tiny+swap")
    assert not list(red_and_green.path.glob("indexes/*swap*")) and not list(red_and_green.path.glob("training/*"))
    with pytest.raises(InvalidInput, match="no model"):
        red_and_green.train.drop("swap")


def test_an_applied_projection_serves_without_its_file(red_and_green: Library, open_tiny: Open) -> None:
    swapping(red_and_green)
    red_and_green.train.apply("swap")
    red_and_green.train.to_base()
    (red_and_green.path / "training/swap/projection.safetensors").unlink()
    red_and_green.train.apply("swap")
    assert first(open_tiny(), "red") == "green.png"


def test_a_new_projection_of_the_same_name_uses_no_old_index(red_and_green: Library, open_tiny: Open) -> None:
    swapping(red_and_green)
    red_and_green.train.apply("swap")
    content = dump_projection(Projection(tiny.DIM, 2, ("image",)), {"fingerprint": tiny.space().fingerprint})
    (red_and_green.path / "training/swap/projection.safetensors").write_bytes(content)
    red_and_green.train.apply("swap")
    assert first(red_and_green, "red") == "red.png" == first(open_tiny(), "red")


def test_a_model_of_another_space_is_refused(red_and_green: Library) -> None:
    swapping(red_and_green)
    content = dump_projection(Projection(tiny.DIM, 2, ("image",)), {"fingerprint": tiny.other_weights().fingerprint})
    (red_and_green.path / "training/swap/projection.safetensors").write_bytes(content)
    with pytest.raises(SpaceChanged, match="another space"):
        red_and_green.train.apply("swap")
    assert red_and_green.status().space == "tiny"


def test_an_unknown_model_is_refused(red_and_green: Library) -> None:
    with pytest.raises(InvalidInput, match="no finished model 'birds'"):
        red_and_green.train.apply("birds")

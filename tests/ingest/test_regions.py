"""Regions of photos: segments that their encoder finds, named by a hit, and nothing that files are compared by."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmsearch.calibration import calibrator, neutral
from mmsearch.calibration.answers import AnswerModel, AnswerWeights, PairBackground, fitted_answers
from mmsearch.catalog.embeddings import vectors_by_content
from mmsearch.catalog.spaces import base_space
from mmsearch.core import registry
from mmsearch.library import Library
from tests.generated import picture, video

SPACE = "tests.region_space:space"
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
Open = Callable[..., Library]


def quarters(path: Path, *colours: tuple[int, int, int]) -> Path:
    """A picture of four colours: left and right above, then below; too small to be a collage."""
    pixels = np.array(colours, np.uint8).reshape(2, 2, 3).repeat(30, axis=0).repeat(30, axis=1)
    Image.fromarray(pixels).save(path)
    return path


def test_a_hit_names_the_region_that_is_what_was_asked_for(open_tiny: Open, folder: Path) -> None:
    quarters(folder / "a.png", RED, RED, RED, GREEN)
    picture(folder / "b.png", "red")
    with open_tiny(space=SPACE) as library:
        assert library.ingest(folder).segments == 2 + 1, "the red quarters are as the whole is"
        found = library.search("green", modalities=("image",))[0]
        assert (found.path.name, found.box, found.source, found.cosine) == (
            "a.png",
            (0.5, 0.5, 1.0, 1.0),
            "region",
            1.0,
        )
        best = library.search("red", modalities=("image",))
        assert [(hit.path.name, hit.box) for hit in best] == [("b.png", None), ("a.png", None)]


def test_no_more_than_so_many_regions(open_tiny: Open, folder: Path) -> None:
    quarters(folder / "a.png", RED, GREEN, BLUE, GREEN)
    with open_tiny(space=SPACE, regions=2) as library:
        assert library.ingest(folder).segments == 1 + 2


@pytest.mark.slow
def test_without_regions_the_vectors_are_the_same_bit_for_bit(open_tiny: Open, folder: Path) -> None:
    quarters(folder / "a.png", RED, RED, BLUE, GREEN)
    quarters(folder / "b.png", BLUE, RED, BLUE, GREEN)
    kept = []
    for name, regions in (("with", 4), ("without", 0)):
        with open_tiny(name, space=SPACE, regions=regions) as library:
            library.ingest(folder)
            hits = library.search("green", modalities=("image",))
            assert [hit.box is None for hit in hits] == [not regions] * 2
            catalog = library._context.catalog()
            with catalog.reading() as snapshot:
                space = base_space(snapshot)
                assert space is not None
                found = vectors_by_content(snapshot, space, [1, 2])
            kept.append({content: rows["image"].tobytes() for content, rows in found.items()})
    assert kept[0] == kept[1] and len(kept[0]) == 2


@pytest.mark.slow
def test_two_files_are_the_same_whatever_regions_they_have(open_tiny: Open, folder: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    image = Image.fromarray(photo).resize((160, 160), Image.Resampling.BICUBIC)
    image.save(folder / "a.png")
    with open_tiny(space=SPACE, regions=4) as library:
        library.ingest(folder)
    image.save(folder / "b.bmp")
    with open_tiny(space=SPACE, regions=0, dedup=True) as library:
        library.ingest(folder)
        hits = library.search("green", modalities=("image",))
        assert [len(hit.duplicates) for hit in hits] == [1]


def test_a_film_has_moments_and_no_regions(open_tiny: Open, folder: Path) -> None:
    video(folder / "a.mp4", "red", "green", "blue")
    with open_tiny(space=SPACE) as library:
        library.ingest(folder)
        assert library.search("green", modalities=("video",))[0].box is None


def test_a_square_of_a_panorama_is_named_as_a_region_is(open_tiny: Open, folder: Path) -> None:
    pixels = np.zeros((80, 240, 3), np.uint8)
    pixels[:, :160] = RED
    pixels[:, 160:] = GREEN
    Image.fromarray(pixels).save(folder / "a.png")
    with open_tiny() as library:
        library.ingest(folder)
        found = library.search("green", modalities=("image",))[0]
        assert (found.box, found.source) == ((0.6667, 0.0, 1.0, 1.0), None)


@pytest.mark.slow
@pytest.mark.parametrize("twice", [False, True])
def test_taken_in_again_a_photo_has_its_regions_once(open_tiny: Open, folder: Path, twice: bool) -> None:
    path = quarters(folder / "a.png", RED, RED, RED, GREEN)
    with open_tiny(space=SPACE) as library:
        library.ingest(folder)
        if twice:
            library.remove(path)
            library.prune()
            library.ingest(folder)
        hits = library.search("green", modalities=("image",))
        assert [(hit.box, hit.metadata["width"]) for hit in hits] == [((0.5, 0.5, 1.0, 1.0), 60)]


@pytest.mark.slow
def test_a_region_s_cosine_counts_less_and_the_list_is_the_same_at_every_depth(
    open_tiny: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = registry.load_part("spaces", SPACE)("cpu")
    pair = neutral.identity(space.encoders["text"]), neutral.identity(space.encoders["image"])
    model = AnswerModel(PairBackground(0.3, 0.5, discount=0.4), AnswerWeights(-3.0, 1.5), AnswerWeights(-3.0, 1.5))
    known = fitted_answers()
    monkeypatch.setattr(calibrator, "fitted_answers", lambda: replace(known, pairs={**known.pairs, pair: model}))
    random = np.random.default_rng(0)
    for number in range(60):
        colours = random.integers(0, 256, (4, 3)).tolist()
        quarters(folder / f"{number:02}.png", *map(tuple, colours))
    with open_tiny(space=SPACE, dedup=False) as library:
        library.ingest(folder)
        sentence = "green hills lie under wide open skies"
        whole = library.search(sentence, 60)
        assert len(whole) == 60 and {hit.box is None for hit in whole} == {True, False}
        shown = [hit.confidence for hit in whole]
        assert shown == sorted(shown, key=lambda one: -(one or 0))
        counted = [math.atanh(min(hit.cosine or 0, 1 - 1e-7)) - 0.4 * (hit.box is not None) for hit in whole]
        assert counted == pytest.approx(sorted(counted, reverse=True), abs=1e-4)
        cosines = [hit.cosine for hit in whole]
        assert cosines != sorted(cosines, key=lambda one: -(one or 0)), "what is told by a region stands further down"
        for k in (1, 5, 20):
            assert library.search(sentence, k) == whole[:k]
        assert library.search(sentence, 10, offset=15) == whole[15:25]

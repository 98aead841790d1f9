"""Why a hit was found: exact over the tiny space with eyes added, true over the starter space."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import mmsearch
from mmsearch import Query
from mmsearch.encoders.explaining import Box, ExplainsConcepts, OccludesRegions
from mmsearch.errors import InvalidInput, Transient
from mmsearch.library import Library
from mmsearch.search.explain import _around, _region, _where
from mmsearch.search.explanations import Region
from mmsearch.types import Hit, Prepared, Segment, Space
from tests import tiny
from tests.conftest import CHECKOUT, Run
from tests.generated import picture, sound, words


class SeeingImage(tiny.TinyImage):
    """Like TinyImage, but what is prepared is the picture: it can be hidden in parts and names its three colours."""

    def _prepared(self, data: NDArray[np.uint8], rate: int | None) -> Prepared:
        return np.asarray(Image.fromarray(data).resize((28, 28)))

    def _vector(self, prepared: Prepared) -> NDArray[np.float32]:
        return super()._vector(super()._prepared(prepared, None))

    def concepts(self, prepared: Prepared) -> Sequence[tuple[str, float, NDArray[np.float32]]]:
        (vector,) = self.encode([prepared], query=True)
        return [(name, float(vector[i]), tiny.axis(name)) for i, name in enumerate(tiny.AXES[:3]) if vector[i] > 0]

    def occluded(self, prepared: Prepared, box: Box) -> Prepared:
        hidden = prepared.copy()
        left, top, right, bottom = (round(share * 28) for share in box)
        hidden[top:bottom, left:right] = 0
        return hidden


def space(device: str = "auto", precision: str = "auto") -> Space:
    made = tiny.space()
    return Space("seeing", made.dim, made.windowing, {**made.encoders, "image": SeeingImage("1")})


@pytest.fixture
def seeing(tmp_path: Path) -> Iterator[Library]:
    with mmsearch.open(tmp_path / "library", space="tests.search.test_explain:space", workers=1) as library:
        yield library


def spotted(path: Path) -> Path:
    """Blue, with a red square in the upper left corner."""
    pixels = np.zeros((84, 84, 3), np.uint8)
    pixels[:, :, 2] = 255
    pixels[:24, :24] = (255, 0, 0)
    Image.fromarray(pixels).save(path)
    return path


def best(library: Library, query: str | Query, modalities: str) -> Hit:
    return library.search(query, 1, modalities=(modalities,), mode="vector")[0]


def test_the_optional_protocols_of_explanation_are_recognised() -> None:
    assert isinstance(SeeingImage("1"), ExplainsConcepts) and isinstance(SeeingImage("1"), OccludesRegions)
    assert not isinstance(tiny.TinyImage("1"), ExplainsConcepts | OccludesRegions)


@pytest.mark.slow
def test_concepts_sum_to_the_score_and_the_heat_map_shows_the_region(seeing: Library, folder: Path) -> None:
    spotted(folder / "spot.png")
    seeing.ingest(folder)
    hit = best(seeing, "red", "image")
    found = seeing.explain("red", hit)
    assert [tie.name for tie in found.ties] == ["red"], "blue adds nothing"
    assert found.ties[0].amount == pytest.approx(hit.cosine, abs=1e-5) == pytest.approx(found.score, abs=1e-5)
    assert found.by == ("vector",) and found.matched == "image" and found.cues == ()
    assert found.heat is not None and found.heat.shape == (7, 7)
    assert found.heat.max() == found.heat[:2, :2].max()
    assert found.heat[3:, 3:].max() <= 0, "without some blue it is redder"
    assert found.regions[0].box[:2] == (0.0, 0.0) and found.regions[0].drop == pytest.approx(found.heat.max())


@pytest.mark.slow
def test_an_overlay_is_reddest_at_the_hottest_region(seeing: Library, folder: Path, tmp_path: Path) -> None:
    spotted(folder / "spot.png")
    seeing.ingest(folder)
    target = tmp_path / "new" / "heat.png"
    seeing.explain("blue", best(seeing, "blue", "image"), overlay=target)
    with Image.open(target) as image:
        assert image.format == "PNG" and image.size == (640, 640)
        pixels = np.asarray(image).astype(int)
    assert pixels[600, 600, 0] > pixels[40, 40, 2], "the blue corner is heated, the red one is not"
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(InvalidInput, match="can't write"):
        seeing.explain("blue", best(seeing, "blue", "image"), overlay=blocked / "heat.png")


@pytest.mark.slow
def test_an_explanation_quotes_the_sentence_that_carries_the_score(library: Library, folder: Path) -> None:
    words(folder / "a.txt", "Nothing here. A red bus came by! More of nothing.")
    library.ingest(folder)
    found = library.explain("red", best(library, "red", "text"))
    assert found.cues[0].text == "A red bus came by!" and found.cues[0].drop > 0.1
    assert len(found.cues) == 1, "without another sentence the score stays"
    words(folder / "b.txt", "seven red words without any full stop")
    library.ingest(folder)
    words(folder / "c.txt", "red")
    library.ingest(folder)
    hits = {hit.path.name: hit for hit in library.search("red", mode="vector")}
    assert library.explain("red", hits["b.txt"]).cues[0].text == "red"
    assert library.explain("red", hits["c.txt"]).cues == (), "of a single word nothing can be left out"


@pytest.mark.slow
def test_the_shares_of_a_mixed_query_sum_to_the_score(library: Library, folder: Path) -> None:
    picture(folder / "red.png", "red")
    library.ingest(folder)
    query = Query("red") + Query("green") - 0.5 * Query("blue")
    found = library.explain(query, best(library, query, "image"))
    assert [part.name for part in found.parts] == ["red", "green", "blue"]
    assert [round(part.amount, 4) for part in found.parts] == [round(1 / 1.5, 4), 0, 0]
    assert sum(part.amount for part in found.parts) == pytest.approx(found.score, abs=1e-5)
    assert library.explain("red", best(library, "red", "image")).parts == ()


@pytest.mark.slow
def test_an_explanation_gives_the_best_moment_or_the_keywords(library: Library, folder: Path) -> None:
    sound(folder / "long.wav", "low", "low", "high", seconds=5)
    library.ingest(folder)
    found = library.explain("high", best(library, "high", "audio"))
    assert found.start is not None and found.start >= 7.5 and found.score == pytest.approx(1.0)
    named = library.search("long", mode="keyword")[0]
    assert library.explain("long", named).by == ("keywords",)
    unseen = library.explain("long", replace(named, matched="smell"))
    assert (unseen.score, unseen.by, unseen.cues, unseen.heat) == (None, ("keywords",), (), None)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (0.5, 0.5, (0.25, 0.375, 0.75, 0.625)),
        (0.0, 0.0, (0.0, 0.0, 0.5, 0.25)),
        (1.0, 1.0, (0.5, 0.75, 1.0, 1.0)),
    ],
)
def test_a_box_at_the_border_is_moved_inside(x: float, y: float, expected: tuple[float, float, float, float]) -> None:
    assert _around(x, y, 0.5, 0.25) == expected


def test_a_region_of_a_sound_has_times_and_that_of_a_picture_has_none() -> None:
    box = (0.25, 0.0, 0.5, 1.0)
    assert _region(box, 0.5, None) == Region(box, 0.5, None, None)
    assert _region(box, 0.5, (10.0, 8.0)) == Region(box, 0.5, 12.0, 14.0)


@pytest.mark.slow
def test_of_a_sound_whole_seconds_are_hidden_half_a_second_apart(library: Library, folder: Path) -> None:
    sound(folder / "short.wav", "high", seconds=2)
    library.ingest(folder)
    hidden: list[Box] = []

    class Hiding:
        spec = tiny.TinyAudio("1").spec

        def occluded(self, prepared: Prepared, box: Box) -> Prepared:
            hidden.append(box)
            return prepared

        def encode(self, batch: Sequence[Prepared]) -> NDArray[np.float32]:
            return np.zeros((len(batch), 3), np.float32)

    hit = replace(best(library, "high", "audio"), start=4.0, end=6.0)
    heat, regions = _where(np.ones(3), np.ones(3), np.zeros(1), Hiding(), hit)
    assert hidden == [(0.0, 0.0, 0.5, 1.0), (0.125, 0.0, 0.625, 1.0), (0.375, 0.0, 0.875, 1.0), (0.5, 0.0, 1.0, 1.0)]
    assert heat.tolist() == [[3.0] * 4]
    assert [(one.start, one.end) for one in regions][:2] == [(4.0, 5.0), (4.25, 5.25)]


@pytest.mark.slow
def test_explaining_a_missing_or_changed_file_is_refused(library: Library, folder: Path) -> None:
    path = picture(folder / "red.png", "red")
    library.ingest(folder)
    hit = best(library, "red", "image")
    with pytest.raises(InvalidInput, match=r"red\.png changed since it was found"):
        library.explain("red", replace(hit, start=3.0, end=4.0))
    path.unlink()
    with pytest.raises(Transient, match=r"can't read red\.png to explain it"):
        library.explain("red", hit)


@pytest.mark.slow
def test_query_explain_prints_reasons_as_text_and_json(run: Run, folder: Path) -> None:
    words(folder / "a.txt", "Nothing here. A red bus came by! More of nothing.")
    picture(folder / "red.png", "red")
    run("ingest", folder)
    lines = run("query", "red", "--explain", "--in", "text", "--all").stdout.decode().splitlines()
    assert lines[1] == "1: found by vector", "one common word is no evidence"
    assert lines[2].startswith('1: without "A red bus came by!" -')
    (why,) = [
        hit["why"] for hit in json.loads(run("query", "red", "--explain", "--json", "--in", "text").stdout)["hits"]
    ]
    assert why["cues"][0]["text"] == "A red bus came by!" and why["picture"] is None
    (folder / "red.png").unlink()
    gone = run("query", "red", "--explain", "--in", "image", "--all")
    assert gone.returncode == 0 and b"can't read red.png" in gone.stdout


@pytest.mark.slow
def test_the_starter_explains_a_bark_and_a_pizza_by_their_concepts(tmp_path: Path) -> None:
    samples = CHECKOUT / "mmsearch" / "resources" / "samples"
    with mmsearch.open(tmp_path / "real") as library:
        library.ingest(samples / "sounds" / "dog-barking-sharply.ogg", samples / "photos" / "pizza-and-wine.jpg")
        barking = library.explain("a dog barking", best(library, "a dog barking", "audio"))
        assert {"Bark", "Dog"} <= {tie.name for tie in barking.ties}
        pizza = best(library, "a pizza", "image")
        seen = library.explain("a pizza", pizza, overlay=tmp_path / "heat.png")
        # What captions taught has no name of its own; of what has one, pizza ties most.
        assert "pizza" in next(tie.name.lower() for tie in seen.ties if not tie.name.startswith("("))
        with Image.open(tmp_path / "heat.png") as drawn:
            shape = pizza.metadata["width"] / pizza.metadata["height"]
            assert drawn.size[0] / drawn.size[1] == pytest.approx(shape, abs=0.01)
        encoders = library._context.embedding()[0].encoders
        for name, data in (("image", np.full((300, 300, 3), 90, np.uint8)), ("audio", np.ones(16_000, np.float32))):
            encoder = encoders[name]
            prepared = encoder.prepare(Segment(name, data, rate=16_000))
            parts = encoder.concepts(prepared)  # type: ignore[attr-defined]
            whole = sum(weight * vector for _, weight, vector in parts)
            assert np.allclose(whole, encoder.encode([prepared])[0], atol=1e-5), "they sum up to the vector"

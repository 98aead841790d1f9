"""One number orders a list: what words and meaning say together, the same at every depth and page."""

import os
import random
from pathlib import Path

import pytest

from mmsearch.library import Library
from mmsearch.search import keywords
from tests.generated import picture, sound, video, words
from tests.module_library import ModuleLibrary

QUERIES = int(os.environ.get("MMSEARCH_ORDER_QUERIES", "100"))
"""Random queries; 1,000 in the benchmark of this."""

VOCABULARY = [
    *("red", "green", "blue", "low", "mid", "high", "dark", "light", "bus", "kitchen", "helicopter"),
    *("walnut", "invoice", "the", "a", "photo", "of", "sound", "7"),
]


def fill(folder: Path) -> None:
    chosen = random.Random(3)
    for n in range(30):
        name = " ".join(chosen.choices(VOCABULARY, k=chosen.randint(1, 3)))
        picture(folder / name / f"{name} {n}.png", chosen.choice(("red", "green", "blue")), mark=n)
        words(folder / f"{n} {name}.txt", " ".join(chosen.choices(VOCABULARY, k=chosen.randint(3, 60))))
    for tone in ("low", "mid", "high"):
        sound(folder / f"{tone}.wav", tone)
    video(folder / "film.mp4", "red", "green", "blue")


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


def asked(seed: int) -> str:
    chosen = random.Random(seed)
    text = " ".join(chosen.choices(VOCABULARY, k=chosen.randint(1, 5)))
    return chosen.choice((text, text, text, f'"{text}"', f"photo of {text}", f"sound of {text}"))


@pytest.mark.parametrize("mode", [pytest.param("hybrid", marks=pytest.mark.slow), "vector", "keyword"])
def test_the_order_is_that_of_the_number_shown_at_every_depth_and_page(library: Library, mode: keywords.Mode) -> None:
    for seed in range(QUERIES if mode == "hybrid" else QUERIES // 5):
        query = asked(seed)
        whole = library.search(query, 100, mode=mode)
        shown = [hit.confidence for hit in whole]
        assert None not in shown and shown == sorted(shown, key=lambda one: -(one or 0)), query
        assert [library.search(query, k, mode=mode) for k in (1, 7)] == [whole[:1], whole[:7]], query
        if seed % 10 == 0:
            pages = [hit for offset in (0, 9, 18) for hit in library.search(query, 9, offset=offset, mode=mode)]
            assert pages == whole[:27], query

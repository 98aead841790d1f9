"""Many queries at once: the same vectors and answers as one by one, and each part goes through its encoder once."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmsearch.errors import InvalidInput, LibraryNotFound, MediaError
from mmsearch.indexing.lists import Lists
from mmsearch.library import Library
from mmsearch.search import batch
from mmsearch.types import Query
from tests.generated import COLOURS, RATE, picture, sound, words
from tests.module_library import ModuleLibrary
from tests.tiny import AXES, DIM, TinyText, axis

TONE = 0.5 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)
RED = Image.new("RGB", (8, 8), COLOURS["red"])


def fill(media: Path) -> None:
    for n, colour in enumerate(("red", "green", "blue") * 4):
        picture(media / f"{colour}{n}.png", colour, mark=n)
    for tone in ("low", "mid", "high"):
        sound(media / f"{tone}.wav", tone)
    for n, text in enumerate(("a red apple", "the green meadow", "blue", "something else", "low light")):
        words(media / f"note{n}.txt", text)


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


def asked(folder: Path) -> list[Any]:
    """A hundred queries of every kind."""
    said = [f"{word} {thing}" for word in AXES for thing in ("apple", "meadow", "note", "", "else", "x1", "x2", "x3")]
    mixed = [Query("red") + 0.5 * Query("low"), Query("blue") - 0.2 * Query("red"), Query(like=1), Query(like=14)]
    media = [folder / "red0.png", folder / "low.wav", folder / "note1.txt", RED, (TONE, RATE), Query(image=RED) * 2]
    return said + mixed + media + [f"number {n}" for n in range(100 - len(said) - len(mixed) - len(media))]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {}, {"mode": "vector", "dedup": True}, {"k": 3, "offset": 2, "moments": True},
        {"filter": "modality in (image, text) and not name = red0.png", "modalities": ["image", "text"]},
    ],
    ids=str,
)  # fmt: skip
def test_a_hundred_queries_together_have_the_answers_of_one_by_one(
    library: Library, folder: Path, options: dict[str, Any]
) -> None:
    queries = asked(folder)
    assert len(queries) == 100 > batch.TOGETHER, "more than one batch"
    if options:
        queries = queries[::9]
    together = library.search_many(queries, **options)
    # A picture and a sound are asked by name elsewhere.
    named = [Query(image=one) if one is RED else Query(audio=one) if isinstance(one, tuple) else one for one in queries]
    assert together == [library.search(query, **options) for query in named]
    assert sum(map(len, together)) > 2 * len(queries)


def test_keywords_alone_are_searched_together_without_an_encoder(library: Library) -> None:
    queries = ["apple", "meadow", "red", "nothing"]
    together = library.search_many(queries, mode="keyword")
    assert together == [library.search(query, mode="keyword") for query in queries]
    assert [[hit.path.name for hit in hits] for hits in together][:2] == [["note0.txt"], ["note1.txt"]]
    assert library.search_many([]) == []


@pytest.mark.slow
def test_vectors_are_what_a_search_compares(library: Library, folder: Path) -> None:
    one = library.embed("red")
    assert one.dtype == np.float32 and one.shape == (DIM,) and one.tolist() == axis("red").tolist()
    given: list[Any] = [
        "a green bus",
        folder / "blue2.png",
        str(folder / "blue2.png"),
        RED,
        (TONE, RATE),
        Query("low"),
        Query(like=1),
    ]
    rows = library.embed(given)
    assert rows.dtype == np.float32 and rows.shape == (7, DIM)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1)
    assert [rows[0].tolist(), rows[4].tolist(), rows[5].tolist()] == [
        axis("green").tolist(), axis("low").tolist(), axis("low").tolist(),
    ]  # fmt: skip
    assert rows[1] @ axis("blue") > 0.99 and rows[3] @ axis("red") > 0.99
    assert rows[2].tolist() == library.embed(f"{folder / 'blue2.png'}").tolist(), "a str is words, as in search"
    (hit,) = library.search("a green bus", 1, modalities=["image"])
    assert hit.cosine == pytest.approx(float(rows[0] @ library.embed(hit.path)), abs=1e-6)
    assert np.array_equal(library.embed(("red", "blue")), np.stack([axis("red"), axis("blue")]))
    assert library.embed([]).shape == (0, DIM)


def test_words_of_a_batch_go_through_their_encoder_once(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    encode = TinyText.encode

    def counted(self: Any, batch: Any, *, query: bool = False) -> Any:
        sizes.append(len(batch))
        return encode(self, batch, query=query)

    monkeypatch.setattr(TinyText, "encode", counted)
    library.embed([f"word {n}" for n in range(8)])
    assert sum(sizes) == 8 and len(sizes) == 2, "in batches of the encoder's own size, which is 4"


def test_the_lists_are_searched_once_for_a_batch(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    search = Lists.search

    def counted(self: Any, queries: Any, *rest: Any, **more: Any) -> Any:
        rows.append(len(queries))
        return search(self, queries, *rest, **more)

    monkeypatch.setattr(Lists, "search", counted)
    library.search_many([f"{word} {n}" for n in range(9) for word in AXES], k=1, mode="vector", dedup=False)
    assert rows == [64, 8], "72 queries are two batches"


def test_what_is_no_query_is_refused(library: Library, folder: Path) -> None:
    wrong: list[Any] = [
        None, 5, b"bytes", 1.5, object(), {"text": "red"}, {"red"}, np.zeros((8, 8, 3)), "", " ", Query(),
        ["red", None], ["red", 5], [["red"]], ["red", b"x"], [""], (TONE, 0), (np.array([np.nan]), RATE),
        (TONE, RATE, 5),
    ]  # fmt: skip
    for given in wrong:
        with pytest.raises((InvalidInput, MediaError)):
            raise AssertionError(f"{given!r}: taken, {library.embed(given)}")
    for given in [*wrong, "red", RED, (TONE, RATE), Query("red"), folder / "red0.png"]:
        with pytest.raises((InvalidInput, MediaError)):
            raise AssertionError(f"{given!r}: taken, {library.search_many(given)}")
    options: list[dict[str, Any]] = [
        {"k": 0},
        {"offset": -1},
        {"mode": "x"},
        {"filter": "("},
        {"modalities": ["smell"]},
    ]
    for option in options:
        with pytest.raises(InvalidInput):
            library.search_many(["red"], **option)


@pytest.mark.slow
def test_a_library_that_is_not_there_has_nothing_to_compare(open_tiny: Callable[..., Library]) -> None:
    none = open_tiny("none")
    for ask in (partial(none.embed, "red"), partial(none.search_many, ["red"])):
        with pytest.raises(LibraryNotFound):
            ask()

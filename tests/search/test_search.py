"""Searching with words, pictures, sounds, videos and documents; in memory and from files; from several threads."""

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from PIL import Image

import mmsearch
from mmsearch import Query
from mmsearch.core.config import user_file
from mmsearch.core.paths import default_library
from mmsearch.errors import Corrupt, InvalidInput, LibraryEmpty, LibraryNotFound, SpaceChanged
from mmsearch.library import Library
from mmsearch.media.events import DecodeEvent, DecodeJob, FileDone, PreparedSegment
from mmsearch.media.pool import DecodePool
from mmsearch.search.query import embed_query, mean_vector
from mmsearch.types import Span
from tests.generated import COLOURS, RATE, TONES, picture, sound, video, words
from tests.module_library import ModuleLibrary
from tests.tiny import axis, space


def fill(folder: Path) -> None:
    for colour in ("red", "green", "blue"):
        picture(folder / f"{colour}.png", colour)
    for tone in ("low", "mid", "high"):
        sound(folder / f"{tone}.wav", tone)
    words(folder / "bus.txt", "a red bus")
    words(folder / "note.txt", "nothing with a colour")
    video(folder / "film.mp4", "red", "green", "blue")
    sound(folder / "long.wav", "low", "mid", "high", seconds=6)


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


@pytest.fixture
def filled(library: Library) -> Library:
    return library


def best(library: Library, query: str | Path | Query, modalities: str) -> tuple[str, float]:
    hit = library.search(query, 1, modalities=(modalities,))[0]
    return hit.path.name, round(hit.cosine or 0, 5)


@pytest.mark.slow
def test_every_kind_of_query_finds_every_kind_of_item(filled: Library, tmp_path: Path) -> None:
    query: dict[str, str | Path] = {
        "text": "a red thing",
        "image": picture(tmp_path / "q.png", "red", side=50),
        "video": video(tmp_path / "q.mp4", "red"),
    }
    for value in query.values():
        assert best(filled, value, "image")[0] == "red.png"
        assert best(filled, value, "text")[0] == "bus.txt"
        hit = filled.search(value, modalities=("video",))[0]
        assert (hit.path.name, hit.start, hit.end, hit.matched) == ("film.mp4", 0.0, 2.0, "image")
    tone = sound(tmp_path / "q.wav", "mid", seconds=1)
    assert filled.search(tone, 1, modalities=("audio",))[0].path.name in ("mid.wav", "long.wav")
    assert best(filled, Query(text=words(tmp_path / "q.txt", "green grass")), "image") == ("green.png", 1.0)


def test_a_hit_in_a_sound_has_the_time_of_its_segment(filled: Library) -> None:
    hit = next(h for h in filled.search("high", modalities=("audio",)) if h.path.name == "long.wav")
    assert (hit.start, hit.end) == (10.0, 15.0)


def test_one_hit_per_file_and_k_of_them(filled: Library) -> None:
    hits = filled.search("red", k=100)
    assert len({hit.path for hit in hits}) == len(hits) == 10
    assert [hit.rank for hit in hits] == list(range(1, 11))
    assert len(filled.search("red", k=3)) == 3
    assert {hit.path.name for hit in filled.search("red", k=3, mode="vector")} == {"red.png", "bus.txt", "film.mp4"}, (
        "what fits comes first, of whatever kind"
    )


def test_pages_are_consecutive_slices_of_the_ranking(filled: Library) -> None:
    whole = filled.search("red", k=10)
    pages = [hit for offset in (0, 4, 8) for hit in filled.search("red", k=4, offset=offset)]
    assert pages == whole
    assert filled.search("red", k=4, offset=10) == []
    with pytest.raises(InvalidInput, match="offset at least 0"):
        filled.search("red", offset=-1)


def test_a_picture_or_sound_in_memory_can_be_a_query(filled: Library, folder: Path) -> None:
    image = Image.new("RGB", (40, 30), COLOURS["green"])
    assert best(filled, Query(image=image), "image") == ("green.png", 1.0)
    assert best(filled, Query(image=image.convert("CMYK")), "image")[0] == "green.png"
    assert best(filled, Query(image=(folder / "blue.png").read_bytes()), "image") == ("blue.png", 1.0)
    time = np.arange(2 * RATE) / RATE
    wave = np.sin(2 * np.pi * TONES["high"] * time)
    assert best(filled, Query(audio=(wave, RATE)), "audio")[0] == "high.wav"
    assert best(filled, Query(audio=(np.stack([wave, wave], 1), RATE)), "audio")[0] == "high.wav"


def test_the_text_and_image_of_a_query_weigh_the_same(filled: Library) -> None:
    scores = {
        h.path.name: h.cosine for h in filled.search(Query(text="green", image=_png("red")), modalities=("image",))
    }
    assert scores["red.png"] == pytest.approx(scores["green.png"], abs=1e-3)
    assert scores["red.png"] == pytest.approx(2**-0.5, abs=1e-3)


def test_queries_add_up_with_weights_and_negatives(filled: Library) -> None:
    def scores(query: Query) -> dict[str, float]:
        return {h.path.stem: round(h.cosine or 0, 3) for h in filled.search(query, modalities=("image",))}

    red, green = Query("red"), Query(image=_png("green"))
    assert scores(red + green) == {"red": 0.707, "green": 0.707, "blue": 0.0}
    assert scores(3 * red + 4 * green) == {"green": 0.8, "red": 0.6, "blue": 0.0}
    assert scores(red - green) == {"red": 0.707, "blue": 0.0, "green": -0.707}
    assert scores(Query.mix(text="red", without="green")) == scores(red - Query("green"))
    assert scores(Query.mix(image=_png("red"), without=0.5 * Query("blue")))["blue"] == -0.447
    with pytest.raises(InvalidInput, match="cancel each other out"):
        filled.search(red - red)
    with pytest.raises(InvalidInput, match="finite number"):
        filled.search(red * float("nan"))


def _png(colour: str) -> Image.Image:
    return Image.new("RGB", (32, 32), COLOURS[colour])


def test_a_path_is_a_file_query_and_a_string_a_text_query(filled: Library, folder: Path) -> None:
    assert filled.search(folder / "green.png", 1, modalities=("image",))[0].path.name == "green.png"
    as_words = filled.search(str(folder / "green.png"), 1, modalities=("image",))[0]
    assert as_words.path.name == "green.png" and as_words.cosine == pytest.approx(1.0)
    for word, part in {
        str(folder / "low.wav"): ("audio", folder / "low.wav"),
        "no such file": ("text", "no such file"),
        "none.png": ("text", "none.png"),
        "and/or": ("text", "and/or"),
        "24/7 at 2:30": ("text", "24/7 at 2:30"),
        "a" * 5000 + "\0": ("text", "a" * 5000 + "\0"),
    }.items():
        assert [(p.modality, p.value, p.weight) for p in filled.interpret(word).parts] == [(*part, 1.0)]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("/nowhere/dog.jpg", "no such file: /nowhere/dog.jpg"),
        ("~/Pictures/Dog.HEIC", "no such file"),
        ("notes/today.md", "no such file"),
        ("https://example.org/dog.jpg", "is an address"),
        ("file:///tmp/dog.jpg", "is an address"),
        ("s3://bucket/dog", "is an address"),
        ("data:image/png;base64,iVBORw0KGgo=", "is an address"),
    ],
)
def test_a_mistyped_path_or_an_address_is_not_taken_for_words(filled: Library, word: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as error:
        filled.interpret(word)
    assert error.value.hint is not None and "--text" in error.value.hint


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "the query is empty"),
        ("  \n", "the query is empty"),
        (Query(), "the query is empty"),
        (Query(image="nowhere.png"), "no such file"),
        (Path("none.png"), "no such file: none.png"),
        (Path("none"), "no such file: none"),
        (Path("."), "a folder, not a file"),
        (Query(audio=(np.zeros(0), RATE)), "needs finite samples"),
        (Query(audio=(np.array([np.nan]), RATE)), "needs finite samples"),
    ],
)
def test_senseless_queries_are_refused(filled: Library, query: str | Path | Query, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        filled.search(query)
    with pytest.raises(InvalidInput, match=message):
        filled.search_many(["red", query])
    with pytest.raises(InvalidInput, match=message):
        filled.embed(query)


def test_a_broken_query_file_is_an_error_that_says_why(filled: Library, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(Corrupt, match=r"broken\.png"):
        filled.search(Query(image=broken))
    with pytest.raises(InvalidInput, match="is a picture, not a sound"):
        filled.search(Query(audio=picture(tmp_path / "p.png", "red")))
    with pytest.raises(InvalidInput, match="k must be at least 1"):
        filled.search("red", k=0)
    with pytest.raises(InvalidInput, match="unknown modality"):
        filled.search("red", modalities=("smell",))


def test_a_missing_or_empty_library_is_an_error(open_tiny: Callable[..., Library], tmp_path: Path) -> None:
    library, folder = open_tiny("nothing yet"), tmp_path / "none"
    folder.mkdir()
    with pytest.raises(LibraryNotFound, match="no library at"):
        library.search("red")
    library.ingest(folder)
    with pytest.raises(LibraryEmpty, match="is empty"):
        library.search("red")


def test_a_space_with_other_weights_is_refused(filled: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3
    from contextlib import closing

    path = filled.path
    filled.close()
    with closing(sqlite3.connect(path / "catalog.sqlite")) as db, db:
        db.execute("UPDATE spaces SET target = 'tests.tiny:other_weights'")
    monkeypatch.setenv("MMSEARCH_SPACE", "tests.tiny:other_weights")
    with mmsearch.open(path, workers=1) as changed:
        for use in (lambda: changed.search("red"), lambda: changed.ingest(path.parent / "media")):
            with pytest.raises(SpaceChanged, match="another version of the model 'tiny'"):
                use()


def test_an_existing_library_keeps_its_space(filled: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its space is code, which is never taken from the library's word alone.
    monkeypatch.setenv("MMSEARCH_SPACE", "tests.tiny:space")
    with mmsearch.open(filled.path, space="starter") as again:
        assert again.search("red", 1, modalities=("image",))[0].path.name == "red.png"
        for dry_run in (False, True):
            with pytest.raises(SpaceChanged, match="has the model 'tiny': 'starter' is another") as caught:
                again.ingest(filled.path.parent / "media", dry_run=dry_run)
            assert caught.value.hint is not None and "--library NEW --space starter" in caught.value.hint
    with mmsearch.open(filled.path, space="tests.tiny:space") as again:
        assert again.ingest(filled.path.parent / "media").unchanged > 0


def test_the_default_space_concerns_new_libraries_only(filled: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMSEARCH_SPACE", "starter")
    user_file().parent.mkdir(parents=True)
    user_file().write_text('space = "tests.tiny:space"\n')
    with mmsearch.open(filled.path) as again:
        assert again.ingest(filled.path.parent / "media").unchanged > 0


def test_concurrent_searches_give_the_same_answers(filled: Library) -> None:
    queries = ["red", "green", "blue", "low", "high"] * 8
    expected = [filled.search(query) for query in queries]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(filled.search, queries)) == expected


@pytest.mark.slow
def test_searching_while_ingesting_sees_whole_commits(open_tiny: Callable[..., Library], tmp_path: Path) -> None:
    folder = tmp_path / "red"
    for n in range(40):
        picture(folder / f"{n:02d}.png", "red", mark=n)
    writer, reader = open_tiny("another", commit_segments=4), open_tiny("another")
    writer.ingest(picture(tmp_path / "first.png", "red", mark=99))
    seen: list[int] = []
    writer.ingest(folder, on_progress=lambda _: seen.append(len(reader.search("red", 100))))
    assert seen == sorted(seen) and seen[0] == 1, "never less than before"
    assert len(reader.search("red", 100)) == 41


def test_the_default_library_comes_from_argument_environment_or_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_library().name == "default" and "mmsearch" in default_library().parts
    (tmp_path / "indexes").mkdir()
    assert default_library() == tmp_path / "indexes" / "default"
    monkeypatch.setenv("MMSEARCH_LIBRARY", "elsewhere")
    assert default_library() == tmp_path / "elsewhere"
    assert default_library("given") == tmp_path / "given"


class _Pieces:
    """What a decode worker tells of a video of three frames, one of them green, with one window of sound."""

    def run(self, jobs: Iterable[DecodeJob]) -> Iterator[DecodeEvent]:
        for job in jobs:
            for colour in ("red", "red", "green"):
                picture_of = np.array([axis(colour)[:3]], np.float32)[0]
                yield PreparedSegment(job, 0, "image", Span(), picture_of)
            yield PreparedSegment(job, 3, "audio", Span(), np.array([TONES["low"]], np.float32))
            yield FileDone(job, "video", {}, 0.0, 0.0)


def test_a_video_s_frames_and_its_sound_weigh_the_same_as_a_query(tmp_path: Path) -> None:
    frames = np.array([2, 1]) / math.sqrt(5)  # of red and green
    (tmp_path / "clip").touch()
    found = embed_query(Query(video=tmp_path / "clip"), space(), lambda: cast(DecodePool, _Pieces()))
    assert found[0].tolist() == pytest.approx([*(frames / math.sqrt(2)), 0, 1 / math.sqrt(2), 0, 0, 0, 0])
    rows = np.eye(4, dtype=np.float32)
    halves = mean_vector({"audio": rows[[3]], "image": rows[[0, 0, 0]]})
    assert halves.tolist() == pytest.approx([1 / math.sqrt(2), 0, 0, 1 / math.sqrt(2)])

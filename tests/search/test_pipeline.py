"""Pages of results: folded near-duplicates, moments, more like an item, duplicates of a whole library."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import mmsearch
from mmsearch import Query
from mmsearch.catalog import Batch, Catalog, NewContent, Placement
from mmsearch.core.version import VERSION
from mmsearch.errors import InvalidInput
from mmsearch.library import Library
from mmsearch.search.moments import join_moments
from mmsearch.types import Hit, Moment, Span, Vectors
from tests import tiny
from tests.conftest import Run
from tests.generated import agreeing_evidence, grained, picture, sound, video, words


def names(hits: list[Hit]) -> list[str]:
    return [hit.path.name for hit in hits]


def held(folder: Path, contents: list[tuple[str, list[list[float]], int]], **chosen: Any) -> Library:
    """A library without files: content n has a modality, the first coordinates of its segments, a number of copies."""
    space = tiny.space()
    catalog = Catalog.open(folder, VERSION, create=True)
    record = catalog.add_space(space.name, "tests.tiny:space", space.dim, space.fingerprint)
    batch = Batch()
    for n, (modality, rows, copies) in enumerate(contents):
        vectors: Vectors = np.zeros((len(rows), tiny.DIM), np.float32)
        vectors[:, : len(rows[0])] = rows
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        spans = [Span(2.5 * i, 2.5 * i + 5) for i in range(len(rows))]
        content = NewContent(f"{n:064x}", modality, {}, [modality] * len(rows), spans, vectors, evidence=SAME_EVIDENCE)
        batch.contents.append(content)
        for copy in range(copies):
            path = f"/media/{n:03}-{copy}".encode()
            batch.placements.append(Placement(path, b"/media", f"{n:064x}", 10 + n, (5 - copy) * 10**9))
    catalog.commit(batch, record.id)
    catalog.close()
    return mmsearch.open(folder, space="tests.tiny:space", **chosen)


SAME_EVIDENCE = agreeing_evidence()


def turned(*degrees: float) -> list[list[float]]:
    return [[math.cos(math.radians(d)), math.sin(math.radians(d))] for d in degrees]


# Folding


def test_near_duplicates_are_one_result(tmp_path: Path) -> None:
    contents = [("image", turned(degree), 1) for degree in (0, 5, 40, 44, 80)]
    contents += [("audio", turned(0), 2), ("audio", turned(0, 40, 80), 1), ("audio", turned(4, 44, 84, 120), 1)]
    with held(tmp_path, contents, similarity={"image": 0.99, "audio": 0.99}) as library:
        shown = {hit.path.name: [path.name for path in hit.duplicates] for hit in library.search("red", 20)}
        assert shown == {
            "000-0": ["001-0"], "002-0": ["003-0"], "004-0": [], "005-0": ["005-1"], "006-0": ["007-0"],
        }  # fmt: skip
        assert [hit.rank for hit in library.search("red", 20)] == [1, 2, 3, 4, 5]
        assert len(library.search("red", 20, dedup=False)) == 9
        assert all(hit.duplicates == () for hit in library.search("red", 20, dedup=False))


def test_the_dedup_setting_is_the_default_of_a_search(tmp_path: Path) -> None:
    with held(tmp_path, [("image", turned(0), 3)], dedup=False) as library:
        assert len(library.search("red")) == 3
        assert len(library.search("red", dedup=True)) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("dedup", "off"), ("similarity", "image=0.9"), ("similarity", {"image": 1.5}), ("similarity", {"": 0.9})],
)
def test_senseless_settings_are_refused(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=name):
        mmsearch.open(tmp_path, **{name: value})


def test_copies_are_duplicates_in_keyword_results_too(open_tiny: Callable[..., Library], folder: Path) -> None:
    first = picture(folder / "bus one.png", "red")
    (folder / "bus two.png").write_bytes(first.read_bytes())
    library = open_tiny(dedup=True)
    library.ingest(folder)
    (hit,) = library.search("bus", mode="keyword")
    assert (hit.path.name, [path.name for path in hit.duplicates]) == ("bus one.png", ["bus two.png"])


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["image", "audio"]),
            st.lists(st.sampled_from([0.0, 4.0, 8.0, 20.0, 24.0, 50.0, 90.0, 120.0]), min_size=1, max_size=2),
            st.integers(1, 3),
        ),
        min_size=1,
        max_size=60,
    ),
    st.integers(1, 9),
)
@pytest.mark.slow
def test_pages_are_slices_of_one_ranking(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, list[float], int]], size: int
) -> None:
    contents = [(kind, turned(*(degrees if kind == "audio" else degrees[:1])), n) for kind, degrees, n in drawn]
    with held(tmp_path_factory.mktemp("library"), contents, similarity={"image": 0.99, "audio": 0.99}) as library:
        whole = library.search("red", 500)
        pages = [library.search("red", size, offset=offset) for offset in range(0, len(whole) + size, size)]
        assert [hit for page in pages for hit in page] == whole
        assert sum(1 + len(hit.duplicates) for hit in whole) == sum(n for _, _, n in drawn)


# Moments


@pytest.mark.slow
def test_a_hit_has_all_its_matching_moments(library: Library, folder: Path) -> None:
    sound(folder / "sounds.wav", "low", "high", "low", seconds=10)
    for n in range(3):
        sound(folder / f"other{n}.wav", "mid", seconds=5 + n)
    library.ingest(folder)
    (hit,) = library.search("low", 1, modalities=["audio"], moments=True)
    assert (hit.path.name, hit.matched) == ("sounds.wav", "audio")
    assert [(m.start, m.end, m.cosine, m.matched) for m in hit.moments] == [
        (0.0, 10.0, 1.0, "audio"), (20.0, 30.0, 1.0, "audio"),
    ]  # fmt: skip
    assert library.search("low", 1, modalities=["audio"])[0].moments == ()


@pytest.mark.slow
def test_videos_and_texts_have_moments_and_pictures_have_none(library: Library, folder: Path) -> None:
    video(folder / "film.mp4", "red", "green", "red", seconds=4)
    words(folder / "text.txt", " ".join(["red", *["word"] * 180, *["x"] * 150, "red", *["y"] * 20]))
    picture(folder / "red.png", "red")
    library.ingest(folder)
    found = {hit.path.name: hit for hit in library.search("red", moments=True)}
    assert found["red.png"].moments == ()
    film = found["film.mp4"].moments
    assert [m.matched for m in film] == ["image"] * len(film) and len(film) == 2
    assert film[0].end is not None and film[1].start is not None and film[0].end <= 4.1 < 7.9 <= film[1].start
    passages = [m.passage or "" for m in found["text.txt"].moments]
    assert passages and all("red" in passage for passage in passages)


def test_moments_that_adjoin_are_one_in_whatever_order_they_come() -> None:
    def moment(start: float, end: float, matched: str = "image", cosine: float = 0.5) -> Moment:
        return Moment(start, end, None, None, cosine, None, matched)

    seen = [moment(8, 10), moment(2, 4, cosine=0.9), moment(0, 2), moment(20, 22), moment(4, 6)]
    heard = [moment(3, 9, "audio")]
    for order in (seen + heard, heard + seen[::-1]):
        found = [(one.start, one.end, one.matched, one.cosine) for one in join_moments(order)]
        assert found == [
            (0, 6, "image", 0.9), (3, 9, "audio", 0.5), (8, 10, "image", 0.5), (20, 22, "image", 0.5),
        ]  # fmt: skip


def test_moments_are_refused_in_keyword_mode(library: Library, folder: Path) -> None:
    picture(folder / "red.png", "red")
    library.ingest(folder)
    with pytest.raises(InvalidInput, match="by meaning"):
        library.search("red", mode="keyword", moments=True)


# More like this


@pytest.mark.slow
def test_an_item_can_be_the_query_although_its_file_is_gone(library: Library, folder: Path) -> None:
    gone = sound(folder / "low.wav", "low", seconds=5)
    sound(folder / "lower.wav", "low", seconds=6)
    sound(folder / "high.wav", "high", seconds=5)
    picture(folder / "red.png", "red")
    library.ingest(folder)
    (hit,) = (hit for hit in library.search("low", modalities=["audio"]) if hit.path == gone)
    gone.unlink()
    assert names(library.search(Query(like=hit), modalities=["audio"])) == ["lower.wav", "high.wav"]
    assert library.search(Query(like=hit.item_id), modalities=["audio"]) == library.search(
        Query(like=hit), modalities=["audio"]
    )
    mixed = Query(like=hit) + 3 * Query("red")
    assert names(library.search(mixed))[0] == "red.png" and "low.wav" not in names(library.search(mixed))
    assert names(library.search(Query(like=hit), filter="name glob 'h*'")) == ["high.wav"]
    assert names(library.search(Query(like=hit), 1, modalities=["audio"], offset=1)) == ["high.wav"]
    library.ingest(folder)  # the file is known to be missing now
    assert names(library.search(Query(like=hit), modalities=["audio"])) == ["lower.wav", "high.wav"]


@pytest.mark.slow
def test_an_item_as_query_finds_what_its_file_finds(library: Library, folder: Path) -> None:
    film = video(folder / "film.mp4", "red", "green", seconds=4)
    for colour in ("red", "green", "blue"):
        picture(folder / f"{colour}.png", colour)
    library.ingest(folder)
    by_file = {hit.path: hit.cosine for hit in library.search(film)}
    item = next(hit for hit in library.search(film) if hit.path == film)
    assert {hit.path: hit.cosine for hit in library.search(Query(like=item))} == pytest.approx(
        {path: score for path, score in by_file.items() if path != film}
    )


@pytest.mark.parametrize("value", [999, -1, "12", True, None])
@pytest.mark.slow
def test_an_unknown_item_as_query_is_refused(library: Library, folder: Path, value: Any) -> None:
    picture(folder / "red.png", "red")
    library.ingest(folder)
    with pytest.raises(InvalidInput, match=r"no item|like can't be|empty"):
        library.search(Query(like=value))


# Duplicates


def test_duplicates_lists_groups_of_copies_and_near_duplicates(tmp_path: Path) -> None:
    contents = [("image", turned(degree), 1) for degree in (0, 5, 10, 40, 44, 80)]
    contents += [("audio", turned(0), 2), ("audio", turned(0, 40, 80), 1), ("audio", turned(4, 44, 84, 120), 1)]
    with held(tmp_path, contents, similarity={"image": 0.99, "audio": 0.99}) as library:
        groups = library.duplicates(0.99)
        told = [[(f.path.name, round(f.similarity, 3), f.kind) for f in group.files] for group in groups]
        assert told == [
            [("008-0", 1.0, None), ("007-0", 0.998, "transcoded")],
            [("006-1", 1.0, None), ("006-0", 1.0, "copy")],
            [("004-0", 1.0, None), ("003-0", 0.998, "saved again")],
            [("002-0", 1.0, None), ("001-0", 0.996, "saved again")],
        ]
        assert [group.freed for group in groups] == [17, 16, 13, 11]
        assert [group.modality for group in groups] == ["audio", "audio", "image", "image"]
        assert [len(group.files) for group in library.duplicates(0.99, modalities=["image"])] == [2, 2]
        assert len(library.duplicates(0.99, filter="not path = '/media/004-0'")) == 3
        (everything,) = library.duplicates(0.1, modalities=["image"])
        assert [file.path.name[:3] for file in everything.files] == ["005", "004", "003", "002", "001", "000"]
        assert [len(group.files) for group in library.duplicates(1.0)] == [2]


@pytest.mark.slow
def test_duplicates_proposes_to_keep_the_largest_picture(library: Library, folder: Path) -> None:
    small = grained(folder / "a-small.png", "red", side=128)
    large = grained(folder / "z-large.png", "red", side=256)
    (folder / "copy.png").write_bytes(large.read_bytes())
    library.ingest(folder)
    (group,) = library.duplicates()
    assert {group.files[0].path, group.files[1].path} == {large, folder / "copy.png"}
    assert [(file.path, file.kind, file.method) for file in group.files[1:]] == [
        (group.files[1].path, "copy", "bytes"), (small, "resized", "pixels"),
    ]  # fmt: skip
    assert (group.files[0].width, group.files[0].height) == (256, 256)
    assert group.freed == large.stat().st_size + small.stat().st_size


@pytest.mark.slow
def test_a_picture_blown_up_is_not_kept_as_the_better_one(library: Library, folder: Path) -> None:
    """Detail of every size to the finest, as photos have, and copies of it that are worse, or only larger."""
    chance = np.random.default_rng(3)
    layers = [Image.fromarray(chance.integers(0, 256, (side, side, 3), np.uint8)) for side in (4, 16, 64, 256, 512)]
    large = [np.asarray(layer.resize((512, 512), Image.Resampling.BICUBIC), np.float64) for layer in layers]
    levels = np.mean(large, axis=0)
    original = Image.fromarray(levels.astype(np.uint8))
    for name, side, way in [
        ("a-original", 512, Image.Resampling.BOX), ("b-half", 256, Image.Resampling.LANCZOS),
        ("c-twice", 1024, Image.Resampling.BICUBIC), ("d-thrice", 1536, Image.Resampling.LANCZOS),
        ("e-squares", 1024, Image.Resampling.NEAREST),
    ]:  # fmt: skip
        original.resize((side, side), way).save(folder / f"{name}.jpg", quality=92)
    library.ingest(folder)
    told = [[(file.path.stem, file.kind) for file in group.files] for group in library.duplicates()]
    assert sorted(told) == [
        [("a-original", None), ("b-half", "resized")], [("e-squares", None), ("c-twice", "saved again")],
    ]  # fmt: skip


def test_many_equal_files_are_one_duplicate_group(tmp_path: Path) -> None:
    """More than any block or first search holds, and no chain: 0 and 30 degrees are not alike, 15 is to both."""
    contents = [("image", turned(90), 1)] * 300 + [("image", turned(degree), 1) for degree in (0, 15, 30)]
    with held(tmp_path, contents, similarity={"image": 0.96}) as library:
        groups = library.duplicates(0.96)
        assert sorted(len(group.files) for group in groups) == [2, 300]
        assert len({file.path for group in groups for file in group.files}) == 302


@pytest.mark.slow
@pytest.mark.parametrize("threshold", [0, -0.5, 1.01, math.nan, math.inf])
def test_a_threshold_that_is_no_cosine_is_refused(library: Library, folder: Path, threshold: float) -> None:
    picture(folder / "red.png", "red")
    library.ingest(folder)
    with pytest.raises(InvalidInput, match="threshold"):
        library.duplicates(threshold)


# In a shell


@pytest.fixture
def filled(folder: Path, run: Run) -> Path:
    one = grained(folder / "a.png", "red")
    (folder / "b.png").write_bytes(one.read_bytes())
    grained(folder / "c.png", "red", side=128)
    picture(folder / "d.png", "green")
    sound(folder / "low.wav", "low", "high", "low", seconds=10)
    assert run("ingest", folder).returncode == 0
    return folder


def test_the_query_command_hides_duplicates_unless_told_not_to(filled: Path, run: Run) -> None:
    folded = run("query", "red", "--in", "image", "--dedup").stdout.decode().splitlines()
    assert len(folded) == 2 and folded[0].endswith("\t+2 alike")
    assert len(run("query", "red", "--in", "image", "--no-dedup").stdout.splitlines()) == 4
    found = json.loads(run("query", "red", "--in", "image", "--dedup", "--json").stdout)["hits"]
    assert sorted(Path(path).name for path in [found[0]["path"], *found[0]["duplicates"]]) == [
        "a.png",
        "b.png",
        "c.png",
    ]


@pytest.mark.slow
def test_the_duplicates_command_prints_groups_and_paths(filled: Path, run: Run, process: Run) -> None:
    done = process("duplicates")
    lines = [line.split("\t") for line in done.stdout.decode().splitlines()]
    assert [(line[0], line[1]) for line in lines] == [("1", "keep"), ("1", "copy"), ("1", "resized")]
    assert b"1 group, 2 files more than needed" in done.stderr
    (group,) = json.loads(run("duplicates", "--json", "--threshold", "0.9").stdout)
    assert group["freed"] == sum(file["size"] for file in group["files"][1:]) and len(group["files"]) == 3
    assert run("duplicates", "--in", "audio", "--json").stdout.strip() == b"[]"
    paths = run("duplicates", "--paths", "-0", "--filter", "name = a.png or name = b.png").stdout
    assert paths in (str(filled / "a.png").encode() + b"\0", str(filled / "b.png").encode() + b"\0")
    assert all(path.exists() for path in (filled / "a.png", filled / "b.png", filled / "c.png"))
    wrong = run("duplicates", "--threshold", "2")
    assert wrong.returncode == 2 and b"threshold" in wrong.stderr


def test_the_query_command_prints_moments_and_takes_an_item_id(filled: Path, run: Run) -> None:
    lines = run("query", "low", "--in", "audio", "--moments", "--all").stdout.decode().splitlines()
    assert [line.split("\t")[0] for line in lines] == ["1", "", ""]
    assert [line.split("\t")[-1] for line in lines[1:]] == ["0:00.0-0:10.0", "0:20.0-0:30.0"]
    (found,) = json.loads(run("query", "low", "--in", "audio", "--moments", "--json").stdout)["hits"]
    assert [(m["start"], m["end"]) for m in found["moments"]] == [(0.0, 10.0), (20.0, 30.0)]
    first = run("query", "green", "--in", "image", "--ids", "-k", "1").stdout.decode().strip().split("\t")
    assert first[4].endswith("d.png")
    like = run("query", "--like", first[-1], "--in", "image", "--paths").stdout.decode().splitlines()
    assert sorted(Path(path).name for path in like) == ["a.png", "b.png", "c.png"]
    unknown = run("query", "--like", "4711")
    assert unknown.returncode == 2 and b"no item 4711" in unknown.stderr


def test_the_frames_and_sound_of_a_video_weigh_the_same_whatever_their_number(tmp_path: Path) -> None:
    """What is like a film of nine red frames and a low sound: by halves a red picture and a low sound."""
    catalog = Catalog.open(tmp_path, VERSION, create=True)
    record = catalog.add_space("tiny", "tests.tiny:space", tiny.DIM, tiny.space().fingerprint)
    batch = Batch()
    kinds = ["image"] * 9 + ["audio"]
    for name, modalities in (("film", kinds), ("image", ["image"]), ("audio", ["audio"])):
        rows = np.stack([tiny.axis("red" if kind == "image" else "low") for kind in modalities])
        modality = "video" if name == "film" else name
        batch.contents.append(NewContent(name, modality, {}, modalities, [Span()] * len(rows), rows))
        batch.placements.append(Placement(f"/m/{name}".encode(), b"/m", name, 1, 1))
    catalog.commit(batch, record.id)
    catalog.close()
    with mmsearch.open(tmp_path, space="tests.tiny:space") as library:
        (film,) = library.search("red", 1, modalities=["video"])
        found = {hit.path.name: hit.cosine for hit in library.search(Query(like=film), 10)}
    assert found == {name: pytest.approx(1 / math.sqrt(2)) for name in ("image", "audio")}

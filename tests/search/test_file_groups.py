"""Bundles: which paths share a stem, who leads, tags that count for all, and averages worked out by hand."""

import math
import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mmsearch.catalog import Batch, Catalog, GroupFile, ListKey, NewContent, Placement, group_key, words
from mmsearch.catalog.file_groups import count_groups, group_members
from mmsearch.catalog.group_rules import LONG_S, MOST, ordered_group
from mmsearch.catalog.items import items_under, items_with_content
from mmsearch.catalog.segments import resolve_segments
from mmsearch.catalog.selections import selected_segments
from mmsearch.core.config import read_settings
from mmsearch.core.filters.parser import parse
from mmsearch.errors import InvalidInput
from mmsearch.library import Library
from mmsearch.search import query as search_query
from mmsearch.search.file_groups import FileGroups, GroupAverages
from mmsearch.search.kinds import named_kind
from mmsearch.search.ranking import Depth, RankedItem, Ranking, Stage, deepen
from mmsearch.search.vector import VectorSearch
from mmsearch.types import Query, Span
from tests.generated import picture, sound
from tests.generated import words as written

SEP = os.sep.encode()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"IMG_1.jpg", b"IMG_1"),
        (b"IMG_1.JPG", b"IMG_1"),
        (b"img_1.jpg", b"img_1"),
        (b"IMG_1.xmp", b"IMG_1"),
        (b"IMG_1.jpg.xmp", b"IMG_1"),
        (b"IMG_1.HEIC.txt", b"IMG_1"),
        (b"IMG_1.jpg.json", b"IMG_1"),
        (b"IMG_1.jpg.supplemental-metadata.json", b"IMG_1"),
        (b"IMG_1.jpg.supplemental-me.json", b"IMG_1"),
        (b"IMG_1.jpg(2).json", b"IMG_1(2)"),
        (b"IMG_1.jpg.supplemental-metadata(2).json", b"IMG_1(2)"),
        (b"IMG_1.jpg.song.json", b"IMG_1.jpg.song"),
        (b"IMG_1(2).jpg", b"IMG_1(2)"),
        (b"a.b.c.jpg", b"a.b.c"),
        (b"notes.v1.txt", b"notes.v1"),
        (b"film.mp4.jpg", b"film"),
        (b".jpg.xmp", b".jpg"),
        (b".hidden.jpg", b".hidden"),
        (b"\xff\xfe.jpg", b"\xff\xfe"),
    ],
)
def test_a_group_key_is_the_name_without_suffix(name: bytes, expected: bytes) -> None:
    assert group_key.group_key(SEP.join([b"", b"f.jpg", name])) == SEP.join([b"", b"f.jpg", expected])


@pytest.mark.parametrize("name", [b"README", b".bashrc", b"README.", b"."])
def test_a_name_without_suffix_is_in_no_group(name: bytes) -> None:
    path = SEP + b"f" + SEP + name
    assert group_key.group_key(path) == path + b"/"


def member(path: str, modality: str, duration: float | None = None) -> GroupFile:
    return GroupFile(1, 1, os.fsencode(path), modality, {} if duration is None else {"duration": duration}, True)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ("a.JPG=image a.txt=text a.wav=audio a.mov=video", "JPG mov wav txt"),
        ("a.dng=image a.heic=image a.txt=text a.xmp=text a.mov=video", "heic dng mov txt xmp"),
        ("a.json=text a.mp3=audio a.pdf=text", "mp3 pdf json"),
    ],
)
def test_pictures_lead_a_group_before_sounds_and_texts(files: str, expected: str) -> None:
    made = [member(path, kind) for path, _, kind in (pair.partition("=") for pair in files.split())]
    for given in (made, made[::-1]):
        assert " ".join(os.fsdecode(file.path).split(".")[-1] for file in ordered_group(given)) == expected


def test_a_long_video_leads_its_thumbnail() -> None:
    for seconds, first in ((LONG_S, b"a.jpg"), (LONG_S + 0.1, b"a.mp4")):
        assert ordered_group([member("a.jpg", "image"), member("a.mp4", "video", seconds)])[0].path == first


def test_single_files_texts_alone_and_crowds_are_no_group() -> None:
    one, text = member("a.jpg", "image"), member("a.txt", "text")
    assert ordered_group([one]) == () and ordered_group([text, member("a.html", "text")]) == ()
    assert len(ordered_group([one] * MOST)) == MOST and ordered_group([one] * (MOST + 1)) == ()


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    made = Catalog.open(tmp_path, "1", create=True)
    made.add_space("tiny", "tests.tiny:space", 4, "f")
    return made


def put(catalog: Catalog, name: str, kind: str = "image", *keywords: str) -> None:
    path = SEP.join([b"", b"r", name.encode()])
    new = NewContent(name, kind, {"keywords": list(keywords)}, [kind], [Span()], np.eye(4, dtype=np.float32)[:1])
    catalog.commit(Batch([new], [Placement(path, SEP + b"r", name, 1, 2)]), 1)


def tagged(catalog: Catalog, said: str) -> set[str]:
    """The names that a filter finds, asked in both ways that filters are."""
    with catalog.reading() as snapshot:
        key = ListKey("tiny", "image", "image")
        ids = np.arange(1, 20)
        chosen = [found.path for found in resolve_segments(snapshot, ids, parse(said))]
        whole = selected_segments(snapshot, parse(said), key)
        images = [f.path for f in resolve_segments(snapshot, ids if whole is None else whole) if f.modality == "image"]
        assert {p for p in chosen if not p.endswith(b"xmp")} == set(images)
    return {os.fsdecode(path.rpartition(SEP)[2]) for path in chosen}


def worded(catalog: Catalog, query: str) -> set[str]:
    with catalog.reading() as snapshot:
        return {os.fsdecode(row.path.rpartition(SEP)[2]) for row in words.search_words(snapshot, query, 10)}


@pytest.mark.slow
def test_a_sidecar_s_keywords_are_tags_of_its_picture(catalog: Catalog, tmp_path: Path) -> None:
    put(catalog, "a.jpg")
    put(catalog, "b.jpg")
    put(catalog, "a.xmp", "text", "beach", "two words")
    for found in (tagged(catalog, "tag = beach"), worded(catalog, "beach"), tagged(catalog, "tag is known")):
        assert found == {"a.jpg", "a.xmp"}
    assert tagged(catalog, "not tag = beach") == tagged(catalog, "tag is missing") == {"b.jpg"}
    put(catalog, "a.jpg.png")
    assert worded(catalog, "beach") == {"a.jpg", "a.jpg.png", "a.xmp"}, "also one that comes later"
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as db, db:
        db.execute("INSERT INTO tags SELECT content_id, 'guess', 0.5 FROM items WHERE name = 'a.jpg'")
    assert tagged(catalog, "tag = guess") == worded(catalog, "guess") == {"a.jpg"}, "what a model says is of one file"


def test_the_word_index_and_tags_follow_a_changed_sidecar(catalog: Catalog) -> None:
    put(catalog, "a.jpg")
    put(catalog, "b.jpg")
    put(catalog, "a.xmp", "text", "beach")
    with catalog.reading() as snapshot:
        (sidecar,) = items_with_content(snapshot, "a.xmp")
    moved = Placement(sidecar.path.replace(b"a.xmp", b"b.xmp"), SEP + b"r", "a.xmp", 1, 2, sidecar.id)
    catalog.commit(Batch(placements=[moved]), 1)
    assert worded(catalog, "beach") == tagged(catalog, "tag = beach") == {"b.jpg", "b.xmp"}
    catalog.commit(Batch(missing=[(sidecar.id, moved.path)]), 1)
    assert worded(catalog, "beach") == tagged(catalog, "tag = beach") == set()
    catalog.commit(Batch(placements=[Placement(moved.path, SEP + b"r", "a.xmp", 1, 2)]), 1)
    assert worded(catalog, "beach") == {"b.jpg", "b.xmp"}
    catalog.remove(moved.path)
    assert worded(catalog, "beach") == tagged(catalog, "tag = beach") == set()


def test_group_members_are_found_for_each_hit(catalog: Catalog) -> None:
    for name, kind in (("a.jpg", "image"), ("a.txt", "text"), ("b.jpg", "image"), ("c.jpg", "image"), ("c", "text")):
        put(catalog, name, kind)
    with catalog.reading() as snapshot:
        (found,) = group_members(snapshot, [2, 3, 4, 5], modalities=["text"]).values()
        assert [(os.path.basename(f.path), f.wanted) for f in found] == [(b"a.jpg", False), (b"a.txt", True)]
        (found,) = group_members(snapshot, [1], filter=parse("name = a.jpg")).values()
        assert [f.wanted for f in found] == [True, False]
        assert count_groups(snapshot) == 1


@pytest.mark.slow
def test_each_group_is_ranked_once_by_its_best_file(catalog: Catalog) -> None:
    for stem_of in "abc":
        for suffix in ("jpg", "png", "gif"):
            put(catalog, f"{stem_of}.{suffix}")
    with catalog.reading() as snapshot:
        paths = {item.id: item.path for item in items_under(snapshot, SEP + b"r", None, 20)}
    hits = [RankedItem(item, item, paths[item], "image", 1.0) for item in sorted(paths)]
    asked: list[int] = []

    def retrieve(_: Ranking, depth: Depth) -> Ranking:
        asked.append(depth.items)
        return Ranking(hits, complete=True).first(depth.items)

    groups = FileGroups(catalog)
    stages = [Stage(retrieve, 3), Stage(lambda ranking, _: groups.group(ranking), 3)]
    found = deepen(stages, Depth(3)).items
    assert [os.path.basename(hit.path) for hit in found] == [b"a.gif", b"b.gif", b"c.gif"], "the lead by name"
    assert [hit.part and os.path.basename(hit.part) for hit in found] == [b"a.jpg", b"b.jpg", b"c.jpg"]
    assert [len(hit.members) for hit in found] == [3, 3, 3] and asked == [3, 6, 12]


@pytest.fixture
def filled(library: Library, folder: Path) -> Library:
    picture(folder / "a.png", "red")
    written(folder / "a.txt", "a green bus")
    sound(folder / "a.wav", "low")
    picture(folder / "b.png", "green")
    written(folder / "b.png.txt", "red and more")
    picture(folder / "c.png", "blue", mark=1)
    written(folder / "d.txt", "red, a lone note")
    for n in range(12):
        picture(folder / f"other{n}.png", "blue", mark=2 + n)
        written(folder / f"note{n}.md", f"something else {n}")
    library.ingest(folder)
    return library


@pytest.mark.parametrize(
    ("fusion", "before"),
    [
        # Of a, the picture matches best; of b, the words do, as well as those of d, which has nothing beside it.
        ("best", ["a.png", "b.png", "d.txt"]),
        ("mean", ["d.txt", "b.png"]),
        # The words count for a hundred pictures, and those of a are others.
        ("weighted", ["d.txt", "b.png", "a.png"]),
        ("off", ["a.png", "b.png.txt", "d.txt"]),
    ],
)
@pytest.mark.slow
def test_each_fusion_strategy_orders_groups_as_defined(
    filled: Library, open_tiny: Callable[..., Library], fusion: str, before: list[str]
) -> None:
    again = open_tiny(fusion=fusion, dedup=False, fusion_weights={"image": 1, "text": 100})
    hits = again.search(Query(text="red"), 3, mode="vector")
    assert [hit.path.name for hit in hits if hit.path.name in before] == before
    parts = {hit.path.name: hit.part.name for hit in hits if hit.part}
    assert parts == ({} if fusion == "off" else {"a.png": "a.png", "b.png": "b.png.txt"})


@pytest.mark.slow
@pytest.mark.parametrize(("fusion", "weights"), [("mean", {}), ("weighted", {"image": 3.0})])
def test_the_average_strategy_counts_all_files_of_a_group(
    filled: Library, open_tiny: Callable[..., Library], fusion: str, weights: dict[str, float]
) -> None:
    """Against the evidence of all files, averaged here: also for files that no list was asked deep enough to bring."""
    query = Query(text="red")
    library = open_tiny(fusion=fusion, dedup=False, fusion_weights={"image": 3, "text": 1})
    alone = open_tiny(fusion="off", dedup=False).search(query, 100, mode="vector")
    space, record = library._context.embedding()
    vector = search_query.embed_query(query, space, library._context.query_decoding)
    context = library._context
    search = VectorSearch(
        vector,
        record,
        context.catalog(),
        context.indexes(),
        context.calibrator(query, vector, space),
        kind=named_kind("red"),
    )
    evidence = {Path(os.fsdecode(one.path)): one.evidence or 0.0 for one in search.retrieve(Depth(100)).items}
    assert evidence.keys() == {hit.path for hit in alone}
    kinds = {hit.path: hit.modality for hit in alone}
    for k in (1, 3, 100):
        hits = library.search(query, k, mode="vector")
        for hit in hits:
            files = hit.members or (hit.path,)
            weighted = [(weights.get(kinds[path], 1.0), evidence[path]) for path in files]
            mean = sum(weight * value for weight, value in weighted) / sum(weight for weight, _ in weighted)
            assert hit.confidence == pytest.approx(1 - math.exp(-mean), abs=1e-6)
        assert [hit.path for hit in hits] == [hit.path for hit in library.search(query, 100, mode="vector")][:k]
    assert len(hits) == 28 and {len(hit.members) for hit in hits} == {0, 2, 3}


class Scored:
    """Gives each file the evidence it is made with; stands for the search that finds single files."""

    def __init__(self, evidence: dict[int, float]) -> None:
        self.evidence = evidence

    def score_items(self, items: Iterable[int]) -> dict[int, RankedItem]:
        return {one: RankedItem(one, one, b"", "image", evidence=self.evidence[one]) for one in items}


def test_an_average_is_told_only_where_no_deeper_look_can_change_its_place(catalog: Catalog) -> None:
    for name in ("a.jpg", "a.png", "b.jpg", "b.png", "c.jpg"):
        put(catalog, name)
    with catalog.reading() as snapshot:
        items = items_under(snapshot, SEP + b"r", None, 20)
    number = {os.path.basename(item.path).decode(): item.id for item in items}
    paths = {item.id: item.path for item in items}
    search = Scored({number["a.png"]: 2.5, number["b.png"]: 0.5})
    averages = GroupAverages(search, FileGroups(catalog), {"image": 2.0})  # type: ignore[arg-type]
    met = [("a.jpg", 4.0), ("c.jpg", 3.0), ("b.jpg", 2.0)]
    hits = [RankedItem(number[name], 1, paths[number[name]], "image", 1.0, "image", value) for name, value in met]

    def told(complete: bool) -> list[tuple[str, float | None]]:
        found = averages.rerank(Ranking(hits, complete)).items
        return [(os.path.basename(one.path).decode(), one.evidence) for one in found]

    assert told(complete=True) == [("a.jpg", 3.25), ("c.jpg", 3.0), ("b.jpg", 1.25)]
    assert told(complete=False) == [("a.jpg", 3.25), ("c.jpg", 3.0)], "b's files may be passed by what is to come"
    hits = hits[1:]
    assert told(complete=False) == [("c.jpg", 3.0)]
    unknown = Ranking([one._replace(evidence=None) for one in hits])
    assert averages.rerank(unknown) is unknown and averages.rerank(Ranking()).items == ()


def test_senseless_fusion_settings_are_refused() -> None:
    for wrong in ({"fusion": "sum"}, {"fusion": "weighted", "fusion_weights": "image"}):
        with pytest.raises(InvalidInput):
            read_settings(None, **wrong)
    with pytest.raises(InvalidInput, match="setting fusion_weights can't be a dict"):
        read_settings(None, fusion="weighted", fusion_weights={"image": 0})
    assert read_settings(None, fusion="weighted").weights == {"image": 1, "video": 1, "audio": 1, "text": 0.5}
    assert read_settings(None, fusion="mean").weights == {}

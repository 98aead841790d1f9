"""Structures over large lists: built beside what serves, measured, published or not, kept in step, verified."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from mmsearch.catalog import Batch, Catalog, ListKey
from mmsearch.catalog.commits import current_commit
from mmsearch.catalog.spaces import active_space, all_spaces
from mmsearch.cli import cli
from mmsearch.core.filters.ast import Comparison
from mmsearch.errors import LibraryError, UnknownName
from mmsearch.indexing.lists import Lists
from mmsearch.indexing.tuning import IndexTuner
from mmsearch.library import Library
from mmsearch.types import Ids, Vectors
from mmsearch.vectors import presets, rank
from tests import tiny
from tests.indexing.filled import ROWS, SIZE, batch, commit, fill, opening, unit

pytestmark = pytest.mark.slow

KEY = ListKey("tiny", "image", "image")
STRUCTURES = [preset.name for preset in presets.PRESETS if not preset.exact]


QUERIES = unit(30, 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A library of SIZE pictures."""
    return fill(tmp_path / "library", SIZE)


@pytest.fixture
def opened(folder: Path) -> Iterator[Callable[..., Library]]:
    with opening(folder) as make:
        yield make


def parts(library: Library) -> tuple[Catalog, Lists, IndexTuner]:
    context = library._context
    return context.catalog(), context.indexes(), context.builder()


def exact(numbers: Ids, k: int = 10) -> list[list[int]]:
    """Segments of these files, by the definition."""
    answers = []
    for query in QUERIES:
        scores = rank.exact_scores(query, ROWS[numbers])
        answers.append((numbers[np.lexsort((numbers, -scores))[:k]] + 1).tolist())
    return answers


def check(indexes: Lists, numbers: Ids, least: float = 0.9, **among: Any) -> None:
    """Ten of these files for each query, with their exact scores, and most of the ten nearest."""
    found = indexes.search(QUERIES, 10, **among)[0][KEY]
    assert found.ids.shape == (len(QUERIES), min(10, len(numbers)))
    assert np.isin(found.ids - 1, numbers).all()
    for query, ids, scores in zip(QUERIES, found.ids, found.scores, strict=True):
        assert scores.tobytes() == rank.exact_scores(query, ROWS[ids - 1]).tobytes()
    hit = [len(set(a) & set(b)) / len(b) for a, b in zip(found.ids.tolist(), exact(numbers), strict=True)]
    assert np.mean(hit) >= least


EVERY = np.arange(SIZE)


def serving_preset(indexes: Lists) -> str | None:
    indexes.refresh()
    found = indexes.ann_index(KEY)
    return None if found is None else found[0].preset.name


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_preset_is_built_measured_and_served_by_other_processes(opened: Callable[..., Library], name: str) -> None:
    _, indexes, builder = parts(opened(name))
    (made,) = builder.build_outgrown()
    assert (made.key, made.preset, made.size, made.published) == (KEY, name, SIZE, True)
    assert made.recall.keys() == {"text", "image"} and min(made.recall.values()) >= 0.95
    found = indexes.ann_index(KEY)
    assert found is not None and found[0].facts.filtered.keys() == {"0.3", "0.1", "0.03"}
    assert all(0.8 <= recall <= 1 for recall in found[0].facts.filtered.values())
    assert builder.build_outgrown() == [], "once is enough"
    _, other, _ = parts(opened(name))
    for one in (indexes, other):
        assert serving_preset(one) == name
        check(one, EVERY)
        check(one, EVERY[100:900], filter=Comparison("size", "in", tuple(range(100, 900))))
        check(one, EVERY[5:8], filter=Comparison("size", "in", (5, 6, 7)), least=1.0)
    assert indexes.search(QUERIES[:1], SIZE + 5)[0][KEY].ids.shape == (1, SIZE)


def test_a_name_that_is_no_preset_is_refused(opened: Callable[..., Library]) -> None:
    for name in ("faiss", "annoy"):
        with pytest.raises(UnknownName, match=name):
            opened(name).index.status()


def test_a_small_list_is_searched_exactly(opened: Callable[..., Library]) -> None:
    _, indexes, builder = parts(opened("auto"))
    assert builder.build_outgrown() == []
    check(indexes, EVERY, least=1.0)


def test_an_ann_index_answers_with_additions_and_without_removals_at_once(opened: Callable[..., Library]) -> None:
    catalog, indexes, builder = parts(opened())
    builder.build_outgrown()
    catalog.remove(b"/p/3")
    space = catalog.read(active_space)
    assert space is not None
    catalog.commit(batch(SIZE, SIZE + 300), space.id)
    left = np.array([n for n in range(SIZE + 300) if n % 10 != 3 or n >= SIZE])
    check(indexes, left)
    check(parts(opened())[1], left)
    indexes.publish()
    check(parts(opened())[1], left)
    builder.build(KEY, presets.preset_named("ivf-sq8"))
    found = indexes.ann_index(KEY)
    assert found is not None and len(found[0]) == len(left)
    for one in (indexes, parts(opened())[1]):
        check(one, left)
        assert one.sizes() == {KEY: len(left)}


@pytest.mark.parametrize("name", STRUCTURES)
def test_an_ann_index_that_still_fits_is_extended_and_not_rebuilt(
    opened: Callable[..., Library], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmsearch.indexing.lists.REBUILD_AFTER", (100, 100))
    catalog, indexes, builder = parts(opened(name))
    builder.build_outgrown()
    before = indexes.ann_index(KEY)
    catalog.remove(b"/p/3")
    space = catalog.read(active_space)
    assert space is not None and before is not None
    catalog.commit(batch(SIZE, SIZE + 300), space.id)
    (made,) = builder.build_outgrown()
    after = indexes.ann_index(KEY)
    assert made.published and after is not None
    assert (after[0].facts.trained, len(after[0]), len(before[0])) == (SIZE, SIZE + 300, SIZE)
    assert builder.build_outgrown() == []
    left = np.array([n for n in range(SIZE + 300) if n % 10 != 3 or n >= SIZE])
    for one in (indexes, parts(opened(name))[1]):
        check(one, left)
        assert one.describe(KEY)["since"] == 0 and one.sizes() == {KEY: len(left)}
    catalog.remove(b"/p/4")
    for one in (indexes, parts(opened(name))[1]):
        check(one, left[(left % 10 != 4)])


def test_an_ann_index_of_which_too_much_is_gone_is_built_anew(
    opened: Callable[..., Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmsearch.indexing.lists.REBUILD_AFTER", (100, 100))
    catalog, indexes, builder = parts(opened())
    builder.build_outgrown()
    for number in (3, 4, 5):
        catalog.remove(b"/p/%d" % number)
    space = catalog.read(active_space)
    assert space is not None
    catalog.commit(batch(SIZE, SIZE + 300), space.id)
    assert builder.extend(KEY) is None, "900 of 2,400 are gone, more than a fifth"
    (made,) = builder.build_outgrown()
    found = indexes.ann_index(KEY)
    assert made.published and found is not None and len(found[0]) == SIZE - 900 + 300


@pytest.mark.parametrize(
    ("bounds", "added", "due"), [((50, 50), 50, False), ((50, 50), 51, True), ((10, 1000), 299, False)]
)
def test_a_list_is_outgrown_by_more_than_a_tenth_within_bounds(
    opened: Callable[..., Library], monkeypatch: pytest.MonkeyPatch, bounds: tuple[int, int], added: int, due: bool
) -> None:
    monkeypatch.setattr("mmsearch.indexing.lists.REBUILD_AFTER", bounds)
    catalog, indexes, builder = parts(opened())
    builder.build_outgrown()
    space = catalog.read(active_space)
    assert space is not None
    catalog.commit(batch(SIZE, SIZE + added), space.id)
    indexes.refresh()
    suited = presets.preset_named("ivf-sq8")
    assert indexes.find_outgrown(lambda *_: False) == ({KEY: suited} if due else {})
    if bounds == (10, 1000):
        # 300 of 3,299 are changed by now, and a tenth of what was there is 299.
        catalog.remove(b"/p/3/00003.png")
        catalog.remove(b"/p/3/00013.png")
        indexes.refresh()
        assert indexes.find_outgrown(lambda *_: False) == {KEY: suited}


def test_an_ann_index_older_than_the_tombstones_is_compared_by_ids(
    folder: Path, opened: Callable[..., Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmsearch.indexing.loaded_index.ROWS", 64)
    catalog, indexes, builder = parts(opened())
    (made,) = builder.build_outgrown()
    assert 0 <= made.seconds < 600
    indexes.publish()
    catalog.remove(b"/p/3")
    commit(folder, batch(SIZE, SIZE + 200))
    catalog.raise_oldest_replayable_generation(catalog.read(current_commit).generation)
    fresh = parts(opened())[1]
    left = np.arange(SIZE + 200)
    check(fresh, left[(left >= SIZE) | (left % 10 != 3)])
    assert serving_preset(fresh) == "ivf-sq8", "it need not be built anew"


def test_adding_one_file_rewrites_no_large_index_file(
    opened: Callable[..., Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmsearch.indexing.loaded_index.SMALL", 0)
    catalog, indexes, builder = parts(opened())
    builder.build_outgrown()
    indexes.publish()
    before = {path: path.stat().st_mtime_ns for path in indexes.folder.rglob("*") if path.is_file()}
    space = catalog.read(active_space)
    assert space is not None
    catalog.commit(batch(SIZE, SIZE + 1), space.id)
    indexes.publish()
    assert builder.build_outgrown() == []
    written = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert "image-image.built" not in written
    check(parts(opened())[1], np.arange(SIZE + 1))


def test_an_ann_index_that_misses_its_recall_is_neither_published_nor_retried(opened: Callable[..., Library]) -> None:
    _, indexes, builder = parts(opened("ivf"))
    lazy = replace(presets.preset_named("ivf"), search_efforts=(1,))
    made = builder.build(KEY, lazy)
    assert not made.published and min(made.recall.values()) < 0.95
    assert serving_preset(indexes) is None and not indexes.ann_path(KEY).exists()
    check(indexes, EVERY, least=1.0)
    assert builder.build_outgrown() == []
    (good,) = opened("ivf").index.build(recall=0.9)
    assert good.published


def test_a_full_disk_while_an_ann_index_is_published_changes_nothing(
    opened: Callable[..., Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, indexes, builder = parts(opened())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("mmsearch.core.atomic.os.replace", full)
        with pytest.raises(LibraryError, match="No space left"):
            builder.build_outgrown()
    for one in (indexes, parts(opened())[1]):
        assert serving_preset(one) is None
        check(one, EVERY, least=1.0)
    assert builder.build_outgrown()[0].published


def test_searches_and_commits_go_on_during_a_build(opened: Callable[..., Library]) -> None:
    catalog, indexes, builder = parts(opened())
    space = catalog.read(active_space)
    assert space is not None
    wrong: list[BaseException] = []
    searched, done = [0], Event()

    def read() -> None:
        while not done.is_set():
            try:
                found = indexes.search(QUERIES, 10)[0][KEY]
                for query, ids, scores in zip(QUERIES, found.ids, found.scores, strict=True):
                    assert scores.tobytes() == rank.exact_scores(query, ROWS[ids - 1]).tobytes()
                searched[0] += 1
            except BaseException as error:
                wrong.append(error)
                return

    thread = Thread(target=read)
    thread.start()
    taken = builder._trials.chunks

    def slowly(ids: Ids) -> Iterator[tuple[Ids, Vectors]]:
        if len(ids) == SIZE and len(catalog.read(all_spaces)) and catalog.read(current_commit).generation == 1:
            # In the middle of the build.
            catalog.remove(b"/p/3")
            catalog.commit(batch(SIZE, SIZE + 300), space.id)
        yield from taken(ids)

    builder._trials.chunks = slowly  # type: ignore[method-assign]
    before = searched[0]
    assert builder.build_outgrown()[0].published
    done.set()
    thread.join()
    assert not wrong and searched[0] > before
    left = np.array([n for n in range(SIZE + 300) if n % 10 != 3 or n >= SIZE])
    for one in (indexes, parts(opened())[1]):
        check(one, left)
        assert serving_preset(one) == "ivf-sq8"


def test_an_open_reader_switches_to_an_ann_index_built_by_another_process(opened: Callable[..., Library]) -> None:
    _, reader, _ = parts(opened())
    check(reader, EVERY, least=1.0)
    _, _, builder = parts(opened())
    builder.build_outgrown()
    check(reader, EVERY)
    for thread in reader._reloads.values():
        thread.join()
    assert serving_preset(reader) == "ivf-sq8"
    check(reader, EVERY)


def test_a_damaged_ann_index_is_quarantined_and_answers_stay_exact(opened: Callable[..., Library]) -> None:
    library = opened()
    _, indexes, builder = parts(library)
    builder.build_outgrown()
    path = indexes.ann_path(KEY)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    fresh = opened()
    (told,) = fresh.index.verify()
    assert "checksum" in told.wrong[0]
    check(parts(fresh)[1], EVERY, least=1.0)
    (mended,) = fresh.index.verify(repair=True)
    assert mended.repaired and fresh.index.verify()[0].wrong == ()
    assert [path.name for path in indexes.folder.rglob("*.damaged-1")] == ["image-image.built.damaged-1"]
    assert serving_preset(parts(opened())[1]) == "ivf-sq8"


def test_verify_ignores_a_segment_removed_while_scores_are_compared(opened: Callable[..., Library]) -> None:
    catalog, indexes, _ = parts(opened("auto"))
    ids, _ = indexes.compare_ids(KEY)
    space = catalog.read(active_space)
    assert space is not None
    catalog.commit(Batch(missing=[(1, b"/p/0/00000.png")]), space.id)
    assert indexes.sizes() == {KEY: SIZE - 1}
    assert indexes.count_wrong_scores(KEY, ids[:3]) == 0


def test_files_are_worth_writing_by_a_reader_only_if_far_behind_or_damaged(
    folder: Path, opened: Callable[..., Library]
) -> None:
    indexes = parts(opened())[1]
    indexes.publish(every=True)
    assert not indexes.worth_publishing()
    commit(folder, batch(SIZE, SIZE + 1))
    indexes.refresh()
    assert not indexes.worth_publishing(), "one vector more is replayed from the catalog"
    indexes.path(KEY).write_bytes(b"damaged")
    again = parts(opened())[1]
    again.refresh()
    assert again.worth_publishing()


def test_tuning_changes_the_search_effort_of_all_processes(folder: Path, opened: Callable[..., Library]) -> None:
    library = opened()
    (told,) = library.index.status()
    assert (told.preset, told.since, told.memory_bytes) == ("flat", 0, SIZE * (4 * tiny.DIM + 8)), "and its id"
    parts(library)[2].build_outgrown()
    (low,), (high,) = library.index.tune(0.5), library.index.tune(1.0)
    assert low.search_effort is not None and high.search_effort is not None
    assert low.search_effort < high.search_effort and min(low.recall.values()) < min(high.recall.values()) == 1.0
    (told,) = opened().index.status()
    assert (told.preset, told.search_effort, told.target, told.recall) == (
        "ivf-sq8",
        high.search_effort,
        1.0,
        high.recall,
    )
    # Codes of a byte a dimension and 16 bytes more; ten vectors that came after the build, in full.
    commit(folder, batch(SIZE, SIZE + 10))
    indexes = parts(library)[1]
    indexes.refresh()
    indexes.publish()
    library.index.tune(1.0)
    assert indexes.path(KEY).exists(), "what has come since is of the same build, however it is tuned"
    (told,) = opened().index.status()
    assert (told.size, told.since) == (SIZE + 10, 10)
    assert told.memory_bytes == SIZE * (tiny.DIM + 16) + 10 * 4 * tiny.DIM


def test_the_index_command_builds_tunes_verifies_and_prints_status(
    folder: Path, opened: Callable[..., Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMSEARCH_LIBRARY", str(folder))
    monkeypatch.setenv("MMSEARCH_INDEX", "ivf-sq8")
    monkeypatch.setenv("MMSEARCH_SPACE", "tests.tiny:space")

    def run(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(cli, ["index", *words])
        assert done.exit_code == code, done.output
        return str(done.output)

    assert [one["name"] for one in json.loads(run("presets", "--json"))] == [one.name for one in presets.PRESETS]
    assert "image/image\tflat\t3,000" in run("status")
    assert "serves" in run("build") and "serves" in run("build", "--preset", "ivf-pq", "--recall", "0.9")
    (told,) = json.loads(run("status", "--json"))
    assert (told["preset"], told["size"], told["since"], told["target"]) == ("ivf-pq", SIZE, 0, 0.9)
    assert min(told["recall"].values()) >= 0.9
    assert json.loads(run("tune", "--recall", "0.8", "--json"))[0]["published"]
    assert "as the catalog" in run("verify")
    path = next(folder.rglob("*.built"))
    path.write_bytes(path.read_bytes()[:-1])
    assert "not a complete index file" in run("verify", code=5)
    assert "repaired" in run("verify", "--repair")
    assert "as the catalog" in run("verify")

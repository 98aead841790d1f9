"""What `auto` builds: the graph where it fits and is the faster one, and what a bulk load leaves unread."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmsearch.catalog import Change
from mmsearch.catalog.spaces import active_space
from mmsearch.indexing.trials import Trials
from mmsearch.library import Library
from mmsearch.vectors import presets
from tests import tiny
from tests.indexing.filled import SIZE, batch, fill, opening
from tests.indexing.test_index_presets import EVERY, KEY, check, parts, serving_preset

pytestmark = pytest.mark.slow

GRAPH_BYTES = SIZE * presets.preset_named("hnsw").bytes_per_vector(tiny.DIM)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the bytes of memory that a graph may take."""

    def make(room: int) -> None:
        monkeypatch.setattr("mmsearch.indexing.lists.memory_bytes", lambda: 4 * room)

    return make


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Library]]:
    """A library of SIZE pictures, which is many enough for the graph and for cells."""
    sizes = {"hnsw": 2000, "ivf-sq8": 2500}
    made = tuple(replace(one, from_size=sizes.get(one.name, one.from_size)) for one in presets.PRESETS)
    monkeypatch.setattr("mmsearch.vectors.presets.PRESETS", made)
    with opening(fill(tmp_path / "library", SIZE)) as make:
        yield make


def test_the_graph_is_built_where_it_fits_in_a_quarter_of_the_memory(
    opened: Callable[..., Library], machine: Callable[[int], None]
) -> None:
    machine(GRAPH_BYTES - 1)
    _, indexes, builder = parts(opened("auto"))
    assert [one.preset for one in builder.build_outgrown()] == ["ivf-sq8"]
    check(indexes, EVERY)
    machine(GRAPH_BYTES)
    assert builder.build_outgrown() == [], "who takes in a file does not wait for what serves well to be built anew"
    assert builder.has_work(), "the background worker builds it"
    assert [(one.preset, one.published) for one in builder.build_outgrown(improve=True)] == [("hnsw", True)]
    check(indexes, EVERY)
    machine(0)
    assert not builder.has_work() and serving_preset(indexes) == "hnsw", "another machine's choice stays"


def test_what_serves_is_replaced_by_what_suits_once_it_is_outgrown(
    opened: Callable[..., Library], machine: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmsearch.indexing.lists.REBUILD_AFTER", (100, 100))
    machine(2 * GRAPH_BYTES)
    catalog, indexes, builder = parts(opened("auto"))
    builder.build_outgrown()
    assert serving_preset(indexes) == "hnsw"
    machine(0)
    space = catalog.read(active_space)
    assert space is not None
    catalog.commit(batch(SIZE, SIZE + 300), space.id)
    assert [one.preset for one in builder.build_outgrown()] == ["ivf-sq8"]


@pytest.mark.parametrize("faster", [True, False])
def test_a_graph_that_tries_hard_serves_only_where_it_answers_sooner(
    opened: Callable[..., Library], machine: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, faster: bool
) -> None:
    machine(GRAPH_BYTES)
    monkeypatch.setattr("mmsearch.indexing.tuning.EASY_EFFORT", 0)
    compared = []
    search = Trials.is_faster

    def told(trials: Trials, *given: object) -> bool:
        compared.append(isinstance(search(trials, *given), bool))  # type: ignore[arg-type]
        return faster

    monkeypatch.setattr(Trials, "is_faster", told)
    _, indexes, builder = parts(opened("auto"))
    (made,) = builder.build_outgrown()
    expected = "hnsw" if faster else "ivf-sq8"
    assert (made.preset, made.published, serving_preset(indexes)) == (expected, True, expected)
    assert compared == [True]
    assert not builder.has_work(), "the slower one is not tried again"


def test_a_graph_that_tries_hard_in_a_list_too_short_for_cells_leaves_it_exact(
    opened: Callable[..., Library], machine: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(GRAPH_BYTES)
    made = tuple(replace(one, from_size=None) if one.name == "ivf-sq8" else one for one in presets.PRESETS)
    monkeypatch.setattr("mmsearch.vectors.presets.PRESETS", made)
    monkeypatch.setattr("mmsearch.indexing.tuning.EASY_EFFORT", 0)
    _, indexes, builder = parts(opened("auto"))
    assert [(one.preset, one.published) for one in builder.build_outgrown()] == [("flat", True)]
    check(indexes, EVERY, least=1.0)
    assert not builder.has_work()


def test_the_faster_of_two_indexes_is_measured(opened: Callable[..., Library]) -> None:
    _, indexes, builder = parts(opened("hnsw"))
    builder.build_outgrown()
    found = indexes.ann_index(KEY)
    assert found is not None
    eager, lazy = (found[0].with_facts(search_effort=effort) for effort in (16, 2 * SIZE))
    assert builder._trials.is_faster(KEY, eager, lazy) and not builder._trials.is_faster(KEY, lazy, eager)


def test_building_anew_by_auto_says_what_serves(opened: Callable[..., Library], machine: Callable[[int], None]) -> None:
    machine(GRAPH_BYTES)
    library = opened("ivf-sq8")
    assert [(one.preset, one.published) for one in library.index.build("auto")] == [("hnsw", True)]
    assert [one.preset for one in library.index.status()] == ["hnsw"]
    assert [(one.preset, one.published) for one in library.index.build()] == [("ivf-sq8", True)]


@pytest.mark.parametrize("kind", ["auto", "ivf-sq8"])
def test_a_long_list_that_nobody_has_read_is_indexed_without_reading_it(
    opened: Callable[..., Library], machine: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    machine(0)
    catalog, indexes, builder = parts(opened(kind))
    assert builder.build_unread() == [], "it is short"
    monkeypatch.setattr("mmsearch.indexing.tuning.LONG", SIZE)
    read = []

    def whole(*given: object) -> Iterator[Change]:
        read.append(given)
        yield from ()

    monkeypatch.setattr("mmsearch.catalog.lists._whole", whole)
    (made,) = builder.build_unread()
    assert (made.preset, made.size, made.published, read) == ("ivf-sq8", SIZE, True, [])
    assert builder.build_unread() == [] and indexes.sizes() == {KEY: SIZE} and not read
    check(indexes, EVERY)
    space = catalog.read(active_space)
    assert space is not None
    catalog.commit(batch(SIZE, SIZE + 300), space.id)
    check(indexes, np.arange(SIZE + 300))
    indexes.publish()
    _, other, _ = parts(opened(kind))
    check(other, np.arange(SIZE + 300))
    assert serving_preset(other) == "ivf-sq8" and not read

"""Which index a list gets."""

import pytest

from mmsearch.vectors.ann import sample_size
from mmsearch.vectors.presets import preset_named, suited_preset


@pytest.mark.parametrize(
    ("size", "serving", "with_graph", "without"),
    [
        (9_999, "flat", "flat", "flat"),
        (10_000, "flat", "hnsw", "flat"),
        (20_000, "flat", "hnsw", "ivf-sq8"),
        (20_000, "ivf-sq8", "hnsw", "ivf-sq8"),
        (10_000_000, "flat", "hnsw", "ivf-pq"),
        # Shrunk, but not to half of what it begins at.
        (9_999, "hnsw", "hnsw", "flat"),
        (4_999, "hnsw", "flat", "flat"),
        (10_000, "ivf-sq8", "ivf-sq8", "ivf-sq8"),
        (9_999, "ivf-sq8", "flat", "flat"),
    ],
)
def test_auto_takes_the_graph_where_it_fits_and_cells_otherwise(
    size: int, serving: str, with_graph: str, without: str
) -> None:
    assert suited_preset(size, serving=serving, graph_fits=True).name == with_graph
    assert suited_preset(size, serving=serving).name == without


def test_a_preset_that_is_asked_for_is_taken_whatever_fits() -> None:
    assert suited_preset(1000, "hnsw").name == "hnsw" and suited_preset(999, "hnsw", graph_fits=True).name == "flat"
    assert suited_preset(10**7, "ivf", "hnsw", graph_fits=True).name == "ivf"


def test_only_cells_are_trained_on_more_than_a_few_vectors() -> None:
    sizes = [sample_size(preset_named(name), 10**6) for name in ("ivf-sq8", "hnsw", "hnsw-sq8")]
    assert sizes == [4096 * 40, 20_000, 20_000]

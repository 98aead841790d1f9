"""The measures on cases worked out by hand, and against scikit-learn's; reading pairs; merging lists."""

from fractions import Fraction
from math import log2
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score

from mmsearch.errors import InvalidInput
from mmsearch.evaluate import DirectionResult, Pair, QueryOutcome, UnusedPair, metrics, pairs, plot
from mmsearch.evaluate.ranking import merged

FOUND = (2, 3, 6)
"""Three relevant items: the second, third and sixth of a list."""


def test_recall_and_success_at_k_equal_values_worked_out_by_hand() -> None:
    assert [metrics.recall_at(FOUND, k) for k in (1, 2, 3, 5, 6)] == [0, 1 / 3, 2 / 3, 2 / 3, 1]
    assert [metrics.success_at(FOUND, k) for k in (1, 2, 3)] == [0, 1, 1]


def test_the_reciprocal_rank_is_that_of_the_first_relevant_item() -> None:
    assert metrics.reciprocal_rank(FOUND) == 1 / 2
    assert metrics.reciprocal_rank((1, 9)) == 1


def test_average_precision_equals_the_value_worked_out_by_hand() -> None:
    # Precision at each relevant item: 1 of 2, 2 of 3, 3 of 6; their mean is 5/9.
    assert metrics.average_precision(FOUND) == pytest.approx(float(Fraction(5, 9)), abs=1e-15)
    assert metrics.average_precision((1, 2, 3)) == 1


def test_ndcg_equals_the_value_worked_out_by_hand() -> None:
    # The best order would have ranks 1, 2, 3. Among the first five are two of them, at 2 and 3.
    best = 1 / log2(2) + 1 / log2(3) + 1 / log2(4)
    assert metrics.ndcg_at(FOUND, 5) == pytest.approx((1 / log2(3) + 1 / log2(4)) / best, abs=1e-15)
    # One place can hold one relevant item only, so a perfect start counts as perfect.
    assert metrics.ndcg_at((1, 5), 1) == 1
    assert metrics.ndcg_at((2, 3), 1) == 0


def test_ties_count_against_the_relevant_item() -> None:
    scores = np.array([0.5, 0.9, 0.5, 0.5, 0.1])
    relevant = np.array([True, False, False, True, True])
    # 0.9 leads; of the three at 0.5 the irrelevant one is put first.
    assert metrics.ranks(scores, relevant) == (3, 4, 5)
    assert metrics.ranks(np.zeros(4), np.array([True, False, False, False])) == (4,), "all equal: the last"
    assert metrics.ranks(scores[::-1], relevant[::-1]) == (3, 4, 5), "the order of the items does not matter"


def test_ranks_ignore_items_that_are_no_candidates() -> None:
    scores = np.array([np.nan, 0.2, 0.9, -np.inf])
    assert metrics.ranks(scores, np.array([True, True, False, True])) == (2, 3)


@pytest.mark.parametrize("seed", range(20))
def test_measures_agree_with_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.permutation(40).astype(np.float64)  # no ties: scikit-learn treats them otherwise
    relevant = random.random(40) < 0.2
    relevant[0] = True
    found = metrics.ranks(scores, relevant)
    assert metrics.average_precision(found) == pytest.approx(average_precision_score(relevant, scores), abs=1e-12)
    for k in (1, 5, 10, 40):
        assert metrics.ndcg_at(found, k) == pytest.approx(ndcg_score([relevant], [scores], k=k), abs=1e-12)


def test_the_interval_of_equal_values_is_a_point() -> None:
    assert metrics.interval(np.full(7, 0.25), np.mean, resamples=100, seed=0) == (0.25, 0.25)
    assert metrics.interval(np.array([3.0]), np.median, resamples=100, seed=0) == (3.0, 3.0)


def test_the_interval_of_a_share_is_the_binomial_one() -> None:
    # The mean of 100 draws from values that are half ones: binomial, standard deviation 0.05, so 0.5 -+ 1.96 * 0.05.
    values = np.repeat([0.0, 1.0], 50)
    low, high = metrics.interval(values, np.mean, resamples=20_000, seed=1)
    assert [low, high] == pytest.approx([0.402, 0.598], abs=0.011)
    assert metrics.interval(values, np.mean, resamples=20_000, seed=1) == (low, high), "the seed decides"


def test_resampling_in_chunks_gives_the_same_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(50)
    whole = metrics.interval(values, np.median, resamples=40, seed=3)
    monkeypatch.setattr(metrics, "CHUNK", 60)
    assert metrics.interval(values, np.median, resamples=40, seed=3) == whole


def test_two_lists_are_merged_by_tail_then_score() -> None:
    # The best orders are 0, 0, 1; among the first two the score that goes with it decides: 0.9 over 0.3.
    scores = [np.array([0.3, 0.2, 0.1], np.float32), np.array([0.7, 0.9, 0.8], np.float32)]
    orders = [np.array([0.0, 1.0, 2.0]), np.array([2.0, 0.0, 1.0])]
    assert merged(scores, orders).tolist() == [-1, 0, -2]


def test_ties_stay_ties_in_a_merged_list() -> None:
    scores = [np.array([0.5, 0.5, 0.1], np.float32), np.array([-np.inf, -np.inf, 0.5], np.float32)]
    orders = [np.array([0.0, 0.0, 2.0]), np.array([np.inf, np.inf, 0.0])]
    assert merged(scores, orders).tolist() == [0, 0, 0]


def table(folder: Path, *lines: str) -> Path:
    path = folder / "pairs.tsv"
    path.write_bytes("\n".join(lines).encode())
    return path


def test_pairs_have_text_or_file_queries(tmp_path: Path) -> None:
    (tmp_path / "q.png").touch()
    path = table(tmp_path, "query\trelevant\tnote", "a dog\ta.jpg, sub/b.jpg\tx", f"q.png\t{tmp_path}/c.ogg", "")
    assert pairs.read_pairs(path).pairs == (
        Pair("a dog", (tmp_path / "a.jpg", tmp_path / "sub" / "b.jpg"), 2, path),
        Pair(tmp_path / "q.png", (tmp_path / "c.ogg",), 3, path),
    )
    assert pairs.read_pairs(path).unused == ()


def test_each_unusable_line_of_pairs_is_listed_with_its_reason(tmp_path: Path) -> None:
    lines = ["", "one column", "\ta.jpg", "cat\t , ", "nowhere.png\ta.jpg", "cat\ta.jpg", "cat\ta.jpg"]
    path = table(tmp_path, "query\trelevant", *lines)
    found = pairs.read_pairs(path)
    assert [(one.line, one.why) for one in found.unused] == [
        (2, "empty line"),
        (3, "too few columns"),
        (4, "no query"),
        (5, "no relevant files"),
        (6, "no such query file: nowhere.png"),
        (8, "duplicate of line 7"),
    ]
    assert found.unused[0] == UnusedPair(path, 2, "empty line")
    assert [pair.line for pair in found.pairs] == [7]


def test_lines_with_the_same_query_are_one_question(tmp_path: Path) -> None:
    path = table(tmp_path, "query\trelevant", "cat\ta.jpg", "cat\tb.jpg,a.jpg")
    (pair,) = pairs.read_pairs(path).pairs
    assert (pair.line, [file.name for file in pair.relevant]) == (2, ["a.jpg", "b.jpg"])
    assert pairs.read_pairs(path).unused == (UnusedPair(path, 3, "the same file twice; counted once"),)


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_bytes(b"\xef\xbb\xbfquery\trelevant\r\nred \x0c car\ta.jpg\r\n")
    (pair,) = pairs.read_pairs(path).pairs
    assert (pair.query, pair.relevant) == ("red \x0c car", (tmp_path / "a.jpg",))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "header"), (b"a\tb\n", "header"), (b"query\trelevant\n\xff\ta", "not UTF-8")],
)
def test_a_file_that_is_no_table_of_pairs_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        pairs.read_pairs(path)
    with pytest.raises(InvalidInput, match="can't read"):
        pairs.read_pairs(tmp_path / "absent.tsv")


def test_the_curve_ends_where_everything_is_found() -> None:
    outcomes = (QueryOutcome("a", 2, (1, 4)), QueryOutcome("b", 3, (4,)))
    counts, recall = plot.curve(DirectionResult("text", "image", 6, {}, 1.0, outcomes))
    assert (counts, recall) == ([1, 4, 6], [0.25, 1.0, 1.0])

"""Near-duplicates: which contents are alike, and how a ranking is folded, by hand-made vectors."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsearch.search.dedup import REACH, deduplicate
from mmsearch.search.ranking import RankedItem
from mmsearch.search.similarity import ContentProfile, possible_duplicates, similarity
from mmsearch.types import Vectors

LEAST = {"image": 0.9, "audio": 0.8}


def at(*degrees: float) -> Vectors:
    """Unit vectors in the plane, float32 (n, 2)."""
    turned = np.radians(np.array(degrees, np.float64))
    return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)


def sound(content: int, *degrees: float) -> ContentProfile:
    return ContentProfile(content, {"audio": at(*degrees)})


def test_similarity_is_that_of_the_worst_pair_of_aligned_segments() -> None:
    one, other = sound(1, 0, 90, 180), sound(2, 10, 90, 150)
    assert similarity(one, other, LEAST) == pytest.approx(np.cos(np.radians(30)))
    assert similarity(one, sound(3, 10, 90, 140), LEAST) is None
    assert similarity(one, sound(1, 45), LEAST) == 1.0, "the same content"


@pytest.mark.parametrize(
    ("degrees", "alike"),
    [((0, 90, 180, 33), True), ((33, 0, 90, 180), True), ((0, 90), False), ((90, 180), False), ((0, 180), False),
     ((0, 45, 90, 180), False), ((0,), False), ((0, 90, 180, 270, 0), False)],
)  # fmt: skip
def test_one_segment_more_or_fewer_at_either_end_is_still_a_duplicate(degrees: tuple[float, ...], alike: bool) -> None:
    one, other = sound(1, 0, 90, 180), sound(2, *degrees)
    assert (similarity(one, other, LEAST) is not None) == alike == (similarity(other, one, LEAST) is not None)


def test_short_items_must_match_in_every_segment() -> None:
    assert similarity(sound(1, 0, 90, 180), sound(2, 0, 90), LEAST) is None
    assert similarity(sound(1, 0), sound(2, 0, 0), LEAST) is None
    assert similarity(sound(1, 0, 90, 180, 270), sound(2, 90, 180, 270), LEAST) is not None


def test_items_must_match_in_every_modality() -> None:
    video = ContentProfile(1, {"image": at(0), "audio": at(0)})
    assert similarity(video, ContentProfile(2, {"image": at(20), "audio": at(30)}), LEAST) == pytest.approx(
        np.cos(np.pi / 6)
    )
    assert similarity(video, ContentProfile(3, {"image": at(30), "audio": at(30)}), LEAST) is None
    assert similarity(video, ContentProfile(4, {"image": at(0)}), LEAST) is None
    assert similarity(video, ContentProfile(5, {}), LEAST) is None
    text = ContentProfile(6, {"text": at(0)})
    assert similarity(text, ContentProfile(7, {"text": at(0)}), LEAST) is None, "nothing is known of texts"


def test_equal_vectors_are_duplicates_at_a_threshold_of_one() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 384))
    unit = np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
    for row in unit:
        assert (
            similarity(ContentProfile(1, {"image": row[None]}), ContentProfile(2, {"image": row[None]}), {"image": 1.0})
            is not None
        )


segments = st.lists(st.sampled_from([0.0, 5.0, 20.0, 30.0, 40.0, 90.0]), min_size=1, max_size=4)
kinds = st.dictionaries(st.sampled_from(["image", "audio", "text"]), segments, max_size=2)
profiles = st.builds(
    lambda content, held: ContentProfile(content, {kind: at(*degrees) for kind, degrees in held.items()}),
    st.integers(1, 20), kinds,
)  # fmt: skip


@pytest.mark.slow
@given(st.lists(profiles, max_size=12))
def test_candidate_search_misses_no_duplicate(held: Sequence[ContentProfile]) -> None:
    for place, (one, found) in enumerate(zip(held, possible_duplicates(held, LEAST), strict=True)):
        alike = {n for n in range(place) if similarity(held[n], one, LEAST) is not None}
        assert alike <= set(found) <= set(range(place))


def hits(modalities: Sequence[str]) -> list[RankedItem]:
    return [RankedItem(n, n, f"{n}".encode(), kind, 1.0) for n, kind in enumerate(modalities)]


def always(one: int, other: int) -> bool:
    """Every pair that a cosine proposes is proved."""
    return True


def folded(
    degrees: Sequence[float], *, whole: bool = True, modality: str = "image"
) -> tuple[dict[str, list[str]], int]:
    """Names of the shown hits -> those folded into them; and how many are settled."""
    known = {n: ContentProfile(n, {"image": at(degree)}) for n, degree in enumerate(degrees)}
    shown, settled = deduplicate(hits([modality] * len(degrees)), known, LEAST, always, whole=whole)
    return {hit.path.decode(): [path.decode() for path in hit.duplicates] for hit in shown}, settled


def test_a_hit_becomes_a_duplicate_of_the_first_similar_one() -> None:
    # 0.9 is the cosine of 25.8 degrees: 40 is alike to 20, which is no leader.
    assert folded([0, 20, 40, 90, 22, 60]) == ({"0": ["1", "4"], "2": ["5"], "3": []}, 3)


def test_a_cosine_alone_folds_nothing() -> None:
    known = {n: ContentProfile(n, {"image": at(0)}) for n in range(3)}
    shown, _ = deduplicate(hits(["image"] * 3), known, LEAST, lambda one, other: (one, other) == (0, 2), whole=True)
    assert [(hit.item_id, hit.duplicates) for hit in shown] == [(0, (b"2",)), (1, ())]


def test_only_hits_of_one_modality_are_duplicates() -> None:
    known = {n: ContentProfile(5, {"image": at(0)}) for n in range(3)}
    shown, _ = deduplicate(hits(["image", "video", "image"]), known, LEAST, always, whole=True)
    assert [(hit.item_id, hit.duplicates) for hit in shown] == [(0, (b"2",)), (1, ())]


def test_copies_are_duplicates_without_vectors_and_unknown_items_never() -> None:
    shown, _ = deduplicate(hits(["image"] * 4), {n: ContentProfile(5, {}) for n in (0, 2)}, LEAST, always, whole=True)
    assert [(hit.item_id, len(hit.duplicates)) for hit in shown] == [(0, 1), (1, 0), (3, 0)]


def test_a_hit_is_compared_with_a_bounded_number_of_hits_before_it() -> None:
    between = [90.0 * (1 + n % 3) for n in range(REACH)]
    assert list(folded([0, *between[:-1], 0])[0]) == ["0", "1", "2", "3"]
    assert list(folded([0, *between, 0])[0]) == ["0", "1", "2", "3", str(REACH + 1)]
    half = between[: REACH // 2]
    assert folded([0, *half, 0, *half, 0])[0]["0"] == [str(REACH // 2 + 1), str(REACH + 2)], "the last one counts"


def test_hits_are_final_once_later_ones_cannot_reach_them() -> None:
    assert folded([0, 90], whole=False) == ({"0": [], "1": []}, 0)
    far = [0.0, *[90.0] * (REACH - 1)]
    assert folded(far, whole=False)[1] == 0
    assert folded([*far, 90.0], whole=False)[1] == 1


@pytest.mark.slow
@given(st.lists(st.sampled_from([0.0, 24.0, 48.0, 90.0, 114.0, 180.0]), min_size=30, max_size=90), st.data())
def test_final_hits_do_not_change_with_more_results(degrees: list[float], data: st.DataObject) -> None:
    known = {n: ContentProfile(n, {"image": at(degree)}) for n, degree in enumerate(degrees)}
    everything = hits(["image"] * len(degrees))
    end, _ = deduplicate(everything, known, LEAST, always, whole=True)
    cut = data.draw(st.integers(0, len(degrees)))
    begun, settled = deduplicate(everything[:cut], known, LEAST, always, whole=False)
    assert begun[:settled] == end[:settled]

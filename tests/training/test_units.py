"""What a head takes for one thing, by vectors made by hand."""

from collections.abc import Collection

import numpy as np
import pytest

from mmsearch.catalog.embeddings import SegmentVectors
from mmsearch.encoders.fusion import FusionFacts, Mean, dump_fusion
from mmsearch.errors import InvalidInput
from mmsearch.training import splits
from mmsearch.training.serving import units
from mmsearch.training.serving.records import KINDS

MEAN = dump_fusion(Mean(4, len(KINDS)), FusionFacts("mean", 4, KINDS, "by hand", "0" * 64))
AXES = np.eye(4, dtype=np.float32)
STORED = {1: [("image", 0)], 2: [("audio", 1), ("audio", 2), ("audio", 2)], 3: [], 5: [("text", 3), ("image", 0)]}
"""Content -> (modality, axis) of each of its segments."""


def segments(wholes: Collection[tuple[int, ...]]) -> SegmentVectors:
    contents = sorted({content for whole in wholes for content in whole})
    rows = [(content, kind, axis) for content in contents for kind, axis in STORED[content]]
    return SegmentVectors(
        np.array([row[0] for row in rows], np.int64), [row[1] for row in rows], AXES[[row[2] for row in rows]]
    )


def test_modalities_weigh_the_same_however_many_segments_they_have() -> None:
    asked = [(2, 5), (1, 2), (3,)]
    known, made = units.unit_vectors(asked, MEAN, segments(asked))
    assert known == [(1, 2), (2, 5)], "nothing is known of content 3"
    sound = np.array([0, 1, 2, 0]) / np.sqrt(5)
    assert made[0] == pytest.approx((AXES[0] + sound) / np.sqrt(2), abs=1e-6)
    assert made[1] == pytest.approx((AXES[3] + AXES[0] + sound) / np.sqrt(3), abs=1e-6)


def test_the_mean_fusion_of_a_single_file_is_its_own_vector() -> None:
    alone = [(1,), (2,), (3,), (5,)]
    (known, fused), (same, plain) = (units.unit_vectors(alone, fusion, segments(alone)) for fusion in (MEAN, b""))
    assert known == same == [(1,), (2,), (5,)]
    assert fused == pytest.approx(plain, abs=1e-6)


def test_fusing_in_chunks_gives_the_same_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [(1,), (1, 2), (2, 5), (5,)]
    _, whole = units.unit_vectors(asked, MEAN, segments(asked))
    monkeypatch.setattr(units, "AT_ONCE", 3)
    assert [len(batch) for batch in units._batches([1, 4, 5, 2, 1])] == [2, 1, 1, 1]
    assert units.unit_vectors(asked, MEAN, segments(asked))[1] == pytest.approx(whole, abs=1e-6)


def test_a_nan_vector_is_refused() -> None:
    found = segments([(1, 2)])
    broken = found._replace(vectors=np.full_like(found.vectors, np.nan))
    with pytest.raises(InvalidInput, match="NaN"):
        units.unit_vectors([(1, 2)], MEAN, broken)


def test_pairs_that_share_a_picture_or_a_sound_are_one_group() -> None:
    asked = [(1, 2), (2, 3), (3, 5), (4, 6), (1, 4), (6, 7)]
    found = SegmentVectors(
        np.array([1, 2, 3, 4, 5, 6, 7]), ["image", "audio", "text", "text", "image", "text", "image"], AXES
    )
    grouped = splits.split_groups(len(asked), ties=units.shared_media(asked, found))
    assert grouped.tolist() == [0, 0, 1, 2, 0, 3], "texts may lie beside many"

"""Of a long picture squares are seen besides the whole, so that what is small in it can be found."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmsearch.library import Library
from mmsearch.media.evidence import EvidenceMaker
from mmsearch.media.image import ImageDecoder
from mmsearch.media.panorama import boxes, squares
from mmsearch.types import Limits, Windowing
from tests.media_files import GREEN, RED

DECODER = ImageDecoder(Windowing(), Limits())


def strip(width: int, height: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Each column, or each row of what is higher than wide, has its number in one channel."""
    long = np.arange(max(width, height)) % 256
    grid = np.tile(long, (min(width, height), 1)) if width >= height else np.tile(long[:, None], (1, width))
    return np.repeat(grid[:, :, None], 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize(
    ("long", "short", "starts"),
    [
        (64, 64, []),
        (120, 64, []),
        (128, 64, [0, 32, 64]),
        (127, 64, [0, 32, 63]),
        (160, 64, [0, 32, 64, 96]),
        (250, 64, [0, 31, 62, 93, 124, 155, 186]),
        (200, 20, []),
    ],
)
def test_squares_lie_evenly_along_the_longer_side(long: int, short: int, starts: list[int]) -> None:
    wide = squares(strip(long, short))
    assert [one.shape for one in wide] == [(short, short, 3)] * len(starts)
    assert [int(one[0, 0, 0]) for one in wide] == starts
    assert boxes(long, short) == [(at / long, 0, (at + short) / long, 1) for at in starts]
    assert boxes(short, long) == [(0, at / long, 1, (at + short) / long) for at in starts]
    high = squares(strip(short, long))
    assert [int(one[0, 0, 0]) for one in high] == starts


@pytest.mark.parametrize("aspect", [8, 10, 16, 20, 100])
def test_never_more_than_sixteen_and_nothing_is_left_out(aspect: int) -> None:
    found = squares(np.zeros((32, 32 * aspect, 3), np.uint8))
    assert len(found) == (15 if aspect == 8 else 16)
    assert sum(one.shape[1] for one in found) >= 32 * aspect


@pytest.mark.parametrize("aspect", [4.2, 4.3, 7, 20])
def test_where_photos_have_regions_none_has_more_than_eight_vectors(tmp_path: Path, aspect: float) -> None:
    """Up to seven squares are the same ones as elsewhere."""
    Image.fromarray(strip(round(64 * aspect), 64)).save(tmp_path / "x.png")
    regions = list(ImageDecoder(Windowing(regions=3), Limits()).decode(tmp_path / "x.png"))
    others = list(DECODER.decode(tmp_path / "x.png"))
    assert len(regions) == 8 and len(others) == {4.2: 8, 4.3: 9, 7: 14, 20: 17}[aspect]
    assert ([one.span for one in regions] == [one.span for one in others]) == (aspect == 4.2)
    assert sum(np.asarray(one.data).shape[1] for one in regions[1:]) >= round(64 * aspect)


def test_a_panorama_is_the_same_picture_as_before(tmp_path: Path) -> None:
    Image.fromarray(strip(250, 64)).save(tmp_path / "x.png")
    found = list(DECODER.decode(tmp_path / "x.png"))
    assert [one.part for one in found] == [False] + [True] * 7
    made = []
    for segments in (found, found[:1]):
        maker = EvidenceMaker("image")
        for segment in segments:
            maker.add(segment)
        made.append(maker.finish())
    assert made[0] == made[1] != b""


def test_what_is_at_one_end_of_a_panorama_is_found(library: Library, folder: Path) -> None:
    pixels = np.full((64, 640, 3), RED, np.uint8)
    pixels[:, :64] = GREEN
    Image.fromarray(pixels).save(folder / "sea.png")
    assert library.ingest(folder).segments == 17
    (hit,) = library.search("green", modalities=["image"])
    assert hit.path.name == "sea.png" and hit.cosine == pytest.approx(1), "the whole has a tenth of it"
    reason = library.explain("green", hit, overlay=folder.parent / "heat.png")
    assert reason.score == pytest.approx(1) and reason.shown == (0, 0, 0.1, 1), "the square at that end"

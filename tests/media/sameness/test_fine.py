"""The second look at pages, screens and drawings: one digit of small type is a difference, what JPEG does is none."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import mmsearch
from mmsearch.media.evidence import picture_evidence
from mmsearch.media.fine import NEEDED, fine_copy, show_the_same
from mmsearch.media.pixels import upright_rgb
from mmsearch.media.sameness.evidence import Evidence
from mmsearch.media.sameness.proof import DOUBTFUL, Facts, Witness, is_doubtful, prove, same
from tests.benchmarks.sameness_data import page

PHONE = (1080, 1920)
SEED = 29
"""Of a page in light type on a dark ground: what one digit changes is what JPEG changes, in the small copies."""


def saved(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue()))


def half(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


def copied(image: Image.Image) -> NDArray[np.uint8]:
    return fine_copy(np.asarray(image.convert("RGB")))


@pytest.fixture(scope="module")
def original() -> Image.Image:
    return page(SEED, None, PHONE)


@pytest.fixture(scope="module")
def another() -> Image.Image:
    """With another digit."""
    return page(SEED, SEED + 1000, PHONE)


def test_a_page_is_not_one_with_another_digit(original: Image.Image, another: Image.Image) -> None:
    whole, other = copied(original), copied(another)
    assert whole.shape == other.shape == PHONE[::-1]
    assert show_the_same(whole, whole)
    for copy in (saved(original, 60), saved(half(original), 90)):
        assert show_the_same(whole, copied(copy)) and show_the_same(copied(copy), whole)
        assert not show_the_same(other, copied(copy)) and not show_the_same(copied(copy), other)
    assert not show_the_same(whole, other)


def test_too_small_a_page_proves_nothing() -> None:
    grey = np.zeros((NEEDED, NEEDED, 3), np.uint8)
    assert show_the_same(fine_copy(grey), fine_copy(grey))
    assert not show_the_same(fine_copy(grey), fine_copy(grey[1:]))


@pytest.mark.parametrize("way", [Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.LANCZOS])
def test_half_a_page_of_little_type_is_told_from_one_with_another_digit(way: Image.Resampling) -> None:
    size = (800, 1100)
    whole, other = page(SEED, None, size), page(SEED, SEED + 1000, size)
    smaller = copied(saved(whole.resize((400, 550), way), 60))
    assert show_the_same(copied(whole), smaller)
    assert not show_the_same(copied(other), smaller)


def test_a_small_page_of_the_same_size_is_compared_as_it_is() -> None:
    small = (360, 640)
    original, another = page(SEED, None, small), page(SEED, SEED + 1000, small)
    assert show_the_same(copied(original), copied(saved(original, 60)))
    assert not show_the_same(copied(another), copied(saved(original, 60)))


def test_what_small_copies_leave_in_doubt_is_not_folded(original: Image.Image, another: Image.Image) -> None:
    def witness(image: Image.Image) -> Witness:
        size = image.size
        return Witness(Facts("image", *size), Evidence((picture_evidence(upright_rgb(image, 292)),)))

    changed, jpeg = witness(another), witness(saved(original, 60))
    proof = prove(changed, jpeg)
    assert proof is not None and proof.kind == "saved again" and proof.figure > DOUBTFUL
    assert is_doubtful(changed, jpeg, proof) and same(changed, jpeg) is None
    assert same(witness(saved(original, 95)), jpeg) is not None, "where there is no doubt"


@pytest.mark.slow
def test_duplicates_look_at_the_files_of_pages_again(
    tmp_path: Path, original: Image.Image, another: Image.Image
) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    original.save(folder / "page.png")
    another.save(folder / "changed.png")
    original.save(folder / "page.jpg", quality=60)
    with mmsearch.open(tmp_path / "library", space="starter") as library:
        library.ingest(folder)
        groups = [{one.path.name for one in group.files} for group in library.duplicates(kinds=["saved again"])]
        assert groups == [{"page.png", "page.jpg"}]
        (folder / "page.png").unlink()
        assert library.duplicates(kinds=["saved again"]) == [], "what can't be looked at proves nothing"

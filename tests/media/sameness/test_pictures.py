"""What pictures prove: pages that differ in one figure, bursts, crops, other colours, and what shows nothing."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from mmsearch.media.evidence import EvidenceMaker
from mmsearch.media.pixels import upright_rgb
from mmsearch.media.sameness.evidence import Evidence, unpack
from mmsearch.media.sameness.proof import Facts, Proof, Witness, prove, same
from mmsearch.types import Segment
from tests.benchmarks.sameness_data import logo, page, sign


def saved(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=quality)
    return Image.open(file)


def half(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


def witness(image: Image.Image, taken: str | None = None) -> Witness:
    maker = EvidenceMaker("image")
    maker.add(Segment("image", upright_rgb(image.copy(), 292)))
    kept = maker.finish()
    assert 0 < len(kept) < 32_000
    return Witness(Facts("image", image.width, image.height, None, taken), unpack(kept) or Evidence())


def scene(seed: int = 0, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """A picture with detail of every size, as photos have."""
    chance = np.random.default_rng(seed)
    made = np.zeros((size[1], size[0], 3))
    for side in (4, 16, 64):
        layer = Image.fromarray(chance.integers(0, 256, (side, side, 3), np.uint8))
        made += np.asarray(layer.resize(size, Image.Resampling.BICUBIC)) / 3
    return Image.fromarray(made.astype(np.uint8))


def kind(proof: Proof | None) -> str | None:
    return None if proof is None else proof.kind


def with_a_moved_part(image: Image.Image) -> Image.Image:
    moved = image.copy()
    moved.paste((250, 30, 30), (300, 200, 360, 260))
    return moved


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda image: saved(image, 60), "saved again"),
        (lambda image: saved(half(image), 90), "resized"),
        (lambda image: image.crop((32, 24, 608, 456)), "cropped"),
        (lambda image: image.convert("L").convert("RGB"), "recoloured"),
        (lambda image: image.point(lambda level: level * 0.7), "recoloured"),
        (with_a_moved_part, "burst"),
        (lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), None),
        (lambda image: scene(1), None),
    ],
)
def test_a_changed_photo_is_told_by_its_kind(
    change: Callable[[Image.Image], Image.Image], expected: str | None
) -> None:
    assert kind(prove(witness(scene()), witness(change(scene())))) == expected


def test_a_picture_with_another_time_of_the_camera_is_another_shot() -> None:
    one, other = witness(scene(), "2024-05-01T10:00:00"), witness(saved(scene(), 90), "2024-05-01T10:00:01")
    assert kind(prove(one, other)) == "burst"
    assert same(one, other) is None
    assert kind(same(one, witness(saved(scene(), 90), "2024-05-01T10:00:00"))) == "saved again"


@pytest.mark.slow
@pytest.mark.parametrize("number", range(4))
def test_pages_that_differ_in_one_figure_prove_nothing(number: int) -> None:
    one, other = page(number), page(number, 1000 + number)
    assert prove(witness(one), witness(other)) is None
    assert prove(witness(one), witness(saved(other, 60))) is None
    assert prove(witness(one), witness(saved(half(other), 90))) is None
    assert kind(same(witness(one), witness(saved(one, 60)))) == "saved again"
    assert kind(same(witness(one), witness(saved(half(one), 90)))) == "resized"


def test_white_logos_and_mirrored_signs_are_told_apart() -> None:
    logos = [witness(logo(n)) for n in range(4)]
    assert [prove(one, other) for n, one in enumerate(logos) for other in logos[:n]] == [None] * 6
    assert kind(same(logos[0], witness(logo(0)))) == "saved again"
    mirrored = sign(0).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert same(witness(sign(0)), witness(mirrored)) is None


def test_what_shows_nothing_proves_nothing() -> None:
    flat = [witness(Image.new("RGB", (64, 64), colour)) for colour in ("red", "red", "blue")]
    assert [prove(flat[0], other) for other in flat[1:]] == [None, None]
    assert same(Witness(Facts("image"), Evidence()), flat[0]) is None

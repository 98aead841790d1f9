"""The image encoder against the checkpoint's original code, and its way into the words' space."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from mmsearch.encoders.starter.image import SIDE, StarterImage, efficientnet, folded
from mmsearch.encoders.starter.text import StarterText
from mmsearch.types import Segment

GOLDEN = Path(__file__).parents[1] / "assets" / "starter" / "lite2.npz"
WORDS = {
    "dog-at-a-laptop": "a dog",
    "elephant-and-keeper": "an elephant",
    "cat-in-a-banana-tree": "a cat climbing in a tree",
}


@pytest.fixture(scope="module")
def encoder() -> StarterImage:
    return StarterImage("cpu")


@pytest.fixture(scope="module")
def golden() -> dict[str, NDArray[Any]]:
    with np.load(GOLDEN) as file:
        return dict(file)


@pytest.mark.slow
def test_logits_equal_those_of_the_original_model(encoder: StarterImage, golden: dict[str, NDArray[Any]]) -> None:
    """Logits of efficientnet-lite-pytorch on the same checkpoint and input; see tests/assets/starter/README.md."""
    # The reference saw pictures reduced by a bicubic filter; what is compared here is the model.
    prepared = [
        np.asarray(Image.fromarray(golden[name]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for name in WORDS
    ]
    ours = encoder.seen(encoder._loaded(), prepared).logits.numpy()
    theirs = np.stack([golden[f"{name}:logits"] for name in WORDS])
    cosines = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    assert (cosines > 0.9999).all()
    np.testing.assert_array_equal(ours.argmax(1), theirs.argmax(1))


@pytest.mark.slow
def test_the_network_is_that_of_timm() -> None:
    timm = pytest.importorskip("timm")
    ours, theirs = efficientnet(), timm.create_model("tf_efficientnet_lite2", pretrained=False).eval()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    for sides in ((96, 96), (65, 97)):
        pixels = torch.rand(1, 3, *sides, generator=torch.Generator().manual_seed(3)) * 2 - 1
        with torch.inference_mode():
            torch.testing.assert_close(ours(pixels), theirs(pixels), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.extras
def test_a_picture_is_encoded_without_torch_s_compiler() -> None:
    """Loading it takes longer than hundreds of pictures."""
    code = """
import sys
import numpy as np
from mmsearch.encoders.starter.regions import RegionImage
from mmsearch.types import Segment
encoder = RegionImage("cpu")
encoder.encode_regions([encoder.prepare(Segment("image", np.zeros((9, 9, 3), np.uint8)))], 3)
print(sorted({"timm", "torchvision", "torch._dynamo", "sympy"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


@pytest.mark.slow
def test_merging_batch_norms_into_convolutions_changes_only_rounding(golden: dict[str, NDArray[Any]]) -> None:
    pixels = np.stack([np.asarray(Image.fromarray(golden[name]).resize((SIDE, SIDE))) for name in WORDS])
    scaled = torch.tensor(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    plain, quick = efficientnet(), folded(efficientnet())
    assert any(isinstance(part, torch.nn.BatchNorm2d) for part in plain.modules())
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in quick.modules())
    with torch.inference_mode():
        torch.testing.assert_close(quick(scaled), plain(scaled), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_the_right_picture_is_nearest_to_each_text(encoder: StarterImage, golden: dict[str, NDArray[Any]]) -> None:
    text = StarterText("cpu")
    pictures = encoder.encode([encoder.prepare(Segment("image", golden[name])) for name in WORDS])
    words = text.encode([text.prepare(Segment("text", words)) for words in WORDS.values()])
    assert (words @ pictures.T).argmax(1).tolist() == [0, 1, 2]


def test_a_picture_is_resized_to_the_square_without_cropping(encoder: StarterImage) -> None:
    picture = np.zeros((50, 400, 3), np.uint8)
    picture[:, :100] = (255, 0, 0)
    picture[:, 300:] = (0, 0, 255)
    prepared = encoder.prepare(Segment("image", picture))
    assert prepared.dtype == np.uint8
    assert prepared.shape == (260, 260, 3)
    assert prepared[130, [0, 130, 259]].tolist() == [[255, 0, 0], [0, 0, 0], [0, 0, 255]]


def test_pixels_in_any_memory_layout_give_the_same_vector(encoder: StarterImage) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    expected = encoder.prepare(Segment("image", picture))
    upside_down = picture[::-1].copy()[::-1]
    assert not upside_down.flags.c_contiguous
    np.testing.assert_array_equal(encoder.prepare(Segment("image", upside_down)), expected)
    picture.flags.writeable = False
    np.testing.assert_array_equal(encoder.prepare(Segment("image", picture)), expected)

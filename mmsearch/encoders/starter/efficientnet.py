"""EfficientNet-Lite2 as a torch module: the network, and nothing of the package that could make it.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019; Lite2 is the same
without attention among channels and with ReLU6. `timm` makes it as well, and is held against this by a test; but to
import that loads torchvision and torch's compiler, which takes longer than three hundred pictures.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STEM, FEATURES, CLASSES = 32, 1280, 1000
EPSILON = 0.001
COUNTER = "num_batches_tracked"
STAGES = ((3, 3, 2, 24), (3, 5, 2, 48), (4, 3, 2, 88), (4, 5, 1, 120), (5, 5, 2, 208), (1, 3, 1, 352))
"""(blocks, side of the kernels, stride of the first block, channels)."""
WIDER = 6
"""Times as many channels inside a block."""


class StridedConv(nn.Conv2d):
    """A convolution of stride 2, padded as TensorFlow's SAME pads: at the end by one more where it is odd."""

    def forward(self, input: Tensor) -> Tensor:
        sides, kernel = input.shape[2:], self.kernel_size[0]
        zeros = [max((-(-side // 2) - 1) * 2 + kernel - side, 0) for side in sides]
        down, across = zeros
        padded = F.pad(input, (across // 2, across - across // 2, down // 2, down - down // 2))
        return super().forward(padded)


class Normalised(nn.BatchNorm2d):
    """A normalisation, and the activation after it."""

    def __init__(self, channels: int, act: nn.Module) -> None:
        super().__init__(channels, eps=EPSILON)
        self.act = act

    def forward(self, input: Tensor) -> Tensor:
        made: Tensor = self.act(super().forward(input))
        return made


def _layers(
    before: int, after: int, kernel: int = 1, stride: int = 1, *, apart: bool = False, active: bool = True
) -> list[nn.Module]:
    """A convolution, of each channel apart or of all together, and what follows it."""
    groups = before if apart else 1
    conv: nn.Conv2d
    if stride == 2:
        conv = StridedConv(before, after, kernel, 2, groups=groups, bias=False)
    else:
        conv = nn.Conv2d(before, after, kernel, padding=kernel // 2, groups=groups, bias=False)
    return [conv, Normalised(after, nn.ReLU6(inplace=True) if active else nn.Identity())]


class InvertedResidual(nn.Sequential):
    """Channels made many, each looked at apart, and made few; what came in is added where it has the same shape."""

    def __init__(self, before: int, after: int, kernel: int, stride: int) -> None:
        inside = before * WIDER
        super().__init__(
            *_layers(before, inside),
            *_layers(inside, inside, kernel, stride, apart=True),
            *_layers(inside, after, active=False),
        )
        self.adds = before == after and stride == 1

    def forward(self, input: Tensor) -> Tensor:
        made: Tensor = super().forward(input)  # type: ignore[no-untyped-call]
        return made + input if self.adds else made


class EfficientNetLite2(nn.Module):
    """Pixels in [-1, 1] -> logits of ImageNet's classes. Parameters are registered in the order of the checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        first = 16
        layers = [*_layers(3, STEM, 3, 2), *_layers(STEM, STEM, 3, apart=True), *_layers(STEM, first, active=False)]
        width = first
        for blocks, kernel, stride, wider in STAGES:
            for number in range(blocks):
                layers.append(InvertedResidual(width, wider, kernel, 1 if number else stride))
                width = wider
        self.tower = nn.Sequential(*layers, *_layers(width, FEATURES))
        self.classifier = nn.Linear(FEATURES, CLASSES)

    def maps(self, pixels: Tensor) -> Tensor:
        """float (n, 3, h, w) -> the last map, (n, 1280, h / 32, w / 32)."""
        made: Tensor = self.tower(pixels)
        return made

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.classifier(pooled(self.maps(pixels)))
        return logits


def pooled(maps: Tensor) -> Tensor:
    """The mean of a map over its cells, (n, 1280)."""
    return F.adaptive_avg_pool2d(maps, 1).flatten(1)


def load_efficientnet(path: Path) -> EfficientNetLite2:
    """The network with the weights of a checkpoint, in evaluation mode."""
    stored = torch.load(path, map_location="cpu", weights_only=True)
    with torch.device("meta"):
        module = EfficientNetLite2()
    # The names differ but the order is the same; the counters of training steps play no part.
    theirs = [value for name, value in stored.items() if not name.endswith(COUNTER)]
    ours = [name for name in module.state_dict() if not name.endswith(COUNTER)]
    counters = {name: torch.tensor(0) for name in module.state_dict() if name.endswith(COUNTER)}
    module.load_state_dict({**dict(zip(ours, theirs, strict=True)), **counters}, assign=True)
    return module.eval()

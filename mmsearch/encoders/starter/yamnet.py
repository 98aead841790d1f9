"""YAMNet as a torch module: a log-mel front end and MobileNet v1 (Howard et al., 2017) with 521 AudioSet classes.

Weights come from Google's quantised TFLite file (see README.md here); activations stay in floating point.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from mmsearch.encoders.packed import PackedConv, PackedHalving, pack, packs
from mmsearch.encoders.starter.audioset import RATE

SPECTRA, SPECTRA_HOP, BANDS = 96, 48, 64
"""Spectra of one frame, spectra between two frames, mel bands. A spectrum takes 400 samples, 160 apart."""
CLASSES = 521

STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
"""Of the depthwise convolutions; the stem before them has 2."""
WIDTHS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)


class Halving(nn.Conv2d):
    """A 3x3 convolution of stride 2, padded as TensorFlow's SAME pads even sides: only after the end."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(F.pad(input, (0, 1, 0, 1)))


def _depthwise(width: int, stride: int) -> nn.Conv2d:
    if stride == 2:
        return Halving(width, width, 3, 2, groups=width)
    return nn.Conv2d(width, width, 3, padding=1, groups=width)


class YamNet(nn.Module):
    """Waveforms -> class probabilities per frame."""

    def __init__(self) -> None:
        from torchaudio.transforms import MelSpectrogram

        super().__init__()
        self.mel = MelSpectrogram(
            RATE,
            n_fft=512,
            win_length=400,
            hop_length=160,
            f_min=125.0,
            f_max=7500.0,
            n_mels=BANDS,
            power=1.0,
            center=False,
        )
        layers: list[nn.Module] = [Halving(1, 32, 3, 2), nn.ReLU6(inplace=True)]
        width = 32
        for stride, wider in zip(STRIDES, WIDTHS, strict=True):
            layers += [_depthwise(width, stride), nn.ReLU6(inplace=True)]
            layers += [nn.Conv2d(width, wider, 1), nn.ReLU6(inplace=True)]
            width = wider
        self.tower = nn.Sequential(*layers)
        self.head = nn.Linear(width, CLASSES)

    def patches(self, waves: Tensor) -> Tensor:
        """float32 (b, samples) in [-1, 1], at least one frame long -> log-mel float32 (b, frames, 96, 64)."""
        # torch centres the 400-sample window in 512; TensorFlow starts with it. 56 zeros in front make up for it.
        spectra = self.mel(F.pad(waves, (56, 56)))  # (b, 64, t)
        log_mel = torch.log(spectra + 0.001).transpose(1, 2)  # (b, t, 64)
        return log_mel.unfold(1, SPECTRA, SPECTRA_HOP).transpose(2, 3)

    def forward(self, patches: Tensor) -> Tensor:
        """Log-mel (frames, 96, 64) -> probabilities float32 (frames, 521)."""
        x = patches.to(self.head.bias.dtype).unsqueeze(1).contiguous(memory_format=torch.channels_last)
        x = self.tower(x).mean((2, 3))  # (frames, 1024)
        return torch.sigmoid(self.head(x).float())


def load_yamnet(path: Path, device: torch.device, dtype: torch.dtype) -> YamNet:
    """The model in evaluation mode; the mel front end stays float32 whatever the precision."""
    model = YamNet()
    model.load_state_dict(dequantised(load_file(path)), strict=False)
    model.tower.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.head.to(dtype)
    model = model.eval().to(device)
    if packs(device, dtype):
        pack(model, {nn.Conv2d: PackedConv, Halving: PackedHalving})
    return model


def dequantised(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """int8 weights and int32 biases times their scales, under the names of `YamNet`."""
    modules = [f"tower.{2 * index}" for index in range(27)] + ["head"]
    state = {}
    for name, module in zip([f"conv{index:02d}" for index in range(27)] + ["head"], modules, strict=True):
        weight = stored[f"{name}.weight"].float()
        scale = stored[f"{name}.weight_scale"].reshape(-1, *[1] * (weight.ndim - 1))
        state[f"{module}.weight"] = weight * scale
        state[f"{module}.bias"] = stored[f"{name}.bias"].float() * stored[f"{name}.bias_scale"]
    return state

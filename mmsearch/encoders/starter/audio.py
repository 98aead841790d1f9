"""Sounds into the starter space: YAMNet's 521 AudioSet classes, combined by ConSE."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders.device import sent
from mmsearch.encoders.explaining import Box
from mmsearch.encoders.lazy import LazyEncoder
from mmsearch.encoders.starter.conse import CONCEPTS, combine, concepts, parts
from mmsearch.encoders.weights import WeightFile, recorded
from mmsearch.errors import InvalidInput
from mmsearch.types import EncoderSpec, Prepared

if TYPE_CHECKING:
    import torch

    from mmsearch.encoders.starter.yamnet import YamNet
from mmsearch.encoders.starter.audioset import FRAME, HOP, RATE

WEIGHTS = WeightFile(
    "mmsearch",
    "encoders/starter/yamnet.safetensors",
    "432a61f35b10ddc5144ae481446d95948f097438bc8fc1f8a4f4aac5242084fe",
    "mmsearch",
)
LABELS = WeightFile(
    "mmsearch",
    "encoders/starter/yamnet_labels.json",
    "8300aa30c042f12777ea4e5e30dc27cd6893fc76247dc64ca9587cdf3bf6749f",
    "mmsearch",
)
FRAMES_AT_ONCE = 128
# Top, scale and prompts were chosen on the texts of the Tux Paint stamps' sounds, ESC-10 left aside.
TOP = 30
PROMPTS = ("{}", "the sound of {}")
"""Phrases whose mean vector stands for a class name (used by convert.py)."""
GENERIC_SCALE = 0.2
GENERIC = frozenset({"Animal", "Vehicle", "Music", "Sound effect"})
"""AudioSet classes that are parents of many: right, but they say little, and would outweigh their children."""


class _Loaded(NamedTuple):
    module: "YamNet"
    device: "torch.device"
    concepts: NDArray[np.float32]
    scale: NDArray[np.float32]  # (521,)


class StarterAudio(LazyEncoder[_Loaded]):
    """Windows of sound -> (n, 384)."""

    @property
    def spec(self) -> EncoderSpec:
        weights = recorded(WEIGHTS, LABELS, CONCEPTS)
        return EncoderSpec("starter-audio", "audio", 384, weights, "yamnet-max-conse-g0.2-k30-c0.6", 32)

    def _prepare(self, data: Any, rate: int | None) -> Prepared:
        """float32 (15600 + m x 7680,) at 16 kHz: zeros fill the last frame. Raises: InvalidInput for another rate."""
        if rate != RATE:
            raise InvalidInput(f"{self.spec.name} takes sound at {RATE} Hz, not {rate}")
        hops = max(-(-(len(data) - FRAME) // HOP), 0)
        padded = np.zeros(FRAME + hops * HOP, np.float32)
        padded[: len(data)] = data
        return padded

    def _load(self, device: "torch.device", dtype: "torch.dtype") -> _Loaded:
        from mmsearch.encoders.starter import yamnet

        names = json.loads(LABELS.verified().read_text("utf-8"))
        scale = np.array([GENERIC_SCALE if name in GENERIC else 1.0 for name in names], np.float32)
        return _Loaded(yamnet.load_yamnet(WEIGHTS.verified(), device, dtype), device, concepts("audioset"), scale)

    def _forward(self, model: _Loaded, batch: Sequence[Prepared]) -> NDArray[np.float32]:
        best = np.stack([scores.max(0) for scores in self.scores(model, batch)])
        return combine(best * model.scale, model.concepts, TOP)

    def concepts(self, prepared: Prepared) -> list[tuple[str, float, NDArray[np.float32]]]:
        """The classes heard in a sound (see `mmsearch.encoders.explaining.ExplainsConcepts`)."""
        model = self._loaded()
        best = self.scores(model, [prepared])[0].max(0) * model.scale
        return parts(best, model.concepts, TOP, json.loads(LABELS.verified().read_text("utf-8")))

    def occluded(self, prepared: Prepared, box: Box) -> Prepared:
        """A copy that is silent from the box's left to its right."""
        hidden = prepared.copy()
        hidden[round(box[0] * len(hidden)) : round(box[2] * len(hidden))] = 0
        return hidden

    @staticmethod
    def scores(model: _Loaded, batch: Sequence[Prepared]) -> list[NDArray[np.float32]]:
        """Of each sound, class probabilities float32 (frames, 521). Frames of all sounds share their batches."""
        import torch

        counts = [(len(wave) - FRAME) // HOP + 1 for wave in batch]
        with torch.inference_mode():
            patches = _patches(model, batch, counts)
            starts = range(0, len(patches), FRAMES_AT_ONCE)
            parts = [model.module(patches[start : start + FRAMES_AT_ONCE]).cpu() for start in starts]
        return np.split(torch.cat(parts).numpy(), np.cumsum(counts)[:-1])


def _patches(model: _Loaded, batch: Sequence[Prepared], counts: Sequence[int]) -> "torch.Tensor":
    """Log-mel patches float32 (sum(counts), 96, 64) of sounds of any lengths."""
    import torch

    waves = np.zeros((len(batch), max(len(wave) for wave in batch)), np.float32)
    for row, wave in enumerate(batch):
        waves[row, : len(wave)] = wave
    patches = model.module.patches(sent(waves, model.device))  # (b, frames, 96, 64)
    return torch.cat([patches[row, :count] for row, count in enumerate(counts)])

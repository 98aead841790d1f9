"""CLAP: sound and words in one space (Wu et al., "Large-scale Contrastive Language-Audio Pretraining", ICASSP 2023).

The library's feature extractor takes a random piece of what is longer than ten seconds. Here sounds are cut into
windows of that length beforehand, so the same file has the same vectors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders.device import sent
from mmsearch.encoders.explaining import Box
from mmsearch.encoders.huggingface import model
from mmsearch.encoders.huggingface.checkpoint import HuggingFaceCheckpoint, context_of, processor, whole_number
from mmsearch.encoders.huggingface.mel import FLOOR, Mel
from mmsearch.encoders.huggingface.towers import HuggingFace, TextTower, at_rate
from mmsearch.encoders.tower import Loaded
from mmsearch.types import Encoder, Modality, Prepared, Space, Windowing

if TYPE_CHECKING:
    import torch

FAMILY = "clap-1"
ROBERTA_RESERVED = 2
"""RoBERTa counts its positions from here."""
PASSAGE_WORDS = 42
"""LAION's models were trained on texts of at most 77 tokens."""


@dataclass(frozen=True, slots=True)
class ClapCheckpoint(HuggingFaceCheckpoint):
    """A checkpoint of ClapModel."""

    mel: Mel

    @property
    def windowing(self) -> Windowing:
        seconds = self.mel.samples / self.mel.rate
        return Windowing(
            audio_rate=self.mel.rate,
            audio_window_s=seconds,
            audio_hop_s=seconds / 2,
            passage_words=PASSAGE_WORDS,
            passage_overlap=PASSAGE_WORDS // 5,
        )


def read_clap(name: str, folder: Path, config: Mapping[str, Any]) -> ClapCheckpoint:
    """The checkpoint in a folder. Raises: KeyError, TypeError, ValueError, WeightsError."""
    sound, text = config.get("audio_config", {}), config.get("text_config", {})
    mel = Mel.parse(processor(folder, "feature_extractor"), fusion=bool(sound.get("enable_fusion", False)))
    if sound.get("num_mel_bins", mel.bands) != mel.bands:
        raise ValueError(f"the model takes {sound['num_mel_bins']} mel bands, the preprocessing makes {mel.bands}")
    dim, context = whole_number(config, "projection_dim", 512), context_of(folder, text, ROBERTA_RESERVED)
    return ClapCheckpoint(name, folder, config, dim, ("text", "audio"), context, mel)


def encoders(checkpoint: ClapCheckpoint, device: str, precision: str) -> dict[Modality, Encoder]:
    """Both towers."""
    return {"text": ClapText(checkpoint, device, precision), "audio": ClapAudio(checkpoint, device, precision)}


def clap_space(checkpoint: ClapCheckpoint, device: str, precision: str) -> Space:
    """The space of one model."""
    return Space(checkpoint.name, checkpoint.dim, checkpoint.windowing, encoders(checkpoint, device, precision))


def _made(config: dict[str, Any]) -> "torch.nn.Module":
    from transformers.models.clap.configuration_clap import ClapConfig
    from transformers.models.clap.modeling_clap import ClapModel

    return ClapModel(ClapConfig.from_dict(config))


class _Clap(HuggingFace[ClapCheckpoint]):
    family = FAMILY

    def _build(self) -> "torch.nn.Module":
        return model.build_module(self.checkpoint, _made, self.parts)


class ClapText(_Clap, TextTower[ClapCheckpoint]):
    """Passages and queries -> (n, dim)."""

    parts = ("text_model.", "text_projection.")

    def _embedded(self, module: Any, ids: "torch.Tensor", real: "torch.Tensor") -> "torch.Tensor":
        from torch.nn import functional as F

        pooled = module.text_model(input_ids=ids, attention_mask=real).pooler_output
        return F.normalize(module.text_projection(pooled).float(), dim=-1)


class ClapAudio(_Clap):
    """Windows of sound -> (n, dim)."""

    modality = "audio"
    parts = ("audio_model.", "audio_projection.")
    batch_size = 16

    def _input(self) -> str:
        return self.checkpoint.mel.tag

    def _prepare(self, data: Any, rate: int | None) -> Prepared:
        """float32 (frames, bands) in dB. Raises: InvalidInput for another rate."""
        at_rate(self.checkpoint.name, self.checkpoint.mel.rate, rate)
        return self.checkpoint.mel.prepare(data)

    def _trial(self) -> Prepared:
        return self.checkpoint.mel.prepare(np.zeros(1, np.float32))

    def occluded(self, prepared: Prepared, box: Box) -> Prepared:
        """A copy that is silent from the box's left to its right."""
        hidden = prepared.copy()
        hidden[round(box[0] * len(hidden)) : round(box[2] * len(hidden))] = 10 * np.log10(FLOOR)
        return hidden

    def _forward(self, model: Loaded, batch: Sequence[Prepared]) -> NDArray[np.float32]:
        import torch
        from torch.nn import functional as F

        encoded = []
        with torch.inference_mode():
            for start in range(0, len(batch), self.batch_size):
                mel = sent(np.stack(batch[start : start + self.batch_size]), model.device).unsqueeze(1).to(model.dtype)
                if self.checkpoint.mel.fusion:
                    mel = mel.expand(-1, 4, -1, -1)
                # No window is longer than the model's: none is ever fused.
                longer = torch.zeros(len(mel), 1, dtype=torch.bool, device=model.device)
                heard = model.module.audio_model(mel, is_longer=longer).pooler_output
                encoded.append(F.normalize(model.module.audio_projection(heard).float(), dim=-1).cpu())
        vectors: NDArray[np.float32] = torch.cat(encoded).numpy()
        return vectors

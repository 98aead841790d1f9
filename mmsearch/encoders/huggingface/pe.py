"""Perception Encoder audio-video: words, pictures and sounds in one space (Vyas et al., 2025, arXiv 2512.19687).

The model has two vectors of a text, one to compare with sounds and one to compare with videos. Vectors here have three
blocks, so that every cosine is half of the model's own, whatever is compared:

    words    [to sounds, to videos, 0] / sqrt 2
    sound    [itself, 0, itself] / sqrt 2
    picture  [0, itself, itself] / sqrt 2

A picture, and each frame of a video, is a video of one frame.
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
from mmsearch.encoders.huggingface.towers import HuggingFace, TextTower, at_rate
from mmsearch.encoders.pixels import Pixels
from mmsearch.encoders.tower import ImageTower, Loaded
from mmsearch.types import Encoder, Modality, Prepared, Space, Windowing

if TYPE_CHECKING:
    import torch

FAMILY = "pe-av-1"
BLOCKS = 3
WINDOW_S, HOP_S = 10.0, 5.0
"""Of sounds. The model takes any length; its memory grows with it."""
PASSAGE_WORDS = 70
SOUNDS_AT_ONCE, PICTURES_AT_ONCE = 4, 16

_FILTERS = {2: "bilinear", 3: "bicubic"}
"""Pillow's numbers."""
_UNSAFE = ("checkpoint_path", "cache_dir")
"""What timm would read or write by a config's word; and whatever begins with "pretrained"."""


@dataclass(frozen=True, slots=True)
class PeCheckpoint(HuggingFaceCheckpoint):
    """A checkpoint of PeAudioVideoModel."""

    pixels: Pixels
    rate: int
    hop: int
    """Samples of a sound that become one step of the model: sounds are reflected at the end to a multiple."""

    @property
    def windowing(self) -> Windowing:
        return Windowing(
            # An eighth more than the model sees: a picture that its decoder reduced is resized once more.
            image_side=max(self.pixels.height, self.pixels.width) * 9 // 8,
            audio_rate=self.rate,
            audio_window_s=WINDOW_S,
            audio_hop_s=HOP_S,
            passage_words=PASSAGE_WORDS,
            passage_overlap=PASSAGE_WORDS // 5,
        )


def read_pe(name: str, folder: Path, config: Mapping[str, Any]) -> PeCheckpoint:
    """The checkpoint in a folder. Raises: KeyError, TypeError, ValueError, WeightsError."""
    text, vision = config["text_config"], config["audio_video_config"]["video_config"].get("vision_config", {})
    architecture = str(vision.get("architecture", ""))
    unsafe = [key for key in vision.get("model_args") or {} if key in _UNSAFE or key.startswith("pretrained")]
    if ":" in architecture or "/" in architecture or unsafe:
        raise ValueError("its picture tower is named by an address, not by an architecture of timm")
    sound, video = processor(folder, "feature_extractor"), processor(folder, "video_processor")
    dim, context = whole_number(text, "hidden_size") * BLOCKS, context_of(folder, text, 0)
    rate, hop = whole_number(sound, "sampling_rate"), whole_number(sound, "hop_length")
    return PeCheckpoint(name, folder, config, dim, ("text", "image", "audio"), context, _pixels(video), rate, hop)


def _pixels(config: Mapping[str, Any]) -> Pixels:
    """Raises: KeyError, TypeError, ValueError."""
    # What isn't said isn't done by the library.
    off = [key for key in ("do_resize", "do_rescale", "do_normalize") if config.get(key) is not True]
    if off or config.get("do_center_crop") or abs(config.get("rescale_factor", 1 / 255) * 255 - 1) > 1e-6:
        raise ValueError(f"preprocessing without {off}" if off else "a crop, or another scale than 1/255")
    settings = {
        "mean": config["image_mean"],
        "std": config["image_std"],
        "interpolation": _FILTERS[config.get("resample") or 2],
        "resize_mode": "squash",
    }
    return Pixels.parse([config["size"]["height"], config["size"]["width"]], settings)


def pe_space(checkpoint: PeCheckpoint, device: str, precision: str) -> Space:
    """The space of one model."""
    return Space(checkpoint.name, checkpoint.dim, checkpoint.windowing, encoders(checkpoint, device, precision))


def encoders(checkpoint: PeCheckpoint, device: str, precision: str) -> dict[Modality, Encoder]:
    """The three towers."""
    return {
        "text": PeText(checkpoint, device, precision),
        "image": PeImage(checkpoint, device, precision),
        "audio": PeAudio(checkpoint, device, precision),
    }


def _made(config: dict[str, Any]) -> "torch.nn.Module":
    from transformers.models.pe_audio_video.configuration_pe_audio_video import PeAudioVideoConfig
    from transformers.models.pe_audio_video.modeling_pe_audio_video import PeAudioVideoModel

    return PeAudioVideoModel(PeAudioVideoConfig.from_dict(config))


def _blocks(sounds: "torch.Tensor | None", videos: "torch.Tensor | None", shared: "torch.Tensor | None") -> Any:
    """float32 (n, 3 d), unit rows, of what stands in each block, (n, d) before its length is made 1."""
    import torch
    from torch.nn import functional as F

    template = next(one for one in (sounds, videos, shared) if one is not None)
    zeros = torch.zeros_like(template, dtype=torch.float32)
    encoded = [zeros if one is None else F.normalize(one.float(), dim=-1) for one in (sounds, videos, shared)]
    return F.normalize(torch.cat(encoded, dim=-1), dim=-1)


class _Pe(HuggingFace[PeCheckpoint]):
    family = FAMILY

    def _build(self) -> "torch.nn.Module":
        return model.build_module(self.checkpoint, _made, self.parts)


class PeText(_Pe, TextTower[PeCheckpoint]):
    """Passages and queries -> (n, dim)."""

    parts = ("text_model.", "audio_model.text_audio_head.", "video_model.text_video_head.")

    def _embedded(self, module: Any, ids: "torch.Tensor", real: "torch.Tensor") -> "torch.Tensor":
        read = module.text_model(input_ids=ids, attention_mask=real, output_hidden_states=True).hidden_states[-1][:, 0]
        vectors: torch.Tensor = _blocks(
            module.audio_model.text_audio_head(read), module.video_model.text_video_head(read), None
        )
        return vectors


class PeImage(_Pe, ImageTower[PeCheckpoint]):
    """Pictures and video frames -> (n, dim)."""

    parts = ("video_model.video_encoder.", "video_model.video_head.")
    batch_size = PICTURES_AT_ONCE

    @property
    def pixels(self) -> Pixels:
        return self.checkpoint.pixels

    def _input(self) -> str:
        return self.pixels.tag

    def _forward(self, model: Loaded, batch: Sequence[Prepared]) -> NDArray[np.float32]:
        import torch

        encoded, video = [], model.module.video_model
        with torch.inference_mode():
            for start in range(0, len(batch), PICTURES_AT_ONCE):
                pixels = sent(np.stack(batch[start : start + PICTURES_AT_ONCE]), model.device)
                frames = self.normalised(pixels).to(model.dtype).unsqueeze(1)  # (n, 1, 3, h, w)
                seen = video.video_head(video.video_encoder(frames).pooler_output)
                encoded.append(_blocks(None, seen, seen).cpu())
        vectors: NDArray[np.float32] = torch.cat(encoded).numpy()
        return vectors


class PeAudio(_Pe):
    """Windows of sound -> (n, dim)."""

    modality = "audio"
    parts = ("audio_model.audio_encoder.", "audio_model.audio_head.")
    batch_size = SOUNDS_AT_ONCE

    def _input(self) -> str:
        return f"{self.checkpoint.rate}-{self.checkpoint.hop}-reflected"

    def _prepare(self, data: Any, rate: int | None) -> Prepared:
        """float32 (m x hop,): the end is reflected into the last step. Raises: InvalidInput for another rate."""
        at_rate(self.checkpoint.name, self.checkpoint.rate, rate)
        wave = data if len(data) else np.zeros(1, np.float32)
        return np.pad(wave, (0, -len(wave) % self.checkpoint.hop), "reflect")

    def _trial(self) -> Prepared:
        return np.zeros(self.checkpoint.hop, np.float32)

    def occluded(self, prepared: Prepared, box: Box) -> Prepared:
        """A copy that is silent from the box's left to its right."""
        hidden = prepared.copy()
        hidden[round(box[0] * len(hidden)) : round(box[2] * len(hidden))] = 0
        return hidden

    def _forward(self, model: Loaded, batch: Sequence[Prepared]) -> NDArray[np.float32]:
        import torch

        vectors = np.empty((len(batch), self.checkpoint.dim), np.float32)
        sound = model.module.audio_model
        with torch.inference_mode():
            for rows in _alike([len(wave) for wave in batch]):
                waves = sent(np.stack([batch[row] for row in rows]), model.device).unsqueeze(1)  # (n, 1, samples)
                heard = sound.audio_head(sound.audio_encoder(waves.to(model.dtype)).pooler_output)
                vectors[rows] = _blocks(heard, None, heard).cpu().numpy()
        return vectors


def _alike(lengths: Sequence[int]) -> list[list[int]]:
    """Rows of equal length, some at once: what is padded would be heard near the end."""
    groups: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: (lengths[row], row)):
        if groups and len(groups[-1]) < SOUNDS_AT_ONCE and lengths[groups[-1][0]] == lengths[row]:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups

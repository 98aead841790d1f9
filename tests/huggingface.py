"""Small models of transformers, saved as a hub has them: for everybody's tests of that family.

`save(folder, variant)` builds a real architecture with a layer or two and random weights, and writes what the hub would
hold. Only the folder is handed on: what is tested loads it in the product's own way.
"""

import io
import json
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests import clip
from tests.temporary import kept_folder

RATE, SECONDS = 16_000, 2
CLAP_DIM, PE_DIM = 32, 96
SIDE = 64

_TEXT = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
_HTSAT: dict[str, Any] = {
    "num_mel_bins": 16, "spec_size": 64, "window_size": 4, "patch_size": 4, "patch_stride": [4, 4],
    "patch_embeds_hidden_size": 16, "hidden_size": 32, "depths": [1, 1], "num_attention_heads": [2, 2],
    "num_hidden_layers": 2, "num_classes": 4,
}  # fmt: skip
_STAGE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 16}
_SOUND: dict[str, Any] = {"sampling_rate": RATE, "hop_length": 160, "max_length_s": SECONDS, "fft_window_size": 400}
VARIANTS = ("clap", "clap-fused", "pe")
FILES = {
    "clap": {"config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"},
    "pe": {"config.json", "model.safetensors", "processor_config.json", "tokenizer.json", "tokenizer_config.json"},
}
"""What is written for a variant."""


def module(variant: str) -> Any:
    """The untrained torch module of a variant, in evaluation mode."""
    with redirect_stdout(io.StringIO()):
        made = _pe() if variant == "pe" else _clap(fusion=variant == "clap-fused")
    return made.eval()


def _clap(*, fusion: bool) -> Any:
    from transformers import ClapConfig, ClapModel

    fused = {"enable_fusion": True, "fusion_type": "aff_2d"} if fusion else {}
    text = {**_TEXT, "max_position_embeddings": 34}
    return ClapModel(ClapConfig(text_config=text, audio_config=_HTSAT | fused, projection_dim=CLAP_DIM))


def _pe() -> Any:
    from transformers import PeAudioVideoConfig, PeAudioVideoModel

    text = {**_TEXT, "model_type": "modernbert", "max_position_embeddings": 48, "pad_token_id": 0, "cls_token_id": 1}
    text |= {"bos_token_id": 1, "eos_token_id": 1, "sep_token_id": 1}
    codec = {"model_type": "dac", "downsampling_ratios": [4, 4], "encoder_hidden_size": 8, "codebook_dim": 8}
    sizes = {"img_size": SIDE, "depth": 1, "embed_dim": 32, "num_heads": 2}
    vision = {
        "model_type": "timm_wrapper",
        "architecture": "vit_pe_core_tiny_patch16_384",
        "num_classes": 32,
        "model_args": sizes,
    }
    sound = {"model_type": "pe_audio_encoder", "dac_config": codec, **_STAGE}
    video = {"model_type": "pe_video_encoder", "vision_config": vision, **_STAGE}
    joint = {"audio_config": sound, "video_config": video, **_STAGE}
    return PeAudioVideoModel(PeAudioVideoConfig(text_config=text, audio_video_config=joint))


def extractor(variant: str) -> Any:
    """The library's own feature extractor of sounds."""
    from transformers import ClapFeatureExtractor, PeAudioFeatureExtractor

    if variant == "pe":
        return PeAudioFeatureExtractor(sampling_rate=RATE, hop_length=16)
    how = "fusion" if variant == "clap-fused" else "rand_trunc"
    return ClapFeatureExtractor(feature_size=16, frequency_min=50, frequency_max=7000, truncation=how, **_SOUND)


def video_processor() -> Any:
    """The library's own processor of videos, for "pe"."""
    from transformers import PeVideoVideoProcessor

    size = {"height": SIDE, "width": SIDE}
    does: dict[str, Any] = {"do_resize": True, "do_rescale": True, "do_normalize": True, "do_sample_frames": False}
    return PeVideoVideoProcessor(size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3, **does)


def save(folder: Path, variant: str, seed: int = 1) -> Path:
    """Write a model folder; the same seed gives the same weights. Returns the folder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = module(variant)
        # Untrained, a network that normalises hardly tells one input from another.
        for parameter in made.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.15)
    write(folder, variant, made)
    return folder


def write(folder: Path, variant: str, made: Any, words: Sequence[str] = clip.WORDS) -> None:
    """What the hub would hold of a module."""
    folder.mkdir(parents=True, exist_ok=True)
    made.config.save_pretrained(folder)
    # As the library does: what serves in two places is stored once.
    state = made.state_dict()
    kept = {tensor.data_ptr(): name for name, tensor in reversed(state.items())}
    save_file({name: state[name].contiguous() for name in kept.values()}, folder / "model.safetensors")
    if variant == "pe":
        # As the hub has it for these models; the library's class wants a tokenizer of its own to write it.
        parts = {"feature_extractor": extractor(variant).to_dict()}
        parts["video_processor"] = json.loads(video_processor().to_json_string())
        (folder / "processor_config.json").write_text(json.dumps(parts))
    else:
        extractor(variant).save_pretrained(folder)
    clip.write_tokenizer(folder, words)


@cache
def space(variant: str) -> str:
    """The name of a variant's space; its folder is made once in a process."""
    parent = kept_folder("mmsearch-huggingface-")
    return f"local-dir:{save(parent / variant, variant)}"

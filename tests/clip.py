"""Small open_clip models, saved as a hub has them: for everybody's tests of that family.

`save(folder)` builds a real architecture of open_clip with two layers and random weights, and writes what the hub would
hold; `VARIANTS` are other towers, other preprocessing, another tokenizer. Only the folder is handed on: what is tested
loads it in the product's own way.
"""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file

from tests.temporary import kept_folder

DIM = 32
CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": DIM,
        "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    },
    "preprocess_cfg": {
        "mean": [0.48145466, 0.4578275, 0.40821073],
        "std": [0.26862954, 0.26130258, 0.27577711],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    },
}
"""CLIP's own kind: two transformers, byte-pair encoding, the middle of the picture."""

_TIMM = {
    "timm_model_name": "test_vit",
    "timm_model_pretrained": False,
    "timm_pool": "avg",
    "timm_proj": "linear",
    "image_size": 160,
}
_TOKENIZER = {"hf_tokenizer_name": "some/tokenizer", "tokenizer_kwargs": {"clean": "canonicalize"}}
WORDS = (
    *("<pad>", "</s>", "<unk>", "a", "the", "on", "dog", "rain"),
    *("red", "green", "blue", "yellow", "circle", "square", "triangle", "star"),
    *("crimson", "emerald", "navy", "golden", "disc", "box", "wedge", "sparkle"),
)
VARIANTS: dict[str, dict[str, Any]] = {
    "clip": {},
    # As SigLIP: timm's picture tower, a text tower of its own, a tokenizer file, the whole picture squeezed.
    "siglip": {
        "model_cfg": {
            "vision_cfg": _TIMM,
            "text_cfg": {"vocab_size": 300, "pool_type": "last", "no_causal_mask": True, **_TOKENIZER},
            "custom_text": True,
            "init_logit_bias": -10,
        },
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"},
    },
    # As MobileCLIP2: no normalising, bilinear.
    "mobile": {
        "model_cfg": {"vision_cfg": {"image_size": 72, "patch_size": 24}, "custom_text": True},
        "preprocess_cfg": {"mean": [0.0] * 3, "std": [1.0] * 3, "interpolation": "bilinear"},
    },
    "padded": {"preprocess_cfg": {"resize_mode": "longest", "fill_color": 7}},
    "wide": {"model_cfg": {"vision_cfg": {"image_size": [48, 80]}}},
    # Small enough to be trained in a test (tests/trained_clip.py).
    "shapes": {
        "model_cfg": {
            "vision_cfg": {"image_size": 48, "patch_size": 8},
            "text_cfg": {"context_length": 8, "vocab_size": 64, **_TOKENIZER},
        },
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3},
    },
    # Its picture tower takes 224 pixels and nothing else, whatever is said here.
    "stiff": {"model_cfg": {"vision_cfg": _TIMM | {"timm_model_name": "vit_tiny_patch16_224"}, "custom_text": True}},
    "resnet": {"model_cfg": {"vision_cfg": {"layers": [1, 1, 1, 1], "width": 16, "image_size": 64}}},
}


def config(variant: str = "clip") -> dict[str, Any]:
    """What open_clip_config.json holds for a variant."""
    return _merged(CONFIG, VARIANTS[variant])


def save(folder: Path, variant: str = "clip", seed: int = 1, *, weights: str = "open_clip_model.safetensors") -> Path:
    """Write a model folder; the same seed gives the same weights. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    written = config(variant)
    (folder / "open_clip_config.json").write_text(json.dumps(written))
    if "hf_tokenizer_name" in written["model_cfg"]["text_cfg"]:
        write_tokenizer(folder)
    # Training draws on the generator too: nobody else's numbers may change.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
    state = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    save_file(state, folder / weights) if weights.endswith(".safetensors") else torch.save(state, folder / weights)
    return folder


@cache
def space(variant: str) -> str:
    """The name of a variant's space; its folder is made once in a process."""
    parent = kept_folder("mmsearch-clip-")
    return f"local-dir:{save(parent / variant, variant)}"


def write_tokenizer(folder: Path, words: Sequence[str] = WORDS) -> None:
    """A tokenizer of words and single characters, in the files that a hub has for one."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    declared = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 16, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(declared))


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    made = deepcopy(dict(base))
    for name, value in over.items():
        replaces = "timm_model_name" in value if isinstance(value, dict) else True
        made[name] = deepcopy(value) if replaces else _merged(made.get(name, {}), value)
    return made

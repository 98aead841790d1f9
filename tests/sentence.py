"""Small models of sentence-transformers, saved by the library as a hub has them: for everybody's tests of that family.

`save(folder, variant)` builds a real architecture with a layer or two and random weights:

| variant | architecture | takes | dim |
|---|---|---|---|
| gemma | EmbeddingGemma 2 | text, image, audio, video, and several together | 48 |
| qwen | Qwen3-VL | text, image, video, and several together | 32 |
| clip | CLIP | text, image | 32 |
"""

import io
import json
import logging
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import torch

from tests.temporary import kept_folder

VARIANTS = ("gemma", "qwen", "clip")
DIMS = {"gemma": 48, "qwen": 32, "clip": 32}
TAKES = {"gemma": ("text", "image", "audio", "video"), "qwen": ("text", "image", "video"), "clip": ("text", "image")}
PROMPTS = {"query": "task: search result | query: ", "document": "title: none | text: "}

WORDS = ["a dog barks at the red bus", "waves on a beach", "eine Katze im Garten"]
GEMMA = {
    "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>",
}  # fmt: skip
GEMMA_MEDIA = {
    "boi_token": "<|image>", "eoi_token": "<image|>", "image_token": "<|image|>", "boa_token": "<|audio>",
    "eoa_token": "<audio|>", "audio_token": "<|audio|>", "video_token": "<|video|>",
}  # fmt: skip
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE{% elif part['type'] == 'audio' %}AUDIO"
    "{% elif part['type'] == 'video' %}VIDEO{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}{{ eos_token }}"
)


def _tokenizer(named: dict[str, str], media: dict[str, str]) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = [*named.values(), *media.values()]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(WORDS * 20, trainer)
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=made, extra_special_tokens=media, **named)


def _template(image: str, video: str, audio: str = "") -> str:
    return TEMPLATE.replace("IMAGE", image).replace("VIDEO", video).replace("AUDIO", audio)


def gemma(full: bool = False) -> tuple[Any, Any]:
    """(model, processor) of EmbeddingGemma 2's architecture; `full`: in its real size, 744 M parameters."""
    from transformers.models.embedding_gemma2 import (
        EmbeddingGemma2Config,
        EmbeddingGemma2Model,
        EmbeddingGemma2Processor,
    )
    from transformers.models.embedding_gemma2.video_processing_embedding_gemma2 import EmbeddingGemma2VideoProcessor
    from transformers.models.gemma4 import Gemma4AudioFeatureExtractor, Gemma4ImageProcessor

    words = _tokenizer(GEMMA, GEMMA_MEDIA)
    ids = {key: words.convert_tokens_to_ids(word) for key, word in (GEMMA | GEMMA_MEDIA).items()}
    text: dict[str, Any] = dict(
        vocab_size=len(words), hidden_size=64, intermediate_size=128, num_hidden_layers=6, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, global_head_dim=32, hidden_size_per_layer_input=16, embedding_dim=48,
    )  # fmt: skip
    vision: dict[str, Any] = dict(
        model_type="gemma4_vision", hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, head_dim=16, position_embedding_size=512,
    )  # fmt: skip
    sound: dict[str, Any] = dict(
        model_type="gemma4_audio", hidden_size=32, num_hidden_layers=2, num_attention_heads=2, output_proj_dims=48
    )
    soft_tokens = 70
    if full:
        text, soft_tokens = {}, 280
        vision, sound = {"model_type": "gemma4_vision"}, {"model_type": "gemma4_audio"}
    config = EmbeddingGemma2Config(
        text_config=text, vision_config=vision, audio_config=sound, image_token_id=ids["image_token"],
        boi_token_id=ids["boi_token"], eoi_token_id=ids["eoi_token"], audio_token_id=ids["audio_token"],
        boa_token_id=ids["boa_token"], eoa_token_index=ids["eoa_token"], video_token_id=ids["video_token"],
    )  # fmt: skip
    processor = EmbeddingGemma2Processor(
        feature_extractor=Gemma4AudioFeatureExtractor(), tokenizer=words,
        image_processor=Gemma4ImageProcessor(max_soft_tokens=soft_tokens),
        video_processor=EmbeddingGemma2VideoProcessor(),
        chat_template=_template("<|image|>", "<|video|>", "<|audio|>"),
    )  # fmt: skip
    return EmbeddingGemma2Model(config), processor


def qwen() -> tuple[Any, Any]:
    """(model, processor) of Qwen3-VL's architecture."""
    from transformers import Qwen2VLImageProcessor, Qwen3VLConfig, Qwen3VLModel, Qwen3VLProcessor, Qwen3VLVideoProcessor

    media = {
        "image_token": "<|image_pad|>", "video_token": "<|video_pad|>", "vision_bos_token": "<|vision_start|>",
        "vision_eos_token": "<|vision_end|>",
    }  # fmt: skip
    named = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}
    words = _tokenizer(named, media)
    ids = {key: words.convert_tokens_to_ids(word) for key, word in media.items()}
    text: dict[str, Any] = dict(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, pad_token_id=words.pad_token_id,
        rope_scaling={"rope_type": "default", "mrope_section": [4, 2, 2], "mrope_interleaved": True},
    )  # fmt: skip
    vision: dict[str, Any] = dict(
        depth=2, hidden_size=32, intermediate_size=64, num_heads=2, out_hidden_size=32, num_position_embeddings=64,
        deepstack_visual_indexes=[0], patch_size=16, spatial_merge_size=2, temporal_patch_size=2,
    )  # fmt: skip
    config = Qwen3VLConfig(
        text_config=text, vision_config=vision, image_token_id=ids["image_token"], video_token_id=ids["video_token"],
        vision_start_token_id=ids["vision_bos_token"], vision_end_token_id=ids["vision_eos_token"],
    )  # fmt: skip
    size = {"shortest_edge": 32 * 32, "longest_edge": 128 * 128}
    see: dict[str, Any] = dict(patch_size=16, merge_size=2, temporal_patch_size=2, size=size)
    around = "<|vision_start|>{}<|vision_end|>"
    assembled: Any = Qwen3VLProcessor
    processor = assembled(
        image_processor=Qwen2VLImageProcessor(**see), tokenizer=words,
        video_processor=Qwen3VLVideoProcessor(**see),
        chat_template=_template(around.format("<|image_pad|>"), around.format("<|video_pad|>")),
    )  # fmt: skip
    return Qwen3VLModel(config), processor


def clip() -> tuple[Any, Any]:
    """(model, processor) of CLIP's architecture."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    words = _tokenizer({"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}, {})
    words.model_max_length = 32
    sizes: dict[str, Any] = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2)
    config = CLIPConfig(
        text_config=dict(
            **sizes, vocab_size=len(words), max_position_embeddings=32, eos_token_id=words.eos_token_id, pad_token_id=2
        ),
        vision_config=dict(**sizes, image_size=32, patch_size=16),
        projection_dim=32,
    )
    pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor: Any = CLIPProcessor
    return CLIPModel(config), processor(image_processor=pictures, tokenizer=words)


def save(folder: Path, variant: str, seed: int = 1) -> Path:
    """Write a model folder; the same seed gives the same weights. Returns the folder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, processor = {"gemma": gemma, "qwen": qwen, "clip": clip}[variant]()
        for parameter in model.parameters():
            # Untrained, a network that normalises hardly tells one input from another.
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.15)
        return assemble(folder, variant, model, processor, DIMS[variant])


def assemble(folder: Path, variant: str, model: Any, processor: Any, dim: int) -> Path:
    """Write the folder of a model as the library saves it. Returns the folder."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules.normalize import Normalize
    from sentence_transformers.base.modules.transformer import Transformer
    from sentence_transformers.sentence_transformer.modules.pooling import Pooling

    logging.getLogger("transformers").setLevel(logging.ERROR)
    plain = folder.with_name(f"{folder.name}-plain")
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        model.eval().save_pretrained(plain)
        processor.save_pretrained(plain)
        modules: list[Any] = [Transformer(str(plain))]
        if variant != "clip":
            modules += [Pooling(dim, "mean" if variant == "gemma" else "lasttoken"), Normalize()]
        prompts = PROMPTS if variant == "gemma" else {}
        SentenceTransformer(modules=modules, prompts=dict(prompts), device="cpu").save_pretrained(
            str(folder), create_model_card=False
        )
    return folder


@cache
def model_folder(variant: str) -> Path:
    """The folder of a small model, made once in a run of tests; copy it before you change it."""
    return save(kept_folder("mmsearch-sentence-") / variant, variant)


def space(variant: str, options: str = "") -> str:
    """The name of a small model's space."""
    return f"st:{model_folder(variant)}{options}"


def library_model(variant: str, device: str = "cpu", dtype: str = "float32") -> Any:
    """The model as the library itself loads it."""
    from sentence_transformers import SentenceTransformer

    folder = str(model_folder(variant))
    return SentenceTransformer(folder, device=device, local_files_only=True, model_kwargs={"dtype": dtype})


def config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """What a file of a model says."""
    said: dict[str, Any] = json.loads((folder / name).read_text())
    return said

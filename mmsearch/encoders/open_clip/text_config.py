"""What a text tower of CLIP's own kind is built by, of an open_clip config."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

PREFIX = "text."
"""Begins the names of a tower that is a module of its own in the checkpoint ("custom_text")."""

_POOLS = ("argmax", "eos", "first", "last")
_ORDINARY: Mapping[str, tuple[Any, ...]] = {
    "mlp_ratio": (4, 4.0),
    "ls_init_value": (None,),
    "embed_cls": (False,),
    "final_ln_after_pool": (False,),
    "proj_type": ("linear",),
    "output_tokens": (False,),
    "block_type": (None, "default"),
    "hf_model_name": (None,),
    "pool_type": _POOLS,
    "no_causal_mask": (True, False),
    "proj_bias": (True, False),
    "norm_kwargs": (None, {}, {"eps": 1e-6}, {"eps": 1e-5}),
    "act_kwargs": (None, {}, {"approximate": "tanh"}, {"approximate": "none"}),
    **dict.fromkeys(
        ("qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc"), (False,)
    ),
}
"""Of text_cfg, what there is beside sizes, and what it may be here."""
_SIZES = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12, "eos_id": 2}
_TOKENIZING = (
    "hf_tokenizer_name",
    "tokenizer_kwargs",
    "pad_id",
    "hf_model_pretrained",
    "hf_proj_type",
    "hf_pooler_type",
)
_MODEL = ("embed_dim", "vision_cfg", "text_cfg", "quick_gelu", "custom_text", "init_logit_scale", "init_logit_bias")


@dataclass(frozen=True, slots=True)
class TextConfig:
    """What a tower is built by."""

    dim: int
    context: int
    words: int
    width: int
    heads: int
    layers: int
    eos: int
    pool: str
    causal: bool
    projection_bias: bool
    eps: float
    activation: Literal["gelu", "tanh_gelu", "quick_gelu"]
    prefix: str
    """Of its parameters' names in the checkpoint."""

    @property
    def cuts(self) -> bool:
        """Whether padding can be left out."""
        return self.causal and self.pool in ("argmax", "eos")


def text_config(model: Mapping[str, Any]) -> TextConfig | None:
    """Of open_clip's model_cfg; None for a tower of another kind."""
    text = dict(model["text_cfg"])
    sizes = {name: text.pop(name, default) for name, default in _SIZES.items()}
    others = [name for name, value in text.items() if name not in _TOKENIZING and value not in _ORDINARY.get(name, ())]
    if others or not set(model) <= set(_MODEL) or not all(type(size) is int and size >= 0 for size in sizes.values()):
        return None
    if not all(sizes[name] for name in _SIZES if name != "eos_id") or sizes["width"] % sizes["heads"]:
        return None
    approximate = (text.get("act_kwargs") or {}).get("approximate", "none")
    if model.get("quick_gelu") and text.get("act_kwargs"):
        return None
    return TextConfig(
        dim=model["embed_dim"],
        context=sizes["context_length"],
        words=sizes["vocab_size"],
        width=sizes["width"],
        heads=sizes["heads"],
        layers=sizes["layers"],
        eos=sizes["eos_id"],
        pool=text.get("pool_type", "argmax"),
        causal=not text.get("no_causal_mask", False),
        projection_bias=text.get("proj_bias", False),
        eps=(text.get("norm_kwargs") or {}).get("eps", 1e-5),
        activation="quick_gelu" if model.get("quick_gelu") else "tanh_gelu" if approximate == "tanh" else "gelu",
        prefix=PREFIX if model.get("custom_text") else "",
    )


def parameter_shapes(config: TextConfig) -> dict[str, tuple[int, ...]]:
    """Of a tower's parameters, by their names without the prefix."""
    width = config.width
    block: dict[str, tuple[int, ...]] = {}
    for name, rows, columns in (
        ("attn.in_proj_", 3 * width, width),
        ("attn.out_proj.", width, width),
        ("mlp.c_fc.", 4 * width, width),
        ("mlp.c_proj.", width, 4 * width),
    ):
        block |= {f"{name}weight": (rows, columns), f"{name}bias": (rows,)}
    for name in ("ln_1", "ln_2"):
        block |= {f"{name}.{part}": (width,) for part in ("weight", "bias")}
    shapes: dict[str, tuple[int, ...]] = {
        "token_embedding.weight": (config.words, width),
        "positional_embedding": (config.context, width),
        "ln_final.weight": (width,),
        "ln_final.bias": (width,),
        **{f"transformer.resblocks.{n}.{name}": shape for n in range(config.layers) for name, shape in block.items()},
    }
    if config.projection_bias:
        return shapes | {"text_projection.weight": (config.dim, width), "text_projection.bias": (config.dim,)}
    return shapes | {"text_projection": (width, config.dim)}

"""CLIP's own kind of text tower (Radford et al., 2021) as a module that needs torch alone.

Importing open_clip brings torchvision, timm and transformers, seconds before the first word is read. Names of modules
and parameters are open_clip's. A config that asks for more than is known here is left to it.

A tower whose tokens see only what stands before them, and whose vector is that of the last real one, gives the same
whether padding follows or not: it is run on as many tokens as there are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmsearch.encoders.attention import SelfAttention

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
    activation: Callable[[], nn.Module]
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
        activation=QuickGELU if model.get("quick_gelu") else lambda: nn.GELU(approximate),
        prefix=PREFIX if model.get("custom_text") else "",
    )


class QuickGELU(nn.Module):
    """As the first CLIP has it."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """A layer of the transformer."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.width, eps=config.eps)
        self.attn = SelfAttention(config.width, config.heads)
        self.ln_2 = nn.LayerNorm(config.width, eps=config.eps)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(config.width, 4 * config.width))
        self.mlp.add_module("gelu", config.activation())
        self.mlp.add_module("c_proj", nn.Linear(4 * config.width, config.width))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = x + self.attn(self.ln_1(x), attn_mask=mask)[0]
        made: Tensor = x + self.mlp(self.ln_2(x))
        return made


class TextTower(nn.Module):
    """Token ids -> vectors, not of length 1 yet."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        # Drawing random rows first, as nn.Embedding(n, d) does, imports torch._dynamo on the meta device: 1.5 s.
        rows = torch.empty(config.words, config.width)
        self.token_embedding = nn.Embedding.from_pretrained(rows)  # type: ignore[no-untyped-call]
        self.positional_embedding = nn.Parameter(torch.empty(config.context, config.width))
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList([Block(config) for _ in range(config.layers)])
        self.ln_final = nn.LayerNorm(config.width, eps=config.eps)
        self.text_projection: Any = (
            nn.Linear(config.width, config.dim)
            if config.projection_bias
            else nn.Parameter(torch.empty(config.width, config.dim))
        )

    def lengths(self, ids: Tensor) -> list[int]:
        """How many tokens of each row of int64 (n, context) have a say in its vector."""
        if not self.config.cuts:
            return [ids.shape[1]] * len(ids)
        return (self._ends(ids) + 1).tolist()

    def encode_text(self, ids: Tensor) -> Tensor:
        """(n, dim) of int64 (n, t), t up to the context."""
        dtype = self.positional_embedding.dtype
        x = self.token_embedding(ids) + self.positional_embedding[: ids.shape[1]]
        mask = None
        if self.config.causal:
            mask = torch.full((ids.shape[1], ids.shape[1]), -torch.inf, dtype=dtype, device=ids.device).triu_(1)
        for block in self.transformer.resblocks:  # type: ignore[union-attr]
            x = block(x, mask)
        x = self._pooled(self.ln_final(x), ids)
        if isinstance(self.text_projection, nn.Parameter):
            return x @ self.text_projection
        projected: Tensor = self.text_projection(x)
        return projected

    def _pooled(self, x: Tensor, ids: Tensor) -> Tensor:
        if self.config.pool in ("first", "last"):
            return x[:, 0 if self.config.pool == "first" else -1]
        return x[torch.arange(len(x), device=x.device), self._ends(ids)]

    def _ends(self, ids: Tensor) -> Tensor:
        # CLIP's token that ends a text has the highest number of all.
        return ids.argmax(dim=-1) if self.config.pool == "argmax" else (ids == self.config.eos).int().argmax(dim=-1)


def tower_of(config: TextConfig, state: Mapping[str, Tensor]) -> TextTower | None:
    """The tower with the tensors of a checkpoint's text tower, float32, in evaluation mode; None if they don't fit."""
    with torch.device("meta"):
        tower = TextTower(config)
    wanted = {f"{config.prefix}{name}": (name, tensor.shape) for name, tensor in tower.state_dict().items()}
    if state.keys() != wanted.keys() or any(state[name].shape != shape for name, (_, shape) in wanted.items()):
        return None
    tower.load_state_dict({ours: state[name].float() for name, (ours, _) in wanted.items()}, assign=True)
    return tower.requires_grad_(False).eval()

"""CLIP's own kind of text tower (Radford et al., 2021) as a module that needs torch alone.

Importing open_clip brings torchvision, timm and transformers, seconds before the first word is read. Names of modules
and parameters are open_clip's. A config that asks for more than is known here is left to it.

A tower whose tokens see only what stands before them, and whose vector is that of the last real one, gives the same
whether padding follows or not: it is run on as many tokens as there are.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mmsearch.encoders.attention import SelfAttention
from mmsearch.encoders.open_clip.text_config import TextConfig, parameter_shapes


class QuickGELU(nn.Module):
    """As the first CLIP has it."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


_ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,
    "tanh_gelu": lambda: nn.GELU("tanh"),
    "quick_gelu": QuickGELU,
}


class Block(nn.Module):
    """A layer of the transformer."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.width, eps=config.eps)
        self.attn = SelfAttention(config.width, config.heads)
        self.ln_2 = nn.LayerNorm(config.width, eps=config.eps)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(config.width, 4 * config.width))
        self.mlp.add_module("gelu", _ACTIVATIONS[config.activation]())
        self.mlp.add_module("c_proj", nn.Linear(4 * config.width, config.width))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = x + self.attn(self.ln_1(x), attn_mask=mask)[0]
        made: Tensor = x + self.mlp(self.ln_2(x))
        return made


class ClipTextTower(nn.Module):
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


def tower_of(config: TextConfig, state: Mapping[str, Tensor]) -> ClipTextTower | None:
    """The tower with the tensors of a checkpoint's text tower, float32, in evaluation mode; None if they don't fit."""
    wanted = {f"{config.prefix}{name}": (name, shape) for name, shape in parameter_shapes(config).items()}
    if {name: tuple(tensor.shape) for name, tensor in state.items()} != {
        name: shape for name, (_, shape) in wanted.items()
    }:
        return None
    with torch.device("meta"):
        tower = ClipTextTower(config)
    tower.load_state_dict({ours: state[name].float() for name, (ours, _) in wanted.items()}, assign=True)
    return tower.requires_grad_(False).eval()

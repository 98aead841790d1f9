"""all-MiniLM-L6-v2 as torch modules: a 6-layer BERT (Devlin et al., 2019), distilled (Wang et al., 2020), mean-pooled.

A module of its own, so that nobody needs to import transformers, and its layers can be packed.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from mmsearch.encoders.attention import SelfAttention

WIDTH, LAYERS, HEADS, HIDDEN, WORDS, POSITIONS = 384, 6, 12, 1536, 30_522, 512
EPS = 1e-12

_LAYER = {
    "self_attn.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "hidden.0": "intermediate.dense",
    "hidden.2": "output.dense",
    "norm2": "output.LayerNorm",
}
"""Module of `Layer` -> module of BERT's."""


class Layer(nn.Module):
    """Attention, and a hidden layer at each place."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = SelfAttention(WIDTH, HEADS)
        self.norm1 = nn.LayerNorm(WIDTH, eps=EPS)
        self.hidden = nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, WIDTH))
        self.norm2 = nn.LayerNorm(WIDTH, eps=EPS)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        x = self.norm1(x + self.self_attn(x, attn_mask=real)[0])
        normed: Tensor = self.norm2(x + self.hidden(x))
        return normed


class MiniLM(nn.Module):
    """Token ids -> sentence vectors."""

    def __init__(self) -> None:
        super().__init__()
        # Drawing random rows first, as nn.Embedding(n, d) does, imports torch._dynamo on the meta device: 1.5 s.
        self.words = nn.Embedding.from_pretrained(torch.empty(WORDS, WIDTH))  # type: ignore[no-untyped-call]
        self.positions = nn.Embedding.from_pretrained(torch.empty(POSITIONS, WIDTH))  # type: ignore[no-untyped-call]
        self.kinds = nn.Embedding.from_pretrained(torch.empty(2, WIDTH))  # type: ignore[no-untyped-call]
        self.norm = nn.LayerNorm(WIDTH, eps=EPS)
        self.layers = nn.ModuleList([Layer() for _ in range(LAYERS)])

    def forward(self, ids: Tensor, padding: Tensor) -> Tensor:
        """ids int64 (b, t); padding bool (b, t), True where there is no token. Returns float32 (b, 384), unit rows."""
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.norm(self.words(ids) + self.positions(places) + self.kinds.weight[0])  # (b, t, 384)
        there = (~padding).unsqueeze(1).unsqueeze(1)  # (b, 1, 1, t)
        for layer in self.layers:
            x = layer(x, there)
        real = (~padding).unsqueeze(2).float()  # (b, t, 1)
        pooled = (x.float() * real).sum(1) / real.sum(1)
        return F.normalize(pooled, dim=1)


def load_minilm(path: Path) -> MiniLM:
    """The model in evaluation mode, with the weights of the published model.safetensors."""
    with torch.device("meta"):
        model = MiniLM()
    model.load_state_dict(renamed(load_file(path)), assign=True)
    return model.eval()


def renamed(bert: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """BERT's tensors under the names of `MiniLM`."""
    state = {
        "words.weight": bert["embeddings.word_embeddings.weight"],
        "positions.weight": bert["embeddings.position_embeddings.weight"],
        "kinds.weight": bert["embeddings.token_type_embeddings.weight"],
    }
    for part in ("weight", "bias"):
        state[f"norm.{part}"] = bert[f"embeddings.LayerNorm.{part}"]
        for index in range(LAYERS):
            ours, theirs = f"layers.{index}", f"encoder.layer.{index}"
            for to, source in _LAYER.items():
                state[f"{ours}.{to}.{part}"] = bert[f"{theirs}.{source}.{part}"]
            projections = [bert[f"{theirs}.attention.self.{name}.{part}"] for name in ("query", "key", "value")]
            state[f"{ours}.self_attn.in_proj_{part}"] = torch.cat(projections)
    return state

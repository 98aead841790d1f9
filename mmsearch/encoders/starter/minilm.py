"""all-MiniLM-L6-v2 as torch modules: a 6-layer BERT (Devlin et al., 2019), distilled (Wang et al., 2020), mean-pooled.

Torch's own encoder layers carry the weights, so that a query needn't import transformers.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH, LAYERS, HEADS, HIDDEN, WORDS, POSITIONS = 384, 6, 12, 1536, 30_522, 512
EPS = 1e-12

_LAYER = {
    "self_attn.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "linear1": "intermediate.dense",
    "linear2": "output.dense",
    "norm2": "output.LayerNorm",
}
"""Module of torch's encoder layer -> module of BERT's."""


class MiniLM(nn.Module):
    """Token ids -> sentence vectors."""

    def __init__(self) -> None:
        super().__init__()
        # Drawing random rows first, as nn.Embedding(n, d) does, imports torch._dynamo on the meta device: 1.5 s.
        self.words = nn.Embedding.from_pretrained(torch.empty(WORDS, WIDTH))  # type: ignore[no-untyped-call]
        self.positions = nn.Embedding.from_pretrained(torch.empty(POSITIONS, WIDTH))  # type: ignore[no-untyped-call]
        self.kinds = nn.Embedding.from_pretrained(torch.empty(2, WIDTH))  # type: ignore[no-untyped-call]
        self.norm = nn.LayerNorm(WIDTH, eps=EPS)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, 0.0, "gelu", EPS, batch_first=True)
        # Nested tensors would warn that they are a prototype; batches of like length have little padding anyway.
        self.encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)

    def forward(self, ids: Tensor, padding: Tensor) -> Tensor:
        """ids int64 (b, t); padding bool (b, t), True where there is no token. Returns float32 (b, 384), unit rows."""
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.norm(self.words(ids) + self.positions(places) + self.kinds.weight[0])  # (b, t, 384)
        x = self.encoder(x, src_key_padding_mask=padding).float()
        real = (~padding).unsqueeze(2).float()  # (b, t, 1)
        # nan_to_num: the fused layer may leave anything at padded places, and 0 x NaN is NaN.
        pooled = (torch.nan_to_num(x) * real).sum(1) / real.sum(1)
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
            ours, theirs = f"encoder.layers.{index}", f"encoder.layer.{index}"
            for to, source in _LAYER.items():
                state[f"{ours}.{to}.{part}"] = bert[f"{theirs}.{source}.{part}"]
            projections = [bert[f"{theirs}.attention.self.{name}.{part}"] for name in ("query", "key", "value")]
            state[f"{ours}.self_attn.in_proj_{part}"] = torch.cat(projections)
    return state

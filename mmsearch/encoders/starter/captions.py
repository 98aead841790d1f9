"""What captions taught: from the network's 1,280 features to what is added to the classes' vector.

A layer norm, then one hidden layer (GELU: Hendrycks and Gimpel, 2016), in members that learned side by side and are
averaged (an ensemble: Lakshminarayanan et al., NeurIPS 2017). A gate says how much a member counts, and another,
learned for itself, how much all of them do: little for pictures unlike the photos that have captions. What all words
have in common is added to them: a longer sum is scaled down more, and would be further from any words than a picture
that has no learned part. How it was trained: `mmsearch/training/starter/recipe.py`; on what, and how good it is:
MODEL_CARD.md.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

FEATURES, MEMBERS, HIDDEN, DIM = 1280, 8, 860, 384
MOST = 3.0
"""Longest that the learned part gets in training, where the classes' part has length 1."""
LEVELS = 7
"""Steps either way from 0 that a stored matrix's values have."""
SCALE = ".scale"
"""Ends the name of a stored matrix's scales, float32, one for each row."""


class Captions(nn.Module):
    """Features of a picture -> what captions would add to its unit ConSE vector."""

    most: Tensor
    photo: Tensor
    """(1280,), what tells photos that have captions from other pictures, in normalised features."""
    least: Tensor
    """How much of it a picture has that counts half."""
    common: Tensor
    """(384,), the way of the mean of single words' vectors."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(FEATURES)
        self.hidden = nn.Linear(FEATURES, MEMBERS * HIDDEN)
        # Arithmetic on the device `meta` would load torch's compiler, which takes a second.
        limit = 1 / math.sqrt(HIDDEN)
        self.out = nn.Parameter(torch.empty(MEMBERS, DIM, HIDDEN).uniform_(-limit, limit))
        self.bias = nn.Parameter(torch.zeros(MEMBERS, DIM))
        self.gate = nn.Linear(FEATURES, MEMBERS)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("most", torch.tensor(MOST))
        self.register_buffer("photo", torch.zeros(FEATURES))
        self.register_buffer("least", torch.tensor(0.0))
        self.register_buffer("common", torch.zeros(DIM))

    def members(self, features: Tensor) -> Tensor:
        """float32 (n, 1280), the network's pooled features -> float32 (n, members, 384), each 0 to `most` long."""
        x = self.norm(features)
        hidden = self.dropout(F.gelu(self.hidden(x))).unflatten(1, (MEMBERS, HIDDEN))
        towards = torch.einsum("nmh,mdh->nmd", hidden, self.out) + self.bias
        lengths: Tensor = self.most * torch.sigmoid(self.gate(x))  # (n, members)
        return lengths.unsqueeze(2) * F.normalize(towards, dim=2)

    def forward(self, features: Tensor) -> Tensor:
        """float32 (n, 1280) -> float32 (n, 384): the members' mean and what words share, as far as it is a photo."""
        share = torch.sigmoid(normal(features) @ self.photo - self.least).unsqueeze(1)
        return (self.members(features).mean(1) + self.common) * share


def normal(features: Tensor) -> Tensor:
    """float32 (n, 1280), each row with mean 0 and variance 1: how bright a picture is shall not count."""
    return F.layer_norm(features, (FEATURES,))


def joined(classes: Tensor, added: Tensor) -> Tensor:
    """float32 (..., 384), unit rows, of unit ConSE vectors and what is added to them."""
    return F.normalize(classes + added, dim=-1)


def packed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights as they are stored: matrices in four bits, their rows scaled to the whole range; others as they are.

    Of two neighbours in a row the first is in the low half of a byte. Rows have an even length.
    """
    stored: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if tensor.ndim > 1:
            scale = tensor.abs().amax(-1, keepdim=True).clamp(min=1e-12) / LEVELS
            steps = (tensor / scale).round().add(LEVELS).to(torch.uint8)
            low, high = steps.reshape(*tensor.shape[:-1], -1, 2).unbind(-1)
            stored[name], stored[name + SCALE] = low | high << 4, scale
        else:
            stored[name] = tensor.clone()
    return stored


def unpacked(stored: Mapping[str, Tensor]) -> Captions:
    """The inverse: float32, in evaluation mode."""
    with torch.device("meta"):
        module = Captions()
    state = {}
    for name, tensor in stored.items():
        if name + SCALE in stored:
            halves = torch.stack([tensor & 15, tensor >> 4], dim=-1).reshape(*tensor.shape[:-1], -1)
            state[name] = (halves.float() - LEVELS) * stored[name + SCALE]
        elif not name.endswith(SCALE):
            state[name] = tensor
    module.load_state_dict(state, assign=True)
    return module.eval()


def load_captions(path: Path) -> Captions:
    return unpacked(load_file(path))

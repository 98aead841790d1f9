"""Self-attention as torch's own module computes it, by layers that can be packed."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsearch.encoders.packed import Packable, packed_linear, packed_weight


class SelfAttention(Packable):
    """Of `nn.MultiheadAttention` with batches first, whose parameters keep their names."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj: nn.Module = nn.Linear(width, width)
        self._packed = False

    @classmethod
    def of(cls, attention: nn.MultiheadAttention) -> "SelfAttention":
        """With the same parameters."""
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        made.heads, made._packed = attention.num_heads, False
        made.in_proj_weight, made.in_proj_bias = attention.in_proj_weight, attention.in_proj_bias
        made.out_proj = out = nn.Linear(1, 1)
        out.weight, out.bias = attention.out_proj.weight, attention.out_proj.bias
        return made

    def pack(self) -> None:
        self.in_proj_weight = packed_weight(self.in_proj_weight)
        self._packed = True

    def forward(
        self, x: Tensor, key: Any = None, value: Any = None, need_weights: bool = False, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, None]:
        """x (b, t, width); attn_mask (t, t) or (b, 1, 1, t): added to the scores, or True where there is one.

        The other arguments are those of torch's module; it attends to itself whatever they are.
        """
        linear = packed_linear if self._packed else F.linear
        heads = linear(x, self.in_proj_weight, self.in_proj_bias).view(*x.shape[:2], 3, self.heads, -1)
        query, keys, values = heads.permute(2, 0, 3, 1, 4)  # (b, heads, t, width / heads)
        mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=attn_mask)
        return self.out_proj(mixed.transpose(1, 2).flatten(2)), None

"""The two encoders of an open_clip checkpoint."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders.batching import buckets
from mmsearch.encoders.check import checked_output
from mmsearch.encoders.device import sent
from mmsearch.encoders.numpy_layers import Weights
from mmsearch.encoders.open_clip import quick
from mmsearch.encoders.open_clip.checkpoint import OpenClipCheckpoint
from mmsearch.encoders.open_clip.text_config import TextConfig, text_config
from mmsearch.encoders.open_clip.tokens import Cut, cutter
from mmsearch.encoders.pixels import Pixels
from mmsearch.encoders.tower import ImageTower, Loaded, Tower
from mmsearch.types import Prepared, Vectors

if TYPE_CHECKING:
    import torch

TOKENS_AT_ONCE = 4096
"""Of one forward pass, those included that fill up shorter texts."""

QUERY_TOKENS = 64
"""What a query may have in all, to be encoded without torch."""

VERSION = 1
"""Raised whenever the vectors of the same checkpoint would change."""


class _OpenClip(Tower[OpenClipCheckpoint]):
    """What both have in common."""

    def _hashes(self) -> Mapping[str, str]:
        return self.checkpoint.hashes(text=self.modality == "text")

    def _tag(self) -> str:
        return f"open_clip-{VERSION}-{self.checkpoint.architecture}-{self._input()}"

    def _input(self) -> str:
        """How the tower's input is made, in short."""
        raise NotImplementedError


class OpenClipImage(_OpenClip, ImageTower[OpenClipCheckpoint]):
    """Pictures and video frames -> (n, dim)."""

    parts = ("visual.",)

    def _build(self) -> "torch.nn.Module":
        from mmsearch.encoders.open_clip.model import build_open_clip

        return build_open_clip(self.checkpoint, self.parts)

    def _packed(self, module: "torch.nn.Module") -> "torch.nn.Module":
        from mmsearch.encoders.open_clip.model import self_attending

        return super()._packed(self_attending(module))

    @property
    def pixels(self) -> Pixels:
        return self.checkpoint.pixels

    def _input(self) -> str:
        return self.pixels.tag

    def _forward(self, model: Loaded, batch: Sequence[Prepared]) -> NDArray[np.float32]:
        import torch
        from torch.nn import functional as F

        with torch.inference_mode():
            pixels = self.normalised(sent(np.stack(batch), model.device)).to(model.dtype)
            # In full precision: rows of half precision are off by more than a unit vector may be.
            vectors: NDArray[np.float32] = F.normalize(model.module.encode_image(pixels).float(), dim=-1).cpu().numpy()
            return vectors


class OpenClipText(_OpenClip):
    """Passages and queries -> (n, dim)."""

    modality = "text"
    parts = ("text.", "transformer.", "token_embedding.", "positional_embedding", "ln_final.", "text_projection")
    _cut: Cut | None = None
    _quick_known: tuple[TextConfig, Weights] | None = None
    _looked_for_quick = False

    def _build(self) -> "torch.nn.Module":
        from mmsearch.encoders.open_clip.model import build_text

        return build_text(self.checkpoint, self.parts)

    def _input(self) -> str:
        return f"{self.checkpoint.context}-tokens"

    def _prepare(self, data: Any, rate: int | None) -> Prepared:
        """int64 (context,) token ids; what doesn't fit is cut off."""
        if self._cut is None:
            model = self.checkpoint
            self._cut = cutter(model.text, model.context, None if model.reads_bpe else model.tokenizer())
        return self._cut(str(data))

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        """float32 (len(batch), dim), rows of L2 norm 1, in input order.

        A query of a few words is encoded by numpy, in float32, whatever the device and whether torch is loaded or not,
        if the tower is of CLIP's own kind and of no great size.
        Raises: InvalidInput if the device isn't there, WeightsError, EncodeError, Forked.
        """
        if query and batch and (known := self._quick()) is not None:
            config, weights = known
            cut = [ids[: quick.ends(config, ids) + 1] if config.cuts else ids for ids in batch]
            if sum(map(len, cut)) <= QUERY_TOKENS:
                return checked_output(
                    np.stack([quick.encode(config, weights, ids) for ids in cut]), len(batch), self.spec
                )
        return super().encode(batch, query=query)

    def _quick(self) -> tuple[TextConfig, Weights] | None:
        if not self._looked_for_quick:
            config, path = text_config(self.checkpoint.model), self.checkpoint.weights()
            weights = None
            if config is not None and self.checkpoint.adapter is None and path.suffix == ".safetensors":
                weights = quick.quick_weights(config, path, self.parts)
            self._quick_known = None if config is None or weights is None else (config, weights)
            self._looked_for_quick = True
        return self._quick_known

    def _trial(self) -> Prepared:
        return self._prepare("a", None)

    def _forward(self, model: Loaded, batch: Sequence[Prepared]) -> NDArray[np.float32]:
        import torch
        from torch.nn import functional as F

        from mmsearch.encoders.open_clip.text_tower import ClipTextTower

        ids = np.stack(batch)
        own = isinstance(model.module, ClipTextTower)
        lengths = model.module.lengths(torch.from_numpy(ids)) if own else [ids.shape[1]] * len(ids)
        made: dict[int, NDArray[np.float32]] = {}
        with torch.inference_mode():
            for rows in buckets(lengths, TOKENS_AT_ONCE):
                tokens = sent(np.ascontiguousarray(ids[rows, : max(lengths[row] for row in rows)]), model.device)
                vectors = F.normalize(model.module.encode_text(tokens).float(), dim=-1).cpu().numpy()
                made.update(zip(rows, vectors, strict=True))
        return np.stack([made[row] for row in range(len(batch))])

"""What the encoders of transformers' models share."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders.batching import buckets, padded
from mmsearch.encoders.device import sent
from mmsearch.encoders.huggingface.checkpoint import HuggingFaceCheckpoint
from mmsearch.encoders.tokenizer import open_tokenizer, whole
from mmsearch.encoders.tower import Loaded, Tower
from mmsearch.errors import InvalidInput
from mmsearch.types import Prepared

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

TOKENS_AT_ONCE = 4096
"""Padded tokens of one forward pass."""

Kind = TypeVar("Kind", bound=HuggingFaceCheckpoint)


class HuggingFace(Tower[Kind]):
    """A tower of a checkpoint in transformers' layout."""

    family: str
    """Kind of the model and a version, raised whenever the vectors of the same checkpoint would change."""

    def _hashes(self) -> Mapping[str, str]:
        return self.checkpoint.hashes(text=self.modality == "text")

    def _tag(self) -> str:
        return f"{self.family}-{self.checkpoint.architecture}-{self._input()}"

    @abstractmethod
    def _input(self) -> str:
        """How the tower's input is made, in short."""


class TextTower(HuggingFace[Kind]):
    """Passages and queries -> (n, dim)."""

    modality = "text"
    _tokenizer: "Tokenizer | None" = None

    def _input(self) -> str:
        return f"{self.checkpoint.context}-tokens"

    def _prepare(self, data: Any, rate: int | None) -> Prepared:
        """int64 (n,) token ids, 1 <= n <= context; what doesn't fit is cut off."""
        if self._tokenizer is None:
            tokenizer = open_tokenizer(self.checkpoint.folder)
            tokenizer.no_padding()
            tokenizer.enable_truncation(self.checkpoint.context)
            self._tokenizer = tokenizer
        # Without special tokens nothing would be left of an empty text.
        return np.array(self._tokenizer.encode(whole(data)).ids or [0], np.int64)

    def _trial(self) -> Prepared:
        return self._prepare("a " * self.checkpoint.context, None)

    def _forward(self, model: Loaded, batch: Sequence[Prepared]) -> NDArray[np.float32]:
        import torch

        vectors = np.empty((len(batch), self.checkpoint.dim), np.float32)
        padding = int(model.module.config.text_config.pad_token_id or 0)
        with torch.inference_mode():
            for rows in buckets([len(ids) for ids in batch], TOKENS_AT_ONCE):
                filled = padded([batch[row] for row in rows], padding)
                ids, real = (sent(one, model.device) for one in filled)
                vectors[rows] = self._embedded(model.module, ids, real.long()).cpu().numpy()
        return vectors

    @abstractmethod
    def _embedded(self, module: Any, ids: "torch.Tensor", real: "torch.Tensor") -> "torch.Tensor":
        """float32 (n, dim), unit rows, of token ids and mask, both int64 (n, t)."""


def at_rate(name: str, expected: int, rate: int | None) -> None:
    """Raises: InvalidInput for a sound of another rate."""
    if rate != expected:
        raise InvalidInput(f"{name} takes sound at {expected} Hz, not {rate}")

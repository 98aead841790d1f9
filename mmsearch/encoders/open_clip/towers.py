"""The two encoders of an open_clip checkpoint."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders.lazy import LazyEncoder
from mmsearch.encoders.open_clip.checkpoint import Checkpoint
from mmsearch.encoders.open_clip.model import Loader
from mmsearch.encoders.open_clip.tokens import Cut, cutter
from mmsearch.errors import InvalidInput, WeightsError
from mmsearch.reasons import Box
from mmsearch.types import EncoderSpec, Modality, Prepared, Segment

if TYPE_CHECKING:
    import torch

VERSION = 1
"""Raised whenever the vectors of the same checkpoint would change."""


class _Loaded(NamedTuple):
    module: Any  # open_clip's classes have no types
    device: "torch.device"
    dtype: "torch.dtype"


class _Tower(LazyEncoder[_Loaded]):
    """One of the two; both share a `Loader`."""

    modality: Modality

    def __init__(
        self, checkpoint: Checkpoint, device: str = "auto", precision: str = "auto", loader: Loader | None = None
    ) -> None:
        super().__init__(device, precision)
        self.checkpoint = checkpoint
        self._loader = loader or Loader(checkpoint)
        self._spec: EncoderSpec | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.checkpoint, self.device, self.precision)

    @property
    def spec(self) -> EncoderSpec:
        """Its first use hashes the weights, unless that was done before. Raises: WeightsError."""
        if self._spec is None:
            found = self.checkpoint
            weights = found.hashes(text=self.modality == "text")
            tag = f"open_clip-{VERSION}-{found.architecture}-{self._tag()}"
            self._spec = EncoderSpec(f"{found.name}-{self.modality}", self.modality, found.dim, weights, tag, 32)
        return self._spec

    def prepare(self, segment: Segment) -> Prepared:
        """The model's input for one segment. Raises: InvalidInput for another modality."""
        # Not by the spec: decode workers prepare, and need not hash the weights.
        if segment.modality != self.modality:
            raise InvalidInput(f"{self.checkpoint.name} takes {self.modality} here, not {segment.modality}")
        return self._prepare(segment.data, segment.rate)

    def try_out(self) -> None:
        """Load the weights and put something through them. Raises: WeightsError."""
        self._loaded()

    def _tag(self) -> str:
        raise NotImplementedError

    def _load(self, device: "torch.device", dtype: "torch.dtype") -> _Loaded:
        loaded = _Loaded(self._loader.load(device, dtype), device, dtype)
        try:
            width = self._forward(loaded, [self._trial()]).shape[1]
        except (RuntimeError, AssertionError, IndexError, ValueError) as error:
            raise WeightsError(
                f"the {self.modality} tower of {self.checkpoint.name} doesn't take what its config says: {error}",
                hint="take config and weights of the same model",
            ) from error
        if width != self.checkpoint.dim:
            raise WeightsError(f"{self.checkpoint.name} gives {width} numbers, not the {self.checkpoint.dim} it says")
        return loaded

    def _trial(self) -> Prepared:
        """Any input."""
        raise NotImplementedError


class OpenClipImage(_Tower):
    """Pictures and video frames -> (n, dim)."""

    modality = "image"

    def _tag(self) -> str:
        return self.checkpoint.pixels.tag

    def _prepare(self, data: Any, rate: int | None) -> Prepared:
        """uint8 (height, width, 3) as the checkpoint wants it."""
        return self.checkpoint.pixels.prepare(data)

    def _trial(self) -> Prepared:
        return np.zeros((self.checkpoint.pixels.height, self.checkpoint.pixels.width, 3), np.uint8)

    def _forward(self, model: _Loaded, batch: Sequence[Prepared]) -> NDArray[np.float32]:
        import torch
        from torch.nn import functional as F

        with torch.inference_mode():
            pixels = self.normalised(torch.from_numpy(np.stack(batch)).to(model.device)).to(model.dtype)
            # In full precision: rows of half precision are off by more than a unit vector may be.
            vectors: NDArray[np.float32] = F.normalize(model.module.encode_image(pixels).float(), dim=-1).cpu().numpy()
            return vectors

    def normalised(self, pixels: "torch.Tensor") -> "torch.Tensor":
        """float32 (n, 3, h, w), mean 0 and deviation 1 over the training data, of uint8 (n, h, w, 3)."""
        import torch

        mean, std = (
            torch.tensor(numbers, device=pixels.device).view(1, 3, 1, 1)
            for numbers in (self.checkpoint.pixels.mean, self.checkpoint.pixels.std)
        )
        return pixels.permute(0, 3, 1, 2).float().div_(255).sub_(mean).div_(std)

    def occluded(self, prepared: Prepared, box: Box) -> Prepared:
        """A copy with the box grey (see `mmsearch.reasons.Occludes`)."""
        hidden = prepared.copy()
        high, wide = hidden.shape[:2]
        left, top, right, bottom = box
        hidden[round(top * high) : round(bottom * high), round(left * wide) : round(right * wide)] = 128
        return hidden


class OpenClipText(_Tower):
    """Passages and queries -> (n, dim)."""

    modality = "text"
    _cut: Cut | None = None

    def _tag(self) -> str:
        return f"{self.checkpoint.context}-tokens"

    def _prepare(self, data: Any, rate: int | None) -> Prepared:
        """int64 (context,) token ids; what doesn't fit is cut off."""
        if self._cut is None:
            found = self.checkpoint
            self._cut = cutter(found.text, found.context, None if found.reads_bpe else found.tokenizer())
        return self._cut(str(data))

    def _trial(self) -> Prepared:
        return self._prepare("a", None)

    def _forward(self, model: _Loaded, batch: Sequence[Prepared]) -> NDArray[np.float32]:
        import torch
        from torch.nn import functional as F

        with torch.inference_mode():
            tokens = torch.from_numpy(np.stack(batch)).to(model.device)
            vectors: NDArray[np.float32] = F.normalize(model.module.encode_text(tokens).float(), dim=-1).cpu().numpy()
            return vectors

"""What the encoders that run a torch module share: cheap to build, loaded once, checked on the way out."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders import speed
from mmsearch.encoders.check import checked
from mmsearch.encoders.device import check_names, described, halving, resolve
from mmsearch.errors import InvalidInput
from mmsearch.types import EncoderSpec, Prepared, Segment, Vectors

if TYPE_CHECKING:
    import torch

Model = TypeVar("Model")

AT_ONCE = 256
"""Segments of one forward pass at most, whatever the caller hands over: Linux kills where it should refuse memory."""


class LazyEncoder(ABC, Generic[Model]):
    """An `Encoder` whose weights load at the first `encode`. Pickles as its settings, without weights."""

    def __init__(self, device: str = "auto", precision: str = "auto") -> None:
        """Raises: InvalidInput for names nobody knows; whether the device is there shows at the first `encode`."""
        check_names(device, precision)
        self.device = device
        self.precision = precision
        self._model: Model | None = None
        self._where = ""
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.device, self.precision)

    @property
    @abstractmethod
    def spec(self) -> EncoderSpec: ...

    @abstractmethod
    def _prepare(self, data: Any, rate: int | None) -> Prepared: ...

    @abstractmethod
    def _load(self, device: "torch.device", dtype: "torch.dtype") -> Model:
        """Verify the weights and build the model. Raises: WeightsError."""

    @abstractmethod
    def _forward(self, model: Model, batch: Sequence[Prepared]) -> NDArray[np.float32]:
        """float32 (len(batch), dim), rows of L2 norm 1, for at least one input."""

    def prepare(self, segment: Segment) -> Prepared:
        """The model's input for one segment. Raises: InvalidInput for another modality."""
        if segment.modality != self.spec.modality:
            raise InvalidInput(f"{self.spec.name} takes {self.spec.modality} segments, not {segment.modality}")
        return self._prepare(segment.data, segment.rate)

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        """float32 (len(batch), dim), rows of L2 norm 1, in input order; queries are encoded like segments.

        Raises: InvalidInput if the device isn't there, WeightsError, EncodeError.
        """
        if not batch:
            return np.zeros((0, self.spec.dim), np.float32)
        model = self._loaded()
        start = perf_counter()
        parts = [batch[start : start + AT_ONCE] for start in range(0, len(batch), AT_ONCE)]
        vectors = np.concatenate([halving(lambda some: self._forward(model, some), part) for part in parts])
        if not query:
            speed.note(self.spec.name, self._where, len(batch), perf_counter() - start)
        return checked(vectors, len(batch), self.spec)

    def _loaded(self) -> Model:
        with self._lock:
            if self._model is None:
                device, dtype = resolve(self.device, self.precision)
                self._model, self._where = self._load(device, dtype), described(device)
            return self._model

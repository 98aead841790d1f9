"""What the encoders that run a torch module share: cheap to build, loaded once, checked on the way out."""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders import speed
from mmsearch.encoders.check import checked_output
from mmsearch.encoders.device import (
    check_names,
    check_torch,
    described,
    free_cached_memory,
    halving,
    out_of_memory,
    resolve,
    torch_runs,
)
from mmsearch.errors import EncodeError, InvalidInput
from mmsearch.types import EncoderSpec, Prepared, Segment, Vectors

if TYPE_CHECKING:
    import torch

Model = TypeVar("Model")
Forward: TypeAlias = Callable[[Model, Sequence[Prepared]], NDArray[np.float32]]

_log = logging.getLogger(__name__)

CPU = "cpu"
AT_ONCE = 256
"""Segments of one forward pass at most, whatever the caller hands over: Linux kills where it should refuse memory."""


class LazyEncoder(ABC, Generic[Model]):
    """An `Encoder` whose weights load at the first `encode`. Pickles as its settings, without weights.

    Where not even one segment fits into a GPU's memory, it continues on the CPU for as long as it lives, and says so.
    """

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

        Raises: InvalidInput if the device isn't there, WeightsError, EncodeError, Forked.
        """
        check_torch()
        if not batch:
            return np.zeros((0, self.spec.dim), np.float32)
        return checked_output(self._computed(self._forward, batch, query), len(batch), self.spec)

    def _computed(self, forward: Forward[Model], batch: Sequence[Prepared], query: bool) -> NDArray[np.float32]:
        """What `forward` makes of at least one input, in parts that fit into memory; rows in input order."""
        self._loaded()
        start, where = perf_counter(), self._where

        def run(part: Sequence[Prepared]) -> NDArray[np.float32]:
            return forward(self._loaded(), part)

        def on_cpu(part: Sequence[Prepared]) -> NDArray[np.float32]:
            with self._lock:
                if self._where != CPU:
                    self._model = self._moved("one segment")
            return halving(run, part)

        parts = [batch[first : first + AT_ONCE] for first in range(0, len(batch), AT_ONCE)]
        made = np.concatenate([halving(run, part, None if where == CPU else on_cpu) for part in parts])
        if not query and where == self._where:
            speed.note_speed(self.spec.name, where, len(batch), perf_counter() - start)
        return made

    def _loaded(self) -> Model:
        torch_runs()
        with self._lock:
            if self._model is None:
                self._model = self._placed(*self._numbers())
            return self._model

    def _numbers(self) -> "tuple[torch.device, torch.dtype]":
        """Where it runs, in which kind of numbers. Raises: InvalidInput if the device isn't there."""
        return resolve(self.device, self.precision)

    def _placed(self, device: "torch.device", dtype: "torch.dtype") -> Model:
        """The model on a device, or else on the CPU. The caller holds the lock."""
        self._where = described(device)
        try:
            return self._load(device, dtype)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if self._where == CPU:
                raise EncodeError(f"{self.spec.name} doesn't fit into memory", hint="take a smaller model") from error
        return self._moved("the model")

    def _moved(self, what: str) -> Model:
        """The model on the CPU. The caller holds the lock."""
        _log.warning(
            "%s: %s doesn't fit into the memory of %s; it continues on the CPU", self.spec.name, what, self._where
        )
        self._model = None
        free_cached_memory()
        return self._placed(*resolve(CPU, "fp32"))

"""What the towers of a checkpoint share, whichever library its module is from."""

import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from time import process_time
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from mmsearch.encoders import half
from mmsearch.encoders.device import check_torch, halving, out_of_memory
from mmsearch.encoders.explaining import Box
from mmsearch.encoders.half import HalfTrial
from mmsearch.encoders.lazy import CPU, LazyEncoder
from mmsearch.encoders.pixels import Pixels
from mmsearch.errors import EncodeError, InvalidInput, WeightsError
from mmsearch.types import EncoderSpec, Modality, Prepared, Segment, Vectors

if TYPE_CHECKING:
    import torch


class Checkpointed(Protocol):
    """A model's folder, its config read and checked, its weights unopened."""

    @property
    def name(self) -> str: ...
    @property
    def dim(self) -> int: ...


Checkpoint = TypeVar("Checkpoint", bound=Checkpointed)

_log = logging.getLogger(__name__)


class Loaded(NamedTuple):
    """A module where it runs."""

    module: Any  # the libraries' classes have no types, or too many
    device: "torch.device"
    dtype: "torch.dtype"


def placed(module: "torch.nn.Module", device: "torch.device", dtype: "torch.dtype") -> "torch.nn.Module":
    """The module where it runs, its weights in this precision; the frequencies that positions turn by stay float32,
    since rounded they are off by whole turns at the end of a long input."""
    kept = {name: table for name, table in module.named_buffers() if name.endswith("inv_freq")}
    module.to(device=device, dtype=dtype)
    for name, table in kept.items():
        owner, _, own = name.rpartition(".")
        setattr(module.get_submodule(owner), own, table.to(device))
    return module


class Tower(LazyEncoder[Loaded], Generic[Checkpoint]):
    """One modality of a checkpoint, loaded without the others."""

    modality: Modality
    parts: tuple[str, ...]
    """How the names of its parameters begin."""
    batch_size = 32

    def __init__(self, checkpoint: Checkpoint, device: str = "auto", precision: str = "auto") -> None:
        super().__init__(device, precision)
        self.checkpoint = checkpoint
        self._spec: EncoderSpec | None = None
        self._half_trial: HalfTrial | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.checkpoint, self.device, self.precision)

    @property
    def spec(self) -> EncoderSpec:
        """Its first use hashes the weights, unless that was done before. Raises: WeightsError."""
        if self._spec is None:
            name, dim = f"{self.checkpoint.name}-{self.modality}", self.checkpoint.dim
            self._spec = EncoderSpec(name, self.modality, dim, self._hashes(), self._tag(), self.batch_size)
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

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        """As `LazyEncoder.encode`. The first segments decide whether later ones are embedded in bfloat16."""
        if query or not batch or self.precision != "auto":
            return super().encode(batch, query=query)
        check_torch()
        self._loaded()
        trial, begun = self._half_trial, process_time()
        vectors = super().encode(batch)
        if trial is not None:
            with self._lock:
                enough = trial.add(batch, vectors, process_time() - begun)
            if enough:
                self._decide(trial)
        return vectors

    def _numbers(self) -> "tuple[torch.device, torch.dtype]":
        import torch

        device, dtype = super()._numbers()
        if self.precision == "auto" and half.multiplies_bfloat16(device):
            known = half.verdict(self.spec)
            self._half_trial = half.HalfTrial() if known is None else None
            return device, torch.bfloat16 if known else dtype
        return device, dtype

    def _decide(self, trial: HalfTrial) -> None:
        """Embed the inputs of a trial once more, in bfloat16, and go on with what is better."""
        import torch

        with self._lock:
            if self._half_trial is not trial:  # another thread was here
                return
            # One at a time, since both may not fit into memory.
            self._half_trial = self._model = None
            pays = False
            try:
                model = self._load(torch.device(CPU), torch.bfloat16)
                begun = process_time()
                vectors = halving(lambda part: self._forward(model, part), trial.inputs)
                pays = trial.pays(vectors, process_time() - begun)
                self._model = model if pays else None
            except (WeightsError, EncodeError, RuntimeError) as error:
                _log.info("%s doesn't run in bfloat16: %s", self.spec.name, type(error).__name__)
            half.remember(self.spec, pays)
            _log.info("%s computes in %s on this machine", self.spec.name, "bfloat16" if pays else "float32")

    @abstractmethod
    def _build(self) -> "torch.nn.Module":
        """The module with the weights of its `parts`, float32 on the CPU, in evaluation mode. Raises: WeightsError."""

    @abstractmethod
    def _hashes(self) -> Mapping[str, str]:
        """File name -> sha256 of what the vectors depend on. Raises: WeightsError."""

    @abstractmethod
    def _tag(self) -> str:
        """Of the preprocessing, and of what the weights don't tell."""

    @abstractmethod
    def _trial(self) -> Prepared:
        """Any input, as large as they come."""

    def _packed(self, module: "torch.nn.Module") -> "torch.nn.Module":
        """The module as it runs best on a CPU in float32, made of itself."""
        from mmsearch.encoders.packed import pack

        return pack(module)

    def _load(self, device: "torch.device", dtype: "torch.dtype") -> Loaded:
        import torch

        from mmsearch.encoders.packed import packs

        module = self._build()
        if sum(one.numel() for one in module.parameters()) < half.LEAST_PARAMETERS:
            self._half_trial = None
        module = placed(module, device, dtype).to(memory_format=torch.channels_last)
        loaded = Loaded(self._packed(module) if packs(device, dtype) else module, device, dtype)
        try:
            width = self._forward(loaded, [self._trial()]).shape[1]
        except (RuntimeError, AssertionError, IndexError, ValueError) as error:
            if out_of_memory(error):
                raise
            raise WeightsError(
                f"the {self.modality} tower of {self.checkpoint.name} doesn't take what its config says: {error}",
                hint="take config and weights of the same model",
            ) from error
        if width != self.checkpoint.dim:
            raise WeightsError(f"{self.checkpoint.name} gives {width} numbers, not the {self.checkpoint.dim} it says")
        return loaded


class ImageTower(Tower[Checkpoint]):
    """Pictures and video frames."""

    modality = "image"

    @property
    @abstractmethod
    def pixels(self) -> Pixels: ...

    def _prepare(self, data: Any, rate: int | None) -> Prepared:
        """uint8 (height, width, 3) as the checkpoint wants it."""
        return self.pixels.prepare(data)

    def _trial(self) -> Prepared:
        return np.zeros((self.pixels.height, self.pixels.width, 3), np.uint8)

    def normalised(self, pixels: "torch.Tensor") -> "torch.Tensor":
        """float32 (n, 3, h, w), mean 0 and deviation 1 over the training data, of uint8 (n, h, w, 3)."""
        import torch

        mean, std = (
            torch.tensor(numbers, device=pixels.device).view(1, 3, 1, 1)
            for numbers in (self.pixels.mean, self.pixels.std)
        )
        return pixels.permute(0, 3, 1, 2).float().div_(255).sub_(mean).div_(std)

    def occluded(self, prepared: Prepared, box: Box) -> Prepared:
        """A copy with the box grey (see `mmsearch.encoders.explaining.OccludesRegions`)."""
        hidden = prepared.copy()
        high, wide = hidden.shape[:2]
        left, top, right, bottom = box
        hidden[round(top * high) : round(bottom * high), round(left * wide) : round(right * wide)] = 128
        return hidden

"""Where and how precisely a model runs, and what happens when its memory is full."""

import ctypes
import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mmsearch.core import collector, forks
from mmsearch.core.config import DEVICE
from mmsearch.errors import EncodeError, Forked, InvalidInput

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")

PRECISIONS = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
"""Setting -> name of the torch dtype."""

_MALLOC = ((-3, 2**30), (-1, 2**31 - 1))
"""(option, bytes) for mallopt: M_MMAP_THRESHOLD and M_TRIM_THRESHOLD, as in glibc's malloc.h."""

_may_keep_memory = False


def check_names(device: str, precision: str) -> None:
    """Refuse names nobody knows, without torch. Raises: InvalidInput."""
    if not DEVICE.fullmatch(device):
        raise InvalidInput(f"unknown device {device!r}", hint="known: auto, cpu, cuda, cuda:N, mps")
    if precision != "auto" and precision not in PRECISIONS:
        raise InvalidInput(f"unknown precision {precision!r}", hint=f"known: auto, {', '.join(PRECISIONS)}")


def resolve(device: str, precision: str) -> "tuple[torch.device, torch.dtype]":
    """The device and the dtype to run in: auto is cuda, else mps, else cpu; fp16 on a GPU, fp32 on a CPU
    (towers may choose bf16 there: `encoders.half`).

    Raises: InvalidInput if this machine hasn't got the device.
    """
    check_names(device, precision)
    import_torch()
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= (torch.cuda.device_count() if torch.cuda.is_available() else 0):
        raise InvalidInput(
            f"device {device} does not exist: torch sees {torch.cuda.device_count()} CUDA devices",
            hint="use --device auto or cpu, or check the driver with `nvidia-smi`",
        )
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise InvalidInput("device mps does not exist: it needs an Apple GPU", hint="use --device auto or cpu")
    if precision == "auto":
        precision = "fp32" if chosen.type == "cpu" else "fp16"
    if chosen.type == "cpu" and _may_keep_memory:
        keep_memory()
    dtype: torch.dtype = getattr(torch, PRECISIONS[precision])
    return chosen, dtype


def described(device: "torch.device") -> str:
    """A device by its name: a GPU's own, or its kind."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def sent(array: NDArray[Any], device: "torch.device") -> "torch.Tensor":
    """An array as a tensor on a device."""
    import torch

    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor.to(device)
    # From pinned memory the copy is made beside what the GPU still computes; torch keeps the memory until then.
    return tensor.pin_memory().to(device, non_blocking=True)


class _Torch:
    """Whether torch ran in this process, or in one that it is a child of."""

    def __init__(self) -> None:
        self._ran = self._lost = False
        self._alone = False
        """Loaded before the fork, perhaps used by the application: with one thread it waits for none that is gone."""

    def check(self) -> None:
        if self._lost:
            raise Forked("PyTorch ran before this process was forked, and would hang in it", hint=forks.HINT)

    def runs(self) -> None:
        self.check()
        self._ran = True
        if self._alone:
            self._start_alone()

    def _start_alone(self) -> None:
        import torch

        if torch.cuda._is_in_bad_fork():
            raise Forked("a GPU was in use before this process was forked, which it can't share", hint=forks.HINT)
        torch.set_num_threads(1)
        self._alone = False

    def forked(self) -> None:
        self._lost = self._lost or self._ran
        self._alone = "torch" in sys.modules


_TORCH = forks.reset_in_child(_Torch())


def torch_runs() -> None:
    """Said before torch computes anything. Raises: Forked in a child of a process that had said so."""
    _TORCH.runs()


def check_torch() -> None:
    """Raises: as `torch_runs`, which this does not say."""
    _TORCH.check()


def import_torch() -> None:
    """Import torch with OpenMP threads that sleep when they wait, unless it is loaded or you chose otherwise.

    By default they spin, on cores that the decode workers need. OpenMP reads the variable once, as it is loaded.
    """
    if "torch" in sys.modules:
        return
    chosen = "OMP_WAIT_POLICY" in os.environ
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        with collector.seldom():
            import torch  # noqa: F401
    finally:
        if not chosen:
            del os.environ["OMP_WAIT_POLICY"]


def may_keep_memory() -> None:
    """Let models that run on the CPU call `keep_memory`, which changes the whole process."""
    global _may_keep_memory
    _may_keep_memory = True


@cache
def keep_memory() -> bool:
    """Have the C library keep freed memory for the next batch; returns whether it does. Only glibc can be told.

    By default glibc gives every large block back to the kernel, which has to clear it anew for each layer of each
    batch: on the CPU that was 60 % of the time of a forward pass (14 instead of 38 pictures/s on 2 cores). The price
    is that the process keeps the memory of its largest batch. Your own MALLOC_MMAP_THRESHOLD_ is respected.
    """
    if not sys.platform.startswith("linux") or "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(option, value) == 1 for option, value in _MALLOC)


def halving(
    forward: Callable[[Sequence[Item]], NDArray[Any]],
    batch: Sequence[Item],
    otherwise: Callable[[Sequence[Item]], NDArray[Any]] | None = None,
) -> NDArray[Any]:
    """`forward(batch)`, in halves (and halves of those) where memory doesn't suffice. Rows keep their order.

    One item that doesn't fit alone is left to `otherwise`. Raises: EncodeError if there is no such thing.
    """
    try:
        return forward(batch)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        if len(batch) <= 1 and otherwise is None:
            raise EncodeError(
                "a single segment doesn't fit into memory", hint="close what else runs here, or take a smaller model"
            ) from error
    # Outside the handler: the exception's traceback would keep the failed batch's tensors alive.
    free_cached_memory()
    if len(batch) <= 1 and otherwise is not None:
        return otherwise(batch)
    middle = len(batch) // 2
    return np.concatenate([halving(forward, part, otherwise) for part in (batch[:middle], batch[middle:])])


def out_of_memory(error: BaseException) -> bool:
    """Whether that is what an error means."""
    # torch raises its own class on CUDA only; MPS and the CPU allocator say it in a plain RuntimeError.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return "out of memory" in str(error).lower() or "can't allocate memory" in str(error)


def free_cached_memory() -> None:
    """Give back to a GPU what torch keeps of it for later."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()

"""Building a checkpoint's torch module by transformers, from local files only."""

import io
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

from mmsearch.encoders import tensors
from mmsearch.encoders.huggingface.checkpoint import HuggingFaceCheckpoint
from mmsearch.errors import WeightsError

if TYPE_CHECKING:
    import torch

    from mmsearch.encoders.partial import TowerParts

HINT = "take config and weights of the same model"
_NOT_STORED = ("position_ids",)
"""Counters from 0 that older releases of transformers stored."""

Make = Callable[[dict[str, Any]], "torch.nn.Module"]
"""config.json -> the module, its weights to come."""


def build_module(checkpoint: HuggingFaceCheckpoint, make: Make, parts: "TowerParts") -> "torch.nn.Module":
    """The module with the weights of a part, float32 on the CPU, in evaluation mode.

    transformers' own `from_pretrained` fills in at random what weights lack, and leaves out what they have too much.
    Raises: WeightsError for weights that are damaged, or are not those of the architecture in the config.
    """
    from mmsearch.encoders.partial import drop_towers, fill_tower

    paths = checkpoint.weights()
    stored = {name: shape for path in paths for name, shape in tensors.tensor_shapes(path).items()}
    module = _architecture(checkpoint, make)
    _check(checkpoint, stored, module.state_dict())
    fill_tower(module, paths, parts)
    drop_towers(module, parts)
    return module.eval()


def _architecture(checkpoint: HuggingFaceCheckpoint, make: Make) -> "torch.nn.Module":
    from mmsearch.encoders.partial import Unfilled

    try:
        # A class of transformers prints when it is built.
        with redirect_stdout(io.StringIO()), Unfilled():
            module: Any = make(dict(checkpoint.config))
        module.tie_weights()
    except Exception as error:  # whatever the library makes of a config that it doesn't like
        raise WeightsError(
            f"the architecture of {checkpoint.name} can't be built: {type(error).__name__}: {str(error)[:300]}",
            hint="its config may be damaged, or need a newer transformers: pip install --upgrade transformers",
        ) from error
    built: torch.nn.Module = module
    return built


def _check(
    checkpoint: HuggingFaceCheckpoint, stored: Mapping[str, tuple[int, ...]], built: "Mapping[str, torch.Tensor]"
) -> None:
    """Raises: WeightsError for tensors that are missing, too many, or of another shape."""
    mismatch = f"{checkpoint.folder} does not hold the weights of the architecture in its config"
    for name, shape in stored.items():
        if name not in built and not name.endswith(_NOT_STORED):
            raise WeightsError(f"{mismatch}: {name} is too much", hint=HINT)
        if name in built and tuple(built[name].shape) != shape:
            raise WeightsError(f"{mismatch}: {name} is {shape}, not {tuple(built[name].shape)}", hint=HINT)
    # Of weights that serve in two places only one is stored.
    known = {built[name].data_ptr() for name in stored if name in built}
    for name, tensor in built.items():
        if name not in stored and tensor.data_ptr() not in known:
            raise WeightsError(f"{mismatch}: {name} is missing", hint=HINT)

"""Low-rank adapters of a checkpoint: what `mmsearch train adapter` makes, added to the weights as they are loaded.

LoRA (Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022): a weight W becomes
W + (alpha / r) B A. The folder is peft's: adapter_config.json, adapter_model.safetensors; peft itself only trains.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmsearch.core.json_text import parse_json
from mmsearch.encoders import model_store
from mmsearch.errors import WeightsError

if TYPE_CHECKING:
    import torch

    from mmsearch.encoders.partial import TowerParts

CONFIG_NAME, WEIGHTS_NAME = "adapter_config.json", "adapter_model.safetensors"
PREFIX, A, B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
"""How peft names things."""

_OTHERWISE = ("rank_pattern", "alpha_pattern", "use_dora", "use_rslora", "modules_to_save", "fan_in_fan_out")
"""What peft's config may say beside, and this module doesn't do."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter's folder, its config read and checked."""

    folder: Path
    base: str
    """The space it was trained on, as the registry knows it."""
    base_sha256: str
    """Of that model's weights."""
    scale: float
    """alpha / r."""

    def hashes(self, base: str) -> dict[str, str]:
        """File name -> sha256. Raises: WeightsError if `base`, the sha256 of the model's weights, is another one's."""
        if base != self.base_sha256:
            raise WeightsError(
                f"the adapter in {self.folder} was trained on other weights than {self.base} has now",
                hint="put those weights back, or train the adapter again",
            )
        return {WEIGHTS_NAME: model_store.sha256(self.folder / WEIGHTS_NAME)}


def read_adapter(folder: Path) -> Adapter:
    """The adapter in a folder. Raises: WeightsError."""
    path = folder / CONFIG_NAME
    try:
        config = parse_json(path.read_text("utf-8"))
        kind, base, sha256 = config["peft_type"], config["base_model_name_or_path"], config["revision"]
        scale = config["lora_alpha"] / config["r"]
        other = [name for name in _OTHERWISE if config.get(name)]
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{folder} holds no adapter: {path.name}: {error!r}", hint="see mmsearch train") from error
    if kind != "LORA" or other or not isinstance(base, str) or not math.isfinite(scale):
        raise WeightsError(f"the adapter in {folder} is of a kind that mmsearch does not make: {kind}, {other}")
    return Adapter(folder, base, str(sha256), scale)


def merge_adapter(module: "torch.nn.Module", adapter: Adapter, parts: "TowerParts" = ("",)) -> None:
    """Add the adapter to the module's weights, or those of a part. Raises: WeightsError if it is damaged or doesn't
    fit the module."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = adapter.folder / WEIGHTS_NAME
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is damaged: {error}", hint="train it again, or restore a copy") from error
    weights = dict(module.named_parameters())
    with torch.no_grad():
        for name in [name for name in state if name.endswith(A)]:
            adapted = adapter_target(name.removesuffix(A), weights)
            weight = weights.get(adapted)
            other = state.pop(name.removesuffix(A) + B, None)
            # The product of two matrices that don't belong here may still have the weight's shape.
            if weight is None or other is None or (other.shape[0], state[name].shape[1]) != tuple(weight.shape):
                raise WeightsError(f"{path} does not fit {adapter.base}: {name}", hint="train it again")
            first = state.pop(name)
            if adapted.startswith(parts):
                weight.add_(adapter.scale * (other @ first))
    if state:
        raise WeightsError(f"{path} holds more than LoRA's matrices: {next(iter(state))}")


def adapter_target(name: str, weights: Mapping[str, Any]) -> str:
    """The parameter that peft's name for an adapted module stands for."""
    owner = name.removeprefix(PREFIX)
    return f"{owner}.weight" if f"{owner}.weight" in weights else f"{owner}.in_proj_weight"

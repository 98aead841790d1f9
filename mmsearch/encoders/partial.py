"""One tower of a model, loaded without the others: a query by words needs no weights for pictures.

A module is built whole, which takes no memory as long as nobody writes to its parameters; so what a file holds can be
compared with all of it. Then only the tensors of one part are read.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import nn
from torch.overrides import TorchFunctionMode

TowerParts = tuple[str, ...]
"""How the names of a part's parameters begin; ("",) is the whole module."""


class Unfilled(TorchFunctionMode):
    """Modules built within leave their parameters as the memory was: no random numbers for weights to come."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        name = getattr(func, "__name__", "")
        # In place, but not an operator or a property; some of torch.nn.init name what they fill.
        if name.endswith("_") and not name.startswith("__") and name != "requires_grad_":
            filled = args[0] if args else (kwargs or {}).get("tensor")
            if isinstance(filled, nn.Parameter):
                return filled
        return func(*args, **(kwargs or {}))


def fill_tower(module: nn.Module, paths: Iterable[Path], parts: TowerParts) -> None:
    """Read a part's tensors from safetensors files, whose names and shapes were compared with the module's before."""
    built = module.state_dict()
    # What serves in two places is stored once, perhaps under a name of another part.
    addresses = {tensor.data_ptr() for name, tensor in built.items() if name.startswith(parts)}
    for path in paths:
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118
                if name in built and built[name].data_ptr() in addresses:
                    built[name].copy_(file.get_tensor(name))


def drop_towers(module: nn.Module, parts: TowerParts) -> None:
    """Let go of all parameters that are not of a part, and of modules that have no others: what needs them fails."""
    named = module.named_parameters(remove_duplicate=False)
    _drop(module, {id(parameter) for name, parameter in named if name.startswith(parts)})


def _drop(module: nn.Module, kept: Collection[int]) -> None:
    for name, parameter in list(module.named_parameters(recurse=False)):
        if id(parameter) not in kept:
            setattr(module, name, None)
    for name, child in list(module.named_children()):
        held = [id(parameter) in kept for parameter in child.parameters()]
        if held and not any(held):
            setattr(module, name, None)
        else:
            _drop(child, kept)

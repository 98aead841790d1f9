"""Layers as oneDNN runs them best on a CPU: weights in the order its kernels read, and the activation in the same pass.

torch's own linear layers go through MKL, which takes 1.1 to 2 times as long on AMD's processors, and puts weights in
order at each call. The results are the same but for rounding. Nothing global is set, as
`torch.set_float32_matmul_precision` would: an application's own products stay what they were, and on processors that
multiply bfloat16 matrices these stay float32.
"""

from collections.abc import Callable, Mapping
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_CAPABILITIES = ("AVX2", "AVX512")
_TOLERANCE = 1e-5
_ONEDNN: Any = torch.ops.mkldnn


class Activation(NamedTuple):
    """An activation by oneDNN's name, which a layer can do itself."""

    name: str = "none"
    numbers: tuple[float, ...] = ()
    algorithm: str = ""


NONE = Activation()


class Packable(nn.Module):
    """A module that multiplies by weights of its own."""

    def pack(self) -> None:
        """Have oneDNN multiply by them."""
        raise NotImplementedError


class PackedLinear(nn.Module):
    """A linear layer, and the activation after it."""

    def __init__(self, linear: nn.Linear, activation: Activation = NONE, packed: nn.Parameter | None = None) -> None:
        """`packed`: its weight, if another layer that shares it is packed already."""
        super().__init__()
        self._parameters["weight"] = self._packed = packed_weight(linear.weight) if packed is None else packed
        self.bias = linear.bias
        self.activation = activation

    @property
    def weight(self) -> Tensor:
        """As `nn.Linear` has it, a copy: some modules multiply by the weights of their layers themselves."""
        return self._packed.to_dense()

    def forward(self, x: Tensor) -> Tensor:
        return packed_linear(x, self._packed, self.bias, self.activation)


class PackedConv(nn.Module):
    """A convolution, and the activation after it."""

    def __init__(self, conv: nn.Conv2d, activation: Activation = NONE) -> None:
        super().__init__()
        self._placed: tuple[Any, ...] = (conv.padding, conv.stride, conv.dilation, conv.groups)
        weight = _ONEDNN._reorder_convolution_weight(conv.weight.detach(), *self._placed, None)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = conv.bias
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        name, numbers, algorithm = self.activation
        made: Tensor = _ONEDNN._convolution_pointwise(
            x, self.weight, self.bias, *self._placed, name, list(numbers), algorithm
        )
        return made


class PackedHalving(nn.Module):
    """A convolution of stride 2 with an odd square kernel, padded as TensorFlow's SAME pads, and what activates it.

    Even sides get one zero more at their end than at their beginning, which oneDNN can't do. A kernel with zeros before
    its first row and column makes it the same at both, and saves a pass over all there is.
    """

    def __init__(self, conv: nn.Conv2d, activation: Activation = NONE) -> None:
        super().__init__()
        self.odd = PackedConv(_repadded(conv, conv.weight), activation)
        self.even = PackedConv(_repadded(conv, F.pad(conv.weight, (1, 0, 1, 0))), activation)

    def forward(self, x: Tensor) -> Tensor:
        """x (n, channels, h, w), h and w both even or both odd."""
        height, width = x.shape[2:]
        if (height - width) % 2:
            raise ValueError(f"sides of {height} and {width}: one is even, one odd")
        made: Tensor = (self.odd if height % 2 else self.even)(x)
        return made


def _repadded(conv: nn.Conv2d, weight: Tensor) -> nn.Conv2d:
    """The convolution with another kernel, and as many zeros at both ends as its own has before its middle."""
    middle = conv.kernel_size[0] // 2
    sides = (weight.shape[2], weight.shape[3])
    with torch.device("meta"):
        made = nn.Conv2d(conv.in_channels, conv.out_channels, sides, conv.stride, middle, groups=conv.groups)  # type: ignore[arg-type]
    made.weight, made.bias = nn.Parameter(weight.detach(), requires_grad=False), conv.bias
    return made


def packed_weight(weight: Tensor) -> nn.Parameter:
    """A linear layer's weight in oneDNN's order."""
    return nn.Parameter(_ONEDNN._reorder_linear_weight(weight.detach().contiguous()), requires_grad=False)


def packed_linear(x: Tensor, weight: Tensor, bias: Tensor | None, activation: Activation = NONE) -> Tensor:
    """activation(x W^T + b), of a weight that `packed_weight` made."""
    name, numbers, algorithm = activation
    made: Tensor = _ONEDNN._linear_pointwise(x, weight, bias, name, list(numbers), algorithm)
    return made


def packs(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether layers of a dtype can be packed on a device, and give what they should there."""
    return device.type == "cpu" and dtype == torch.float32 and _right()


@cache
def _right() -> bool:
    onednn: Any = torch.backends.mkldnn
    if torch.backends.cpu.get_cpu_capability() not in _CAPABILITIES or not onednn.is_available():
        return False
    numbers = torch.arange(4096, dtype=torch.float32).sin_()
    x, weight, bias = numbers.view(64, 64), numbers.flip(0).view(64, 64), numbers[:64]
    try:
        with torch.inference_mode():
            made = packed_linear(x, packed_weight(weight), bias)
    except (RuntimeError, AttributeError, TypeError):  # another torch
        return False
    exact = F.linear(x.double(), weight.double(), bias.double())
    return bool((made - exact).abs().max() <= _TOLERANCE * exact.abs().max())


def activation_of(module: nn.Module) -> Activation | None:
    """What a layer can do of a module after it; None if it can't."""
    if type(module) is nn.GELU:
        return Activation("gelu", (), module.approximate)
    if type(module) is nn.ReLU6:
        return Activation("hardtanh", (0.0, 6.0))
    return NONE if type(module) is nn.Identity else None


Pack = Callable[[Any, Activation], nn.Module]


def pack(
    module: nn.Module, others: Mapping[type[nn.Module], Pack] | None = None, *, in_order: bool = False
) -> nn.Module:
    """The module, its linear layers packed, in place, and the activations that follow them in an `nn.Sequential`.

    Args:
        others: How layers of other types are packed.
        in_order: What is registered one after the other is run so, in every module.
    """
    shared: dict[Tensor, nn.Parameter] = {}

    def linear(layer: nn.Linear, activation: Activation) -> nn.Module:
        made = PackedLinear(layer, activation, shared.get(layer.weight))
        shared[layer.weight] = made._packed
        return made

    makers: dict[type[nn.Module], Pack] = {nn.Linear: linear, **(others or {})}
    for owner in list(module.modules()):
        if isinstance(owner, Packable):
            owner.pack()
        if not isinstance(owner, nn.TransformerEncoderLayer | nn.MultiheadAttention):  # they take layers' weights
            _pack_children(owner, makers, in_order or isinstance(owner, nn.Sequential))
    return module


def _pack_children(owner: nn.Module, makers: Mapping[type[nn.Module], Pack], in_order: bool) -> None:
    children: list[tuple[str, Any]] = list(owner.named_children())
    for (name, layer), (next_name, after) in pairwise([*children, ("", None)]):
        maker = makers.get(type(layer))
        if maker is None or layer.weight is None:
            continue
        activation = activation_of(after) if in_order and after is not None else None
        setattr(owner, name, maker(layer, activation or NONE))
        if activation is not None:
            setattr(owner, next_name, nn.Identity())

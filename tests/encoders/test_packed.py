"""Layers packed for oneDNN: the same numbers, the parameters' names kept, nothing of the process changed."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from mmsearch.encoders import packed
from mmsearch.encoders.attention import SelfAttention
from mmsearch.encoders.packed import PackedConv, PackedHalving, PackedLinear, pack

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(not packed.packs(CPU, torch.float32), reason="oneDNN packs no layers on this processor")


def same(module: nn.Module, x: torch.Tensor, **how: Any) -> nn.Module:
    """The module packed, after what it gives was compared."""
    with torch.inference_mode():
        wanted = module.eval()(x)
        made = pack(module, **how)
        torch.testing.assert_close(made(x), wanted, atol=2e-6, rtol=1e-5)
    return made


@pytest.mark.parametrize("activation", [nn.GELU, lambda: nn.GELU("tanh"), nn.ReLU6, nn.Identity, nn.Tanh])
@pytest.mark.parametrize("rows", [1, 7, 300])
def test_linear_layers_and_the_activations_after_them(activation: Callable[[], nn.Module], rows: int) -> None:
    made = same(nn.Sequential(nn.Linear(40, 96), activation(), nn.Linear(96, 8, bias=False)), torch.randn(2, rows, 40))
    kinds = [type(layer) for layer in made.children()]
    assert kinds == [PackedLinear, nn.Tanh if activation is nn.Tanh else nn.Identity, PackedLinear]
    assert {name for name, _ in made.named_parameters()} == {"0.weight", "0.bias", "2.weight"}


def test_an_activation_is_only_merged_where_layers_are_run_in_order() -> None:
    class Apart(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.act = nn.Linear(4, 4), nn.GELU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = self.first(self.act(x))
            return made

    made = same(Apart(), torch.randn(3, 4))
    assert isinstance(made.act, nn.GELU) and isinstance(made.first, PackedLinear)


def test_convolutions_with_what_is_padded_before_them() -> None:
    layers = [nn.Conv2d(8, 24, 1), nn.ReLU6(), nn.Conv2d(24, 24, 3, padding=1, groups=24), nn.ReLU6()]
    x = torch.randn(2, 8, 14, 10).contiguous(memory_format=torch.channels_last)
    made = same(nn.Sequential(*layers), x, others={nn.Conv2d: PackedConv})
    assert [type(layer) for layer in made.children()] == [PackedConv, nn.Identity] * 2


@pytest.mark.parametrize(("kernel", "side"), [(3, 10), (3, 9), (5, 12), (5, 17)])
@pytest.mark.parametrize("groups", [1, 8])
def test_halving_pads_as_tensorflow_does(kernel: int, side: int, groups: int) -> None:
    conv, x = Conv2dSame(8, 8, kernel, 2, groups=groups), torch.randn(2, 8, side, side)
    layers = nn.Sequential(conv, nn.ReLU6()).eval()
    made = same(layers, x.contiguous(memory_format=torch.channels_last), others={Conv2dSame: PackedHalving})
    assert isinstance(made[0], PackedHalving)  # type: ignore[index]
    with pytest.raises(ValueError, match="one is even, one odd"):
        made(x[:, :, :-1])


def test_a_module_that_reads_its_layers_weights_still_can() -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(5, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.linear(x, self.layer.weight, self.layer.bias)

    same(Reads(), torch.randn(2, 5))
    same(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), torch.randn(2, 3, 16))


def test_a_weight_of_two_layers_is_packed_once() -> None:
    first, second = nn.Linear(6, 6), nn.Linear(6, 6)
    second.weight = first.weight
    made: Any = same(nn.Sequential(first, nn.Tanh(), second), torch.randn(4, 6))
    assert {name for name, _ in made.named_parameters()} == {"0.weight", "0.bias", "2.bias"}
    assert made[0]._packed is made[2]._packed


def test_self_attention_is_torch_s_own() -> None:
    theirs = nn.MultiheadAttention(24, 4, batch_first=True).eval()
    x, causal = torch.randn(3, 5, 24), torch.full((5, 5), -torch.inf).triu_(1)
    with torch.inference_mode():
        for mask in (None, causal):
            wanted = theirs(x, x, x, need_weights=False, attn_mask=mask)[0]
            ours = SelfAttention.of(theirs)
            torch.testing.assert_close(ours(x, x, x, attn_mask=mask)[0], wanted, atol=2e-6, rtol=1e-5)
            torch.testing.assert_close(pack(ours)(x, attn_mask=mask)[0], wanted, atol=2e-6, rtol=1e-5)
    assert {name for name, _ in ours.named_parameters()} == {name for name, _ in theirs.named_parameters()}


def test_nothing_is_packed_off_the_cpu_or_in_half_precision() -> None:
    assert not packed.packs(torch.device("cuda"), torch.float32) and not packed.packs(CPU, torch.bfloat16)


def test_an_application_s_own_products_stay_as_they_are() -> None:
    onednn: Any = torch.backends.mkldnn

    def state() -> tuple[Any, ...]:
        return torch.get_float32_matmul_precision(), onednn.matmul.fp32_precision, torch.get_num_threads()

    before = state()
    same(nn.Sequential(nn.Linear(8, 8)), torch.randn(2, 8))
    assert state() == before

"""A checkpoint's towers with low-rank adapters in them, by peft: what learns, and the folder it is kept in.

peft adapts torch's fused attention by adding the adapter to its weights before each forward pass and subtracting it
afterwards, which lets them drift, rounding by rounding (and peft 0.21 adds its output layer's twice). So that attention
is taken apart into two linear layers here, on the same weights, of which the first is adapted; what is saved bears the
names that peft gives on the untouched model.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from mmsearch.core.arguments import check_field_types
from mmsearch.encoders.open_clip.adapter import CONFIG_NAME, WEIGHTS_NAME, A, B
from mmsearch.encoders.open_clip.checkpoint import OpenClipCheckpoint
from mmsearch.encoders.open_clip.model import build_open_clip
from mmsearch.errors import InvalidInput
from mmsearch.training.serving import checkpoint as files

TOWERS = ("image", "text")


@dataclass(frozen=True, slots=True)
class LoraOptions:
    """How much an adapter may change, and how it is trained."""

    rank: int = 8
    alpha: int = 16
    """The adapter's product is scaled by alpha / rank."""
    towers: tuple[str, ...] = TOWERS
    checkpointing: bool = False
    """Keep only some activations and compute the others again: less memory, more time."""

    def __post_init__(self) -> None:
        """Raises: InvalidInput."""
        check_field_types(self)
        if self.rank < 1 or self.alpha <= 0 or not self.towers or set(self.towers) - set(TOWERS):
            raise InvalidInput("an adapter needs rank >= 1, alpha > 0 and a tower", hint=f"towers: {', '.join(TOWERS)}")


class Attention(nn.Module):
    """torch's nn.MultiheadAttention of a sequence with itself, on its own weights, without its fused paths."""

    def __init__(self, fused: nn.MultiheadAttention) -> None:
        super().__init__()
        self.heads, self.batch_first = fused.num_heads, fused.batch_first
        width = fused.embed_dim
        with torch.device("meta"):
            self.in_proj, self.out_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.in_proj.weight, self.in_proj.bias = fused.in_proj_weight, fused.in_proj_bias
        self.out_proj.weight, self.out_proj.bias = fused.out_proj.weight, fused.out_proj.bias

    def forward(self, x: Tensor, *_: Tensor, attn_mask: Tensor | None = None, **__: object) -> tuple[Tensor, None]:
        """(b, t, width), or (t, b, width) as torch has it by default; `attn_mask` is added: float (t, t)."""
        x = x if self.batch_first else x.transpose(0, 1)
        batch, length, width = x.shape
        parts = self.in_proj(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (3, b, h, t, w)
        if attn_mask is not None and attn_mask.ndim == 3:
            attn_mask = attn_mask.view(batch, self.heads, length, length)
        if attn_mask is not None and attn_mask.dtype != torch.bool:
            attn_mask = attn_mask.to(parts.dtype)
        mixed = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], attn_mask=attn_mask)
        made: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(batch, length, width))
        return (made if self.batch_first else made.transpose(0, 1)), None


class Towers(nn.Module):
    """A checkpoint whose weights stand still, and the adapters in it, which alone are its state."""

    def __init__(self, checkpoint: OpenClipCheckpoint, low: LoraOptions, seed: int) -> None:
        """Raises: InvalidInput if peft isn't installed, WeightsError."""
        super().__init__()
        try:
            import peft
        except ImportError as error:
            raise InvalidInput("training adapters needs peft", hint="pip install 'mmsearch[lora]'") from error
        module: Any = build_open_clip(checkpoint)
        if low.checkpointing:
            module.set_grad_checkpointing(True)
        _take_apart(module)
        self._targets = _adaptable(module, low.towers)
        self._config = peft.LoraConfig(r=low.rank, lora_alpha=low.alpha, target_modules=_exactly(self._targets))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.adapted: Any = peft.get_peft_model(module, self._config)
        self.pixels = checkpoint.pixels

    def train(self, mode: bool = True) -> "Towers":
        """Neither dropout nor statistics: the base stays what it is."""
        super().train(False)
        return self

    def images(self, pixels: Tensor) -> Tensor:
        """(n, dim), unit rows, of uint8 (n, h, w, 3) as the checkpoint's `Pixels` prepares them."""
        mean, std = (
            torch.tensor(n, device=pixels.device).view(1, 3, 1, 1) for n in (self.pixels.mean, self.pixels.std)
        )
        ready = pixels.permute(0, 3, 1, 2).float().div_(255).sub_(mean).div_(std)
        made: Tensor = self.adapted.get_base_model().encode_image(ready)
        return F.normalize(made.float(), dim=-1)

    def texts(self, tokens: Tensor) -> Tensor:
        """(n, dim), unit rows, of int64 (n, context)."""
        made: Tensor = self.adapted.get_base_model().encode_text(tokens)
        return F.normalize(made.float(), dim=-1)

    def state_dict(self, *_: Any, **__: Any) -> dict[str, Tensor]:  # type: ignore[override]
        """The adapters' matrices, and nothing of the base."""
        return {name: value for name, value in self.adapted.state_dict().items() if ".lora_" in name}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Raises: RuntimeError if they are of other adapters."""
        if strict and set(state_dict) != set(self.state_dict()):
            raise RuntimeError("these are not the matrices of these adapters")
        return self.adapted.load_state_dict(state_dict, strict=False, assign=assign)

    def write(self, folder: Path, base: str, base_sha256: str) -> bytes:
        """The adapter as peft keeps it for the untouched model, each file replaced whole. Returns the weights' bytes.

        Raises: LibraryError.
        """
        content: bytes = save({_published(name): value.cpu().contiguous() for name, value in self.state_dict().items()})
        config: dict[str, Any] = self._config.to_dict()  # type: ignore[no-untyped-call]
        fused = {name for name, part in self.adapted.get_base_model().named_modules() if isinstance(part, Attention)}
        plain = {name for name in self._targets if name.rpartition(".")[0] not in fused}
        config |= {"base_model_name_or_path": base, "revision": base_sha256, "inference_mode": True}
        config |= {"target_modules": _exactly(sorted(plain | fused)), "peft_type": "LORA"}
        files.write_whole(content, folder / WEIGHTS_NAME)
        files.write_whole(
            f"{json.dumps(config, indent=2, sort_keys=True, default=str)}\n".encode(), folder / CONFIG_NAME
        )
        return content


def _take_apart(module: nn.Module) -> None:
    for part in module.modules():
        fused = getattr(part, "attn", None)
        # A block that also looks at another sequence has a norm for that; its attention stays fused, and is no target.
        itself = getattr(part, "ln_1_kv", None) is None and hasattr(part, "ln_1")
        if isinstance(fused, nn.MultiheadAttention) and itself and fused.in_proj_weight is not None:
            part.attn = Attention(fused)


def _adaptable(module: nn.Module, towers: tuple[str, ...]) -> list[str]:
    names = []
    for name, part in module.named_modules():
        tower = "image" if name.startswith("visual.") else "text"
        owner = module.get_submodule(name.rpartition(".")[0])
        # These don't call their linear layers, they read the weights.
        reads = isinstance(owner, nn.MultiheadAttention) or type(owner).__name__ == "AttentionPool2d"
        output = isinstance(owner, Attention) and name.endswith(".out_proj")
        if isinstance(part, nn.Linear) and tower in towers and not reads and not output:
            names.append(name)
    if not names:
        raise InvalidInput(f"the {' and '.join(towers)} towers of this model have nothing that can be adapted")
    return names


def _exactly(names: Sequence[str]) -> str:
    """As peft takes a pattern: of a list it would also take every name that ends so."""
    return "|".join(map(re.escape, names))


def _published(name: str) -> str:
    """Under which name peft keeps a matrix on the untouched model."""
    return (
        name.replace(".default.weight", ".weight")
        .replace(f".attn.in_proj{A}", f".attn{A}")
        .replace(f".attn.in_proj{B}", f".attn{B}")
    )

"""Building a checkpoint's torch module, from local files only."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmsearch.encoders import model_store, tensors
from mmsearch.encoders.huggingface.checkpoint import config_of
from mmsearch.encoders.open_clip.adapter import merge_adapter
from mmsearch.encoders.open_clip.checkpoint import OpenClipCheckpoint
from mmsearch.errors import WeightsError

if TYPE_CHECKING:
    import torch

    from mmsearch.encoders.partial import TowerParts

_POSITIONS = ("visual.positional_embedding", "positional_embedding", "text.positional_embedding")
"""Tensors that open_clip stretches without a word where the config names other sizes than the weights have."""
_LOGITS = ("logit_scale", "logit_bias")
"""What no vector depends on: missing in some files, numbers instead of vectors of one in others."""


def build_open_clip(checkpoint: OpenClipCheckpoint, parts: "TowerParts" = ("",)) -> "torch.nn.Module":
    """The module with its weights, or those of a part, float32 on the CPU, in evaluation mode.

    Raises: WeightsError for weights that are damaged, hold code, or are not those of the architecture in the config.
    """
    from mmsearch.encoders.partial import Unfilled, drop_towers, fill_tower

    path = checkpoint.weights()
    stored = _shapes(path)
    try:
        with Unfilled():
            module = _architecture(checkpoint)
    except (RuntimeError, TypeError, ValueError, KeyError, AttributeError, AssertionError, OSError) as error:
        raise WeightsError(
            f"the architecture of {checkpoint.name} can't be built: {error}",
            hint="its config may be damaged, or need a newer open_clip: pip install --upgrade open_clip_torch",
        ) from error
    built = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    _check_positions(checkpoint, stored, built)
    if parts != ("",) and path.suffix == ".safetensors" and _without_logits(stored) == _without_logits(built):
        fill_tower(module, [path], parts)
    else:
        _fill_whole(module, path)
    if checkpoint.adapter is not None:
        merge_adapter(module, checkpoint.adapter, parts)
    drop_towers(module, parts)
    return module.eval()


def build_text(checkpoint: OpenClipCheckpoint, parts: "TowerParts") -> "torch.nn.Module":
    """The text tower with its weights: our own module where it is of CLIP's own kind, otherwise open_clip's.

    open_clip is imported only for the latter, and for weights that it has to put in order.
    Raises: as `build_open_clip`.
    """
    from mmsearch.encoders.open_clip.text_config import text_config
    from mmsearch.encoders.open_clip.text_tower import tower_of

    config, path = text_config(checkpoint.model), checkpoint.weights()
    if config is None:
        return build_open_clip(checkpoint, parts)
    if path.suffix == ".safetensors" and checkpoint.adapter is None:
        tower = tower_of(config, tensors.torch_tensors(path, parts))
        if tower is not None:
            return tower
    # It knows older layouts, and says what is wrong with the others.
    module = build_open_clip(checkpoint, parts)
    return tower_of(config, module.state_dict()) or module


def self_attending(module: "torch.nn.Module") -> "torch.nn.Module":
    """open_clip's module, its attention by layers that can be packed."""
    from open_clip.transformer import ResidualAttentionBlock

    from mmsearch.encoders.attention import SelfAttention

    block: Any
    for block in module.modules():
        # Cross attention has one normalisation more.
        if type(block) is ResidualAttentionBlock and not hasattr(block, "ln_1_kv") and block.attn.batch_first:
            block.attn = SelfAttention.of(block.attn)
    return module


def _fill_whole(module: "torch.nn.Module", path: Path) -> None:
    """Load all there is, by open_clip, which knows older layouts and pickles. Raises: WeightsError."""
    from open_clip.factory import load_checkpoint

    try:
        load_checkpoint(module, str(path), strict=True, weights_only=True)
    except (RuntimeError, KeyError, ValueError, AttributeError) as error:
        raise WeightsError(
            f"{path} does not hold the weights of the architecture in its config: {str(error)[:300]}",
            hint="take config and weights of the same model",
        ) from error


def _without_logits(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {name: shape for name, shape in shapes.items() if name not in _LOGITS}


def _architecture(checkpoint: OpenClipCheckpoint) -> "torch.nn.Module":
    """The module, its weights to come."""
    # open_clip's own create_model would look for weights elsewhere, and sets up logging in the whole process.
    from open_clip.coca_model import CoCa
    from open_clip.model import CLIP, CustomTextCLIP

    vision = {**checkpoint.model["vision_cfg"], "timm_model_pretrained": False}
    text = {**checkpoint.text, "hf_model_pretrained": False}
    if named := text.get("hf_model_name"):
        text["hf_model_name"] = str(hf_config(checkpoint, str(named)))
    config = {**checkpoint.model, "vision_cfg": vision, "text_cfg": text}
    custom = config.pop("custom_text", False) or named
    kind = CLIP if not custom else CoCa if "multimodal_cfg" in config else CustomTextCLIP
    module: torch.nn.Module = kind(**config)
    return module


def hf_config(checkpoint: OpenClipCheckpoint, named: str) -> Path:
    """The folder with the config.json of a text tower of transformers. Raises: WeightsError."""
    own = checkpoint.folder / "config.json"
    file = own if own.is_file() else model_store.cached(named, "config.json")
    if file is None:
        raise WeightsError(
            f"the text tower of {checkpoint.name} is {named}, whose config.json is not on this machine",
            hint=f"put it into {checkpoint.folder}",
        )
    # It is handed to transformers, which would ask on the terminal whether to run what a config names.
    config_of(file.parent)
    return file.parent


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the tensors in a file. Raises: WeightsError if it is damaged or holds anything but tensors."""
    if path.suffix == ".safetensors":
        return tensors.tensor_shapes(path)
    import torch

    try:
        loaded = torch.load(path, map_location="meta", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(f"{path} holds more than weights, and code in it is not run", hint=tensors.HINT) from error
    except Exception as error:  # of what isn't a pickle, the unpickler stumbles over anything
        raise WeightsError(f"{path} is no file of weights: {error}", hint=tensors.HINT) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else {}
    if not state or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise WeightsError(f"{path} holds no tensors by name", hint=tensors.HINT)
    return {str(name).removeprefix("module."): tuple(tensor.shape) for name, tensor in state.items()}


def _check_positions(
    checkpoint: OpenClipCheckpoint, stored: Mapping[str, tuple[int, ...]], built: Mapping[str, Any]
) -> None:
    for name in _POSITIONS:
        ours = built.get(name, built.get(f"text.{name}"))
        if name in stored and ours is not None and stored[name] != ours:
            raise WeightsError(
                f"{checkpoint.name} contradicts itself: {name} is {stored[name]} in its weights, {ours} by its config",
                hint="take config and weights of the same model",
            )

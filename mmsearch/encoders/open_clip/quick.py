"""CLIP's own kind of text tower for a few words, with numpy alone: the same computation as `ClipTextTower`."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders import numpy_layers, tensors
from mmsearch.encoders.numpy_layers import Floats, Weights, attended, linear, normed
from mmsearch.encoders.open_clip.text_config import TextConfig, parameter_shapes
from mmsearch.types import Vectors

LARGEST = 50_000_000
"""Parameters of a tower, its table of words aside, that numpy runs through quickly enough."""

_ACTIVATIONS: Mapping[str, Callable[[Floats], Floats]] = {
    "gelu": numpy_layers.gelu,
    "tanh_gelu": numpy_layers.tanh_gelu,
    "quick_gelu": numpy_layers.quick_gelu,
}


def quick_weights(config: TextConfig, path: Path, parts: tuple[str, ...]) -> Weights | None:
    """The tensors of a safetensors file, mapped, by their names without the prefix; None if these are not float32, not
    what the config says, or too many. Raises: WeightsError if the file is damaged."""
    shapes = parameter_shapes(config)
    if sum(int(np.prod(shape)) for name, shape in shapes.items() if name != "token_embedding.weight") > LARGEST:
        return None
    found = {name: shape for name, shape in tensors.tensor_shapes(path).items() if name.startswith(parts)}
    if found != {f"{config.prefix}{name}": shape for name, shape in shapes.items()}:
        return None
    mapped = tensors.mapped_tensors(path)
    if not found.keys() <= mapped.keys():
        return None
    return {name: mapped[f"{config.prefix}{name}"] for name in shapes}


def ends(config: TextConfig, ids: NDArray[np.int64]) -> int:
    """Which place of a text (context,) its vector is of."""
    if config.pool == "first":
        return 0
    if config.pool == "last":
        return len(ids) - 1
    # CLIP's token that ends a text has the highest number of all.
    return int(ids.argmax() if config.pool == "argmax" else (ids == config.eos).argmax())


def encode(config: TextConfig, weights: Weights, ids: NDArray[np.int64]) -> Vectors:
    """float32 (dim,), of length 1, of the token ids (n,) of one text."""
    x = weights["token_embedding.weight"][ids] + weights["positional_embedding"][: len(ids)]  # (n, width)
    for layer in range(config.layers):
        x = _block(config, weights, f"transformer.resblocks.{layer}", x)
    last = x[ends(config, ids)][np.newaxis]
    last = normed(weights["ln_final.weight"], weights["ln_final.bias"], last, config.eps)
    if config.projection_bias:
        made = linear(weights["text_projection.weight"], weights["text_projection.bias"], last)[0]
    else:
        made = (last @ weights["text_projection"])[0]
    return np.asarray(made / np.linalg.norm(made), np.float32)


def _block(config: TextConfig, weights: Weights, name: str, x: Floats) -> Floats:
    def layer(part: str, x: Floats, joint: str = ".") -> Floats:
        return linear(weights[f"{name}.{part}{joint}weight"], weights[f"{name}.{part}{joint}bias"], x)

    def norm(part: str, x: Floats) -> Floats:
        return normed(weights[f"{name}.{part}.weight"], weights[f"{name}.{part}.bias"], x, config.eps)

    query, key, value = np.split(layer("attn.in_proj", norm("ln_1", x), "_"), 3, axis=1)
    x = x + layer("attn.out_proj", attended(query, key, value, config.heads, causal=config.causal))
    hidden = _ACTIVATIONS[config.activation](layer("mlp.c_fc", norm("ln_2", x)))
    return np.asarray(x + layer("mlp.c_proj", hidden), np.float32)

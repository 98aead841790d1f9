"""Files of weights, looked at before they are believed."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmsearch.core.json_text import parse_json
from mmsearch.errors import WeightsError

if TYPE_CHECKING:
    import torch

HINT = "get the model anew; weights are best published as safetensors"

POINTER = b"version https://git-lfs"


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the tensors in a safetensors file, from its head. Raises: WeightsError if it is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is damaged: {error}", hint=HINT) from error


def mapped_tensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """The float32 tensors of a safetensors file, mapped into memory: what isn't used isn't read.

    Raises: WeightsError if it is damaged.
    """
    tensor_shapes(path)
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        head = parse_json(file.read(start - 8))
    # As a plain array: every slice of a memmap is made in Python, a thousand of them in one short query.
    content = np.memmap(path, np.uint8, "r", start).view(np.ndarray)
    tensors = {}
    for name, entry in head.items():
        if entry.get("dtype") == "F32":
            first, last = entry["data_offsets"]
            tensors[name] = content[first:last].view(np.float32).reshape(entry["shape"])
    return tensors


def torch_tensors(path: Path, parts: tuple[str, ...]) -> "dict[str, torch.Tensor]":
    """The tensors of a safetensors file whose names begin with one of some parts. Raises: WeightsError if it is
    damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys() if name.startswith(parts)}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is damaged: {error}", hint=HINT) from error


def check_pointer(path: Path) -> None:
    """Raises: WeightsError if Git LFS has left a pointer in place of the weights, or the file can't be read."""
    try:
        with path.open("rb") as file:
            start = file.read(len(POINTER))
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {error.strerror or error}", hint="check its permissions") from error
    if start == POINTER:
        raise WeightsError(f"{path} is what Git LFS has in place of the weights", hint="there: git lfs pull")

"""A connection: where the vectors of two spaces meet, learned from words that both embed (`mmsearch.training.connect`).

One small map a space, kept as plain matrices, so that using a connection needs no torch.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.core.config import models_folder
from mmsearch.core.json_text import parse_json
from mmsearch.encoders import model_store
from mmsearch.errors import InvalidInput, WeightsError
from mmsearch.types import Vectors

FORMAT = "mmsearch-connection-1"
FILE = "connection.safetensors"
FAMILY = "connected"
"""What stands before the colon of the name of a space made of two."""

Matrices = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class ConnectionMap:
    """Unit vectors of one of the spaces, to where both meet: two layers with a ReLU between, then length 1."""

    inner: NDArray[np.float32]
    """(dim, hidden)"""
    inner_bias: NDArray[np.float32]
    outer: NDArray[np.float32]
    """(hidden, meeting)"""
    outer_bias: NDArray[np.float32]

    def __call__(self, vectors: Vectors) -> Vectors:
        """float32 (n, dim) to (n, meeting), unit rows."""
        met = np.maximum(vectors @ self.inner + self.inner_bias, 0) @ self.outer + self.outer_bias
        return np.asarray(met / np.maximum(np.linalg.norm(met, axis=1, keepdims=True), 1e-12), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Connection:
    """Two spaces, and a map of each."""

    members: tuple[str, str]
    """What the registry knows the spaces by."""
    fingerprints: tuple[str, str]
    """Of the spaces it was made for."""
    dims: tuple[int, int]
    meeting: int
    """Dimension of where they meet."""
    maps: tuple[ConnectionMap, ConnectionMap]
    sha256: str
    """Of the file."""


def connection_folder(name: str) -> Path:
    """Where the connection of a name lies. Raises: InvalidInput for what is no name."""
    if not name or name.startswith(".") or not all(letter.isalnum() or letter in "._-" for letter in name):
        raise InvalidInput(f"{name!r} is no name for a connection", hint="letters, digits, '-', '_' and '.'")
    return models_folder() / model_store.folder_name(f"{FAMILY}:{name}")


def dump_connection(
    members: tuple[str, str], fingerprints: tuple[str, str], maps: tuple[ConnectionMap, ConnectionMap]
) -> bytes:
    """The content of a safetensors file. The same maps give the same bytes."""
    from safetensors.numpy import save

    told = {"format": FORMAT, "members": list(members), "fingerprints": list(fingerprints)}
    matrices = {
        f"{number}.{name}": np.ascontiguousarray(getattr(one, name), np.float32)
        for number, one in enumerate(maps)
        for name in ConnectionMap.__slots__
    }
    # One entry: the library writes several of them in any order.
    return bytes(save(matrices, {"mmsearch": json.dumps(told, sort_keys=True)}))


def read_connection(path: Path) -> Connection:
    """Raises: WeightsError for a file that isn't there, is damaged, or is something else."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        told = parse_json(parse_json(content[8 : 8 + length])["__metadata__"]["mmsearch"])
        if told["format"] != FORMAT:
            raise WeightsError(f"unknown format of a connection {told['format']!r} in {path}", hint="upgrade mmsearch")
        matrices: Matrices = load(content)
        maps = _map(matrices, 0), _map(matrices, 1)
        (a, b), (of_a, of_b) = map(str, told["members"]), map(str, told["fingerprints"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise WeightsError(
            f"no connection can be read from {path}: {error!r}", hint="make it: mmsearch connect"
        ) from error
    meeting = maps[0].outer.shape[1]
    if maps[1].outer.shape[1] != meeting:
        raise WeightsError(f"the maps in {path} lead to different places", hint="make it anew: mmsearch connect")
    dims = maps[0].inner.shape[0], maps[1].inner.shape[0]
    return Connection((a, b), (of_a, of_b), dims, meeting, maps, hashlib.sha256(content).hexdigest())


def _map(matrices: Matrices, number: int) -> ConnectionMap:
    """Raises: KeyError, ValueError if something is missing or doesn't fit."""
    made = ConnectionMap(*(_finite(matrices[f"{number}.{name}"]) for name in ConnectionMap.__slots__))
    (_, hidden), (inward, meeting) = made.inner.shape, made.outer.shape
    if inward != hidden or made.inner_bias.shape != (hidden,) or made.outer_bias.shape != (meeting,):
        raise ValueError(f"the matrices of map {number} don't fit together")
    return made


def _finite(matrix: NDArray[Any]) -> NDArray[np.float32]:
    if matrix.dtype != np.float32 or not np.isfinite(matrix).all():
        raise ValueError("a matrix is not of finite float32 values")
    return matrix

"""A connection: where the vectors of two spaces meet, learned from words that both embed (`mmsearch.training.connect`).

One small map a space, kept as plain matrices, so that using a connection needs no torch.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmsearch.core.config import models_folder
from mmsearch.core.value_ranges import brief_repr
from mmsearch.encoders import model_store
from mmsearch.encoders.artefact import Artefact, ArtefactFormat, Shape, dump_artefact, read_artefact
from mmsearch.errors import InvalidInput, WeightsError
from mmsearch.types import Vectors

FORMAT = ArtefactFormat("connection", "mmsearch-connection-1", "make it: mmsearch connect")
FILE = "connection.safetensors"
FAMILY = "connected"
"""What stands before the colon of the name of a space made of two."""


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


LONGEST_NAME = 64
"""Bytes of a connection\'s name, which is part of a folder\'s."""


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
    fits = 0 < len(name.encode("utf-8", "surrogatepass")) <= LONGEST_NAME and not name.startswith(".")
    if not fits or not all(letter.isalnum() or letter in "._-" for letter in name):
        raise InvalidInput(
            f"{brief_repr(name)} is no name for a connection",
            hint=f"letters, digits, '-', '_' and '.', up to {LONGEST_NAME} bytes",
        )
    return models_folder() / model_store.folder_name(f"{FAMILY}:{name}")


def dump_connection(
    members: tuple[str, str], fingerprints: tuple[str, str], maps: tuple[ConnectionMap, ConnectionMap]
) -> bytes:
    """The content of a safetensors file. The same maps give the same bytes."""
    facts = {"members": list(members), "fingerprints": list(fingerprints)}
    matrices = {
        f"{number}.{name}": np.asarray(getattr(one, name), np.float32)
        for number, one in enumerate(maps)
        for name in ConnectionMap.__slots__
    }
    return dump_artefact(FORMAT, facts, matrices)


def read_connection(path: Path) -> Connection:
    """Raises: WeightsError for a file that isn't there, is damaged, or is something else."""
    try:
        content = path.read_bytes()
        file = read_artefact(FORMAT, content)
        maps = _maps(file)
        members, fingerprints = file.texts("members", 2), file.texts("fingerprints", 2)
    except OSError as error:
        raise WeightsError(f"no connection can be read from {path}: {error!r}", hint=FORMAT.remedy) from error
    except WeightsError as error:
        raise WeightsError(f"no connection can be read from {path}: {error.message}", hint=error.hint) from error
    dims, meeting = (maps[0].inner.shape[0], maps[1].inner.shape[0]), maps[0].outer.shape[1]
    digest = hashlib.sha256(content).hexdigest()
    return Connection((members[0], members[1]), (fingerprints[0], fingerprints[1]), dims, meeting, maps, digest)


def _maps(file: Artefact) -> tuple[ConnectionMap, ConnectionMap]:
    """The two maps, which lead to the same place. Raises: WeightsError if something is missing or doesn't fit."""
    shapes: dict[str, Shape] = {}
    meeting: int | None = None
    for number in (0, 1):
        inner, outer = (file.shape(f"{number}.{layer}") for layer in ("inner", "outer"))
        if len(inner) != 2 or len(outer) != 2 or inner[1] != outer[0] or meeting not in (None, outer[1]):
            raise FORMAT.damaged(f"the matrices of map {number} don't fit together")
        meeting = outer[1]
        own = (inner, inner[1:], outer, outer[1:])
        shapes |= {f"{number}.{name}": shape for name, shape in zip(ConnectionMap.__slots__, own, strict=True)}
    tensors = file.tensors(shapes)
    first, second = (
        ConnectionMap(*(tensors[f"{number}.{name}"] for name in ConnectionMap.__slots__)) for number in (0, 1)
    )
    return first, second

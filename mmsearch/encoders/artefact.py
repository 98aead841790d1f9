"""Trained weights as files: one reader and one writer for heads, fusions, projections and connections.

| bytes | what |
|---|---|
| 8 | length of the header, little-endian |
| header | JSON: name, dtype, shape and place of each tensor; `__metadata__`: {"mmsearch": the facts, as JSON} |
| the rest | the tensors |

That is a safetensors file. It travels with libraries, exports and model folders, so nothing in it is believed: lengths,
depth, the type and range of each fact, names, shapes and dtypes of the tensors, and that their values are finite.
"""

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from mmsearch.core.json_text import parse_json
from mmsearch.errors import WeightsError

if TYPE_CHECKING:
    from torch import nn

    Module = TypeVar("Module", bound=nn.Module)

LONGEST_HEADER = 100_000_000
"""Bytes; as the safetensors library has it."""

LARGEST_DIMENSION = 2**24

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ArtefactFormat:
    """A kind of artefact."""

    noun: str
    """What error messages call it, such as "head"."""
    identifier: str
    """What its files say they are, such as "mmsearch-head-1"."""
    remedy: str = "train it again"
    """The hint of its errors."""

    def damaged(self, reason: object) -> WeightsError:
        return WeightsError(f"the {self.noun} is damaged: {reason}", hint=self.remedy)


def dump_artefact(kind: ArtefactFormat, facts: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """The content of a file. The same facts and tensors give the same bytes.

    Args:
        facts: Values of JSON.
    """
    from safetensors.numpy import save

    # One entry: the library writes several of them in any order.
    header = {"mmsearch": json.dumps({"format": kind.identifier, **facts}, sort_keys=True)}
    return bytes(save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, header))


def module_tensors(module: "nn.Module", prefix: str = "") -> dict[str, NDArray[Any]]:
    """The parameters of a torch module, by their names after the prefix."""
    return {f"{prefix}{name}": tensor.cpu().numpy() for name, tensor in module.state_dict().items()}


def read_artefact(kind: ArtefactFormat, content: bytes) -> "Artefact":
    """A file's facts and tensors, which are checked when they are asked for.

    Raises: WeightsError for what is no such file, one of another format, or one that is cut off.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    length = int.from_bytes(content[:8], "little")
    try:
        if length > min(LONGEST_HEADER, len(content) - 8):
            raise ValueError("the header is longer than the file")
        facts = dict(parse_json(parse_json(content[8 : 8 + length])["__metadata__"]["mmsearch"]))
        identifier = facts.pop("format")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(f"this is not a {kind.noun} made by mmsearch", hint=kind.remedy) from error
    if identifier != kind.identifier:
        raise WeightsError(f"unknown format of a {kind.noun}: {identifier!r}", hint="upgrade mmsearch")
    try:
        return Artefact(kind, facts, load(content))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise kind.damaged(error) from error


@dataclass(frozen=True, slots=True, eq=False)
class Artefact:
    """A file of trained weights. Every method raises WeightsError for what is missing or out of range."""

    kind: ArtefactFormat
    facts: Mapping[str, Any]
    """Unchecked, as `stored` is."""
    stored: Mapping[str, NDArray[Any]]

    def dimension(self, name: str) -> int:
        """A whole number in [1, 2^24]."""
        value = self.facts.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_DIMENSION:
            raise self.kind.damaged(f"{name} is not a dimension")
        return value

    def number(self, name: str, above: float = -math.inf) -> float:
        """A finite number, larger than `above`."""
        value = self.facts.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.kind.damaged(f"{name} is not a number")
        try:
            number = float(value)
        except OverflowError as error:
            raise self.kind.damaged(f"{name} is out of range") from error
        if not math.isfinite(number) or number <= above:
            raise self.kind.damaged(f"{name} is out of range")
        return number

    def text(self, name: str) -> str:
        value = self.facts.get(name)
        if not isinstance(value, str):
            raise self.kind.damaged(f"{name} is not a text")
        return value

    def texts(self, name: str, count: int | None = None) -> tuple[str, ...]:
        """At least one text, or `count` of them."""
        value = self.facts.get(name)
        if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
            raise self.kind.damaged(f"{name} is not a list of texts")
        if count is not None and len(value) != count:
            raise self.kind.damaged(f"{name} has {len(value)} entries, not {count}")
        return tuple(value)

    def one_of(self, name: str, known: Collection[str]) -> str:
        value = self.text(name)
        if value not in known:
            raise self.kind.damaged(f"{name} is none of {', '.join(known)}")
        return value

    def shape(self, name: str) -> Shape:
        """Of a tensor; empty for one that isn't there."""
        return self.stored[name].shape if name in self.stored else ()

    def tensors(self, shapes: Mapping[str, Shape], apart: Collection[str] = ()) -> dict[str, NDArray[np.float32]]:
        """The file's tensors, which must be exactly these, float32 and finite; `apart` from some, if they are there."""
        stored = {name: tensor for name, tensor in self.stored.items() if name not in apart}
        if stored.keys() != shapes.keys():
            raise self.kind.damaged(f"its tensors are {_listed(stored)}, not {_listed(shapes)}")
        for name, tensor in stored.items():
            if tensor.shape != shapes[name]:
                raise self.kind.damaged(f"{name} is of shape {tensor.shape}, not {shapes[name]}")
            if tensor.dtype != np.float32:
                raise self.kind.damaged(f"{name} is {tensor.dtype}, not float32")
            if not np.isfinite(tensor).all():
                raise self.kind.damaged(f"{name} has values that are not finite")
        return stored

    def bytes_of(self, name: str) -> bytes:
        """A file within the file, uint8 (bytes,); empty if there is none of that name."""
        tensor = self.stored.get(name)
        if tensor is None:
            return b""
        if tensor.dtype != np.uint8 or tensor.ndim != 1:
            raise self.kind.damaged(f"{name} holds no bytes")
        return tensor.tobytes()

    def module(self, build: "Callable[[], Module]", prefix: str = "", apart: Collection[str] = ()) -> "Module":
        """A torch module with the file's tensors as its parameters, in evaluation mode.

        It is built without memory first: facts that promise more than the file holds cost nothing.

        Args:
            prefix: What the names of its parameters begin with in the file.
            apart: Tensors that the file may have beside them.
        """
        import torch

        try:
            with torch.device("meta"):
                module = build()
        except (RuntimeError, ValueError, KeyError, AssertionError) as error:
            raise self.kind.damaged(error) from error
        shapes = {f"{prefix}{name}": tuple(tensor.shape) for name, tensor in module.state_dict().items()}
        tensors = self.tensors(shapes, apart)
        # Copies: what safetensors gives is read-only.
        parameters = {name.removeprefix(prefix): torch.tensor(tensor) for name, tensor in tensors.items()}
        module.load_state_dict(parameters, assign=True)
        return module.eval()

    def tensor(self, name: str, shape: Shape) -> NDArray[np.float32]:
        """One of the tensors, float32 and finite, whatever else there is."""
        return self.tensors({name: shape}, self.stored.keys() - {name})[name]


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"

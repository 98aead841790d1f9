"""A checkpoint in the layout of transformers: found, read and checked without torch.

- config.json: the architecture
- processor_config.json: how inputs are prepared; in older folders a file for each (`PROCESSOR_PARTS`)
- tokenizer.json and what stands beside it
- model.safetensors, or its parts, model-00001-of-00002.safetensors ...; never a pickle
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmsearch.core.json_text import parse_json
from mmsearch.encoders import model_store
from mmsearch.encoders.tokenizer import TOKENIZER_FILE, declared
from mmsearch.errors import WeightsError
from mmsearch.types import Modality

CONFIG_FILE = "config.json"
PROCESSOR_FILE = "processor_config.json"
PROCESSOR_PARTS = {
    "feature_extractor": "preprocessor_config.json",
    "video_processor": "video_preprocessor_config.json",
}
"""What stands in `PROCESSOR_FILE` -> the file it had to itself in older releases."""
WEIGHTS_FILE = "model.safetensors"
LONGEST_TEXT = 512
"""Tokens."""

_ANEW = "get the model anew, with the files as they were published"
_PART = re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_PASSING = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version")
"""Entries of a config that don't bear on the vectors."""


@dataclass(frozen=True, slots=True)
class HuggingFaceCheckpoint:
    """What the config says, checked; the weights are not opened."""

    name: str
    folder: Path
    config: Mapping[str, Any]
    dim: int
    modalities: tuple[Modality, ...]
    context: int
    """Tokens of a text, at most."""

    @property
    def architecture(self) -> str:
        """12 hex digits over the config: what weights alone don't tell, such as their heads."""
        said = {key: value for key, value in self.config.items() if key not in _PASSING}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def size(self) -> int:
        """Bytes of its weights. Raises: WeightsError if there are none."""
        return sum(path.stat().st_size for path in self.weights())

    def weights(self) -> list[Path]:
        """The files with the weights. Raises: WeightsError if there are none, or no telling which."""
        names = {path.name for path in self.folder.glob("*") if path.is_file()}
        return [self.folder / name for name in weights_among(names, self.folder)]

    def hashes(self, *, text: bool) -> dict[str, str]:
        """File name -> sha256 of what the vectors of one tower depend on. Raises: WeightsError."""
        files = [*self.weights(), *([self.folder / TOKENIZER_FILE] if text else [])]
        return {file.name: model_store.sha256(file) for file in files}


def weights_among(names: Collection[str], place: object) -> list[str]:
    """The files with the weights among those of a place. Raises: WeightsError if there are none, or not all."""
    if WEIGHTS_FILE in names:
        return [WEIGHTS_FILE]
    parts = {match[1]: match for name in names if (match := _PART.fullmatch(name))}
    if parts:
        total = int(max(match[2] for match in parts.values()))
        if sorted(map(int, parts)) != [*range(1, total + 1)]:
            raise WeightsError(f"{place} holds {len(parts)} of the {total} parts of its weights", hint="get the others")
        return [parts[number][0] for number in sorted(parts)]
    others = [name for name in names if name.endswith(".safetensors")]
    if len(others) == 1:
        return others
    if not others and any(name.endswith(_PICKLES) for name in names):
        raise WeightsError(
            f"{place} holds its weights only as a pickle, which may run code and is not read",
            hint="have transformers save it again where you trust it: AutoModel.from_pretrained(FOLDER)"
            ".save_pretrained(FOLDER) writes model.safetensors",
        )
    found = f"{len(others)} files of weights, and no telling which" if others else "no weights"
    raise WeightsError(f"{place} holds {found}", hint=f"name the file {WEIGHTS_FILE}")


def config_of(folder: Path) -> dict[str, Any]:
    """What config.json says. Raises: WeightsError if it can't be read or would have transformers run or fetch code."""
    config = _json(folder / CONFIG_FILE)
    for key, value in _entries(config):
        named = key.endswith("_implementation") and "/" in str(value)
        if (key in ("auto_map", "quantization_config") and value) or named:
            raise WeightsError(
                f"the config in {folder} asks for {key}, which mmsearch doesn't do",
                hint="take a checkpoint of the plain model, in float32, float16 or bfloat16",
            )
    return config


def _entries(config: Any) -> list[tuple[str, Any]]:
    """Key and value of every object, however deep."""
    found: list[tuple[str, Any]] = []
    left = [config]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            found.extend(one.items())
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)
    return found


def processor(folder: Path, part: str) -> dict[str, Any]:
    """How one kind of input is prepared. Raises: KeyError if nothing says so, WeightsError if it can't be read."""
    whole = folder / PROCESSOR_FILE
    if whole.is_file() and isinstance(found := _json(whole).get(part), dict):
        return found
    older = folder / PROCESSOR_PARTS[part]
    if not older.is_file():
        raise KeyError(f"{part} in {PROCESSOR_FILE}")
    return _json(older)


def context_of(folder: Path, text: Mapping[str, Any], reserved: int) -> int:
    """Tokens that a text may have; `reserved` positions are none. Raises: WeightsError, TypeError."""
    if not (folder / TOKENIZER_FILE).is_file():
        raise WeightsError(f"there is no {TOKENIZER_FILE} in {folder}", hint="get it from where the model is from")
    said = [text.get("max_position_embeddings", LONGEST_TEXT + reserved) - reserved]
    said.append(declared(folder).get("model_max_length") or LONGEST_TEXT)
    return int(min(*said, LONGEST_TEXT))


def whole_number(config: Mapping[str, Any], key: str, otherwise: int | None = None) -> int:
    """A positive int. Raises: KeyError if it is missing and has no default, ValueError for anything else."""
    value = config[key] if otherwise is None else config.get(key, otherwise)
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{key} = {value!r}")
    return value


def _json(path: Path) -> dict[str, Any]:
    try:
        found = parse_json(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} can't be read: {error}", hint=_ANEW) from error
    if not isinstance(found, dict):
        raise WeightsError(f"{path} can't be read: it holds no object", hint=_ANEW)
    return found

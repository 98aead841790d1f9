"""Models in folders, whichever library they were published for: read, checked, and what they are made of.

Only their configs are opened here; asks no network.
"""

from collections.abc import Collection
from pathlib import Path
from typing import TypeAlias

from mmsearch.encoders import huggingface, open_clip
from mmsearch.encoders.huggingface.checkpoint import CONFIG_FILE as HUGGINGFACE_CONFIG
from mmsearch.encoders.huggingface.checkpoint import Checkpoint as HuggingFace
from mmsearch.encoders.names import located, split
from mmsearch.encoders.open_clip import checkpoint, package
from mmsearch.encoders.open_clip.checkpoint import CONFIG_FILE as OPEN_CLIP_CONFIG
from mmsearch.encoders.open_clip.checkpoint import Checkpoint as OpenClip
from mmsearch.encoders.tokenizer import TOKENIZER_FILE
from mmsearch.types import Space

CONFIGS = (OPEN_CLIP_CONFIG, HUGGINGFACE_CONFIG)
"""The first that a folder has says what it is: open_clip's models may have both."""
PAPERS = ("README.md", "LICENSE", "LICENSE.txt", "LICENSE.md")
"""Terms that travel with the weights, if they are there."""

Checkpoint: TypeAlias = OpenClip | HuggingFace


def space(name: str, device: str = "auto", precision: str = "auto") -> Space:
    """The space of one model. Reads its config, not its weights.

    Raises: InvalidInput for a malformed name, WeightsError for a model that isn't here or contradicts itself.
    """
    found = find(name)
    if isinstance(found, OpenClip):
        return open_clip.space(found, device, precision)
    return huggingface.space(found, device, precision)


def find(name: str) -> Checkpoint:
    """The checkpoint behind a name. Raises: InvalidInput, WeightsError."""
    if split(name)[0] == "adapter":
        return checkpoint.find(name)
    return read(*located(name, CONFIGS))


def read(name: str, folder: Path) -> Checkpoint:
    """The checkpoint in a folder. Raises: WeightsError for a config that is missing, broken or makes no sense."""
    names = {config for config in CONFIGS if (folder / config).is_file()}
    return huggingface.read(name, folder) if _transformers(names) else checkpoint.read(name, folder)


def needed(names: Collection[str], place: object) -> list[str]:
    """Those files of a place that the model is made of, the config first and the weights last.

    Raises: WeightsError if some are missing.
    """
    wanted = huggingface.needed(names, place) if _transformers(names) else package.needed(names, place)
    return [wanted[0], *(name for name in PAPERS if name in names), *wanted[1:]]


def _transformers(names: Collection[str]) -> bool:
    return HUGGINGFACE_CONFIG in names and OPEN_CLIP_CONFIG not in names


def files(found: Checkpoint) -> list[Path]:
    """The files of a model on disk, those too that lie elsewhere. Raises: WeightsError if some are missing."""
    here = {path.name: path for path in found.folder.glob("*") if path.is_file()}
    others = package.elsewhere(found) if isinstance(found, OpenClip) else []
    return [*others, *(here[name] for name in needed(here, found.folder))]


def check(found: Checkpoint) -> None:
    """Load it on the CPU and put something through its towers.

    Raises: WeightsError if it is damaged, holds code, contradicts itself, or is another model than its name says.
    """
    if isinstance(found, OpenClip):
        package.check(found)
    else:
        huggingface.check(found)


def tokenizer_repository(found: Checkpoint) -> str | None:
    """The repository whose tokenizer a model needs beside its own files; None if it has all it needs."""
    if isinstance(found, HuggingFace) or found.reads_bpe or (found.folder / TOKENIZER_FILE).is_file():
        return None
    return str(found.text["hf_tokenizer_name"])

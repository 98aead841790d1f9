"""Models in folders, whichever library they were published for: read, checked, and what they are made of.

Only their configs are opened here; asks no network.
"""

from collections.abc import Collection
from pathlib import Path
from typing import TypeAlias

from mmsearch.encoders import huggingface, open_clip, sentence
from mmsearch.encoders.huggingface.checkpoint import CONFIG_FILE as HUGGINGFACE_CONFIG
from mmsearch.encoders.huggingface.checkpoint import HuggingFaceCheckpoint as HuggingFace
from mmsearch.encoders.model_names import locate_model, split_name
from mmsearch.encoders.open_clip import checkpoint, package
from mmsearch.encoders.open_clip.checkpoint import CONFIG_FILE as OPEN_CLIP_CONFIG
from mmsearch.encoders.open_clip.checkpoint import OpenClipCheckpoint as OpenClip
from mmsearch.encoders.sentence import SentenceCheckpoint as Sentence
from mmsearch.encoders.sentence import folder as sentence_folder
from mmsearch.encoders.tokenizer import TOKENIZER_FILE
from mmsearch.types import Space

CONFIGS = (OPEN_CLIP_CONFIG, HUGGINGFACE_CONFIG)
"""The first that a folder has says what it is: open_clip's models may have both."""
DOCUMENTS = ("README.md", "LICENSE", "LICENSE.txt", "LICENSE.md")
"""Terms that travel with the weights, if they are there."""

Checkpoint: TypeAlias = OpenClip | HuggingFace | Sentence


def pretrained_space(name: str, device: str = "auto", precision: str = "auto") -> Space:
    """The space of one model. Reads its config, not its weights.

    Raises: InvalidInput for a malformed name, WeightsError for a model that isn't here or contradicts itself.
    """
    checkpoint = find_pretrained(name)
    if isinstance(checkpoint, OpenClip):
        return open_clip.open_clip_space(checkpoint, device, precision)
    if isinstance(checkpoint, Sentence):
        return sentence.made_space(checkpoint, device, precision)
    return huggingface.huggingface_space(checkpoint, device, precision)


def find_pretrained(name: str) -> Checkpoint:
    """The checkpoint behind a name. Raises: InvalidInput, WeightsError."""
    if _is_sentence(name):
        return sentence.find_sentence(name)
    if split_name(name)[0] == "adapter":
        return checkpoint.find_open_clip(name)
    return read_pretrained(*locate_model(name, CONFIGS))


def read_pretrained(name: str, folder: Path) -> Checkpoint:
    """The checkpoint in a folder. Raises: WeightsError for a config that is missing, broken or makes no sense."""
    if _is_sentence(name):
        return sentence.read_folder(name, folder)
    names = {config for config in CONFIGS if (folder / config).is_file()}
    return (
        huggingface.read_huggingface(name, folder) if _transformers(names) else checkpoint.read_open_clip(name, folder)
    )


def names_in(folder: Path) -> set[str]:
    """The files of a folder, and of the folders in it, by their names below it."""
    return sentence_folder.names_below(folder)


def required_files(name: str, names: Collection[str], place: object) -> list[str]:
    """Those files of a place that the model of this name is made of, the config first and the weights last.

    Raises: WeightsError if some are missing.
    """
    if _is_sentence(name):
        first, *others = sentence_folder.required_files(names, place)
        return [first, *(name for name in DOCUMENTS if name in names), *others]
    library = huggingface if _transformers(names) else package
    required = library.required_files(names, place)
    return [required[0], *(name for name in DOCUMENTS if name in names), *required[1:]]


def _is_sentence(name: str) -> bool:
    return name.partition(":")[0] in sentence.FAMILIES


def _transformers(names: Collection[str]) -> bool:
    return HUGGINGFACE_CONFIG in names and OPEN_CLIP_CONFIG not in names


def pretrained_files(checkpoint: Checkpoint) -> list[Path]:
    """The files of a model on disk, those too that lie elsewhere. Raises: WeightsError if some are missing."""
    family = "st:" if isinstance(checkpoint, Sentence) else ""
    others = package.elsewhere(checkpoint) if isinstance(checkpoint, OpenClip) else []
    here = required_files(family, names_in(checkpoint.folder), checkpoint.folder)
    return [*others, *(checkpoint.folder / name for name in here)]


def check_pretrained(checkpoint: Checkpoint) -> None:
    """Load it on the CPU and put something through its towers.

    Raises: WeightsError if it is damaged, holds code, contradicts itself, or is another model than its name says.
    """
    if isinstance(checkpoint, OpenClip):
        package.check_open_clip(checkpoint)
    elif isinstance(checkpoint, Sentence):
        sentence.check_sentence(checkpoint)
    else:
        huggingface.check_huggingface(checkpoint)


def tokenizer_repository(checkpoint: Checkpoint) -> str | None:
    """The repository whose tokenizer a model needs beside its own files; None if it has all it needs."""
    if (
        isinstance(checkpoint, HuggingFace | Sentence)
        or checkpoint.reads_bpe
        or (checkpoint.folder / TOKENIZER_FILE).is_file()
    ):
        return None
    return str(checkpoint.text["hf_tokenizer_name"])

"""Spaces of transformers' models: CLAP, for sound and words, and Perception Encoder audio-video, for pictures too.

A folder of either kind, as the hub has it, is loaded from safetensors alone and without any network.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from mmsearch.encoders.huggingface import clap, pe
from mmsearch.encoders.huggingface.checkpoint import (
    CONFIG_FILE,
    PROCESSOR_FILE,
    PROCESSOR_PARTS,
    HuggingFaceCheckpoint,
    config_of,
    weights_among,
)
from mmsearch.encoders.tensors import check_pointer
from mmsearch.encoders.tokenizer import TOKENIZER_FILE, TOKENIZER_FILES
from mmsearch.errors import WeightsError
from mmsearch.types import Space


class _Reads(Protocol):
    def __call__(self, name: str, folder: Path, config: dict[str, Any]) -> HuggingFaceCheckpoint: ...


class Family(NamedTuple):
    """What is known of one kind of model."""

    read: _Reads
    space: Callable[[Any, str, str], Space]
    encoders: Callable[[Any, str, str], Any]


KINDS: dict[str, Family] = {
    "clap": Family(clap.read_clap, clap.clap_space, clap.encoders),
    "pe_audio_video": Family(pe.read_pe, pe.pe_space, pe.encoders),
}
"""model_type of a config -> its family."""


def read_huggingface(name: str, folder: Path) -> HuggingFaceCheckpoint:
    """The checkpoint in a folder. Raises: WeightsError for a config that is missing, broken or makes no sense."""
    config = config_of(folder)
    kind = config.get("model_type")
    if kind not in KINDS:
        raise WeightsError(
            f"{folder} holds a model of the kind {kind!r}, which mmsearch doesn't know",
            hint=f"known: open_clip's models, and transformers' {', '.join(KINDS)}",
        )
    try:
        found = KINDS[kind].read(name, folder, config)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise WeightsError(
            f"the config in {folder} can't be used: {reason}",
            hint="take the files that were published with the weights: with others, vectors would be wrong silently",
        ) from error
    return found


def huggingface_space(checkpoint: HuggingFaceCheckpoint, device: str, precision: str) -> Space:
    """The space of one model; its weights are not read."""
    return KINDS[checkpoint.config["model_type"]].space(checkpoint, device, precision)


def required_files(names: Collection[str], place: object) -> list[str]:
    """Those files of a repository that the model is made of, small ones first.

    Raises: WeightsError if some are missing.
    """
    for name in (CONFIG_FILE, TOKENIZER_FILE):
        if name not in names:
            raise WeightsError(
                f"{place} holds no model that mmsearch knows: {name} is missing",
                hint="take the files as they were published for open_clip or transformers",
            )
    beside = (PROCESSOR_FILE, *PROCESSOR_PARTS.values(), *TOKENIZER_FILES)
    return [CONFIG_FILE, *(name for name in beside if name in names), *weights_among(names, place)]


def check_huggingface(checkpoint: HuggingFaceCheckpoint) -> None:
    """Load it on the CPU and put something through all towers.

    Raises: WeightsError if it is damaged or contradicts itself.
    """
    for path in checkpoint.weights():
        check_pointer(path)
    towers: dict[str, Any] = KINDS[checkpoint.config["model_type"]].encoders(checkpoint, "cpu", "fp32")
    for tower in towers.values():
        tower.try_out()

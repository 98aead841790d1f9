"""Spaces of sentence-transformers' models: one for words, pictures, sounds and videos, or for some of these.

`st:OWNER/NAME` and `st:FOLDER`, options behind (`options`). The library prepares and embeds; here is what it hasn't:
folders looked at before they are believed, towers loaded when they are needed, and inputs that are never looked up.
"""

from pathlib import Path

from mmsearch.core import registry
from mmsearch.encoders.model_names import locate_model
from mmsearch.encoders.presets import find_preset
from mmsearch.encoders.sentence.checkpoint import SentenceCheckpoint, read_sentence
from mmsearch.encoders.sentence.encoders import ClipEncoder, MediaEncoder, Models, SentenceEncoder, TextEncoder
from mmsearch.encoders.sentence.folder import MODULES_FILE, names_below, required_files
from mmsearch.encoders.sentence.options import ModelOptions
from mmsearch.errors import InvalidInput
from mmsearch.types import Space

FAMILIES = ("st", "st-dir")

__all__ = ["FAMILIES", "SentenceCheckpoint", "find_sentence", "required_files", "sentence_files", "sentence_space"]


def find_sentence(target: str) -> SentenceCheckpoint:
    """The checkpoint behind a target. Raises: InvalidInput, WeightsError for one that isn't here or can't be used."""
    plain, options = registry.split_options(target)
    chosen = ModelOptions.parse(options)
    _check_dimensions(plain, chosen)
    name, folder = locate_model(plain, (MODULES_FILE,))
    return read_sentence(f"{name}{options}", folder, chosen)


def _check_dimensions(plain: str, options: ModelOptions) -> None:
    """Raises: InvalidInput for another length than the publishers trained for, where that is known."""
    preset = find_preset(plain)
    allowed = () if preset is None or not preset.dimensions else (*preset.dimensions, preset.dim)
    if options.dimensions is not None and allowed and options.dimensions not in allowed:
        raise InvalidInput(
            f"{plain} was not trained for vectors of {options.dimensions} numbers",
            hint=f"dimensions is one of {', '.join(map(str, allowed))}",
        )


def read_folder(target: str, folder: Path) -> SentenceCheckpoint:
    """The checkpoint of a model in another folder than its name says. Raises: as `find_sentence`."""
    options = registry.split_options(target)[1]
    return read_sentence(target, folder, ModelOptions.parse(options))


def sentence_space(target: str, device: str = "auto", precision: str = "auto") -> Space:
    """The space of one model. Reads its configs, not its weights.

    Raises: InvalidInput for a malformed name or option, WeightsError for a model that isn't here or can't be used.
    """
    return made_space(find_sentence(target), device, precision)


def made_space(checkpoint: SentenceCheckpoint, device: str, precision: str) -> Space:
    """The space of a checkpoint. Raises: InvalidInput for a precision that it can't be run in."""
    models = Models(checkpoint)
    encoders = {
        kind: _ENCODERS.get(kind, MediaEncoder)(checkpoint, kind, device, precision, models)
        for kind in checkpoint.modalities
    }
    return Space(checkpoint.name, checkpoint.dim, checkpoint.windowing, dict(encoders))


_ENCODERS = {"text": TextEncoder, "video": ClipEncoder}


def sentence_files(checkpoint: SentenceCheckpoint) -> list[Path]:
    """The files of a model on disk. Raises: WeightsError if some are missing."""
    return [checkpoint.folder / name for name in required_files(names_below(checkpoint.folder), checkpoint.folder)]


def check_sentence(checkpoint: SentenceCheckpoint) -> None:
    """Load it on the CPU and put something of each kind through it.

    Raises: WeightsError if it is damaged or contradicts itself.
    """
    for encoder in made_space(checkpoint, "cpu", "fp32").encoders.values():
        if isinstance(encoder, SentenceEncoder):
            encoder.try_out()

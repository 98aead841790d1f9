"""Which models there are to choose from, and which of them are on this machine. Loads none, asks no network."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mmsearch.core import registry
from mmsearch.core.config import models_folder
from mmsearch.encoders import connection, model_names, model_store, pretrained, speed, starter
from mmsearch.encoders.presets import MODEL_PRESETS, ModelPreset
from mmsearch.errors import InvalidInput, MmsearchError, WeightsError
from mmsearch.types import Modality


@dataclass(frozen=True, slots=True)
class AvailableModel:
    """A model and what is known of it; None where nothing is."""

    name: str
    """What `--space` takes."""
    modalities: tuple[Modality, ...]
    """Segment modalities it embeds; videos by their frames ("image") and their sound ("audio")."""
    dim: int | None
    bytes: int | None
    """Of its weights."""
    languages: str | None
    licence: str | None
    non_commercial: bool
    """Whether its licence is known to forbid commercial use."""
    installed: bool
    folder: Path | None = None
    problem: str | None = None
    """What is wrong with what is installed."""
    speed: Mapping[Modality, float] = field(default_factory=dict, hash=False)
    """Segments a second, as last measured on this machine."""
    device: str | None = None
    """What that was measured on."""


def available_models() -> list[AvailableModel]:
    """Those with short names, those of other packages, then those that lie in the models folder."""
    known = [preset.name for preset in MODEL_PRESETS]
    others = [_packaged(name) for name in sorted(registry.known_targets("spaces")) if name not in known]
    return [_measured(model) for model in (*map(_preset, MODEL_PRESETS), *others, *_prepared())]


def _measured(model: AvailableModel) -> AvailableModel:
    """With what is known of its speed."""
    target = registry.target_of("spaces", model.name)
    measured = {}
    for modality in model.modalities:
        speed_here = speed.known_speed(f"{model.name}-{modality}") or speed.known_speed(f"{target}-{modality}")
        if speed_here is not None:
            measured[modality] = speed_here
    devices = sorted({device for _, device in measured.values()})
    rates = {modality: rate for modality, (rate, _) in measured.items()}
    return replace(model, speed=rates, device=", ".join(devices) or None)


def _preset(preset: ModelPreset) -> AvailableModel:
    folder = problem = None
    installed = True
    try:
        if preset.repository is None:
            for file in starter.FILES[preset.name]:
                file.locate()
        else:
            folder = models_folder() / model_store.folder_name(preset.target)
            installed = folder.is_dir()
            if installed:
                _check(preset.target, folder)
    except WeightsError as error:
        installed, problem = False, error.message
    return AvailableModel(
        preset.name, preset.modalities, preset.dim, preset.bytes, preset.languages, preset.licence,
        preset.non_commercial, installed, folder if installed else None, problem,
    )  # fmt: skip


def _packaged(name: str) -> AvailableModel:
    """One of another package's entry points."""
    try:
        space = registry.load_part("spaces", name)("cpu", "fp32")
    except Exception as error:  # whatever is wrong with that package, the other models are still wanted
        problem = error.message if isinstance(error, MmsearchError) else f"{type(error).__name__}: {error}"
        return AvailableModel(name, (), None, None, None, None, False, False, None, problem)
    return AvailableModel(name, tuple(space.encoders), space.dim, None, None, None, False, True)


def _prepared() -> Iterator[AvailableModel]:
    models = models_folder()
    of_presets = {model_store.folder_name(preset.target) for preset in MODEL_PRESETS}
    for folder in sorted(models.iterdir()) if models.is_dir() else ():
        if folder.is_dir() and not folder.name.startswith(".") and folder.name not in of_presets:
            if folder.name.startswith(model_store.folder_name(f"{connection.FAMILY}:")):
                yield _connected(folder)
                continue
            name = _name(folder)
            try:
                yield _local(name, folder)
            except WeightsError as error:
                yield AvailableModel(name, (), None, None, None, None, False, False, None, error.message)


def _local(name: str, folder: Path) -> AvailableModel:
    """Raises: WeightsError."""
    model, licence = _check(name, folder), _licence(folder)
    non_commercial = licence is not None and "-nc" in licence.lower()
    return AvailableModel(
        name, model.modalities, model.dim, model.size, None, licence, non_commercial, True, folder
    )  # fmt: skip


def _connected(folder: Path) -> AvailableModel:
    """A space made of two others."""
    name = f"{connection.FAMILY}:{folder.name.removeprefix(model_store.folder_name(f'{connection.FAMILY}:'))}"
    try:
        space = registry.load_part("spaces", name)("cpu", "fp32")
    except MmsearchError as error:
        return AvailableModel(name, (), None, None, None, None, False, False, folder, error.message)
    size = (folder / connection.FILE).stat().st_size
    return AvailableModel(
        name, tuple(space.encoders), space.dim, size, None, "that of its two models", False, True, folder
    )


def _check(name: str, folder: Path) -> pretrained.Checkpoint:
    """Raises: WeightsError if something is missing, or not of the recorded size."""
    problem = model_store.damage(folder, thorough=False)
    if problem is not None:
        raise WeightsError(problem)
    checkpoint = pretrained.read_pretrained(name, folder)
    pretrained.pretrained_files(checkpoint)
    return checkpoint


def _name(folder: Path) -> str:
    """The model's name, or where it has none, the folder's: "hf-hub--timm--x" -> "hf-hub:timm/x"."""
    name = folder.name.replace("--", ":", 1).replace("--", "/", 1)
    try:
        return name if model_names.split_name(name)[0] in ("hf-hub", "open_clip", "st") else f"local-dir:{folder}"
    except InvalidInput:
        return f"local-dir:{folder}"


def _licence(folder: Path) -> str | None:
    """What the head of the model card says."""
    try:
        card = (folder / "README.md").read_text("utf-8", "replace")
    except OSError:
        return None
    head = card.split("\n---", 1)[0] if card.startswith("---") else ""
    fields = {key: value.strip() for key, value in re.findall(r"^(license|license_name):(.+)$", head, re.MULTILINE)}
    return fields.get("license_name") or fields.get("license")

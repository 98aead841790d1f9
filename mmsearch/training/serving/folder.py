"""A model's folder in a library: what it is trained on and how, its checkpoint, and in the end the model."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mmsearch.core import sealed
from mmsearch.core.json_text import parse_object
from mmsearch.core.owner_only import make_parents
from mmsearch.core.value_ranges import brief_repr
from mmsearch.errors import InvalidInput, LibraryError, LibraryLocked
from mmsearch.training.serving import checkpoint
from mmsearch.training.serving.card import JSON_NAME, TrainingSource
from mmsearch.training.serving.records import TrainingPlan

FOLDER = "training"

PLAN, DATA, CHECKPOINT = "plan.json", "data.safetensors", "checkpoint.pt"
PROJECTION, FUSION = "projection.safetensors", "fusion.safetensors"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

T = TypeVar("T")

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
            make_parents(self.path)
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
        """Raises: LibraryError if there is none that can be read, or none that makes sense."""
        try:
            plan = parse_object(sealed.read_text(self.path / PLAN))
        except (OSError, ValueError) as error:
            raise LibraryError(
                f"there is no training {self.name!r} to go on with: {error}", hint="start it without --resume"
            ) from error
        with self.making_sense():
            for name, kind in get_type_hints(TrainingPlan).items():
                check_type(plan[name], kind, name)
            for source in plan["sources"]:
                check_fields(TrainingSource, source)
        return plan

    def settings(self, kind: type[T], stored: Mapping[str, Any]) -> T:
        """Settings of a plan, each of its type. Raises: LibraryError, InvalidInput."""
        with self.making_sense():
            return kind(**check_fields(kind, stored))

    @contextmanager
    def making_sense(self) -> Iterator[None]:
        """Around what is made of a kept plan: whoever gave the library may have written it.

        Raises: LibraryError in the place of what Python raises for a value that is missing or of another type.
        """
        try:
            yield
        except (LookupError, TypeError, ValueError) as error:
            raise LibraryError(
                f"the saved state of the training {self.name!r} is not valid: {error}",
                hint=f"start anew: mmsearch train drop {self.name}",
            ) from error

    def data(self) -> Arrays:
        """Raises: LibraryError."""
        try:
            return dict(load(sealed.read_bytes(self.path / DATA)))
        except (OSError, SafetensorError) as error:
            raise LibraryError(
                f"{self.path / DATA} can't be used: {error}", hint=f"start anew: mmsearch train drop {self.name}"
            ) from error


def check_fields(kind: type[Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a dataclass out of JSON, lists as tuples. Raises: TypeError, ValueError."""
    hints = get_type_hints(kind)
    if unknown := stored.keys() - hints.keys():
        raise ValueError(f"there is no {brief_repr(min(unknown))}")
    return {name: check_type(value, hints[name], name) for name, value in stored.items()}


def check_type(value: Any, kind: Any, name: str) -> Any:
    """A value out of JSON as a type has it: a list as a tuple, an object as a dataclass. Raises: TypeError."""
    outer, inner = get_origin(kind) or kind, get_args(kind)
    if is_dataclass(outer) and isinstance(value, dict):
        return kind(**check_fields(kind, value))
    takes = {float: (int, float), tuple: (list,)}.get(outer, (outer,))
    if not isinstance(value, takes) or (isinstance(value, bool) and outer is not bool):
        raise TypeError(f"{name!r} is {brief_repr(value)}")
    if outer is tuple:
        return tuple(check_type(one, inner[0], name) for one in value)
    if outer is dict and inner[1] is not Any:
        return {key: check_type(one, inner[1], name) for key, one in value.items()}
    return value


def model_folders(library: Path) -> list[ModelFolder]:
    """Begun and finished ones, by name."""
    root = library / FOLDER
    folders = [ModelFolder(path) for path in sorted(root.iterdir())] if root.is_dir() else []
    return [folder for folder in folders if folder.begun]

"""What a training begins with, and what it leaves."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmsearch.evaluate import Unused


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training was begun with."""

    name: str
    base: str
    fingerprint: str
    command: str
    recipe: dict[str, Any]
    shape: dict[str, Any]
    sources: tuple[dict[str, Any], ...]
    splits: dict[str, int]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training."""

    name: str
    path: Path
    """The folder of the model."""
    best_epoch: int
    """0: nothing helped, and the model changes nothing."""
    epochs: int
    before: dict[str, float]
    after: dict[str, float]
    unused: tuple[Unused, ...]
    warnings: tuple[str, ...]
    space: str | None = None
    """What `--space` takes to ingest with it; None: `apply` it to the library."""


@dataclass(frozen=True, slots=True)
class Model:
    """What `mmsearch train list` tells of a model."""

    name: str
    kind: str
    finished: bool
    active: bool
    """Searches use it."""
    after: dict[str, float]

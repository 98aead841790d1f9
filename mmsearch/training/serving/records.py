"""What is written down of trainings, for those who list or train models."""

from dataclasses import dataclass, field
from typing import Any

from mmsearch.types import Modality

KINDS: tuple[Modality, ...] = ("text", "image", "audio")
"""Modalities of segments that can be projected, by their number in `PairExamples`."""


@dataclass(frozen=True, slots=True)
class TrainingPlan:
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
class TrainedModel:
    """What `mmsearch train list` tells of a model."""

    name: str
    kind: str
    finished: bool
    active: bool
    """Searches use it."""
    after: dict[str, float] = field(hash=False)

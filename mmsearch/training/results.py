"""What a finished training tells of itself."""

from dataclasses import dataclass, field
from pathlib import Path

from mmsearch.evaluate import UnusedPair


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A finished training."""

    name: str
    path: Path
    """The folder of the model."""
    best_epoch: int
    """0: nothing helped, and the model changes nothing."""
    epochs: int
    before: dict[str, float] = field(hash=False)
    """Measure -> value on the validation side, before training."""
    after: dict[str, float] = field(hash=False)
    """The same, of the best epoch."""
    unused: tuple[UnusedPair, ...]
    warnings: tuple[str, ...]
    space: str | None = None
    """What `--space` takes to ingest with it; None: `apply` it to the library."""
    test: dict[str, float] = field(default_factory=dict, hash=False)
    """Measure -> value on pairs that took no part in the training, nor in the choice of an epoch; empty if none were
    set aside."""


@dataclass(frozen=True, slots=True)
class ActiveSpace:
    """The space that searches use from now on."""

    name: str
    dim: int
    fingerprint: str

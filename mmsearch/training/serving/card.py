"""The model card: what a model was trained on, how, and how good it is. model.json for programs, README.md for people.

After Mitchell et al., "Model Cards for Model Reporting" (FAT* 2019), as far as a command can know.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmsearch.core import sealed
from mmsearch.core.json_text import parse_object
from mmsearch.errors import LibraryError
from mmsearch.training.serving import checkpoint
from mmsearch.training.serving.recipe import Recipe

JSON_NAME, README_NAME = "model.json", "README.md"


@dataclass(frozen=True, slots=True)
class TrainingSource:
    """Something a model was trained on."""

    path: str
    sha256: str
    used: int
    """Pairs or examples taken from it."""
    unused: int = 0


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is written down of one training."""

    name: str
    kind: str
    """projection, fusion, labels or adapter."""
    base: str
    """Space whose vectors it takes."""
    fingerprint: str
    """Of that space."""
    sources: Sequence[TrainingSource]
    splits: Mapping[str, int]
    """Examples on each side, and in how many independent groups."""
    recipe: Recipe
    command: str
    before: Mapping[str, float]
    """Measures on the validation side without the model."""
    after: Mapping[str, float]
    best_epoch: int
    history: Sequence[Mapping[str, Any]]
    files: Mapping[str, str]
    """File -> sha256."""
    version: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What else was set."""
    notes: Sequence[str] = ()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_card(card: ModelCard, folder: Path) -> None:
    """Both files, each replaced whole. Raises: LibraryError."""
    text = json.dumps(asdict(card), indent=2, sort_keys=True, allow_nan=False)
    checkpoint.write_whole(f"{text}\n".encode(), folder / JSON_NAME)
    checkpoint.write_whole(_readme(card).encode(), folder / README_NAME)


def read_card(folder: Path) -> dict[str, Any]:
    """A model's card as plain values. Raises: LibraryError if there is none, or none that can be read."""
    try:
        return parse_object(sealed.read_text(folder / JSON_NAME))
    except (OSError, ValueError) as error:
        raise LibraryError(f"{folder / JSON_NAME} can't be read: {error}", hint="train it again") from error


def _readme(card: ModelCard) -> str:
    sources = [
        f"- {s.path}: {s.used} used, {s.unused} not; sha256 {s.sha256}" for s in card.sources
    ]  # fmt: skip
    names = list(card.after)
    measures = [f"| {name} | {card.before[name]:.3f} | {card.after[name]:.3f} |" for name in names]
    recipe = ", ".join(f"{name} {value}" for name, value in {**asdict(card.recipe), **card.settings}.items())
    lines = [
        f"# {card.name}", "",
        f"A {card.kind} on vectors of the space {card.base} ({card.fingerprint[:16]}…), trained with mmsearch "
        f"{card.version}:", "", "```", card.command, "```", "",
        "## Data", "", *sources, "",
        "Its licence is that of these files: a model learns from them.", "",
        f"Split by group (content, near-duplicates): {', '.join(f'{n} {name}' for name, n in card.splits.items())}.",
        "", "## How good it is", "",
        f"On the validation side, which also chose the epoch (the best of {len(card.history) - 1}: {card.best_epoch}):",
        "", "| measure | before | after |", "|---|---|---|", *measures, "",
        *(f"- {note}" for note in card.notes), *([""] if card.notes else []),
        "## How it was trained", "", f"{recipe}.", "",
        *(f"`{name}`: sha256 {digest}" for name, digest in card.files.items()), "",
    ]  # fmt: skip
    return "\n".join(lines)

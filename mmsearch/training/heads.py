"""What `Library.train.labels` does: a head from a table of names, kept in the library; it takes seconds."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmsearch.encoders.head import Facts, Head, dump, restore
from mmsearch.errors import InvalidInput, LibraryError, SpaceChanged
from mmsearch.evaluate import Unused
from mmsearch.parts import Parts
from mmsearch.training import card, checkpoint, fusions, labels, named, plot
from mmsearch.training.folder import Arrays, ModelFolder, every
from mmsearch.training.loop import Fitted, OnEpoch
from mmsearch.training.recipe import Recipe
from mmsearch.training.records import Plan
from mmsearch.version import VERSION

KIND, HEAD = "labels", "head.safetensors"


@dataclass(frozen=True, slots=True)
class Learned:
    """A finished head."""

    name: str
    path: Path
    """The folder of the model."""
    classes: tuple[str, ...]
    best_epoch: int
    epochs: int
    after: dict[str, float]
    """Measures on the validation side: "accuracy", "macro-F1", "fit" (minus the cross-entropy)."""
    temperature: float
    least: float
    """Cosine to a class's mean from which its name fits."""
    confusion: list[list[int]]
    """Of the validation side: row what it is, column what was said, in the order of the classes."""
    unused: tuple[Unused, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeadPlan(Plan):
    """The names as well."""

    kind: str
    classes: tuple[str, ...]


def learn(
    parts: Parts, source: Path, name: str, chosen: Mapping[str, Any], command: str, on_epoch: OnEpoch | None
) -> Learned:
    """Train on the vectors that the library has of the named files, or of their bundles.

    Args:
        chosen: Fields of `labels.Shape` and `Recipe` that aren't the defaults.

    Raises: InvalidInput if there is a model of this name, or too little can be used.
    """
    folder = ModelFolder.of(parts.path, name)
    if folder.finished or (folder.begun and folder.plan().get("kind") != KIND):
        raise InvalidInput(
            f"there is a model or a training {name!r} already",
            hint=f"choose another --name, or first: mmsearch train drop {name}",
        )
    shape, recipe = _settled(chosen)
    space, record = parts.base()
    fusion = fusions.named(parts.path, shape.fusion, record)
    found = named.gather(source, parts.catalog(), record, recipe.seed, fusion)
    facts = Facts(shape.kind, space.dim, shape.hidden, found.classes, space.name, space.fingerprint)
    used = len(found.found.labels)
    origin = card.Source(os.path.abspath(source), card.sha256(source.read_bytes()), used, len(found.unused))
    plan = HeadPlan(
        name, space.name, space.fingerprint, command, asdict(recipe), asdict(shape), (asdict(origin),),
        dict(found.splits), found.warnings, KIND, found.classes,
    )  # fmt: skip
    with folder.writing():
        data: Arrays = {"vectors": found.found.vectors, "labels": found.found.labels, "held": found.found.held}
        folder.begin(plan, data)
        head, fitted = labels.train(shape, found.found, facts, recipe, on_epoch)
        head = replace(head, fusion=fusion)
        _keep(folder, plan, head, fitted, recipe)
    return Learned(
        name, folder.path, found.classes, fitted.best, len(fitted.history) - 1, fitted.measures,
        head.facts.temperature, head.facts.least, _confusion(head, found.found), found.unused, found.warnings,
    )  # fmt: skip


def draw_confusion(learned: Learned, path: Path) -> None:
    """Raises: InvalidInput if nothing validates, or the file can't be written."""
    counts = np.array(learned.confusion)
    if not counts.any():
        raise InvalidInput("nothing was held back to draw a confusion matrix from", hint="give more examples")
    plot.confusion(counts, learned.classes, path)


def load(parts: Parts, name: str) -> Head:
    """A head of this library. Raises: InvalidInput if there is none, SpaceChanged if it is of another space,
    WeightsError if it is damaged."""
    folder = ModelFolder.of(parts.path, name)
    path = folder.path / HEAD
    if not path.is_file():
        names = ", ".join(one.name for one in every(parts.path) if (one.path / HEAD).is_file()) or "none yet"
        raise InvalidInput(f"there is no head {name!r} for labels", hint=f"there are: {names}; mmsearch train labels")
    try:
        head = restore(path.read_bytes())
    except OSError as error:
        raise LibraryError(f"{path} can't be read: {error}", hint="check permissions") from error
    space, _ = parts.base()
    if head.facts.fingerprint != space.fingerprint:
        raise SpaceChanged(
            f"{name!r} was trained on vectors of the space {head.facts.base!r}, not of {space.name!r} as it is here",
            hint="train it again here: mmsearch train drop, then mmsearch train labels",
        )
    return head


def _settled(chosen: Mapping[str, Any]) -> tuple[labels.Shape, Recipe]:
    of_recipe, of_shape = ({one.name for one in fields(kind)} for kind in (Recipe, labels.Shape))
    if unknown := set(chosen) - of_recipe - of_shape:
        raise InvalidInput(f"unknown training settings: {', '.join(sorted(unknown))}")
    recipe = replace(labels.HEAD_RECIPE, **{name: value for name, value in chosen.items() if name in of_recipe})
    return labels.Shape(**{name: value for name, value in chosen.items() if name in of_shape}), recipe


def _keep(folder: ModelFolder, plan: HeadPlan, head: Head, fitted: Fitted, recipe: Recipe) -> None:
    content = dump(head)
    checkpoint.write(content, folder.path / HEAD)
    history = [
        {"epoch": e.number, **({"loss": e.loss} if e.number else {}), **e.measures, "seconds": round(e.seconds, 3)}
        for e in fitted.history
    ]
    rule = {"classes": len(plan.classes), "temperature": head.facts.temperature, "least": head.facts.least}
    written = card.Card(
        plan.name, KIND, plan.base, plan.fingerprint, [card.Source(**one) for one in plan.sources], plan.splits,
        recipe, plan.command, fitted.history[0].measures, fitted.measures, fitted.best, history,
        {HEAD: card.sha256(content)}, VERSION, {**plan.shape, **rule}, plan.warnings,
    )  # fmt: skip
    card.write(written, folder.path)


def _confusion(head: Head, found: labels.Named) -> list[list[int]]:
    judged = found.held & (found.labels >= 0)
    said = head.judge(found.vectors[judged]).best
    counts: list[list[int]] = labels.confusion(found.labels[judged], said, len(head.facts.classes)).tolist()
    return counts

"""What `Library.train.labels` does: a head from a table of names, kept in the library; it takes seconds."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmsearch.context.context import LibraryContext
from mmsearch.core.version import VERSION
from mmsearch.encoders.head import Head, HeadFacts, dump_head
from mmsearch.errors import InvalidInput
from mmsearch.evaluate import UnusedPair
from mmsearch.training import head_task, labelled_examples, plot
from mmsearch.training.loop import FitResult, OnEpoch
from mmsearch.training.serving import card, checkpoint, fusions
from mmsearch.training.serving.folder import Arrays, ModelFolder
from mmsearch.training.serving.heads import HEAD, KIND
from mmsearch.training.serving.recipe import Recipe
from mmsearch.training.serving.records import TrainingPlan


@dataclass(frozen=True, slots=True)
class TrainedHead:
    """A finished head."""

    name: str
    path: Path
    """The folder of the model."""
    classes: tuple[str, ...]
    best_epoch: int
    epochs: int
    after: dict[str, float] = field(hash=False)
    """Measures on the validation side: "accuracy", "macro-F1", "fit" (minus the cross-entropy); empty where nothing was
    held out, since those of the training examples would say nothing."""
    temperature: float
    least: float
    """Cosine to a class's mean from which its name fits."""
    confusion: list[list[int]] = field(hash=False)
    """Of the validation side: row the label, column the prediction, in the order of the classes."""
    unused: tuple[UnusedPair, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeadPlan(TrainingPlan):
    """The names as well."""

    kind: str
    classes: tuple[str, ...]


def learn_head(
    context: LibraryContext, source: Path, name: str, chosen: Mapping[str, Any], command: str, on_epoch: OnEpoch | None
) -> TrainedHead:
    """Train on the vectors that the library has of the named files, or of their bundles.

    Args:
        chosen: Fields of `labels.Shape` and `Recipe` that aren't the defaults.

    Raises: InvalidInput if there is a model of this name, or too little can be used.
    """
    folder = ModelFolder.of(context.path, name)
    if folder.finished or (folder.begun and folder.plan().get("kind") != KIND):
        raise InvalidInput(
            f"there is a model or a training {name!r} already",
            hint=f"choose another --name, or first: mmsearch train drop {name}",
        )
    shape, recipe = _settled(chosen)
    space, record = context.base()
    fusion = fusions.fusion_named(context.path, shape.fusion, record)
    gathered = labelled_examples.gather_labelled(source, context.catalog(), record, recipe.seed, fusion)
    facts = HeadFacts(shape.kind, space.dim, shape.hidden, gathered.classes, space.name, space.fingerprint)
    examples = gathered.examples
    used = len(examples.labels)
    origin = card.TrainingSource(os.path.abspath(source), card.sha256(source.read_bytes()), used, len(gathered.unused))
    plan = HeadPlan(
        name, space.name, space.fingerprint, command, asdict(recipe), asdict(shape), (asdict(origin),),
        dict(gathered.splits), gathered.warnings, KIND, gathered.classes,
    )  # fmt: skip
    with folder.writing():
        data: Arrays = {"vectors": examples.vectors, "labels": examples.labels, "held": examples.held}
        folder.begin(plan, data)
        judged = bool(examples.judged.any())
        head, fitted = head_task.train_head(shape, examples, facts, recipe, _reporting(on_epoch, judged))
        fitted = fitted if judged else _unmeasured(fitted)
        head = replace(head, fusion=fusion)
        _keep(folder, plan, head, fitted, recipe)
    return TrainedHead(
        name, folder.path, gathered.classes, fitted.best, len(fitted.history) - 1, fitted.measures,
        head.facts.temperature, head.facts.least, _confusion(head, examples), gathered.unused, gathered.warnings,
    )  # fmt: skip


def _reporting(on_epoch: OnEpoch | None, judged: bool) -> OnEpoch | None:
    """The callback, told no measures where they are of training examples."""
    if on_epoch is None or judged:
        return on_epoch
    return lambda epoch: on_epoch(replace(epoch, measures={}))


def _unmeasured(fitted: FitResult) -> FitResult:
    return FitResult(fitted.best, [replace(epoch, measures={}) for epoch in fitted.history])


def draw_confusion(learned: TrainedHead, path: Path) -> None:
    """Raises: InvalidInput if nothing validates, or the file can't be written."""
    counts = np.array(learned.confusion)
    if not counts.any():
        raise InvalidInput("no example was held out to draw a confusion matrix from", hint="give more examples")
    plot.draw_confusion_matrix(counts, learned.classes, path)


def _settled(chosen: Mapping[str, Any]) -> tuple[head_task.HeadShape, Recipe]:
    of_recipe, of_shape = ({one.name for one in fields(kind)} for kind in (Recipe, head_task.HeadShape))
    if unknown := set(chosen) - of_recipe - of_shape:
        raise InvalidInput(f"unknown training settings: {', '.join(sorted(unknown))}")
    recipe = replace(head_task.HEAD_RECIPE, **{name: value for name, value in chosen.items() if name in of_recipe})
    return head_task.HeadShape(**{name: value for name, value in chosen.items() if name in of_shape}), recipe


def _keep(folder: ModelFolder, plan: HeadPlan, head: Head, fitted: FitResult, recipe: Recipe) -> None:
    content = dump_head(head)
    checkpoint.write_whole(content, folder.path / HEAD)
    history = [epoch.as_row() for epoch in fitted.history]
    rule = {"classes": len(plan.classes), "temperature": head.facts.temperature, "least": head.facts.least}
    written = card.ModelCard(
        plan.name, KIND, plan.base, plan.fingerprint, [card.TrainingSource(**one) for one in plan.sources], plan.splits,
        recipe, plan.command, fitted.history[0].measures, fitted.measures, fitted.best, history,
        {HEAD: card.sha256(content)}, VERSION, {**plan.shape, **rule}, plan.warnings,
    )  # fmt: skip
    card.write_card(written, folder.path)


def _confusion(head: Head, examples: head_task.LabelledVectors) -> list[list[int]]:
    judged = examples.judged
    predicted = head.judge(examples.vectors[judged]).best
    counts: list[list[int]] = head_task.confusion(examples.labels[judged], predicted, len(head.facts.classes)).tolist()
    return counts

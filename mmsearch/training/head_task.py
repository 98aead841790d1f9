"""Training a head: named examples in, a head with calibrated confidence out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from mmsearch.core.arguments import check_field_types
from mmsearch.core.config import LEARNED
from mmsearch.encoders.head import HEADS, Head, HeadFacts, centres
from mmsearch.errors import InvalidInput
from mmsearch.training.loop import FitResult, OnEpoch, fit_task
from mmsearch.training.serving.recipe import Recipe
from mmsearch.types import Vectors

HEAD_RECIPE = Recipe(loss="cross-entropy", epochs=100, batch=256, lr=1e-2, weight_decay=0.1, patience=25)
"""What suits heads on the vectors of a frozen space."""

KEPT = 0.95
"""Share of the named examples that validate whose name must fit."""

SEVERAL = 4
"""Groups that a class needs for some to be held back: below it, learning from all is worth more."""

ENOUGH = 40
"""Examples that validate from which a temperature is believed: fitted to fewer it made sureness worse."""

_TEMPERATURES = np.geomspace(0.05, 20, 241)

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HeadShape:
    """What a head looks like."""

    kind: str = "linear"
    hidden: int = 128
    """Units of a perceptron's hidden layer."""
    dropout: float = 0.2
    balanced: bool = True
    """Every class counts the same, however many examples it has; else every example does."""
    fusion: str = "off"
    """What makes one vector of a bundle's files: "mean" or "learned:NAME", a model that `mmsearch train fusion` made;
    "off": each file is an example by itself."""

    def __post_init__(self) -> None:
        """Raises: InvalidInput."""
        check_field_types(self)
        if self.kind not in HEADS:
            raise InvalidInput(f"unknown head {self.kind!r}", hint=f"known: {', '.join(HEADS)}")
        if self.hidden < 1 or not 0 <= self.dropout < 1:
            raise InvalidInput("a head needs hidden >= 1 and 0 <= dropout < 1")
        if self.fusion not in ("off", "mean") and not self.fusion.startswith(LEARNED):
            raise InvalidInput(f"unknown fusion {self.fusion!r}", hint=f"off, mean or {LEARNED}NAME")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledVectors:
    """Examples and their classes."""

    vectors: Vectors
    """(n, dim), unit rows."""
    labels: Ints
    """(n,), number of the class; -1: none of them."""
    held: NDArray[np.bool_]
    """(n,): those that validate."""

    @property
    def judged(self) -> NDArray[np.bool_]:
        """(n,): those that validate, and have a class."""
        return self.held & (self.labels >= 0)


def split_classes(labels: Ints, groups: Ints, share: float, seed: int) -> NDArray[np.bool_]:
    """(n,): which examples are held back: whole groups, about `share` of each class, none where it has few groups.

    What is of no class is all held back: nothing is learned from it.
    """
    draw = np.random.default_rng([seed, len(labels)])
    held = labels < 0
    training = set[int]()
    for label in np.unique(labels[labels >= 0]).tolist():
        own = draw.permutation(np.unique(groups[labels == label]))
        count = max(1, round(share * len(own))) if len(own) >= SEVERAL else 0
        # A group of several classes stays where an earlier one has put it.
        training.update(group for group in own[count:].tolist() if not held[groups == group].any())
        chosen = [group for group in own[:count].tolist() if group not in training]
        held |= np.isin(groups, chosen)
    return held


class HeadTask:
    """A head that learns from the examples that aren't held back; a `loop.Task`."""

    def __init__(self, shape: HeadShape, examples: LabelledVectors, classes: int, seed: int) -> None:
        self.examples = examples
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.module = HEADS[shape.kind](examples.vectors.shape[1], classes, shape.hidden, shape.dropout)
        self._vectors, self._labels = (torch.from_numpy(a[~examples.held]) for a in (examples.vectors, examples.labels))
        counts = np.bincount(examples.labels[~examples.held], minlength=classes)
        weights = counts.sum() / (classes * np.maximum(counts, 1)) if shape.balanced else np.ones(classes)
        self._weights = torch.from_numpy(weights.astype(np.float32))

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"head": self.module}

    def __len__(self) -> int:
        return len(self._labels)

    def loss(self, rows: Tensor, draw: np.random.Generator) -> Tensor:
        return F.cross_entropy(self.module(self._vectors[rows]), self._labels[rows], self._weights)

    def validate(self) -> dict[str, float]:
        """ "fit", minus the cross-entropy, then accuracy and macro-F1; on the training side where nothing is held back:
        enough to choose an epoch, and nothing to tell anybody.

        Accuracy alone would not tell one epoch from the next on a few examples.
        """
        judged = self.examples.judged
        judged = judged if judged.any() else ~self.examples.held
        logits = self.module(torch.from_numpy(self.examples.vectors[judged]))
        labels = self.examples.labels[judged]
        predicted = logits.argmax(dim=1).numpy()
        fit = -float(F.cross_entropy(logits, torch.from_numpy(labels)))
        return {"fit": fit, "accuracy": float(np.mean(predicted == labels)), "macro-F1": macro_f1(labels, predicted)}

    def validation_loss(self) -> float:
        return -self.validate()["fit"] if self.examples.judged.any() else math.nan


def train_head(
    shape: HeadShape,
    examples: LabelledVectors,
    facts: HeadFacts,
    recipe: Recipe = HEAD_RECIPE,
    on_epoch: OnEpoch | None = None,
) -> tuple[Head, FitResult]:
    """A calibrated head. Raises: InvalidInput if there are fewer than two classes to learn."""
    learned = np.unique(examples.labels[~examples.held])
    if len(facts.classes) < 2 or len(learned) < len(facts.classes):
        raise InvalidInput(
            f"{len(learned)} names have examples to learn from; a classifier needs at least two",
            hint="give examples of what else there is",
        )
    task = HeadTask(shape, examples, len(facts.classes), recipe.seed)
    fitted = fit_task(task, recipe, on_epoch=on_epoch)
    known = ~examples.held
    head = Head(facts, task.module, centres(examples.vectors[known], examples.labels[known], len(facts.classes)))
    return calibrated(head, examples), fitted


def calibrated(head: Head, examples: LabelledVectors) -> Head:
    """The head with a temperature, if enough was held back, and a least nearness: from what was held back, or, where
    nothing was, from each training example's cosine to the mean of the others of its class."""
    judged = examples.judged
    if not judged.any():
        return head.calibrated(1.0, _least(_others(examples)))
    vectors, labels = examples.vectors[judged], examples.labels[judged]
    strange = examples.vectors[examples.labels < 0]
    known = head.judge(vectors).nearness
    heat = temperature(head.logits(vectors), labels) if len(labels) >= ENOUGH else 1.0
    return head.calibrated(
        heat,
        between(known, head.judge(strange).nearness) if len(strange) else _least(known),
    )


def temperature(logits: NDArray[np.float32], labels: Ints) -> float:
    """That of the least cross-entropy, between 0.05 and 20 (Guo et al., 2017)."""
    scaled = logits[None].astype(np.float64) / _TEMPERATURES[:, None, None]  # (temperatures, n, classes)
    highest = scaled.max(axis=2)
    total = highest + np.log(np.exp(scaled - highest[..., None]).sum(axis=2))
    losses = (total - scaled[:, np.arange(len(labels)), labels]).mean(axis=1)
    return float(_TEMPERATURES[losses.argmin()])


def between(known: NDArray[np.float32], strange: NDArray[np.float32]) -> float:
    """The least nearness that tells known from strange best: the highest mean of both shares of right answers."""
    cuts = np.unique(np.concatenate([known, strange]))
    right = [float(np.mean(known >= cut) + np.mean(strange < cut)) for cut in cuts]
    return float(cuts[int(np.argmax(right))])


def _least(known: NDArray[np.float32]) -> float:
    return float(np.quantile(known, 1 - KEPT)) if len(known) else -1.0


def _others(examples: LabelledVectors) -> NDArray[np.float32]:
    """Of each training example that is not alone in its class, the cosine to the mean of the others."""
    vectors, labels = examples.vectors[~examples.held], examples.labels[~examples.held]
    sums = np.zeros((int(labels.max()) + 1, vectors.shape[1]), np.float32)
    np.add.at(sums, labels, vectors)
    rest = sums[labels] - vectors
    several = np.bincount(labels)[labels] > 1
    lengths = np.maximum(np.linalg.norm(rest, axis=1), 1e-12)
    return np.asarray(((rest * vectors).sum(axis=1) / lengths)[several], np.float32)


def confusion(labels: Ints, predicted: Ints, classes: int) -> Ints:
    """int64 (classes, classes): row what it is, column what was predicted."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def macro_f1(labels: Ints, predicted: Ints) -> float:
    """Mean over the classes that occur, as truth or answer, of the harmonic mean of precision and recall."""
    counts = confusion(labels, predicted, int(max(labels.max(), predicted.max())) + 1)
    occurring = (counts.sum(axis=0) + counts.sum(axis=1)) > 0
    scores = 2 * np.diag(counts) / np.maximum(counts.sum(axis=0) + counts.sum(axis=1), 1)
    return float(scores[occurring].mean())

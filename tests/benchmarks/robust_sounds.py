"""Words ask for ESC-10's clips that something happened to: the starter, and projections trained on some of the clips.

The folds are ESC-10's: a projection learns names and clips of two, and the third is asked for. Of a name's own clips
all are changed, those of the others are as they were.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mmsearch.evaluate import metrics
from mmsearch.training import splits
from mmsearch.training.examples import PairExamples
from mmsearch.training.loop import fit_task
from mmsearch.training.projection import BATCH, RATES, ProjectionShape, ProjectionTask
from mmsearch.training.serving.recipe import Recipe
from mmsearch.training.serving.records import KINDS
from mmsearch.types import Vectors
from tests.benchmarks.corrupted import Corrupted
from tests.benchmarks.corruptions import SOUNDS, mistyped, resounded
from tests.benchmarks.measured import Row, Table
from tests.benchmarks.quality import Items, similarity

CONSE, TRAINED, AUGMENTED, FGM = "as shipped (ConSE)", "trained projection", "augmented", "FGM"
SHAPES = {
    TRAINED: ProjectionShape(("audio",)),
    AUGMENTED: ProjectionShape(("audio",)),
    FGM: ProjectionShape(("audio",), adversarial="fgm"),
}
COPIES = 2
"""Changed copies of each clip, where they train."""
TYPED = 5
"""Of each name with typos."""
RECIPE = Recipe(batch=BATCH, lr=RATES["adamw"])


@dataclass(frozen=True)
class Clips:
    """ESC-10."""

    names: tuple[str, ...]
    """Of the classes."""
    classes: NDArray[np.int64]
    """(n,)"""
    folds: NDArray[np.int64]
    """(n,), 1 to 3."""
    sources: tuple[str, ...]
    """(n,), the recordings that the clips were cut from."""
    clean: Items
    changed: dict[str, Items]
    copies: tuple[Items, ...]


def esc10(corrupted: Corrupted, dev: Path, limit: int | None) -> Clips:
    """`limit`: so many clips of each class and fold."""
    known: list[tuple[str, str, str, Path]] = []
    for path in sorted((dev / "esc10").iterdir()):
        if found := re.fullmatch(r"(.+)__(\d)-(\w+)-\w\.ogg", path.name):
            known.append((found[1], found[2], found[3], path))
    # The names of the files begin with the class and the fold.
    known = [one for _, some in groupby(known, key=lambda one: one[:2]) for one in islice(some, limit)]
    names = tuple(sorted({name for name, *_ in known}))
    classes = np.array([names.index(name) for name, *_ in known])
    folds = np.array([int(fold) for _, fold, *_ in known])
    paths = [path for *_, path in known]
    others = [paths[place] for place in beside(classes, folds)]
    changed = {name: corrupted.sounds(paths, others, name, change) for name, change in SOUNDS.items()}
    copies = tuple(corrupted.sounds(paths, others, "augmented", resounded, seed) for seed in range(COPIES))
    return Clips(
        tuple(name.replace("_", " ") for name in names), classes, folds, tuple(source for _, _, source, _ in known),
        corrupted.sounds(paths, others, "clean", None), changed, copies,
    )  # fmt: skip


def beside(classes: NDArray[np.int64], folds: NDArray[np.int64]) -> list[int]:
    """For each clip one of another class in its fold: nothing of a fold that is asked for gets into training."""
    draw = np.random.default_rng(0)
    return [
        int(draw.choice(np.flatnonzero((folds == fold) & (classes != of))))
        for of, fold in zip(classes, folds, strict=True)
    ]


def table(title: str, corrupted: Corrupted, clips: Clips, seeds: Sequence[int]) -> Table:
    """Mean average precision, of every name in every fold."""
    words = corrupted.words(clips.names)
    tasks = {
        name: [[projection(name, clips, words, fold, seed) for fold in folds(clips)] for seed in seeds]
        for name in SHAPES
    }
    ways: dict[str, list[list[ProjectionTask | None]]] = {
        CONSE: [[None for _ in folds(clips)] for _ in seeds],
        **{name: [list(run) for run in runs] for name, runs in tasks.items()},
    }

    def row(name: str, asked: Sequence[tuple[Vectors, NDArray[np.int64]]], changed: Items) -> Row:
        return Row(
            name,
            {
                way: np.stack(
                    [
                        precisions(clips, changed, run, *queries)
                        for run, queries in zip(runs, asked, strict=True)
                    ]
                )
                for way, runs in ways.items()
            },
        )  # fmt: skip

    plain = [(np.repeat(words, TYPED, axis=0), np.repeat(np.arange(len(words)), TYPED)) for _ in seeds]
    made = [row(name, plain, changed) for name, changed in clips.changed.items()]
    for edits, name in ((1, "one typo in the name"), (2, "two typos in the name")):
        typed = [(corrupted.words(typos(clips.names, edits, seed)), plain[0][1]) for seed in seeds]
        made.append(row(name, typed, clips.clean))
    return Table(title, row("as it was", plain, clips.clean), tuple(made), TYPED, 3)


def typos(names: Sequence[str], edits: int, seed: int) -> list[str]:
    draw = np.random.default_rng([seed, edits])
    return [mistyped(name, draw, edits) for name in names for _ in range(TYPED)]


def folds(clips: Clips) -> list[int]:
    return sorted(set(clips.folds.tolist()))


def projection(name: str, clips: Clips, words: Vectors, fold: int, seed: int) -> ProjectionTask:
    """Learned from the other folds, as `mmsearch train projection` learns.

    Changed copies are among what chooses the epoch of every variant; they train the augmented one alone.
    """
    count = len(clips.classes)
    learning = np.flatnonzero(clips.folds != fold)
    groups, held = np.zeros(count, np.int64), np.zeros(count, np.bool_)
    groups[learning] = splits.split_groups(len(learning), [clips.sources[one] for one in learning])
    held[learning] = splits.split_held_back(groups[learning], 0.2, seed)
    sounds = [clips.clean, *clips.copies]
    items = np.concatenate([one.owners + number * count for number, one in enumerate(sounds)])
    taken = np.isin(items % count, learning) & ((items < count) | held[items % count] | (name == AUGMENTED))
    items, owners = np.unique(items[taken], return_inverse=True)
    vectors, clip = np.concatenate([one.vectors for one in sounds])[taken], items % count
    found = PairExamples(
        queries=words, query_kinds=np.full(len(words), KINDS.index("text")),
        segments=vectors, segment_kinds=np.full(len(vectors), KINDS.index("audio")), owners=owners,
        pairs=np.stack([clips.classes[clip], np.arange(len(items))], axis=1), groups=groups[clip], held=held[clip],
    )  # fmt: skip
    task = ProjectionTask(SHAPES[name], found, {}, RECIPE.loss, seed, torch.device("cpu"))
    fit_task(task, replace(RECIPE, seed=seed))
    return task


def precisions(
    clips: Clips, changed: Items, run: Sequence[ProjectionTask | None], queries: Vectors, wanted: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(queries x folds,), average precisions; the typed names of one class and fold stand side by side."""
    found = []
    for task, fold in zip(run, folds(clips), strict=True):
        before, after = (scored(task, queries, items) for items in (clips.clean, changed))
        inside = clips.folds == fold
        relevant = wanted[:, None] == clips.classes[None, :]
        scores = np.where(relevant, after, before)[:, inside]
        found += [
            metrics.average_precision(metrics.ranks(row, right))
            for row, right in zip(scores, relevant[:, inside], strict=True)
        ]
    return np.array(found)


def scored(task: ProjectionTask | None, queries: Vectors, items: Items) -> NDArray[np.float32]:
    """(queries, clips), best of a clip's segments."""
    vectors = items.vectors
    if task is not None:
        with torch.inference_mode():
            vectors = task.projection(torch.from_numpy(vectors), "audio").numpy()
    return similarity(Items(queries, np.arange(len(queries))), Items(vectors, items.owners))

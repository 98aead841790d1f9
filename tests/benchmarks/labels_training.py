"""Names learned from few examples against zero-shot names: `python -m tests.benchmarks.labels_training --shared DIR`.

- ESC-10: ten classes. Each fold in turn is tested, the other two train; clips of one Freesound upload share a fold.
- stamps: the top of each Tux Paint stamp's folder ("animals/birds" is animals), where at least 16 stamps have it. Half
  of the groups (one kind of animal or thing) trains, half is tested; each seed has halves of its own.
- captions: the same stamps in the same halves by their captions alone ("A blackbird.").
- stamps and captions: each as one vector of both, as `mmsearch train labels --fusion mean` takes them.

1, 2, 4, 8 and 16 examples of each class are drawn anew for each seed, or all there are. Zero-shot is the class name in
the prompt that `mmsearch label --as` uses, of the same test side. Sureness: the expected calibration error of what a
head says, before and after a temperature from what is held back, a fifth, a third or half of all. None of these: each
seed withholds half of the classes from training; AUROC says how well named and withheld test examples are told apart,
by the height of the softmax, by its energy (Liu et al., 2020), and by the nearness that is used; then the shares that
are rightly none, wrongly none, and named rightly.
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmsearch.core import registry
from mmsearch.encoders.fusion import STRATEGIES, fused_vectors, fusion_items
from mmsearch.encoders.head import Head, HeadFacts
from mmsearch.evaluate import metrics
from mmsearch.labels.zero_shot import PROMPTS
from mmsearch.training import splits
from mmsearch.training.examples import HELD_BACK
from mmsearch.training.head_task import (
    HEAD_RECIPE,
    HeadShape,
    LabelledVectors,
    macro_f1,
    split_classes,
    temperature,
    train_head,
)
from mmsearch.training.serving.recipe import Recipe
from mmsearch.training.serving.records import KINDS
from mmsearch.types import Vectors
from tests.benchmarks.embedded import Embedder, manifest

SHOTS = (1, 2, 4, 8, 16, 0)
"""Examples of each class; 0: all."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Data:
    """Examples, their classes, and which are tested in one run."""

    name: str
    vectors: Vectors
    labels: Ints
    groups: Ints
    folds: Ints
    """(n,), from 1; all 0 where halves of the groups are drawn."""
    classes: tuple[str, ...]
    words: Vectors
    """(classes, dim), zero-shot."""

    def tested(self, seed: int) -> Iterator[NDArray[np.bool_]]:
        if self.folds.any():
            yield from (self.folds == fold for fold in np.unique(self.folds))
        else:
            yield splits.split_held_back(self.groups, 0.5, seed)


def esc10(embedder: Embedder, shared: Path) -> Data:
    found = [row for row in manifest(shared) if row["dataset"] == "ESC-10"]
    vectors = embedder.means("audio", [shared / "data" / "dev" / row["path"] for row in found])
    folds = np.array([row["fold"] for row in found])
    return _data(
        embedder, "ESC-10", "audio", vectors, [r["labels"][0] for r in found], [r["group"] for r in found], folds
    )


def stamps(embedder: Embedder, shared: Path) -> list[Data]:
    """By their pictures, by their captions, and by both."""
    found = [
        r for r in manifest(shared) if r["modality"] == "image" and r["path"].startswith("stamps/") and r["labels"]
    ]
    tops = [row["labels"][0].split("/")[0] for row in found]
    found, tops = [r for r, top in zip(found, tops, strict=True) if tops.count(top) >= 16], [
        top for top in tops if tops.count(top) >= 16
    ]  # fmt: skip
    vectors = embedder.means("image", [shared / "data" / "dev" / row["path"] for row in found])
    data = _data(
        embedder, "stamps", "image", vectors, tops, [row["group"] for row in found], np.zeros(len(found), np.int64)
    )
    captions = embedder.words([row["captions"][0] for row in found])
    pairs = zip(vectors, captions, strict=True)
    both = fusion_items([{"image": one[None], "text": other[None]} for one, other in pairs], KINDS)
    fusion = STRATEGIES["mean"](vectors.shape[1], len(KINDS))
    return [
        data,
        replace(data, name="captions", vectors=captions, words=embedder.words(data.classes)),
        replace(data, name="stamps and captions", vectors=fused_vectors(fusion, both)),
    ]


def _data(
    embedder: Embedder, name: str, modality: str, vectors: Vectors, named: list[str], same: list[str], folds: Ints
) -> Data:
    classes = tuple(sorted(set(named)))
    words = embedder.words([PROMPTS[modality].format(one) for one in classes])
    grouped = splits.split_groups(len(named), same, vectors=vectors)
    return Data(name, vectors, np.array([classes.index(one) for one in named]), grouped, folds, classes, words)


def few(data: Data, training: NDArray[np.bool_], shots: int, seed: int) -> Ints:
    """Rows that train."""
    draw = np.random.default_rng([seed, shots])
    chosen = []
    for label in np.unique(data.labels):
        own = draw.permutation(np.flatnonzero(training & (data.labels == label)))
        chosen.append(own[:shots] if shots else own)
    return np.sort(np.concatenate(chosen))


def head(
    data: Data, rows: Ints, kind: str, seed: int, share: float = 0.0, labels: Ints | None = None
) -> tuple[Head, NDArray[np.bool_]]:
    named = (data.labels if labels is None else labels)[rows]
    held = split_classes(named, data.groups[rows], share, seed) if share else np.zeros(len(rows), np.bool_)
    facts = HeadFacts(
        kind, data.vectors.shape[1], HeadShape().hidden, tuple(map(str, range(int(named.max()) + 1))), "", ""
    )
    recipe = Recipe(**{**{name: getattr(HEAD_RECIPE, name) for name in Recipe.__slots__}, "seed": seed})
    return train_head(HeadShape(kind), LabelledVectors(data.vectors[rows], named, held), facts, recipe)[0], held


def accuracy_lines(data: Data, seeds: Sequence[int]) -> Iterator[str]:
    zero = (data.vectors @ data.words.T).argmax(axis=1)
    tests = [[test for test in data.tested(seed)] for seed in seeds]
    yield f"| {data.name} | zero-shot | 0 | {_figures(data, [[(t, zero[t]) for t in folds] for folds in tests])} |"
    common = np.full(len(data.labels), np.bincount(data.labels).argmax())
    frequent = [[(t, common[t]) for t in folds] for folds in tests]
    yield f"| {data.name} | most frequent name | all | {_figures(data, frequent)} |"
    chance = [[(t, np.random.default_rng(s).integers(0, len(data.classes), int(t.sum()))) for t in folds]
              for s, folds in zip(seeds, tests, strict=True)]  # fmt: skip
    yield f"| {data.name} | chance | 0 | {_figures(data, chance)} |"
    for kind in ("linear", "mlp"):
        for shots in SHOTS:
            said = [
                [(t, head(data, few(data, ~t, shots, s), kind, s)[0].judge(data.vectors[t]).best) for t in folds]
                for s, folds in zip(seeds, tests, strict=True)
            ]
            yield f"| {data.name} | {kind} | {shots or 'all'} | {_figures(data, said)} |"
    shuffled = []
    for seed, folds in zip(seeds, tests, strict=True):
        mixed = np.random.default_rng(seed).permutation(data.labels)
        heads = [(test, head(data, np.flatnonzero(~test), "linear", seed, labels=mixed)[0]) for test in folds]
        shuffled.append([(test, one.judge(data.vectors[test]).best) for test, one in heads])
    yield f"| {data.name} | linear, shuffled labels | all | {_figures(data, shuffled)} |"


def _figures(data: Data, runs: Sequence[Sequence[tuple[NDArray[np.bool_], Ints]]]) -> str:
    """Accuracy with its interval and macro-F1, percent: mean and spread over the seeds, all folds of one together."""
    right, scores = [], []
    for folds in runs:
        truth = np.concatenate([data.labels[test] for test, _ in folds])
        said = np.concatenate([answers for _, answers in folds])
        right.append(truth == said)
        scores.append(100 * macro_f1(truth, said))
    shares = [100 * float(np.mean(one)) for one in right]
    each = np.mean(right, axis=0) if len({len(one) for one in right}) == 1 else np.concatenate(right)
    low, high = metrics.interval(each.astype(np.float64), np.mean, resamples=1000, seed=0)
    return f"{_spread(shares)} | [{100 * low:.1f}, {100 * high:.1f}] | {_spread(scores)}"


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"


def calibration_error(sure: NDArray[np.float32], right: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error in [0, 1]: how far confidence is from accuracy, over bins of equal width, weighted."""
    at = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [
        abs(float(sure[at == n].mean()) - float(right[at == n].mean())) * float(np.mean(at == n))
        for n in set(at.tolist())
    ]
    return math.fsum(gaps)


def sureness_line(data: Data, seeds: Sequence[int], share: float) -> str:
    before, after, heats, counts = [], [], [], []
    for seed in seeds:
        errors = []
        for test in data.tested(seed):
            rows = np.flatnonzero(~test)
            made, held = head(data, rows, "linear", seed, share)
            heats.append(temperature(made.logits(data.vectors[rows[held]]), data.labels[rows[held]]))
            counts.append(int(held.sum()))
            for one in (made.calibrated(1.0, -1.0), made.calibrated(heats[-1], -1.0)):
                said = one.judge(data.vectors[test])
                errors.append(100 * calibration_error(said.sure, said.best == data.labels[test]))
        before.append(float(np.mean(errors[::2])))
        after.append(float(np.mean(errors[1::2])))
    return f"| {data.name} | {np.mean(counts):.0f} | {_spread(before)} | {_spread(after)} | {np.mean(heats):.2f} |"


def none_line(data: Data, seeds: Sequence[int]) -> str:
    rows = []
    for seed in seeds:
        kept = np.sort(np.random.default_rng(seed).permutation(len(data.classes))[: (len(data.classes) + 1) // 2])
        labels = np.where(np.isin(data.labels, kept), np.searchsorted(kept, data.labels), -1)
        figures = []
        for test in data.tested(seed):
            made, _ = head(data, np.flatnonzero(~test & (labels >= 0)), "linear", seed, HELD_BACK, labels)
            said, logits = made.judge(data.vectors[test]), made.logits(data.vectors[test])
            energy = np.log(np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)) + logits.max(axis=1)
            named = labels[test] >= 0
            values = [auroc(score[named], score[~named]) for score in (said.sure, energy, said.nearness)]
            right = said.best[named] == labels[test][named]
            shares = (~said.fits[~named]).mean(), (~said.fits[named]).mean(), (right & said.fits[named]).mean()
            figures.append([*values, *shares])
        rows.append(100 * np.mean(figures, axis=0))
    return f"| {data.name} | {' | '.join(_spread(column) for column in np.array(rows).T)} |"


def auroc(known: NDArray[np.float32], strange: NDArray[np.float32]) -> float:
    """Chance that a known one scores higher than a strange one; ties count half."""
    return float(np.mean(known[:, None] > strange) + np.mean(known[:, None] == strange) / 2)


def tables(sets: Sequence[Data], seeds: Sequence[int], log: Callable[[str], object]) -> str:
    parts: list[list[str]] = [
        ["| data | head | examples a class | accuracy | 95 % | macro-F1 |", "|---|---|---|---|---|---|"],
        ["", "| data | held back | calibration error before | after | temperature |", "|---|---|---|---|---|"],
        ["", "| data | AUROC softmax | AUROC energy | AUROC nearness | withheld: none | named: none | named: right |",
         "|---|---|---|---|---|---|---|"],
    ]  # fmt: skip
    for data in sets:
        for line in accuracy_lines(data, seeds):
            parts[0].append(line)
            log(f"{line}\n")
        parts[1] += [sureness_line(data, seeds, share) for share in (HELD_BACK, 0.35, 0.5)]
        parts[2].append(none_line(data, seeds))
    return "\n".join(line for part in parts for line in part) + "\n"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--cache", type=Path, help="keep vectors here from one run to the next")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        embedder = Embedder(registry.load_part("spaces", "starter")(), options.cache or Path(folder))
        sets = [esc10(embedder, options.shared), *stamps(embedder, options.shared)]
    sys.stdout.write(tables(sets, range(options.seeds), sys.stderr.write))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

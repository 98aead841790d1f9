"""What fusions of several modalities learn: `python -m tests.benchmarks.fusion_training --shared ../shared`.

- Flickr8k: an item is a photo and one of its captions; its other captions ask for it. The train split trains (a
  twelfth of its photos chooses the epoch); of the dev split the first caption belongs to the photo, four ask.
- Tux Paint stamps with a sound: picture, sound and caption, of which each asks in turn for the fusion of the other
  two. Half of the groups (one kind of animal or thing) is trained on, together with Flickr8k, each pair as often as
  makes an eighth of all; the other half is asked for. Each seed has halves of its own.

One model of each strategy and seed learns from both. Every fusion is asked for whole and with each modality missing.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mmsearch import registry
from mmsearch.evaluate import metrics
from mmsearch.training import splits
from mmsearch.training.attack import Attack
from mmsearch.training.fusion import Asked, FusionTask, Items, Shape, fused, items, ranks
from mmsearch.training.loop import fit
from mmsearch.training.recipe import Recipe
from mmsearch.types import Modality, Vectors
from tests.benchmarks.embedded import Embedder, Photos, flickr8k, manifest, unit

MODALITIES: tuple[Modality, ...] = ("image", "audio", "text")
SEEDS = (0, 1, 2)
NOISE = 0.7
"""L2 norm of the noise put on every segment's unit vector for the noisy column."""
EACH = 3
"""Items of each photo that train, with as many of its captions."""
RECIPE = Recipe(epochs=8, batch=256, lr=1e-3, weight_decay=0.05, patience=4)

SHAPES: Mapping[str, Shape] = {
    **{name: Shape(name) for name in ("weights", "concat", "cross", "transformer")},
    "concat, nothing hidden": Shape("concat", hide=0.0),
    "concat, FGM": Shape("concat", attack=Attack("fgm")),
    "concat, PGD": Shape("concat", attack=Attack("pgd")),
}
SHUFFLED = "concat, shuffled pairs"

Parts = list[dict[Modality, Vectors]]
Ranks = NDArray[np.int64]
Fuse = Callable[[Items], Vectors]


@dataclass(frozen=True)
class Test:
    """Items, and what asks for them."""

    found: Items
    asked: Asked


@dataclass(frozen=True)
class Stamps:
    """Things with all three modalities, and the group of each."""

    parts: Parts
    groups: NDArray[np.int64]


@dataclass(frozen=True)
class Measured:
    """Ranks of one seed: whole, with noise, and with a modality missing."""

    flickr: Ranks
    noisy: Ranks
    missing: Mapping[Modality, Ranks]
    stamps: Ranks
    stamps_missing: Ranks


def photo_items(photos: Photos, rows: NDArray[np.int64], captions: NDArray[np.int64]) -> Parts:
    """Photos, each with one of its captions."""
    return [
        {"image": photos.images[row][None], "text": photos.captions[row, caption][None]}
        for row, caption in zip(rows, captions, strict=True)
    ]


def stamps(embedder: Embedder, shared: Path) -> Stamps:
    dev = shared / "data" / "dev"
    found = [row for row in manifest(shared) if row["modality"] == "audio" and row.get("pair") and not row["silent"]]
    sounds = embedder.files("audio", [dev / row["path"] for row in found])
    images = embedder.means("image", [dev / row["pair"] for row in found])
    texts = embedder.words([row["captions"][0] for row in found])
    parts: Parts = [
        {"image": images[n][None], "audio": sounds.vectors[sounds.owners == n], "text": texts[n][None]}
        for n in range(len(found))
    ]
    return Stamps(parts, splits.groups(len(found), [row["group"] for row in found], vectors=images))


def in_turn(known: Stamps, chosen: NDArray[np.bool_]) -> tuple[Parts, Asked]:
    """Of some stamps, each modality asks for the other two."""
    parts, queries, groups = [], [], []
    for n in np.flatnonzero(chosen):
        for asking in MODALITIES:
            parts.append({kind: rows for kind, rows in known.parts[n].items() if kind != asking})
            queries.append(unit(known.parts[n][asking].mean(axis=0)))
            groups.append(known.groups[n])
    return parts, Asked(np.stack(queries), np.arange(len(parts)), np.array(groups))


def training(photos: Photos, known: Stamps, half: NDArray[np.bool_], seed: int) -> tuple[Items, Asked, Asked]:
    """Items, the queries that train, and those that choose the epoch."""
    draw = np.random.default_rng(seed)
    count = EACH * len(photos.images)
    rows = np.repeat(np.arange(len(photos.images)), EACH)
    own = np.concatenate([draw.permutation(5)[:EACH] for _ in photos.images])
    other = (own + draw.integers(1, 5, count)) % 5
    alike = splits.groups(len(photos.images), vectors=photos.images)[rows]
    asked = Asked(photos.captions[rows, other], np.arange(count), alike)
    held = splits.split(alike, 1 / 12, seed)
    parts, turns = in_turn(known, half)
    times = max(1, count // 8 // len(parts))
    train = Asked(
        np.concatenate([asked.queries[~held], np.tile(turns.queries, (times, 1))]),
        np.concatenate([asked.items[~held], np.tile(turns.items + count, times)]),
        np.concatenate([asked.groups[~held], np.tile(turns.groups + count, times)]),
    )
    return items(photo_items(photos, rows, own) + parts, MODALITIES), train, asked.only(held)


def stamp_ranks(known: Stamps, half: NDArray[np.bool_], fuse: Fuse, lacking: bool) -> Ranks:
    """Of the other half, each modality asks among fusions of the other two; `lacking` hides one of these in turn."""
    parts, asked = in_turn(known, ~half)
    found = []
    for number, asking in enumerate(MODALITIES):
        rows = np.arange(number, len(parts), len(MODALITIES))
        whole = items([parts[row] for row in rows], MODALITIES)
        left = [kind for kind in MODALITIES if kind != asking] if lacking else [asking]
        for kind in left:
            found.append(ranks(asked.queries[rows], fuse(whole.without(kind)), np.arange(len(rows))))
    return np.concatenate(found)


def measured(test: Test, known: Stamps, half: NDArray[np.bool_], fuse: Fuse) -> Measured:
    noise = np.random.default_rng(0).standard_normal(test.found.vectors.shape).astype(np.float32)
    noisy = Items(unit(test.found.vectors + NOISE * unit(noise)), test.found.kinds, MODALITIES)
    queries, own = test.asked.queries, test.asked.items
    return Measured(
        ranks(queries, fuse(test.found), own),
        ranks(queries, fuse(noisy), own),
        {kind: ranks(queries, fuse(test.found.without(kind)), own) for kind in ("image", "text")},
        stamp_ranks(known, half, fuse, lacking=False),
        stamp_ranks(known, half, fuse, lacking=True),
    )


def learned(shape: Shape, data: tuple[Items, Asked, Asked], seed: int, shuffle: bool = False) -> nn.Module:
    found, train, valid = data
    if shuffle:
        draw = np.random.default_rng(seed)
        train = Asked(draw.permutation(train.queries), train.items, train.groups)
        valid = Asked(draw.permutation(valid.queries), valid.items, valid.groups)
    task = FusionTask(shape, found, train, valid, "infonce", seed)
    fit(task, Recipe(**{**{name: getattr(RECIPE, name) for name in Recipe.__slots__}, "seed": seed}))
    return task.fusion


def best_part(test: Test, standard: bool) -> Ranks:
    """Unfused: the item's best part, by cosine or by the cosine's place in its own list (less its mean, by its
    deviation)."""
    scores = []
    for kind in ("image", "text"):
        vectors = test.found.vectors[test.found.kinds == MODALITIES.index(kind)]
        cosines = test.asked.queries @ vectors.T
        scores.append((cosines - cosines.mean()) / cosines.std() if standard else cosines)
    best = np.maximum(*scores)
    return np.asarray((best >= best[np.arange(len(best)), test.asked.items, None]).sum(axis=1), np.int64)


def cell(runs: Sequence[Ranks], k: int) -> str:
    """Mean and spread over the seeds, percent."""
    values = [100 * float(np.mean(run <= k)) for run in runs]
    spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 and np.ptp(values) else ""
    return f"{np.mean(values):.1f}{spread}"


def bounds(runs: Sequence[Ranks], k: int) -> str:
    """Bootstrap interval over photos (the four queries of one stay together), of the mean over seeds, percent."""
    values = np.mean([run <= k for run in runs], axis=0).reshape(-1, 4).mean(axis=1)
    low, high = metrics.interval(values, np.mean, resamples=1000, seed=0)
    return f"[{100 * low:.1f}, {100 * high:.1f}]"


def line(name: str, runs: Sequence[Measured]) -> str:
    flickr, small = [run.flickr for run in runs], [run.stamps for run in runs]
    cells = [
        name, *(cell(flickr, k) for k in (1, 5, 10)), bounds(flickr, 10),
        *(cell([run.missing[kind] for run in runs], 10) for kind in ("image", "text")),
        cell([run.noisy for run in runs], 10), *(cell(small, k) for k in (1, 5, 10)),
        cell([run.stamps_missing for run in runs], 5),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def table(test: Test, photos: Photos, known: Stamps, seeds: Sequence[int], log: Callable[[str], object]) -> str:
    halves = {seed: splits.split(known.groups, 0.5, seed) for seed in seeds}
    size = len(test.found.kinds)
    asked = int(np.mean([np.sum(~half) for half in halves.values()]))
    head = ["fusion", "R@1", "R@5", "R@10", "of R@10: 95 %", "no photo R@10", "no caption R@10", "noisy R@10"]
    head += ["stamps R@1", "R@5", "R@10", "one part missing R@5"]
    chance = [f"{100 * k / size:.1f}" for k in (1, 5, 10)]
    small = [f"{100 * k / asked:.1f}" for k in (1, 5, 10)]
    unfused = {"best part, by cosine": best_part(test, False), "best part, standardised": best_part(test, True)}
    lines = [
        f"| {' | '.join(head)} |", "|---" * len(head) + "|",
        f"| chance | {' | '.join([*chance, '', *[chance[2]] * 3, *small, small[1]])} |",
        *(
            f"| {name} | {' | '.join([*(cell([found], k) for k in (1, 5, 10)), bounds([found], 10)])} | | | | | | | |"
            for name, found in unfused.items()
        ),
    ]  # fmt: skip
    for name in ("sum", "mean"):
        module = FusionTask(Shape(name), test.found, test.asked, test.asked, "infonce", 0).fusion
        lines.append(line(name, [measured(test, known, halves[s], lambda i, m=module: fused(m, i)) for s in seeds]))  # type: ignore[misc]
    data = {seed: training(photos, known, halves[seed], seed) for seed in seeds}
    for name, shape in {**SHAPES, SHUFFLED: SHAPES["concat"]}.items():
        start, runs = time.perf_counter(), []
        for seed in seeds:
            module = learned(shape, data[seed], seed, shuffle=name == SHUFFLED)
            runs.append(measured(test, known, halves[seed], lambda i, m=module: fused(m, i)))  # type: ignore[misc]
        lines.append(line(name, runs))
        log(f"{lines[-1]}  {time.perf_counter() - start:.0f} s\n")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--cache", type=Path, help="keep vectors here from one run to the next")
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        embedder = Embedder(registry.load("spaces", "starter")(), options.cache or Path(folder))
        dev = flickr8k(embedder, options.shared, "dev")
        train, known = flickr8k(embedder, options.shared, "train"), stamps(embedder, options.shared)
    count = len(dev.images)
    owners = np.repeat(np.arange(count), 4)
    asked = Asked(dev.captions[:, 1:].reshape(4 * count, -1), owners, owners)
    test = Test(items(photo_items(dev, np.arange(count), np.zeros(count, np.int64)), MODALITIES), asked)
    sys.stdout.write(table(test, train, known, range(options.seeds), sys.stderr.write))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What fusions of several modalities learn: `python -m tests.benchmarks.fusion_training --shared ../shared`.

- Flickr8k: an item is a photo and one of its captions; its other captions ask for it. Of the dev split one half of the
  photos trains (a fifth of these chooses the epoch, each photo with each of its captions is an item), of the other the
  first caption belongs to the photo and four ask. The train split is no use for that: the starter space has learned
  these very photos with these captions, so a photo seems to say more there than it does of new ones.
- Tux Paint stamps with a sound: picture, sound and caption, of which each asks in turn for the fusion of the other
  two. Half of the groups (one kind of animal or thing) is trained on, together with Flickr8k, each pair as often as
  makes an eighth of all; the other half is asked for.

Each seed has halves of its own.

Shuffled pairs: the last epoch at ten times the learning rate, since the untrained fusion is the mean, which is good.
One model of each strategy and seed learns from both. Every fusion is asked for whole and with each modality missing.
"""

import argparse
import copy
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from mmsearch.core import registry
from mmsearch.encoders.fusion import FusionItems, fused_vectors, fusion_items
from mmsearch.evaluate import metrics
from mmsearch.training import splits
from mmsearch.training.attack import Attack
from mmsearch.training.fusion_task import FusionQueries, FusionShape, FusionTask, ranks
from mmsearch.training.loop import fit_task
from mmsearch.training.serving.recipe import Recipe
from mmsearch.types import Modality, Vectors
from tests.benchmarks.embedded import Embedder, Photos, flickr8k, manifest, unit

MODALITIES: tuple[Modality, ...] = ("image", "audio", "text")
SEEDS = (0, 1, 2)
NOISE = 0.7
"""L2 norm of the noise put on every segment's unit vector for the noisy column."""
EACH = 5
"""Items of each photo that train, with as many of its captions."""
RECIPE = Recipe(epochs=8, batch=128, lr=1e-4, weight_decay=0.05, patience=8)
"""The learning rate was chosen by validation (1e-3, 1e-4 and 2e-5 for concat and transformer, seed 0)."""

SHAPES: Mapping[str, FusionShape] = {
    **{name: FusionShape(name) for name in ("weights", "concat", "cross", "transformer")},
    "concat, nothing hidden": FusionShape("concat", hide=0.0),
    "concat, FGM": FusionShape("concat", attack=Attack("fgm")),
    "concat, PGD": FusionShape("concat", attack=Attack("pgd")),
}
SHUFFLED = "concat, shuffled pairs"

Parts = list[dict[Modality, Vectors]]
Ranks = NDArray[np.int64]
Fuse = Callable[[FusionItems], Vectors]


@dataclass(frozen=True)
class Test:
    """Items, and what asks for them."""

    found: FusionItems
    asked: FusionQueries


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
    return Stamps(parts, splits.split_groups(len(found), [row["group"] for row in found], vectors=images))


def in_turn(known: Stamps, chosen: NDArray[np.bool_]) -> tuple[Parts, FusionQueries]:
    """Of some stamps, each modality asks for the other two."""
    parts, queries, groups = [], [], []
    for n in np.flatnonzero(chosen):
        for asking in MODALITIES:
            parts.append({kind: rows for kind, rows in known.parts[n].items() if kind != asking})
            queries.append(unit(known.parts[n][asking].mean(axis=0)))
            groups.append(known.groups[n])
    return parts, FusionQueries(np.stack(queries), np.arange(len(parts)), np.array(groups))


def training(
    photos: Photos, known: Stamps, half: NDArray[np.bool_], seed: int
) -> tuple[FusionItems, FusionQueries, FusionQueries]:
    """Items, the queries that train, and those that choose the epoch."""
    draw = np.random.default_rng(seed)
    count = EACH * len(photos.images)
    rows = np.repeat(np.arange(len(photos.images)), EACH)
    own = np.concatenate([draw.permutation(5)[:EACH] for _ in photos.images])
    other = (own + draw.integers(1, 5, count)) % 5
    alike = splits.split_groups(len(photos.images), vectors=photos.images)[rows]
    asked = FusionQueries(photos.captions[rows, other], np.arange(count), alike)
    held = splits.split_held_back(alike, 0.2, seed)
    parts, turns = in_turn(known, half)
    times = max(1, count // 8 // len(parts))
    train = FusionQueries(
        np.concatenate([asked.queries[~held], np.tile(turns.queries, (times, 1))]),
        np.concatenate([asked.items[~held], np.tile(turns.items + count, times)]),
        np.concatenate([asked.groups[~held], np.tile(turns.groups + count, times)]),
    )
    return fusion_items(photo_items(photos, rows, own) + parts, MODALITIES), train, asked.only(held)


def stamp_ranks(known: Stamps, half: NDArray[np.bool_], fuse: Fuse, lacking: bool) -> Ranks:
    """Of the other half, each modality asks among fusions of the other two; `lacking` hides one of these in turn."""
    parts, asked = in_turn(known, ~half)
    found = []
    for number, asking in enumerate(MODALITIES):
        rows = np.arange(number, len(parts), len(MODALITIES))
        whole = fusion_items([parts[row] for row in rows], MODALITIES)
        left = [kind for kind in MODALITIES if kind != asking] if lacking else [asking]
        for kind in left:
            found.append(ranks(asked.queries[rows], fuse(whole.without(kind)), np.arange(len(rows))))
    return np.concatenate(found)


def measured(test: Test, known: Stamps, half: NDArray[np.bool_], fuse: Fuse) -> Measured:
    noise = np.random.default_rng(0).standard_normal(test.found.vectors.shape).astype(np.float32)
    noisy = FusionItems(unit(test.found.vectors + NOISE * unit(noise)), test.found.kinds, MODALITIES)
    queries, own = test.asked.queries, test.asked.items
    return Measured(
        ranks(queries, fuse(test.found), own),
        ranks(queries, fuse(noisy), own),
        {kind: ranks(queries, fuse(test.found.without(kind)), own) for kind in ("image", "text")},
        stamp_ranks(known, half, fuse, lacking=False),
        stamp_ranks(known, half, fuse, lacking=True),
    )


def learned(
    shape: FusionShape, data: tuple[FusionItems, FusionQueries, FusionQueries], seed: int, shuffle: bool
) -> nn.Module:
    found, train, valid = data
    if shuffle:
        train = FusionQueries(np.random.default_rng(seed).permutation(train.queries), train.items, train.groups)
    task = FusionTask(shape, found, train, valid, "infonce", seed)
    if not any(True for _ in task.fusion.parameters()):
        return task.fusion
    last: dict[str, Tensor] = {}
    fit_task(
        task, replace(RECIPE, seed=seed, lr=RECIPE.lr * (10 if shuffle else 1)),
        on_epoch=lambda epoch: last.update(copy.deepcopy(task.fusion.state_dict())),
    )  # fmt: skip
    if shuffle:
        task.fusion.load_state_dict(last)
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
    """Bootstrap interval over the photos of all seeds (the four queries of one stay together), percent."""
    values = (np.concatenate(runs) <= k).reshape(-1, 4).mean(axis=1)
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


def held_back(photos: Photos) -> Test:
    """Every photo with its first caption, asked for by the four others."""
    count = len(photos.images)
    owners = np.repeat(np.arange(count), 4)
    asked = FusionQueries(photos.captions[:, 1:].reshape(4 * count, -1), owners, owners)
    return Test(fusion_items(photo_items(photos, np.arange(count), np.zeros(count, np.int64)), MODALITIES), asked)


@dataclass(frozen=True)
class Run:
    """What one seed trains on and is tested by."""

    seed: int
    data: tuple[FusionItems, FusionQueries, FusionQueries]
    test: Test
    known: Stamps
    half: NDArray[np.bool_]

    def learned(self, shape: FusionShape, shuffle: bool) -> Measured:
        module = learned(shape, self.data, self.seed, shuffle)
        return measured(self.test, self.known, self.half, lambda found: fused_vectors(module, found))


def run(photos: Photos, known: Stamps, seed: int) -> Run:
    alike = splits.split_groups(len(photos.images), vectors=photos.images)
    tested, half = splits.split_held_back(alike, 0.5, seed), splits.split_held_back(known.groups, 0.5, seed)
    train = Photos(photos.images[~tested], photos.captions[~tested])
    test = held_back(Photos(photos.images[tested], photos.captions[tested]))
    return Run(seed, training(train, known, half, seed), test, known, half)


def table(photos: Photos, known: Stamps, seeds: Sequence[int], log: Callable[[str], object]) -> str:
    runs = [run(photos, known, seed) for seed in seeds]
    size, asked = (
        int(np.mean(values)) for values in zip(*[(len(r.test.found.kinds), sum(~r.half)) for r in runs], strict=True)
    )
    head = ["fusion", "R@1", "R@5", "R@10", "of R@10: 95 %", "no photo R@10", "no caption R@10", "noisy R@10"]
    head += ["stamps R@1", "R@5", "R@10", "one part missing R@5"]
    chance, small = ([f"{100 * k / n:.1f}" for k in (1, 5, 10)] for n in (size, asked))
    lines = [
        f"| {' | '.join(head)} |", "|---" * len(head) + "|",
        f"| chance | {' | '.join([*chance, '', *[chance[2]] * 3, *small, small[1]])} |",
    ]  # fmt: skip
    for name, standard in (("best part, by cosine", False), ("best part, standardised", True)):
        found = [best_part(one.test, standard) for one in runs]
        lines.append(
            f"| {name} | {' | '.join([*(cell(found, k) for k in (1, 5, 10)), bounds(found, 10)])} | | | | | | | |"
        )
    untrained = {"sum": FusionShape("sum"), "mean": FusionShape("mean")}
    for name, shape in {**untrained, **SHAPES, SHUFFLED: SHAPES["concat"]}.items():
        start = time.perf_counter()
        lines.append(line(name, [one.learned(shape, name == SHUFFLED) for one in runs]))
        log(f"{lines[-1]}  {time.perf_counter() - start:.0f} s\n")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--cache", type=Path, help="keep vectors here from one run to the next")
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        embedder = Embedder(registry.load_part("spaces", "starter")(), options.cache or Path(folder))
        photos, known = flickr8k(embedder, options.shared, "dev"), stamps(embedder, options.shared)
    sys.stdout.write(table(photos, known, range(options.seeds), sys.stderr.write))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

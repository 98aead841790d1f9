"""What made the starter's captions.safetensors: photos come near to their captions, other pictures stay where they are.

    python -m mmsearch.training.starter --data DIR --out DIR [--seed N] [--limit N] [--shuffled]

DIR holds captions.tsv (split, filename, caption) and images/. Only the split `train` trains; `dev` is measured at the
end. The network's features are computed once and kept in the output folder; so is a checkpoint, after which a
training that was killed goes on.
"""

import argparse
import csv
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from safetensors.numpy import save as serialised
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from mmsearch import registry
from mmsearch.encoders.starter.captions import Captions, joined, normal, packed, unpacked
from mmsearch.encoders.starter.conse import combine, concepts
from mmsearch.encoders.starter.image import TOP, StarterImage, scores
from mmsearch.encoders.starter.text import StarterText
from mmsearch.errors import InvalidInput
from mmsearch.evaluate import metrics
from mmsearch.training import card, checkpoint
from mmsearch.training.cutouts import cutout
from mmsearch.training.loop import Epoch, fit
from mmsearch.training.losses import InfoNCE
from mmsearch.training.recipe import Recipe
from mmsearch.types import Limits, Segment, Vectors, Windowing

_log = logging.getLogger(__name__)

RECIPE = Recipe(epochs=15, batch=512, lr=1e-3, schedule="onecycle", weight_decay=0.05, warmup=0.15, patience=15)
DROPOUT = 0.5
TEMPERATURE = 0.05
CAPTIONS_EACH = 5
EVERY, OTHERS, STAY = 4, 128, 4.0
"""Of every how many photos one cut-out is made; cut-outs of a step; weight of their staying."""
KEPT = 0.585
"""What is left of the learned part's length when it is shipped: photos lose little, objects and other kinds gain."""
HELD, STEEP, HALF = 0.03, 2.1, 2.25
"""What tells photos from cut-outs: weight of its squared length, how sharply it does, and the log-odds that count half.
"""
SAMPLE = 1000
"""Photos the training is watched on."""


@dataclass(frozen=True, slots=True, eq=False)
class Photos:
    """Photos as the training takes them, and their captions."""

    features: NDArray[np.float32]
    """(n, 1280)"""
    classes: Vectors
    """(n, 384), their ConSE vectors."""
    captions: Vectors
    """(n, captions, 384)"""


@dataclass(frozen=True, slots=True, eq=False)
class Others:
    """Pictures that shall stay where the classes put them."""

    features: NDArray[np.float32]
    """(n, 1280)"""
    classes: Vectors
    """(n, 384)"""


class CaptionTask:
    """Contrastive on photos and captions, while cut-outs keep their place; see `mmsearch.training.loop.Task`."""

    def __init__(self, photos: Photos, others: Others, seed: int) -> None:
        # The first weights come from torch's own generator: it is ours for that, then as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.module = Captions(DROPOUT)
        # How sure the loss is of a pair is set here, not learned: one value fewer that a resumed training must keep.
        self.infonce = InfoNCE(TEMPERATURE, learned=False)
        self.photos = [torch.from_numpy(array) for array in (photos.features, photos.classes)]
        self.others = [torch.from_numpy(array) for array in (others.features, others.classes)]
        self.captions = torch.from_numpy(photos.captions)

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"captions": self.module}

    def __len__(self) -> int:
        return len(self.captions)

    def loss(self, rows: Tensor, draw: np.random.Generator) -> Tensor:
        texts = self.captions[rows, torch.from_numpy(draw.integers(0, self.captions.shape[1], len(rows)))]
        related = torch.zeros((len(rows), len(rows)), dtype=torch.bool)
        # Each member learns by itself: members that only had to be right together would be alike.
        found = [self.infonce(one, texts, related) for one in self._members(self.photos, rows).unbind(1)]
        some = torch.from_numpy(draw.integers(0, len(self.others[0]), OTHERS))
        moved = 1 - (self._members(self.others, some) * self.others[1][some].unsqueeze(1)).sum(2)
        return torch.stack(found).mean() + STAY * moved.mean()

    def validate(self) -> dict[str, float]:
        """How near trained photos are to their captions: it only grows, so the last epoch's weights are kept.

        Choosing the epoch by `dev` would make what is measured there too good.
        """
        rows = torch.arange(min(SAMPLE, len(self)))
        centres = F.normalize(self.captions[rows].mean(1), dim=1).unsqueeze(1)
        return {"nearness": float((self._members(self.photos, rows) * centres).sum(2).mean())}

    def _members(self, pictures: Sequence[Tensor], rows: Tensor) -> Tensor:
        """(n, members, 384), unit vectors."""
        features, classes = pictures
        return joined(classes[rows].unsqueeze(1), self.module.members(features[rows]))


def read(data: Path, split: str, limit: int | None = None) -> dict[str, list[str]]:
    """File name -> captions, in the order of the names. Raises: InvalidInput."""
    try:
        with (data / "captions.tsv").open(encoding="utf-8", newline="") as file:
            rows = [
                row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if row["split"] == split
            ]
    except (OSError, UnicodeDecodeError, KeyError) as error:
        raise InvalidInput(f"{data / 'captions.tsv'} can't be read: {error!r}") from error
    found: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: row["filename"]):
        found.setdefault(row["filename"], []).append(row["caption"])
    photos = {name: captions for name, captions in found.items() if len(captions) == CAPTIONS_EACH}
    if not photos:
        raise InvalidInput(f"no photo of the split {split} has {CAPTIONS_EACH} captions", hint=f"see {data}")
    return dict(list(photos.items())[:limit])


def photos(data: Path, split: str, limit: int | None, kept: Path) -> Photos:
    """Through the encoders; or out of the file `kept`, which is made if need be. Raises: InvalidInput, LibraryError."""
    captions = read(data, split, limit)
    if not kept.exists():
        _log.info("encoding %d photos of %s", len(captions), split)
        texts = StarterText("cpu", "fp32")
        words = [texts.prepare(Segment("text", one)) for some in captions.values() for one in some]
        vectors = texts.encode(words, query=True).reshape(len(captions), CAPTIONS_EACH, -1)
        features, classes = seen([data / "images" / name for name in captions], None)
        arrays: dict[str, NDArray[Any]] = {
            "features": features.astype(np.float16),
            "classes": classes,
            "captions": vectors,
        }
        checkpoint.write(serialised(arrays), kept)
    stored = load_file(kept)
    if len(stored["features"]) != len(captions):
        raise InvalidInput(f"{kept} is of other photos", hint="delete it, or choose another output folder")
    return Photos(stored["features"].astype(np.float32), stored["classes"], stored["captions"])


def others(data: Path, limit: int | None, kept: Path) -> Others:
    """Cut-outs of every fourth photo of `train`, kept likewise. Raises: InvalidInput, LibraryError, MediaError."""
    names = list(read(data, "train", limit))[1::EVERY]
    if not kept.exists():
        _log.info("encoding %d cut-outs", len(names))
        features, classes = seen([data / "images" / name for name in names], np.random.default_rng(0))
        arrays: dict[str, NDArray[Any]] = {"features": features.astype(np.float16), "classes": classes}
        checkpoint.write(serialised(arrays), kept)
    stored = load_file(kept)
    if len(stored["features"]) != len(names):
        raise InvalidInput(f"{kept} is of other photos", hint="delete it, or choose another output folder")
    return Others(stored["features"].astype(np.float32), stored["classes"])


def seen(paths: Sequence[Path], cut: np.random.Generator | None) -> tuple[NDArray[np.float32], Vectors]:
    """Features, (n, 1280), and ConSE vectors, (n, 384), of photos, or of cut-outs of them. Raises: MediaError."""
    encoder = StarterImage("cpu", "fp32")
    decoder = registry.load("decoders", "image")(Windowing(), Limits())
    model, names = encoder._loaded(), concepts("imagenet")
    size = encoder.spec.batch_size
    features, classes = [], []
    for start in range(0, len(paths), size):
        batch = [encoder.prepare(next(iter(decoder.decode(path)))) for path in paths[start : start + size]]
        found = encoder.seen(model, [cutout(one, cut) for one in batch] if cut is not None else batch)
        features.append(found.features.numpy())
        classes.append(combine(scores(found), names, TOP))
    return np.concatenate(features), np.concatenate(classes)


def shuffled(given: Photos, seed: int) -> Photos:
    """The captions of other photos: what is learned from them must be worth nothing."""
    order = np.random.default_rng([seed, len(given.captions)]).permutation(len(given.captions))
    return Photos(given.features, given.classes, given.captions[order])


def recalls(module: Captions, given: Photos) -> dict[str, float]:
    """R@1/5/10 of photos by each of their captions, and of captions by photo, in %; ties count against us."""
    with torch.inference_mode():
        features, classes = torch.from_numpy(given.features), torch.from_numpy(given.classes)
        vectors = joined(classes, module(features)).numpy()
    texts = given.captions.reshape(-1, given.captions.shape[2])
    found = texts @ vectors.T  # (n * captions, n)
    relevant = np.repeat(np.eye(len(vectors), dtype=np.bool_), given.captions.shape[1], axis=0)
    measured = {}
    for name, grid, wanted in (("words-image", found, relevant), ("image-words", found.T, relevant.T)):
        ranked = [metrics.ranks(row, right) for row, right in zip(grid, wanted, strict=True)]
        for k in (1, 5, 10):
            measured[f"{name} R@{k}"] = 100 * float(np.mean([metrics.success_at(ranks, k) for ranks in ranked]))
    return measured


def main(arguments: Sequence[str]) -> int:
    """Train, write captions.safetensors, measure. Returns an exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="only so many photos of each split")
    parser.add_argument("--shuffled", action="store_true", help="train on the captions of other photos: a check")
    options = parser.parse_args(arguments)
    given, dev = (
        photos(options.data, split, options.limit, options.out / f"{split}.safetensors") for split in ("train", "dev")
    )
    if options.shuffled:
        given = shuffled(given, options.seed)
    name = f"captions-{options.seed}{'-shuffled' if options.shuffled else ''}"
    unlike = others(options.data, options.limit, options.out / "cutouts.safetensors")
    weights = trained(given, unlike, options.seed, options.out / f"{name}.checkpoint")
    content = save(weights)
    checkpoint.write(content, options.out / f"{name}.safetensors")
    _log.info("%s", " ".join(f"{key} {value:.1f}" for key, value in recalls(unpacked(weights), dev).items()))
    _log.info("%s  %s.safetensors", card.sha256(content), name)
    return 0


def trained(given: Photos, unlike: Others, seed: int, keep: Path | None = None) -> dict[str, Tensor]:
    """The weights after the last epoch, packed. Raises: InvalidInput, LibraryError."""
    task = CaptionTask(given, unlike, seed)
    fit(task, replace(RECIPE, seed=seed), keep=keep, on_epoch=_told)
    return finished(task)


def finished(task: CaptionTask) -> dict[str, Tensor]:
    """A trained task's weights as they are shipped: the learned part shortened, with the second gate, packed."""
    weights = task.module.state_dict()
    photo, bias = told_apart(task.photos[0].numpy(), task.others[0].numpy())
    gate = {"photo": STEEP * photo, "least": STEEP * (HALF - bias)}
    return packed({**weights, "most": weights["most"] * KEPT, **gate})


def told_apart(photos: NDArray[np.float32], unlike: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
    """Logistic regression on normalised features, both kinds counting the same: weights (1280,), and the bias."""
    rows = normal(torch.from_numpy(np.concatenate([photos, unlike])))
    real = torch.cat([torch.ones(len(photos)), torch.zeros(len(unlike))])
    counts = torch.where(real > 0, 0.5 / len(photos), 0.5 / len(unlike))
    weights, bias = torch.zeros(rows.shape[1], requires_grad=True), torch.zeros((), requires_grad=True)
    solver = torch.optim.LBFGS([weights, bias], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        found = F.binary_cross_entropy_with_logits(rows @ weights + bias, real, counts, reduction="sum")
        total: Tensor = found + HELD * weights.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    solver.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach(), bias.detach()


def _told(epoch: Epoch) -> None:
    _log.info(
        "epoch %d: loss %.3f, nearness %.4f, %.0f s", epoch.number, epoch.loss, *epoch.measures.values(), epoch.seconds
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

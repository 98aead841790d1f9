"""What made the starter's captions.safetensors: photos come near to their captions, other pictures stay where they are.

    python -m mmsearch.training.starter --data DIR --out DIR [--seed N] [--limit N] [--shuffled]

DIR holds captions.tsv (split, filename, caption) and images/. Only the split `train` trains; `dev` is measured at the
end. The network's features are computed once and kept in the output folder; so is a checkpoint, after which a
training that was killed goes on.
"""

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from mmsearch.encoders.starter.captions import Captions, joined, normal, packed, unpacked
from mmsearch.evaluate import metrics
from mmsearch.training.loop import EpochReport, fit_task
from mmsearch.training.losses import InfoNCE
from mmsearch.training.serving import card, checkpoint
from mmsearch.training.serving.recipe import Recipe
from mmsearch.training.starter.starter_data import (
    EVERY,
    CaptionedPhotos,
    OtherPictures,
    StarterData,
    captioned_photos,
    starter_data,
)

_log = logging.getLogger(__name__)

RECIPE = Recipe(epochs=15, batch=512, lr=1e-3, schedule="onecycle", weight_decay=0.05, warmup=0.15, patience=15)
DROPOUT = 0.5
TEMPERATURE = 0.05
WRONG = 2048
"""Captions of other photos that a photo is told from in each step, beside those of its batch."""
WORDS = 0.6
"""Weight of the photos' single words, where that of their captions is 1."""
OTHERS, STAY, IMAGINED = 128, 4.0, 0.5
"""Cut-outs of a step, and as many imagined pictures; weights of their staying."""
LENGTH = 1.2
"""What the learned part's length is multiplied by when it is shipped: the second gate, which training knows nothing of,
makes even photos' shorter."""
COMMON = 0.25
"""Length of what all words have in common, beside the learned part."""
HELD, STEEP, HALF, SHARE = 0.03, 1.0, 0.9, 0.25
"""What tells photos from others: weight of its squared length, how sharply it does, the log-odds that count half, and
the imagined ones' share among the others."""
DAMAGED = 0.6
"""How often a damaged copy stands for its photo, where there is one."""
HURT = 0.3
"""The damaged copies' share among the photos, for what tells photos from others."""
SAMPLE = 1000
"""Photos the training is watched on."""


class CaptionTask:
    """Contrastive on photos and what is said of them, while other pictures keep their place; see `loop.Task`."""

    def __init__(self, data: StarterData, seed: int) -> None:
        # The first weights come from torch's own generator: it is ours for that, then as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.module = Captions(DROPOUT)
        # How sure the loss is of a pair is set here, not learned: one value fewer that a resumed training must keep.
        self.infonce = InfoNCE(TEMPERATURE, learned=False)
        self.data = data
        self.photos = [torch.from_numpy(array) for array in (data.photos.features, data.photos.classes)]
        self.captions = torch.from_numpy(data.photos.captions)
        self.words, self.mentions = torch.from_numpy(data.words.vectors), data.words.mentions
        # Half way between all words alike and all mentions alike: rare words are many, and each says more.
        self.rarity = np.maximum(self.mentions.sum(0), 1) ** -0.5
        self.cutouts, self.imagined = (
            [torch.from_numpy(array) for array in (some.features, some.classes)]
            for some in (data.cutouts, data.imagined)
        )
        self.damaged = [torch.from_numpy(array) for array in (data.damaged.features, data.damaged.classes)]

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"captions": self.module}

    def __len__(self) -> int:
        return len(self.captions)

    def loss(self, rows: Tensor, draw: np.random.Generator) -> Tensor:
        texts = self.captions[rows, torch.from_numpy(draw.integers(0, self.captions.shape[1], len(rows)))]
        features, classes = self._seen(rows, draw)
        return self.caption_loss(features, classes, texts, rows, draw) + self.stay_loss(draw)

    def _seen(self, rows: Tensor, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Features and ConSE vectors of photos, or of their damaged copies."""
        copied = (rows % EVERY == 1) & torch.from_numpy(draw.random(len(rows)) < DAMAGED)
        copies = rows[copied] // EVERY
        features, classes = (array[rows] for array in self.photos)
        features[copied], classes[copied] = (array[copies] for array in self.damaged)
        return features, classes

    def caption_loss(
        self, features: Tensor, classes: Tensor, texts: Tensor, rows: Tensor, draw: np.random.Generator
    ) -> Tensor:
        """Photos are near to their captions, (n, 384), and to one of their words each; `rows` says whose words."""
        members = self._members(features, classes)
        none = torch.zeros((len(rows), len(rows)), dtype=torch.bool)
        loss = self._contrast(members, texts, none, self._wrong(rows, draw))
        mentions = self.mentions[rows.numpy()]
        speaking = np.flatnonzero(mentions.any(1))
        if not len(speaking):
            return loss
        chances = np.cumsum(mentions[speaking] * self.rarity, axis=1)
        chosen = (chances <= draw.random(len(speaking))[:, None] * chances[:, -1:]).sum(1)
        # A word that both photos have is no wrong answer.
        related = torch.from_numpy(mentions[speaking][:, chosen])
        return loss + WORDS * self._contrast(members[torch.from_numpy(speaking)], self.words[chosen], related)

    def stay_loss(self, draw: np.random.Generator) -> Tensor:
        """How far other pictures are from their classes."""
        losses = []
        for weight, (features, classes) in ((STAY, self.cutouts), (IMAGINED, self.imagined)):
            some = torch.from_numpy(draw.integers(0, len(features), OTHERS))
            members = self._members(features[some], classes[some])
            losses.append(weight * (1 - (members * classes[some].unsqueeze(1)).sum(2)).mean())
        return torch.stack(losses).sum()

    def _wrong(self, rows: Tensor, draw: np.random.Generator) -> Tensor:
        """Captions of photos that are not among `rows`, (up to WRONG, 384).

        They cost no more than to multiply by them: texts are not encoded anew (a memory bank, as in Wu et al.,
        "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", CVPR 2018, that never gets old).
        """
        photos = torch.from_numpy(draw.integers(0, len(self.captions), WRONG))
        which = torch.from_numpy(draw.integers(0, self.captions.shape[1], WRONG))
        others = ~torch.isin(photos, rows)
        return self.captions[photos[others], which[others]]

    def _contrast(self, members: Tensor, texts: Tensor, related: Tensor, wrong: Tensor | None = None) -> Tensor:
        # Each member learns by itself: members that only had to be right together would be alike.
        return torch.stack([self.infonce(one, texts, related, wrong) for one in members.unbind(1)]).mean()

    def validate(self) -> dict[str, float]:
        """How near trained photos are to their captions: it only grows, so the last epoch's weights are kept.

        Choosing the epoch by `dev` would make what is measured there too good.
        """
        rows = torch.arange(min(SAMPLE, len(self)))
        centres = F.normalize(self.captions[rows].mean(1), dim=1).unsqueeze(1)
        members = self._members(*(array[rows] for array in self.photos))
        return {"nearness": float((members * centres).sum(2).mean())}

    def _members(self, features: Tensor, classes: Tensor) -> Tensor:
        """(n, members, 384), unit vectors."""
        return joined(classes.unsqueeze(1), self.module.members(features))


def recalls(module: Captions, photos: CaptionedPhotos) -> dict[str, float]:
    """R@1/5/10 of photos by each of their captions, and of captions by photo, in %; ties count against us."""
    with torch.inference_mode():
        features, classes = torch.from_numpy(photos.features), torch.from_numpy(photos.classes)
        vectors = joined(classes, module(features)).numpy()
    texts = photos.captions.reshape(-1, photos.captions.shape[2])
    scores = texts @ vectors.T  # (n * captions, n)
    relevant = np.repeat(np.eye(len(vectors), dtype=np.bool_), photos.captions.shape[1], axis=0)
    measured = {}
    for name, grid, answers in (("words-image", scores, relevant), ("image-words", scores.T, relevant.T)):
        ranked = [metrics.ranks(row, right) for row, right in zip(grid, answers, strict=True)]
        for k in (1, 5, 10):
            measured[f"{name} R@{k}"] = 100 * float(np.mean([metrics.success_at(ranks, k) for ranks in ranked]))
    return measured


def main(arguments: Sequence[str]) -> int:
    """Train, write captions.safetensors, measure. Returns an exit code."""
    ours = logging.getLogger("mmsearch")
    ours.addHandler(logging.StreamHandler())
    ours.setLevel(logging.INFO)
    parser = argparse.ArgumentParser("python -m mmsearch.training.starter", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="only so many photos of each split")
    parser.add_argument("--shuffled", action="store_true", help="train on the captions of other photos: a check")
    options = parser.parse_args(arguments)
    data = starter_data(options.data, options.limit, options.out, seed=options.seed if options.shuffled else None)
    dev = captioned_photos(options.data, "dev", options.limit, options.out / "dev.safetensors")
    name = f"captions-{options.seed}{'-shuffled' if options.shuffled else ''}"
    weights = trained(data, options.seed, options.out / f"{name}.checkpoint")
    content = save(weights)
    checkpoint.write_whole(content, options.out / f"{name}.safetensors")
    _log.info("%s", " ".join(f"{key} {value:.1f}" for key, value in recalls(unpacked(weights), dev).items()))
    _log.info("%s  %s.safetensors", card.sha256(content), name)
    return 0


def trained(data: StarterData, seed: int, keep: Path | None = None) -> dict[str, Tensor]:
    """The weights after the last epoch, packed. Raises: InvalidInput, LibraryError."""
    task = CaptionTask(data, seed)
    fit_task(task, replace(RECIPE, seed=seed), keep=keep, on_epoch=_log_epoch)
    return shipped_weights(task)


def shipped_weights(task: CaptionTask) -> dict[str, Tensor]:
    """A trained task's weights as they are shipped: the learned part's length, what is added, and the second gate."""
    weights, data = task.module.state_dict(), task.data
    photo, bias = photo_gate((data.photos.features, data.damaged.features), data.cutouts, data.imagined)
    gate = {"photo": STEEP * photo, "least": STEEP * (HALF - bias)}
    common = COMMON * F.normalize(torch.from_numpy(data.words.vectors).sum(0), dim=0)
    return packed({**weights, "most": weights["most"] * LENGTH, "common": common, **gate})


def photo_gate(
    photos: tuple[NDArray[np.float32], NDArray[np.float32]], cutouts: OtherPictures, imagined: OtherPictures
) -> tuple[Tensor, Tensor]:
    """Logistic regression on normalised features, photos counting half of all: weights (1280,), and the bias.

    Args:
        photos: Features (n, 1280) of photos, and of damaged copies of some.
    """
    kinds = *photos, cutouts.features, imagined.features
    rows = normal(torch.from_numpy(np.concatenate(kinds)))
    sizes = torch.tensor([len(kind) for kind in kinds])
    real = torch.tensor([1.0, 1.0, 0.0, 0.0]).repeat_interleave(sizes)
    counts = (torch.tensor([1 - HURT, HURT, 1 - SHARE, SHARE]) / (2 * sizes)).repeat_interleave(sizes)
    weights, bias = torch.zeros(rows.shape[1], requires_grad=True), torch.zeros((), requires_grad=True)
    solver = torch.optim.LBFGS([weights, bias], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        loss_value = F.binary_cross_entropy_with_logits(rows @ weights + bias, real, counts, reduction="sum")
        total: Tensor = loss_value + HELD * weights.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    solver.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach(), bias.detach()


def _log_epoch(epoch: EpochReport) -> None:
    _log.info(
        "epoch %d: loss %.3f, nearness %.4f, %.0f s", epoch.number, epoch.loss, *epoch.measures.values(), epoch.seconds
    )

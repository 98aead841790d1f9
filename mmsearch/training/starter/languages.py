"""What made the starter's languages.safetensors: from the space of sixteen languages into that of all-MiniLM-L6-v2.

    python -m mmsearch.training.starter.languages --data DIR --out DIR [--seed N] [--limit N]

DIR holds captions.tsv (split, filename, caption). English captions of the split `train` are all that is learned from:
each has a vector in both spaces. A ridge regression begins; then each caption's vector is drawn to its own and to
another caption of the same photo, and away from those of other photos. The texts are encoded once and kept.
"""

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from safetensors.numpy import save as serialised
from torch import Tensor
from torch.nn import functional as F

from mmsearch.encoders.starter import universal
from mmsearch.encoders.starter.languages import LanguageMap, dump_map
from mmsearch.errors import InvalidInput
from mmsearch.training.serving import card, checkpoint
from mmsearch.training.starter.starter_data import embedded_words, read_captions
from mmsearch.types import Vectors

_log = logging.getLogger("mmsearch.training.starter.languages")  # also where it is __main__

RIDGE = 0.1
"""Weight of the map's squared length, next to the mean variance of a dimension."""
EPOCHS, BATCH, LR = 4, 512, 1e-3
TEMPERATURE = 0.05
OTHER = 0.5
"""Weight of the other caption of the same photo; that of the own one is the rest."""
THRESHOLD = 0.4
"""Cosine of a query's two vectors below which it is not English, chosen on one half of the questions that
`python -m tests.benchmarks.languages` asks, and measured on the other."""


def main(arguments: Sequence[str]) -> int:
    """Train, write languages.safetensors. Returns an exit code."""
    ours = logging.getLogger("mmsearch")
    ours.addHandler(logging.StreamHandler())
    ours.setLevel(logging.INFO)
    parser = argparse.ArgumentParser(
        "python -m mmsearch.training.starter.languages", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="only so many photos")
    options = parser.parse_args(arguments)
    captions = list(read_captions(options.data, "train", options.limit).values())
    other, own = caption_vectors(captions, options.out / "caption-vectors.safetensors")
    made = fitted(other, own, options.seed)
    content = dump_map(made, {"captions": own.shape[0] * own.shape[1], "seed": options.seed})
    checkpoint.write_whole(content, options.out / "languages.safetensors")
    _log.info("%s  languages.safetensors", card.sha256(content))
    return 0


def caption_vectors(captions: Sequence[Sequence[str]], kept: Path) -> tuple[Vectors, Vectors]:
    """Of each photo's captions, (photos, captions, 512) in the space of many languages and (photos, captions, 384) in
    the starter's; out of the file `kept`, which is made if need be.

    Raises: InvalidInput, WeightsError, LibraryError.
    """
    texts = [text for some in captions for text in some]
    if not kept.exists():
        _log.info("encoding %d captions", len(texts))
        arrays = {"other": np.stack([universal.encode(text) for text in texts]), "own": embedded_words(texts)}
        checkpoint.write_whole(serialised(arrays), kept)
    stored = load_file(kept)
    if len(stored["own"]) != len(texts):
        raise InvalidInput(f"{kept} is of other captions", hint="delete it, or choose another output folder")
    other, own = (stored[name].reshape(len(captions), len(captions[0]), -1) for name in ("other", "own"))
    return other, own


def fitted(other: Vectors, own: Vectors, seed: int) -> LanguageMap:
    """The map from (photos, captions, 512) to (photos, captions, 384)."""
    start = ridge(other.reshape(-1, other.shape[2]), own.reshape(-1, own.shape[2]))
    weights, constant = (torch.from_numpy(array.astype(np.float32)).requires_grad_() for array in start)
    optimiser = torch.optim.Adam([weights, constant], lr=LR)
    draw = np.random.default_rng(seed)
    from_, to = torch.from_numpy(other), torch.from_numpy(own)
    for epoch in range(EPOCHS):
        for loss in _epoch(from_, to, weights, constant, draw):
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        _log.info("epoch %d: loss %.3f", epoch, float(loss.detach()))
    return LanguageMap(weights.detach().numpy(), constant.detach().numpy(), THRESHOLD)


def _epoch(
    other: Tensor, own: Tensor, weights: Tensor, constant: Tensor, draw: np.random.Generator
) -> Iterator[Tensor]:
    """The loss of each batch."""
    photos, each = own.shape[:2]
    order = draw.permutation(photos * each)
    for start in range(0, len(order) - BATCH + 1, BATCH):
        photo, which = np.divmod(order[start : start + BATCH], each)
        beside = (which + draw.integers(1, each, BATCH)) % each
        made = F.normalize(other[photo, which] @ weights + constant, dim=1)
        same, near = own[photo, which], own[photo, beside]
        place = torch.arange(BATCH)
        contrast = (1 - OTHER) * F.cross_entropy(made @ same.T / TEMPERATURE, place)
        contrast = contrast + OTHER * F.cross_entropy(made @ near.T / TEMPERATURE, place)
        yield contrast + 1 - (made * same).sum(1).mean()


def ridge(other: Vectors, own: Vectors) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (512, 384) and constant (384,) of a ridge regression (Hoerl and Kennard, 1970)."""
    x, y = other.astype(np.float64), own.astype(np.float64)
    middle, target = x.mean(0), y.mean(0)
    centred = x - middle
    held = RIDGE * len(x) / x.shape[1] * np.eye(x.shape[1])
    weights = np.linalg.solve(centred.T @ centred + held, centred.T @ (y - target))
    return weights, target - middle @ weights


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

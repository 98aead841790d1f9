"""What made the starter's caption_map.safetensors: captions as queries come nearer to their photos.

    python -m mmsearch.training.starter.caption_map --data DIR --out DIR [--seed N] [--limit N]

DIR holds captions.tsv (split, filename, caption) and images/. Photos and captions of the split `train` are all that is
learned from, the photos by the vectors that they have in a library; what they are encoded to is kept in the output
folder, in the same file as `python -m mmsearch.training.starter` keeps it. What is no caption stays where it is: names
of ImageNet's and AudioSet's classes, by themselves and in questions, the neutral words, and sentences of this
project's user guide.
"""

import argparse
import json
import logging
import re
import sys
from collections.abc import Sequence
from importlib.resources import files
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsearch.calibration.neutral import neutral_words
from mmsearch.encoders.starter import languages
from mmsearch.encoders.starter.audio import LABELS
from mmsearch.encoders.starter.caption_map import DIM, CaptionMap, dump_map
from mmsearch.encoders.starter.captions import joined, load_captions
from mmsearch.encoders.starter.convert import imagenet_names
from mmsearch.encoders.starter.regions import CAPTIONS
from mmsearch.training.serving import card, checkpoint
from mmsearch.training.starter.starter_data import CaptionedPhotos, captioned_photos, embedded_words, read_captions
from mmsearch.types import Vectors

_log = logging.getLogger("mmsearch.training.starter.caption_map")  # also where it is __main__

EPOCHS, BATCH, LR = 12, 1024, 1e-3
TEMPERATURE = 0.05
STEEP = 10.0
"""What the gate is multiplied by in training: unit vectors are short steps."""
SHARPER, HELD = 2.0, 1.0
"""What the gate's log-odds are multiplied by when it is shipped, and what is taken off them: a name that reads a little
like a caption stays. Chosen on the first half of the split `dev` and the names of COCO's objects."""
OTHERS = 1024
"""Texts of a step that are no captions."""
FEWEST, MOST = 3, 30
"""Words of a sentence of the user guide."""
PHRASES = (
    "how long does the {} take", "invoice for the {}", "minutes of the meeting about the {}", "the sound of {}",
    "what did she say about the {}", "notes on {}", "who decided about the {}", "recording of {}",
    "letter to the office about the {}", "why is the {} late", "where can I renew the {}", "contract for the {}",
    "list of what is needed for {}", "when was the {} repaired", "{} in the annual report", "how do I use the {}",
)  # fmt: skip
"""What people ask documents and recordings; each name in the next one."""


class _Module(nn.Module):
    """A `CaptionMap` that learns."""

    def __init__(self, *, gated: bool) -> None:
        super().__init__()
        self.gated = gated
        self.weights = nn.Parameter(torch.zeros(DIM, DIM))
        self.gate = nn.Linear(DIM, 1)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 384), moved; and the gate's log-odds, (n,)."""
        odds: Tensor = STEEP * self.gate(vectors).squeeze(1)
        share = torch.sigmoid(odds).unsqueeze(1) if self.gated else 1.0
        return F.normalize(vectors + share * (vectors @ self.weights), dim=1), odds


def main(arguments: Sequence[str]) -> int:
    """Train, write caption_map.safetensors. Returns an exit code."""
    ours = logging.getLogger("mmsearch")
    ours.addHandler(logging.StreamHandler())
    ours.setLevel(logging.INFO)
    parser = argparse.ArgumentParser(
        "python -m mmsearch.training.starter.caption_map", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="only so many photos")
    options = parser.parse_args(arguments)
    photos = captioned_photos(options.data, "train", options.limit, options.out / "train.safetensors")
    captions = [one for some in read_captions(options.data, "train", options.limit).values() for one in some]
    meant = np.stack([languages.mapped(one) for one in captions]).reshape(photos.captions.shape)
    made = fitted(photo_vectors(photos), photos.captions, meant, embedded_words(no_captions()), options.seed)
    content = dump_map(made, {"photos": len(photos.captions), "seed": options.seed})
    checkpoint.write_whole(content, options.out / "caption_map.safetensors")
    _log.info("%s  caption_map.safetensors", card.sha256(content))
    return 0


def photo_vectors(photos: CaptionedPhotos) -> Vectors:
    """(n, 384), unit rows: what a library holds of whole photos."""
    with torch.inference_mode():
        added = load_captions(CAPTIONS.verified())(torch.from_numpy(photos.features))
        return np.asarray(joined(torch.from_numpy(photos.classes), added).numpy(), np.float32)


def no_captions() -> list[str]:
    """Texts that shall stay where they are."""
    sounds = json.loads(LABELS.verified().read_text("utf-8"))
    guide = sorted(files("mmsearch.resources").joinpath("docs").iterdir(), key=lambda chapter: chapter.name)
    prose = [one for chapter in guide for one in sentences(chapter.read_text("utf-8"))]
    names = [*neutral_words(), *imagenet_names(), *sounds]
    questions = [phrase.format(name) for name, phrase in zip(names, cycle(PHRASES), strict=False)]
    return [*names, *questions, *prose]


def sentences(markdown: str) -> list[str]:
    """The prose of a chapter: no code, no tables."""
    text = re.sub(r"```.*?```", "", markdown, flags=re.DOTALL)
    found = [one.strip() for one in re.split(r"(?<=[.!?])\s+|\n", text)]
    return [one for one in found if FEWEST <= len(one.split()) <= MOST and "|" not in one]


def fitted(photos: Vectors, captions: Vectors, meant: Vectors, others: Vectors, seed: int) -> CaptionMap:
    """The map.

    Args:
        photos: (photos, 384), unit rows.
        captions: (photos, captions, 384), unit rows.
        meant: (photos, captions, 384), unit rows, the captions by way of `languages`.
        others: (texts, 384), what shall stay.
    """
    module = _learned(photos, captions, others, seed)
    translated = _learned(photos, meant, None, seed).weights.detach().numpy()
    steep = SHARPER * STEEP
    weights, gate = (array.detach().numpy() for array in (module.weights, steep * module.gate.weight[0]))
    return CaptionMap(weights, translated, gate, steep * float(module.gate.bias.detach()) - HELD)


def _learned(photos: Vectors, captions: Vectors, others: Vectors | None, seed: int) -> _Module:
    """Without `others` all is moved, and no gate learns."""
    texts = torch.from_numpy(captions.reshape(-1, DIM))
    owners = torch.arange(len(photos)).repeat_interleave(captions.shape[1])
    seen = torch.from_numpy(photos)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = _Module(gated=others is not None)
        optimiser = torch.optim.AdamW(module.parameters(), lr=LR, weight_decay=0.0)
        steps = EPOCHS * -(-len(texts) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LR, total_steps=steps + 1)
        for epoch in range(EPOCHS):
            for rows in torch.split(torch.randperm(len(texts)), BATCH):
                moved, odds = module(texts[rows])
                loss = F.cross_entropy(moved @ seen.T / TEMPERATURE, owners[rows])
                if others is not None:
                    stay = torch.from_numpy(others[torch.randint(len(others), (OTHERS,)).numpy()])
                    loss = loss + F.softplus(-odds).mean() + F.softplus(module(stay)[1]).mean()
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
            _log.info("epoch %d: loss %.3f", epoch, float(loss.detach()))
    return module


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

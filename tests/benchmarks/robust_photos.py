"""Words ask for photos that something happened to: ConSE, the starter as shipped, and two ways to harden it.

Each photo is asked for among the others, which are as they were: one bad copy in a good library.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor

from mmsearch.encoders.starter import captions
from mmsearch.encoders.starter.captions import Captions, joined
from mmsearch.training.attack import NO_ATTACK, Attack, hardened
from mmsearch.training.loop import fit_task
from mmsearch.training.serving import checkpoint
from mmsearch.training.starter import recipe, starter_data
from mmsearch.training.starter.starter_data import StarterData
from mmsearch.types import Vectors
from tests.benchmarks.corrupted import Corrupted, Pictures
from tests.benchmarks.corruptions import PICTURES, augmented, mistyped
from tests.benchmarks.measured import Row, Table
from tests.benchmarks.quality import rows

CONSE, SHIPPED, AUGMENTED, FGM = "ConSE alone", "as shipped", "augmented", "FGM"
COPIED = 2
"""Of every how many training photos there is a corrupted copy."""
TAKEN, TYPED = 0.6, 0.5
"""How often a copy stands for its photo, and how often it then has the caption with a typo."""
RADIUS = 0.3
"""L2 norm of the change of unit features."""
K = 10

Module = Captions | None
"""None: what ConSE alone finds."""


@dataclass(frozen=True)
class Copies:
    """Corrupted copies of every second photo, and a caption of each with one typo."""

    pictures: Pictures
    captions: Vectors


@dataclass(frozen=True)
class Asked:
    """Photos, and captions that ask for some of them; those of one photo stand side by side."""

    clean: Pictures
    """Of all photos."""
    changed: dict[str, Pictures]
    """By corruption, of the photos that are asked for."""
    places: NDArray[np.int64]
    """Of these among all."""
    texts: tuple[str, ...]
    owners: NDArray[np.int64]
    """(texts,), their photos' rows in `changed`."""
    size: int
    """Captions of each photo."""


class HardenedTask(recipe.CaptionTask):
    """The starter's own training, with corrupted copies among the photos or against attacks on their features."""

    def __init__(self, given: StarterData, seed: int, copies: Copies | None, attack: Attack) -> None:
        super().__init__(given, seed)
        self.attack = attack
        self.copies = [] if copies is None else [torch.from_numpy(a) for a in (*copies.pictures, copies.captions)]

    def caption_loss(
        self, features: Tensor, classes: Tensor, texts: Tensor, rows: Tensor, draw: np.random.Generator
    ) -> Tensor:
        if self.copies:
            own, copied = rows % COPIED == 0, rows // COPIED
            taken = own & torch.from_numpy(draw.random(len(rows)) < TAKEN)
            typed = taken & torch.from_numpy(draw.random(len(rows)) < TYPED)
            features, classes, texts = (
                torch.where(where[:, None], copies[copied.clamp(max=len(copies) - 1)], given)
                for where, copies, given in zip(
                    (taken, taken, typed), self.copies, (features, classes, texts), strict=True
                )
            )
        lengths = features.norm(dim=1, keepdim=True)
        asked = draw.bit_generator.state

        def caption_loss(directions: Tensor) -> Tensor:
            # The same words before and after the attack.
            draw.bit_generator.state = asked
            return super(HardenedTask, self).caption_loss(directions * lengths, classes, texts, rows, draw)

        return hardened(caption_loss, features / lengths, self.attack, draw)


def learned(task: recipe.CaptionTask, seed: int, kept: Path) -> Captions:
    """As the starter's own training ends; out of the file if it is there."""
    if not kept.exists():
        fit_task(task, replace(recipe.RECIPE, seed=seed))
        checkpoint.write_whole(save(recipe.shipped_weights(task)), kept)
    return captions.unpacked(load(kept.read_bytes()))


def variants(
    corrupted: Corrupted, data: Path, limit: int | None, seeds: Sequence[int], log: Callable[[str], object]
) -> dict[str, list[Module]]:
    """What finds photos, each once for every seed."""
    folder = corrupted.cache
    given = starter_data.starter_data(data, limit, folder)
    copies = copied(corrupted, data, limit)
    ways: dict[str, tuple[str, Callable[[int], recipe.CaptionTask]]] = {
        SHIPPED: ("captions", lambda seed: recipe.CaptionTask(given, seed)),
        AUGMENTED: ("augmented", lambda seed: HardenedTask(given, seed, copies, NO_ATTACK)),
        FGM: ("fgm", lambda seed: HardenedTask(given, seed, None, Attack("fgm", RADIUS))),
    }
    found: dict[str, list[Module]] = {CONSE: [None for _ in seeds]}
    for name, (file, task) in ways.items():
        found[name] = []
        for seed in seeds:
            found[name].append(learned(task(seed), seed, folder / f"{file}-{seed}.safetensors"))
            log(f"{name}, seed {seed}\n")
    return found


def copied(corrupted: Corrupted, data: Path, limit: int | None) -> Copies:
    known = starter_data.read_captions(data, "train", limit)
    names = list(known)[::COPIED]
    pictures = corrupted.pictures([data / "images" / name for name in names], "augmented", augmented)
    draw = np.random.default_rng(0)
    texts = [mistyped(known[name][int(draw.integers(starter_data.CAPTIONS_EACH))], draw, 1) for name in names]
    return Copies(pictures, corrupted.words(texts))


def flickr8k(corrupted: Corrupted, data: Path, limit: int | None, every: int) -> Asked:
    """Every so many of the dev split's photos is asked for, among all of them."""
    known = starter_data.read_captions(data, "dev", limit)
    names = list(known)
    whole = starter_data.captioned_photos(data, "dev", limit, corrupted.cache / "dev.safetensors")
    places = np.arange(0, len(names), every)
    paths = [data / "images" / names[place] for place in places]
    changed = {name: corrupted.pictures(paths, name, change) for name, change in PICTURES.items()}
    texts = tuple(caption for place in places for caption in known[names[place]])
    size = starter_data.CAPTIONS_EACH
    clean = Pictures(whole.features, whole.classes)
    return Asked(clean, changed, places, texts, np.repeat(np.arange(len(places)), size), size)


def coco(corrupted: Corrupted, dev: Path, limit: int | None) -> Asked:
    """Each of the COCO photos by its five captions."""
    known: dict[str, list[str]] = {}
    for row in rows(dev / "queries" / "text_to_image.tsv"):
        if row["relevant"].startswith("coco/"):
            known.setdefault(row["relevant"], []).append(row["query"])
    size = min(len(texts) for texts in known.values())
    names = sorted(known)[:limit]
    paths = [dev / name for name in names]
    changed = {name: corrupted.pictures(paths, name, change) for name, change in PICTURES.items()}
    texts = tuple(text for name in names for text in known[name][:size])
    places = np.arange(len(names))
    return Asked(
        corrupted.pictures(paths, "clean", None), changed, places, texts, np.repeat(places, size), size
    )  # fmt: skip


def table(title: str, corrupted: Corrupted, asked: Asked, found: dict[str, list[Module]]) -> Table:
    """Success at 10 of every caption, in percent."""
    words = corrupted.words(asked.texts)
    own = asked.clean.rows(asked.places)

    def row(name: str, queries: Callable[[int], Vectors], changed: Pictures) -> Row:
        return Row(
            name,
            {
                variant: np.stack([hits(queries(run), asked, changed, module) for run, module in enumerate(modules)])
                for variant, modules in found.items()
            },
        )

    made = [row(name, lambda run: words, changed) for name, changed in asked.changed.items()]
    for edits, name in ((1, "one typo in the words"), (2, "two typos in the words")):
        typed = [corrupted.words(typos(asked.texts, edits, run)) for run in range(len(found[CONSE]))]
        made.append(row(name, typed.__getitem__, own))
    return Table(title, row("as it was", lambda run: words, own), tuple(made), asked.size, 1)


def typos(texts: Sequence[str], edits: int, seed: int) -> list[str]:
    return [mistyped(text, np.random.default_rng([seed, edits, number]), edits) for number, text in enumerate(texts)]


def hits(queries: Vectors, asked: Asked, changed: Pictures, module: Module) -> NDArray[np.float64]:
    """(queries,), 100 where a changed photo is among the first ten of the others as they were; ties count against."""
    scores = queries @ vectors(module, asked.clean).T
    mine = np.sum(queries * vectors(module, changed)[asked.owners], axis=1)
    scores[np.arange(len(queries)), asked.places[asked.owners]] = -np.inf
    found: NDArray[np.float64] = 100.0 * ((scores >= mine[:, None]).sum(axis=1) < K)
    return found


def vectors(module: Module, pictures: Pictures) -> Vectors:
    if module is None:
        return pictures.classes
    with torch.inference_mode():
        made: Vectors = joined(torch.from_numpy(pictures.classes), module(torch.from_numpy(pictures.features))).numpy()
    return made

"""What 200 pairs of your own do, there and elsewhere: `python -m tests.benchmarks.training --shared DIR`.

A library of COCO photos, ESC-10 clips and Tux Paint stamps. 200 of the stamps, with their English or their German
texts, are the user's pairs; 60 others are asked for afterwards, among all pictures of the library. Three draws of the
60 and three seeds; the other domains are COCO's captions and ESC-10's class names. The base space is the first row,
shuffled pairs are the last. For weak pairs the 200 have their names ("food-fruit__banana.png") and no texts, and the 60
are renamed as by a camera. Every figure is `Library.evaluate` on the library that serves.
"""

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import mmsearch
from mmsearch.library import Library
from tests.benchmarks.datasets import evaluate_dataset
from tests.benchmarks.quality import rows

SEEDS = (0, 1, 2)
HELD_BACK, PAIRS = 60, 200
NAME, OWN = "benchmark", "stamps"
"""The model, and the folder of stamps that the library sees."""

Rows = Sequence[tuple[str, str]]
"""(query, absolute path)."""


@dataclass(frozen=True)
class Case:
    """A row of the table."""

    name: str
    language: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    trained: bool = True
    shuffled: bool = False
    weak: bool = False
    """From names, not from the 200 texts."""


BOTH: Mapping[str, Any] = {"modality": ("image", "text")}
CASES = (
    Case("English, as it comes", "en", trained=False),
    Case("English, InfoNCE", "en"),
    Case("English, sigmoid", "en", {"loss": "sigmoid", "batch": 256, "lr": 1e-3}),
    Case("English, shuffled pairs", "en", shuffled=True),
    Case("English, weak: names", "en", {"weak": ("names",), "modality": ("image",)}, weak=True),
    Case("German, as it comes", "de", trained=False),
    Case("German, InfoNCE", "de", BOTH),
    Case("German, sigmoid", "de", {**BOTH, "loss": "sigmoid"}),
    Case("German, shuffled pairs", "de", BOTH, shuffled=True),
)


def stamps(dev: Path, language: str, own: Path) -> list[tuple[str, str]]:
    table = "text_to_image.tsv" if language == "en" else "text_to_image_i18n.tsv"
    return [
        (row["query"], str(own / Path(row["relevant"]).name))
        for row in rows(dev / "queries" / table)
        if row["relevant"].startswith("stamps/") and row.get("lang", "en") == language
    ]


def write(path: Path, pairs: Rows) -> Path:
    lines = ["query\trelevant", *(f"{query}\t{file}" for query, file in pairs)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@contextmanager
def unnamed(library: Library, own: Path, asked: Rows) -> Iterator[Rows]:
    """The same questions, while their files in the library's folder `own` are called as a camera does."""
    moved = {Path(file): own / f"IMG_{number:04d}.png" for number, (_, file) in enumerate(asked)}
    for named, new in moved.items():
        named.rename(new)
    try:
        library.ingest(own)
        yield [(query, str(moved[Path(file)])) for query, file in asked]
    finally:
        for named, new in moved.items():
            new.rename(named)
        library.ingest(own)


def measure(case: Case, seed: int, library: Library, dev: Path, folder: Path) -> tuple[float, float, float]:
    """recall@10 of the stamps held back, of COCO's captions, and mAP of ESC-10's names."""
    pairs = stamps(dev, case.language, folder / OWN)
    random.Random(seed).shuffle(pairs)
    asked, given = pairs[:HELD_BACK], pairs[HELD_BACK : HELD_BACK + PAIRS]
    if case.shuffled:
        files = [file for _, file in given]
        random.Random(seed + 100).shuffle(files)
        given = [(query, file) for (query, _), file in zip(given, files, strict=True)]
    taught = None if case.weak else write(folder / "pairs.tsv", given)
    with unnamed(library, folder / OWN, asked) if case.weak else nullcontext(asked) as questions:
        if case.trained:
            library.train.projection(taught, NAME, seed=seed, **case.settings)
            library.train.apply(NAME)
        try:
            found = library.evaluate(write(folder / "held.tsv", questions), directions=["text-image"])
            photos = evaluate_dataset(library, "coco", dev, ["text-image"])
            sounds = evaluate_dataset(library, "esc10", dev, ["text-audio"])
        finally:
            if case.trained:
                library.train.drop(NAME)
    figures = [one.directions[0].metrics for one in (found, photos, sounds)]
    return figures[0]["recall@10"].value, figures[1]["recall@10"].value, figures[2]["mAP"].value


def table(library: Library, dev: Path, folder: Path) -> Iterator[str]:
    yield "| pairs | stamps held back, recall@10 | change | COCO, recall@10 | ESC-10, mAP |"
    yield "|---|---|---|---|---|"
    base: dict[str, float] = {}
    for case in CASES:
        figures = [measure(case, seed, library, dev, folder) for seed in SEEDS]
        own = mean(figure[0] for figure in figures)
        if not case.trained:
            base[case.language] = own
        change = f"{own / base[case.language] - 1:+.0%}"
        yield (
            f"| {case.name} | {' | '.join([spread([f[0] for f in figures]), change])} | "
            + " | ".join(spread([figure[place] for figure in figures]) for place in (1, 2))
            + " |"
        )


def spread(values: Sequence[float]) -> str:
    return f"{100 * mean(values):.1f} ± {100 * stdev(values):.1f} %"


@contextmanager
def filled(path: Path | None, dev: Path, folder: Path) -> Iterator[Library]:
    shutil.copytree(dev / "stamps" / "images", folder / OWN)
    with mmsearch.open(path or folder / "library") as library:
        library.ingest(dev / "coco", dev / "esc10", folder / OWN)
        yield library


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/dev")
    parser.add_argument("--library", type=Path, help="keep the library here for the next time")
    given = parser.parse_args(arguments)
    dev = (given.shared / "data" / "dev").resolve()
    with tempfile.TemporaryDirectory() as folder, filled(given.library, dev, Path(folder)) as library:
        for line in table(library, dev, Path(folder)):
            print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

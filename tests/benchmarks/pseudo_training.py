"""Whether confident guesses are pairs worth learning from: `python -m tests.benchmarks.pseudo_training --shared DIR`.

The answer was no (`TRAINING.md`), so mmsearch has no option for it. The library of `tests.benchmarks.training`; a
picture without a pair gets, of the texts that are known, the nearest one, if the calibrated confidence of
`Library.label` is high enough, and is a pair from then on (after Lee, "Pseudo-Label", 2013).

- names: 200 stamps have their names as weak pairs, 60 have none, and are asked for by their captions (recall@10). Of
  the pictures that get the same text, the surest counts: each is then the other's nearest.
- few: three stamps of each of 13 categories are given as pairs. The category's words ask for the others of it (mAP over
  the pictures that were not given). Every picture that is sure enough counts.
"""

import argparse
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean

from mmsearch.library import Library
from mmsearch.training import weak
from tests.benchmarks.training import HELD_BACK, NAME, OWN, SEEDS, Rows, filled, spread, stamps, unnamed, write

GIVEN, LEAST = 3, 6
"""Pairs of a category, and stamps that it has at least."""

SURE = (None, 0.99, 0.9, 0.5)
"""Confidence from which a guess is a pair; None: none is."""


def guessed(library: Library, texts: Sequence[str], sure: float | None, paired: set[str], once: bool) -> Rows:
    """Guesses for pictures that have no pair; with `once`, the surest picture of each text alone."""
    if sure is None:
        return []
    found = library.label(texts, modalities={"image"}, min_confidence=sure)
    open_ones = [one for one in found if one.label is not None and str(one.path) not in paired]
    open_ones.sort(key=lambda one: one.confidence)
    rows = [(str(one.label), str(one.path)) for one in open_ones]
    return list(dict(rows).items()) if once else rows


def learned(library: Library, rows: Rows, seed: int, folder: Path) -> None:
    library.train.projection(write(folder / "pairs.tsv", rows), NAME, modality=("image",), seed=seed)
    library.train.apply(NAME)


def by_names(library: Library, dev: Path, folder: Path, seed: int) -> Mapping[str, float]:
    pairs = stamps(dev, "en", folder / OWN)
    random.Random(seed).shuffle(pairs)
    figures = {}
    with unnamed(library, folder / OWN, pairs[:HELD_BACK]) as asked:
        with library._context.catalog().reading() as snapshot:
            (found,) = weak.collect(snapshot, ["names"], ["image"])
        rows = [(text, str(path)) for text, paths in found.pairs.items() for path in paths]
        for sure in SURE:
            more = guessed(library, list(found.pairs), sure, {path for _, path in rows}, once=True)
            learned(library, [*rows, *more], seed, folder)
            measured = library.evaluate(write(folder / "held.tsv", asked), directions=["text-image"])
            figures[f"names, {case(sure)}"] = measured.directions[0].metrics["recall@10"].value
            library.train.drop(NAME)
    return figures


def by_few(library: Library, _dev: Path, folder: Path, seed: int) -> Mapping[str, float]:
    every: dict[str, list[str]] = defaultdict(list)
    for path in sorted((folder / OWN).glob("*__*")):
        every[path.name.split("__")[0].split("-cartoon")[0].replace("-", " ")].append(str(path))
    named = {text: paths for text, paths in every.items() if len(paths) >= LEAST}
    draw = random.Random(seed)
    rows = [(text, path) for text, paths in named.items() for path in draw.sample(paths, GIVEN)]
    given = {path for _, path in rows}
    figures = {"few, as it comes": precision(library, named, given)}
    for sure in SURE:
        more = guessed(library, list(named), sure, given, once=False)
        right = sum(path in named[text] for text, path in more)
        learned(library, [*rows, *more], seed, folder)
        figures[f"few, {case(sure)}"] = precision(library, named, given)
        if sure is not None:
            figures[f"few, guesses that are right, {case(sure)}"] = right / max(1, len(more))
        library.train.drop(NAME)
    return figures


def precision(library: Library, named: Mapping[str, Sequence[str]], given: set[str]) -> float:
    """mAP of the categories' words over the pictures that were not given."""
    found = []
    for text, paths in named.items():
        ranked = [str(hit.path) for hit in library.search(text, k=1000, mode="vector") if hit.modality == "image"]
        ranked = [path for path in ranked if path not in given]
        wanted = set(paths) - given
        found.append(sum(n / at for n, at in enumerate(places(ranked, wanted), 1)) / len(wanted))
    return mean(found)


def places(ranked: Sequence[str], wanted: set[str]) -> list[int]:
    return [at for at, path in enumerate(ranked, 1) if path in wanted]


def case(sure: float | None) -> str:
    return "no guesses" if sure is None else f"sure from {sure}"


def table(library: Library, dev: Path, folder: Path) -> Iterator[str]:
    yield "| pairs | |"
    yield "|---|---|"
    for measure in (by_names, by_few):
        figures = [measure(library, dev, folder, seed) for seed in SEEDS]
        for name in figures[0]:
            yield f"| {name} | {spread([one[name] for one in figures])} |"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/dev")
    given = parser.parse_args(arguments)
    dev = (given.shared / "data" / "dev").resolve()
    with tempfile.TemporaryDirectory() as folder, filled(None, dev, Path(folder)) as library:
        for line in table(library, dev, Path(folder)):
            print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

"""How well labels tell things apart, and say "none of these": `python -m tests.benchmarks.labels --shared ../shared`.

ESC-10's class names over its clips; then, for every choice of five of the ten names, with the other five withheld:
how often a clip of a withheld class is said to be none, and a clip of a named one is named rightly all the same.
"""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import mmsearch
from mmsearch.library import Library
from mmsearch.types import Label
from tests.benchmarks.quality import rows


def truth(shared: Path) -> dict[str, str]:
    """File name -> class name."""
    queries = rows(shared / "data" / "dev" / "queries" / "text_to_audio.tsv")
    return {
        Path(name).name: row["query"]
        for row in queries
        if row["dataset"] == "ESC-10"
        for name in row["relevant"].split(",")
    }


def right(found: Sequence[Label], known: dict[str, str]) -> float:
    """Share of the items that have their own class as label."""
    return sum(one.label == known[one.path.name] for one in found) / len(found)


def none(found: Sequence[Label]) -> float:
    """Share of the items of which no name is said to fit."""
    return sum(one.label is None for one in found) / len(found)


def measured(library: Library, known: dict[str, str], splits: int) -> str:
    names = sorted(set(known.values()))
    whole = [one for one in library.label(names) if one.path.name in known]
    forced = [one for one in library.label(names, min_confidence=0) if one.path.name in known]
    lines = [
        f"all ten names, {len(whole)} clips: right {right(whole, known):.3f}, none {none(whole):.3f}, "
        f"right where none is not allowed {right(forced, known):.3f}"
    ]
    choices = list(itertools.combinations(names, 5))
    figures = []
    for choice in choices[:: max(len(choices) // splits, 1)]:
        found = [one for one in library.label(choice) if one.path.name in known]
        named = [one for one in found if known[one.path.name] in choice]
        others = [one for one in found if known[one.path.name] not in choice]
        figures.append((none(others), right(named, known), none(named)))
    mean = [sum(column) / len(figures) for column in zip(*figures, strict=True)]
    lines.append(
        f"five names, five withheld, {len(figures)} choices: withheld are none {mean[0]:.3f} "
        f"({min(f[0] for f in figures):.2f} to {max(f[0] for f in figures):.2f}), "
        f"named are right {mean[1]:.3f}, none {mean[2]:.3f}"
    )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--splits", type=int, default=252, help="how many of the 252 choices of five names")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, mmsearch.open(Path(folder) / "library") as library:
        library.ingest(options.shared / "data" / "dev" / "esc10")
        sys.stdout.write(measured(library, truth(options.shared), options.splits))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

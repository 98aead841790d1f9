"""Whether one list over all modalities is fair, and whether confidence and "no confident match" are right.

    python -m tests.benchmarks.calibration --shared ../shared [--only mixed rejection cost] [--plot curves.png]

1. mixed: photos, stamps, sounds, videos and notes in one library: recall@10 over the mixed list, of words whose
   relevant files are of one known modality, merged by raw cosine, by reciprocal rank fusion and by calibration.
2. rejection: see `tests.benchmarks.rejection`.
3. cost: the share of an ingest's time that measuring backgrounds takes.
"""

import argparse
import csv
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import mean

import mmsearch
from mmsearch import Hit, Library
from tests.benchmarks import rejection

K = 10
RRF_K = 60
METHODS = ("raw cosine", "rank fusion", "calibrated", "its own list alone")

LOOKED_AT = """\
What was looked at: the method was chosen on sounds that are not here (GCompris and other free packages, 57 names), on
every other class of ESC-10 and on Flickr8k's training photos; ESC-10 as a whole had been seen with simpler methods
before. The other five classes, COCO's captions and the stamps' names chose nothing."""


def questions(dev: Path) -> dict[tuple[str, str], set[Path]]:
    """(words, kind) -> relevant files."""
    kinds = {
        "COCO 2017 val2017": "photos", "COCO 2017 train2017": "photos", "Tux Paint stamps": "stamps",
        "ESC-10": "sounds", "stamps audio": "stamp sounds",
    }  # fmt: skip
    found: dict[tuple[str, str], set[Path]] = defaultdict(set)
    for name in ("text_to_image.tsv", "text_to_audio.tsv"):
        with (dev / "queries" / name).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                if row["dataset"] in kinds:
                    paths = {dev / path for path in row["relevant"].split(",")}
                    found[row["query"], kinds[row["dataset"]]] |= paths
    # A stamp and its sound have the same words: both are right answers to them.
    both = {words: set[Path]() for words, _ in found}
    for (words, _), paths in found.items():
        both[words] |= paths
    return {(words, kind): both[words] for words, kind in found}


def recall(ranked: Iterable[Path], relevant: set[Path]) -> float:
    return len(set(list(ranked)[:K]) & relevant) / min(K, len(relevant))


def fused_by_rank(hits: list[Hit]) -> list[Path]:
    """Reciprocal rank fusion of the lists that calibration merged."""
    lists: dict[tuple[str, str | None], list[Hit]] = defaultdict(list)
    for hit in sorted(hits, key=lambda h: (-(h.cosine or 0), h.path)):
        lists[hit.modality, hit.matched].append(hit)
    weights = {hit.path: (-1 / (RRF_K + n), hit.path) for found in lists.values() for n, hit in enumerate(found, 1)}
    return sorted(weights, key=lambda path: weights[path])


def everything(library: Library, dev: Path) -> None:
    notes = Path(mmsearch.__file__).parent / "resources" / "samples" / "notes"
    library.ingest(*(dev / name for name in ("coco", "stamps", "esc10", "videos")), notes)


def mixed(dev: Path, folder: Path, space: str) -> Iterator[str]:
    """Files are looked at one by one here: neither bundled nor folded."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with mmsearch.open(folder / "all", space=space, fusion="off", dedup=False) as library:
        everything(library, dev)
        for (words, kind), relevant in questions(dev).items():
            hits = library.search(words, 100_000, mode="vector")
            by_cosine = [hit.path for hit in sorted(hits, key=lambda h: (-(h.cosine or 0), h.path))]
            alone = [h.path for h in hits if h.modality == ("image" if kind in ("photos", "stamps") else "audio")]
            rankings = (by_cosine, fused_by_rank(hits), [hit.path for hit in hits], alone)
            for method, ranking in zip(METHODS, rankings, strict=True):
                found[kind][method].append(recall(ranking, relevant))
    yield f"recall@{K} over the mixed list, %:\n"
    yield "| merged by | " + " | ".join(found) + " | mean |"
    yield "|---|" + "---|" * (len(found) + 1)
    for method in METHODS:
        values = [100 * mean(found[kind][method]) for kind in found]
        yield f"| {method} | " + " | ".join(f"{value:.1f}" for value in [*values, mean(values)]) + " |"
    yield ""


def cost(dev: Path, folder: Path, space: str) -> Iterator[str]:
    with mmsearch.open(folder / "cost", space=space) as library:
        report = library.ingest(dev / "coco", dev / "esc10")
    spent = report.seconds["calibrate"]
    yield (
        f"Measuring backgrounds took {spent:.2f} s of an ingest of {report.wall_s:.1f} s ({spent / report.wall_s:.2%}; "
        f"{report.new} files, {report.segments} segments).\n"
    )


def section(dev: Path, folder: Path, space: str, only: Sequence[str] = (), curves: Path | None = None) -> Iterator[str]:
    """Markdown, as the report has it."""

    def rejecting(dev: Path, folder: Path, space: str) -> Iterator[str]:
        found = rejection.measured(dev, folder, space)
        if curves is not None:
            rejection.plot(found, curves)
        yield from rejection.tables(found)

    parts: dict[str, Callable[[Path, Path, str], Iterator[str]]] = {
        "mixed": mixed,
        "rejection": rejecting,
        "cost": cost,
    }
    yield f"## Calibration\n\n{LOOKED_AT}\n"
    for name, part in parts.items():
        if not only or name in only:
            yield from part(dev, folder, space)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--space", default="starter")
    parser.add_argument("--only", nargs="+", choices=("mixed", "rejection", "cost"), default=())
    parser.add_argument("--plot", type=Path, help="Draw the curves into this file.")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        dev = given.shared.resolve() / "data" / "dev"
        for line in section(dev, Path(folder), given.space, given.only, given.plot):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

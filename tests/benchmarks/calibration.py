"""Whether one list over all modalities is fair, and whether "no confident match" is right.

    python -m tests.benchmarks.calibration --shared ../shared

1. Photos, stamps, sounds, videos and notes in one library: recall@10 over the mixed list, of words whose relevant
   files are of one known modality, merged by raw cosine, by reciprocal rank fusion and by calibrated confidence.
2. Words about classes that are in the library (false rejects) and about the same classes withheld (false accepts):
   at the default threshold, and the false rejects where 5 % are accepted falsely.
"""

import argparse
import csv
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import mean

import numpy as np

import mmsearch
from mmsearch import Hit, Library

PHRASINGS = ("{}", "the sound of {}", "a recording of {}", "{} noise", "can you hear {}?")
K = 10
RRF_K = 60


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
    for hit in sorted(hits, key=lambda h: (-h.score, h.path)):
        lists[hit.modality, hit.matched].append(hit)
    weights = {hit.path: (-1 / (RRF_K + n), hit.path) for found in lists.values() for n, hit in enumerate(found, 1)}
    return sorted(weights, key=lambda path: weights[path])


def mixed_list(library: Library, dev: Path) -> None:
    rows: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (words, kind), relevant in questions(dev).items():
        hits = library.search(words, 100_000, keywords="no")
        by_cosine = [hit.path for hit in sorted(hits, key=lambda h: (-h.score, h.path))]
        alone = [h.path for h in hits if h.modality == ("image" if kind in ("photos", "stamps") else "audio")]
        rows[kind]["raw cosine"].append(recall(by_cosine, relevant))
        rows[kind]["rank fusion"].append(recall(fused_by_rank(hits), relevant))
        rows[kind]["calibrated"].append(recall([hit.path for hit in hits], relevant))
        rows[kind]["its own list alone"].append(recall(alone, relevant))
    methods = ("raw cosine", "rank fusion", "calibrated", "its own list alone")
    print(f"recall@{K} over the mixed list, %    " + "  ".join(f"{kind:>12}" for kind in rows) + "          mean")
    for method in methods:
        values = [100 * mean(rows[kind][method]) for kind in rows]
        print(f"{method:>32}    " + "  ".join(f"{value:12.1f}" for value in [*values, mean(values)]))


def rejections(title: str, present: list[Hit], absent: list[Hit]) -> None:
    yes, no = (np.array([hit.confidence or 0.0 for hit in hits]) for hits in (present, absent))
    at_5 = np.quantile(no, 0.95)
    print(f"{title}: {len(yes)} questions with an answer, {len(no)} without")
    weak_yes, weak_no = mean(hit.weak for hit in present), mean(hit.weak for hit in absent)
    print(f"  default threshold: false accepts {1 - weak_no:.0%}, false rejects {weak_yes:.0%}")
    print(f"  at 5 % false accepts: false rejects {(yes <= at_5).mean():.0%}")
    for share in (0.02, 0.1, 0.2, 0.3, 0.5):
        print(f"  at {share:.0%}: {(yes <= np.quantile(no, 1 - share)).mean():.0%}", end="")
    print()


def withheld_sounds(dev: Path, folder: Path) -> None:
    classes = sorted({path.name.split("__")[0] for path in (dev / "esc10").iterdir()})
    present: list[Hit] = []
    absent: list[Hit] = []
    with mmsearch.open(folder, space="starter") as library:
        library.ingest(dev / "esc10")
        for name in classes:
            for phrase in PHRASINGS:
                words = phrase.format(name.replace("_", " "))
                present += library.search(words, 1, keywords="no")
                absent += library.search(words, 1, keywords="no", where=f"not name glob '{name}__*'")
    rejections("words -> sounds, ESC-10, classes withheld", present, absent)


def withheld_photos(library: Library, dev: Path) -> None:
    import json

    labels = {}
    for line in (dev / "manifest.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        labels[dev / row["path"]] = set(row.get("labels") or [])
    present: list[Hit] = []
    absent: list[Hit] = []
    for (words, kind), relevant in questions(dev).items():
        if kind != "photos":
            continue
        (photo,) = relevant
        like = [p for p in labels if p.parent.name == "coco" and (p == photo or labels[p] & labels[photo])]
        hidden = " or ".join(f"name = '{path.name}'" for path in like)
        present += library.search(words, 1, keywords="no", where="folder glob '*/coco'")
        absent += library.search(words, 1, keywords="no", where=f"folder glob '*/coco' and not ({hidden})")
    rejections("words -> photos, COCO, everything with a label of the photo withheld", present, absent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    dev = parser.parse_args().shared.resolve() / "data" / "dev"
    with tempfile.TemporaryDirectory() as folder:
        with mmsearch.open(Path(folder) / "all", space="starter") as library:
            notes = Path(mmsearch.__file__).parent / "samples" / "notes"
            library.ingest(*(dev / name for name in ("coco", "stamps", "esc10", "videos")), notes)
            mixed_list(library, dev)
            withheld_photos(library, dev)
        withheld_sounds(dev, Path(folder) / "sounds")


if __name__ == "__main__":
    main()

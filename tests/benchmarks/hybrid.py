"""What looking for the words themselves does to words -> image: `python -m tests.benchmarks.hybrid --shared DIR`.

The COCO photos' names are numbers, the stamps' are English words. Each kind in a library of its own, then both in one,
where the stamps' names are the other kind's distractors.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import mmsearch
from mmsearch.library import Library
from mmsearch.search.keywords import Mode
from tests.benchmarks.quality import rows

LIBRARIES = {"COCO": ("coco",), "stamps": ("stamps",), "COCO and stamps": ("coco", "stamps")}
DEPTHS = (1, 5, 10)


def ranks(library: Library, dev: Path, kind: str, mode: Mode) -> list[int]:
    """Of each query, the rank of the first relevant picture; one beyond the last depth if it is not among them."""
    found = []
    for row in rows(dev / "queries" / "text_to_image.tsv"):
        if row["relevant"].startswith(f"{kind}/"):
            relevant = {dev / name for name in row["relevant"].split(",")}
            hits = library.search(mmsearch.Query(text=row["query"]), DEPTHS[-1], modalities=("image",), mode=mode)
            found.append(next((hit.rank for hit in hits if hit.path in relevant), DEPTHS[-1] + 1))
    return found


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    dev = parser.parse_args(arguments).shared.resolve() / "data" / "dev"
    for title, kinds in LIBRARIES.items():
        with tempfile.TemporaryDirectory() as folder, mmsearch.open(Path(folder) / "library") as library:
            library.ingest(*(dev / kind for kind in kinds), modalities=("image",))
            for kind in kinds:
                for keywords in get_args(Mode):
                    best = ranks(library, dev, kind, keywords)
                    recalls = " / ".join(f"{sum(r <= k for r in best) / len(best):.1%}" for k in DEPTHS)
                    sys.stdout.write(
                        f"{title:<16} {kind:<7} keywords {keywords:<5} R@1/5/10 {recalls}  ({len(best)})\n"
                    )
                    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What `precision = auto` gains on a CPU that multiplies bfloat16: ingests of photos by ViT-B-32 with random weights.

    python -m tests.benchmarks.bfloat16 --shared ../shared --cache DIR [--photos 300] [--pairs 3]

Each ingest is a process of its own, imports and loading of the model included, in turn in `fp32` and `auto`; the first
line of `auto` has the trial in it, which a machine makes once for a model. DIR keeps the model; delete it afterwards.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import mmsearch
from mmsearch.core.config import Precision
from tests.benchmarks import vit
from tests.benchmarks.full_size import spent
from tests.benchmarks.speed import copies


def ingested(space: str, precision: Precision, shared: Path, photos: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        media = Path(place) / "media"
        copies(sorted((shared / "data" / "dev" / "coco").glob("*.jpg")), photos, media)
        with mmsearch.open(
            Path(place) / "library", space=space, precision=precision, device="cpu", ocr="off", speech="off"
        ) as library:
            wall, cpu = spent(lambda: library.ingest(media))
    print(f"{precision} {photos / wall:.1f} photos/s, {1000 * cpu / photos:.0f} ms of CPU a photo", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--precision", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    folder = chosen.cache / "vit"
    space = f"local-dir:{folder}" if folder.is_dir() else vit.save(folder)
    if chosen.precision:
        ingested(space, chosen.precision, chosen.shared, chosen.photos)
        return 0
    environment = {**os.environ, "XDG_CACHE_HOME": str(chosen.cache / "cache")}
    for precision in ["fp32", "auto"] * chosen.pairs:
        subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.bfloat16", *sys.argv[1:], "--precision", precision],
            env=environment, check=True,
        )  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

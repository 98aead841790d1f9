"""How near the estimate of a model's cost is to what an ingest takes: three models, three folders.

    python -m tests.benchmarks.estimate --shared ../shared --cache DIR [--seconds 300] [--cpu]

Models: `starter`, and with random weights ViT-B-32 and EmbeddingGemma 2 in its real size (70 soft tokens). Folders:
photos (COCO), sounds (ESC-10), and both with notes; notes alone (`--folders notes`) for ViT-B-32, which embeds no
sounds. They hold copies of distinct content, as many as the seconds hold by the estimate. That is `ModelCost.of` what
`folder_holdings` finds, the model being measured anew before each, or with `--kept` once, as users have it. The time
is that of an ingest into a new library which has the model loaded. `--cpu` compares CPU seconds of all processes with
the probe's, for a machine that others use. DIR keeps the models; delete it afterwards.
"""

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import process_time

import pytest

import mmsearch
from mmsearch.core.config import Settings
from mmsearch.models import cost
from mmsearch.models.holdings import folder_holdings
from tests.benchmarks import vit
from tests.benchmarks.full_size import model_folder, spent
from tests.benchmarks.speed import copies

MODELS = ("starter", "vit", "gemma")
FOLDERS: Mapping[str, Mapping[str, int]] = {
    "photos": {"dev/coco/*.jpg": 1},
    "sounds": {"dev/esc10/*.ogg": 1},
    "notes": {"notes": 1},
    "mixed": {"dev/coco/*.jpg": 4, "dev/esc10/*.ogg": 3, "notes": 1},
}
"""Folder -> pattern of originals -> parts of it."""
NOTE = "The heron stood at the weir as it had every morning, and nobody asked what it was waiting for. "
WITHIN = 0.3


def space_name(model: str, cache: Path) -> str:
    if model == "starter":
        return model
    if model == "gemma":
        return f"st:{model_folder(cache)},max_soft_tokens=70"
    folder = cache / "vit"
    return f"local-dir:{folder}" if folder.is_dir() else vit.save(folder)


def filled(folder: Path, kind: str, shared: Path, count: int) -> Path:
    """About so many files."""
    parts = FOLDERS[kind]
    for number, (pattern, share) in enumerate(parts.items()):
        wanted = max(1, count * share // sum(parts.values()))
        if pattern == "notes":
            (folder / "notes").mkdir(parents=True)
            for note in range(wanted):
                (folder / "notes" / f"{note}.txt").write_text(f"Note {note}. " + NOTE * (1 + note % 40))
        else:
            copies(sorted((shared / "data").glob(pattern)), wanted, folder / str(number))
    return folder


def compared(model: str, kind: str, chosen: argparse.Namespace) -> tuple[int, float, float, float]:
    """(files, seconds estimated, those taken by the wall, and CPU seconds taken)."""
    name = space_name(model, chosen.cache)
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        if chosen.cpu:
            patch.setattr(cost, "perf_counter", process_time)
        trial = filled(Path(place) / "trial", kind, chosen.shared, 24)
        measured = cost.measure_cost(name, again=not chosen.kept)
        print(measured, flush=True)
        each = measured.of(folder_holdings(None, [trial], Settings())) / 24
        files = max(24, round(chosen.seconds / max(each, 1e-4)))
        media = filled(Path(place) / "media", kind, chosen.shared, files)
        estimated = measured.of(folder_holdings(None, [media], Settings()))
        with mmsearch.open(Path(place) / "library", space=name, ocr="off", speech="off") as library:
            library.ingest(trial)  # loads the model, and measures it against the library
            wall, cpu = spent(lambda: library.ingest(media))
        return sum(len(names) for _, _, names in os.walk(media)), estimated, wall, cpu


def table(chosen: argparse.Namespace, models: Sequence[str], folders: Sequence[str]) -> bool:
    print("| model | folder | files | estimated | wall | CPU | estimated / taken |\n|---|---|---|---|---|---|---|")
    near = True
    for model in models:
        for kind in folders:
            files, estimated, wall, cpu = compared(model, kind, chosen)
            taken = cpu if chosen.cpu else wall
            near = near and 1 - WITHIN <= estimated / taken <= 1 + WITHIN
            seconds = (f"{one:.0f} s" for one in (estimated, wall, cpu))
            row = (model, kind, files, *seconds, f"{estimated / taken:.2f}")
            print(f"| {' | '.join(map(str, row))} |", flush=True)
    return near


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--kept", action="store_true", help="take what an earlier run has measured")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--folders", default="photos,sounds,mixed")
    chosen = parser.parse_args()
    return 0 if table(chosen, chosen.models.split(","), chosen.folders.split(",")) else 1


if __name__ == "__main__":
    raise SystemExit(main())

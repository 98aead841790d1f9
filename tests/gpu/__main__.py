"""python -m tests.gpu [REPORT] [--device cpu]: run every check on this machine's GPU and print, or write, the report.

With `--device cpu` they run in small on the CPU, which shows that the checks are whole, and nothing of a GPU.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from tests.gpu.checks import CHECKS, SMALL, Row, Trial, has_sentence_models

NO_GPU = 3
LACKING = "{} lacks embedding_gemma2: the checks of sentence-transformers' models need it (carry its wheel)"


def missing() -> str | None:
    """Why nothing can be run here; None if it can."""
    import torch

    return None if torch.cuda.is_available() else "torch sees no CUDA device"


def report(rows: Sequence[Row], trial: Trial) -> str:
    """As Markdown."""
    import torch

    device = torch.cuda.get_device_name() if trial.on_gpu else "a CPU, in small: no figure of it counts"
    about = f"{device}, torch {version('torch')}, transformers {version('transformers')}"
    lines = [
        "# On a GPU" if trial.on_gpu else "# Not on a GPU",
        "",
        f"`python -m tests.gpu` on {about}.",
        "",
        "| check | of | figure | holds |",
        "|---|---|---|---|",
    ]
    lines += [f"| {row.check} | {row.subject} | {row.figure} | {'yes' if row.holds else 'NO'} |" for row in rows]
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=__doc__)
    parser.add_argument("report", type=Path, nargs="?")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--only", default="", help="names of checks, with commas between")
    chosen = parser.parse_args(arguments)
    trial = SMALL if chosen.device == "cpu" else Trial()
    if trial.on_gpu and (why := missing()) is not None:
        print(f"not run: {why}")
        return NO_GPU
    if not has_sentence_models():
        print(LACKING.format(f"transformers {version('transformers')}"), file=sys.stderr)
    rows: list[Row] = []
    for check in CHECKS:
        if chosen.only and check.__name__ not in chosen.only.split(","):
            continue
        try:
            rows += check(trial)
        except Exception as error:  # the other checks are still wanted
            rows.append(Row(check.__name__, "-", f"{type(error).__name__}: {str(error)[:200]}", False))
    written = report(rows, trial)
    if chosen.report:
        chosen.report.write_text(written)
    print(written)
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""python -m tests.gpu [REPORT]: run every check on this machine's GPU and print, or write, the report."""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from tests.gpu.checks import CHECKS, Row

NO_GPU = 3
LACKING = "{} lacks {}: the checks of sentence-transformers' models need it (carry its wheel and install it first)"


def missing() -> str | None:
    """Why nothing can be run here; None if it can."""
    import torch

    if not torch.cuda.is_available():
        return "torch sees no CUDA device"
    try:
        import transformers.models.embedding_gemma2  # noqa: F401
    except ImportError:
        return LACKING.format(f"transformers {version('transformers')}", "embedding_gemma2")
    return None


def report(rows: Sequence[Row]) -> str:
    """As Markdown."""
    import torch

    about = f"{torch.cuda.get_device_name()}, torch {version('torch')}, transformers {version('transformers')}"
    lines = [
        "# On a GPU",
        "",
        f"`python -m tests.gpu` on {about}.",
        "",
        "| check | of | figure | holds |",
        "|---|---|---|---|",
    ]
    lines += [f"| {row.check} | {row.subject} | {row.figure} | {'yes' if row.holds else 'NO'} |" for row in rows]
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str]) -> int:
    if (why := missing()) is not None:
        print(f"not run: {why}")
        return NO_GPU
    rows: list[Row] = []
    for check in CHECKS:
        try:
            rows += check()
        except Exception as error:  # the other checks are still wanted
            rows.append(Row(check.__name__, "-", f"{type(error).__name__}: {str(error)[:200]}", False))
    written = report(rows)
    if arguments:
        Path(arguments[0]).write_text(written)
    print(written)
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

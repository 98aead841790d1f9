"""Drawing an evaluation: recall@k over k. Needs the extra `plot`."""

from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path

from mmsearch.errors import InvalidInput
from mmsearch.evaluate.types import DirectionResult, Evaluation

KINDS = (".png", ".svg", ".pdf")


def require(path: Path) -> None:
    """Raises: InvalidInput if `draw` could not write this file: no matplotlib, another kind, no folder."""
    if path.suffix.lower() not in KINDS:
        raise InvalidInput(f"can't draw a {path.suffix or 'file without suffix'}", hint=f"one of {', '.join(KINDS)}")
    if not path.parent.is_dir():
        raise InvalidInput(f"no such folder: {path.parent}", hint="make it first")
    if find_spec("matplotlib") is None:
        raise InvalidInput("drawing needs matplotlib", hint="pip install 'mmsearch[plot]'")


def draw_evaluation(evaluation: Evaluation, path: Path) -> None:
    """Write the curves to a file; its suffix says what kind. Raises: InvalidInput."""
    require(path)
    # Not pyplot: it would look for a display and keep every figure in memory.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for result in evaluation.directions:
        counts, shares = curve(result)
        axes.step(counts, shares, where="post", label=f"{result.name} ({len(result.outcomes)} queries)")
    axes.set_xscale("log")
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("k")
    axes.set_ylabel("recall@k")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    try:
        figure.savefig(path)
    except OSError as error:
        raise InvalidInput(f"can't write {path}: {error.strerror or error}") from error


def curve(result: DirectionResult) -> tuple[list[int], list[float]]:
    """k and recall@k at every k where it rises, from 1 to the number of items."""
    gains = {1: 0.0, result.items: 0.0}
    for outcome in result.outcomes:
        for rank in outcome.ranks:
            gains[rank] = gains.get(rank, 0.0) + 1 / len(outcome.ranks) / len(result.outcomes)
    counts = sorted(gains)
    return counts, list(accumulate(gains[k] for k in counts))

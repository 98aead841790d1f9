"""Drawing a training: loss and validation over the epochs. Needs the extra `plot`."""

from collections.abc import Sequence
from pathlib import Path

from mmsearch.errors import InvalidInput
from mmsearch.training.loop import Epoch


def draw(history: Sequence[Epoch], best: int, path: Path) -> None:
    """Write the curves to a file; its suffix says what kind (check it before: `evaluate.plot.require`).

    Raises: InvalidInput if the file can't be written.
    """
    # Not pyplot: it would look for a display and keep every figure in memory.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    numbers = [epoch.number for epoch in history]
    for name in history[0].measures:
        axes.plot(numbers, [epoch.measures[name] for epoch in history], label=f"validation {name}")
    axes.axvline(best, color="grey", linestyle=":", label="kept")
    axes.set_xlabel("epoch")
    axes.set_ylim(0, 1.02)
    losses = axes.twinx()
    losses.plot(numbers[1:], [epoch.loss for epoch in history[1:]], color="black", alpha=0.4)
    losses.set_ylabel("training loss")
    axes.legend(loc="lower right")
    try:
        figure.savefig(path)
    except OSError as error:
        raise InvalidInput(f"can't write {path}: {error.strerror or error}") from error

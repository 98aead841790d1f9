"""Drawing a training: loss and validation over the epochs; a confusion matrix. Needs the extra `plot`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmsearch.errors import InvalidInput
from mmsearch.training.loop import EpochReport


def draw_training(history: Sequence[EpochReport], best: int, path: Path) -> None:
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


def draw_confusion_matrix(counts: NDArray[np.int64], classes: Sequence[str], path: Path) -> None:
    """Write a confusion matrix to a file: shares of each row as shade, counts as figures.

    Args:
        counts: (classes, classes), row the label, column the prediction.

    Raises: InvalidInput if the file can't be written.
    """
    from matplotlib.figure import Figure

    side = 2.5 + 0.45 * len(classes)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("labelled")
    for row, column in np.argwhere(counts).tolist():
        shade = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=shade)
    try:
        figure.savefig(path)
    except OSError as error:
        raise InvalidInput(f"can't write {path}: {error.strerror or error}") from error

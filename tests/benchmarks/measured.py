"""Values of several variants under several changes, and the Markdown table of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmsearch.evaluate import metrics

Values = NDArray[np.float64]
"""(runs, queries)."""


@dataclass(frozen=True)
class Row:
    name: str
    values: Mapping[str, Values]
    """By variant."""


@dataclass(frozen=True)
class Table:
    """The second variant is the one that the later ones are compared with."""

    title: str
    clean: Row
    rows: tuple[Row, ...]
    size: int
    """Queries that stay together when they are drawn again: the captions of one photo."""
    digits: int

    def lines(self) -> Iterator[str]:
        first, base, *others = self.clean.values
        head = ["", first, base, "95 % of its drop"]
        head += [cell for name in others for cell in (name, f"minus {base}, 95 %")]
        yield f"| {' | '.join([self.title, *head[1:]])} |"
        yield "|---" * len(head) + "|"
        for row in (self.clean, *self.rows):
            drop = self.clean.values[base].mean(axis=0) - row.values[base].mean(axis=0)
            cells = [row.name, self.cell(row, first), self.cell(row, base)]
            cells.append("" if row is self.clean else self.bounds(-drop))
            for name in others:
                gain = row.values[name].mean(axis=0) - row.values[base].mean(axis=0)
                cells += [self.cell(row, name), f"{gain.mean():+.{self.digits}f} {self.bounds(gain)}"]
            yield f"| {' | '.join(cells)} |"

    def cell(self, row: Row, variant: str) -> str:
        """Mean, standard deviation over the runs, and the drop."""
        runs = row.values[variant].mean(axis=1)
        spread = float(runs.std(ddof=1)) if len(runs) > 1 else 0.0
        told = f"{runs.mean():.{self.digits}f}"
        if round(spread, self.digits):
            told += f" ± {spread:.{self.digits}f}"
        if row is self.clean:
            return told
        return f"{told} ({runs.mean() - self.clean.values[variant].mean():+.{self.digits}f})"

    def bounds(self, values: Values) -> str:
        """Bootstrap interval over what stays together, of values (queries,)."""
        low, high = metrics.interval(
            values.reshape(-1, self.size).mean(axis=1), np.mean, resamples=1000, seed=0
        )  # fmt: skip
        return f"[{low:+.{self.digits}f}, {high:+.{self.digits}f}]"

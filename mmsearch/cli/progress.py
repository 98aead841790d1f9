"""Ingest progress: a bar on a terminal, a plain line now and then in a pipe; always on standard error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

import click

from mmsearch.cli import output

if TYPE_CHECKING:
    from mmsearch.types import OnProgress, Progress

EVERY_S = 5.0
"""Seconds between two plain lines."""


@contextmanager
def progress(quiet: bool, doing: str = "ingest") -> Iterator["OnProgress | None"]:
    """A callback for `Library.ingest` and the like; None if nothing is to be shown."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar(doing) as callback:
            yield callback
    else:
        yield _Lines()


@contextmanager
def _bar(doing: str) -> Iterator["OnProgress"]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(), TextColumn("{task.fields[failed]}", style="yellow"),
    )  # fmt: skip
    console = Console(file=output.bar(sys.stderr))
    with Bar(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        output.guard()  # what is printed meanwhile comes above the bar, by a stream of rich's
        task = bar.add_task(doing, total=None, rate="", failed="")
        start = monotonic()

        def show(now: "Progress") -> None:
            rate = f"{now.files_done / max(monotonic() - start, 1e-6):.1f} files/s"
            failed = f"{now.failed} failed" if now.failed else ""
            said = now.stage if now.stage == "publish" else doing
            bar.update(
                task, description=said, total=now.files_total, completed=now.files_done, rate=rate, failed=failed
            )

        yield show


class _Lines:
    def __init__(self) -> None:
        self._start = self._last = monotonic()

    def __call__(self, now: "Progress") -> None:
        if monotonic() - self._last < EVERY_S or not now.files_done:
            return
        self._last = monotonic()
        rate = now.files_done / (self._last - self._start)
        left = (now.files_total - now.files_done) / rate
        failed = f", {now.failed} failed" if now.failed else ""
        message = f"{now.files_done}/{now.files_total} files, {rate:.1f} files/s, {left:.0f} s left{failed}"
        click.echo(message, err=True)

"""Ingest progress: a bar on a terminal, a plain line now and then in a pipe; always on standard error."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

import click

from mmsearch.cli import output
from mmsearch.core.pace import Pace, seconds_left

if TYPE_CHECKING:
    from mmsearch.types import OnProgress, Progress

EVERY_S = 5.0
"""Seconds between two plain lines."""

ENOUGH = 10
"""Files after which the time that is left can be told."""

STAGES = {"scan": "looking for files", "load": "loading the model", "wait": "waiting for an idle machine"}
"""What is said of a stage that moves no count."""

WORKING = {"publish": "writing the index", "extract": "looking for words"}
"""What is said of one that moves a count, but for the job itself."""


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
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[left]}"), TextColumn("{task.fields[failed]}", style="yellow"),
    )  # fmt: skip
    console = Console(file=output.bar(sys.stderr), no_color=bool(os.environ.get("NO_COLOR")) or None)
    with Bar(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        output.guard()  # what is printed meanwhile comes above the bar, by a stream of rich's
        task = bar.add_task(STAGES["scan"], total=None, rate="", left="", failed="")
        pace = Pace()

        def show(now: "Progress") -> None:
            speed = pace.of(now)
            said = STAGES.get(now.stage) or WORKING.get(now.stage, doing)
            moves = bool(now.files_done) and now.stage not in STAGES
            bar.update(
                task,
                description=said,
                total=now.files_total or None,
                completed=now.files_done,
                rate=f"{speed:.1f} files/s" if moves else "",
                left=_left(now, speed) if moves else "",
                failed=f"{now.failed} failed" if now.failed else "",
            )

        yield show


class _Lines:
    """A line when a model is loaded, one now and then, and the last one when all is done."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._last = monotonic()
        self._told = set[str]()
        self._counted: int | None = None

    def __call__(self, now: "Progress") -> None:
        speed = self._pace.of(now)
        if now.stage in ("load", "wait"):
            if now.stage not in self._told:
                self._told.add(now.stage)
                click.echo(STAGES[now.stage], err=True)
            return
        due = monotonic() - self._last >= EVERY_S and now.files_done
        last = now.stage == "done" and self._counted not in (None, now.files_done)
        if not (due or last) or self._counted == now.files_done:
            return
        self._counted, self._last = now.files_done, monotonic()
        failed = f", {now.failed} failed" if now.failed else ""
        left = _left(now, speed) if now.files_done < now.files_total else ""
        left = left and f", {left}"
        doing = f"{WORKING['extract']}: " if now.stage == "extract" else ""
        click.echo(f"{doing}{now.files_done}/{now.files_total} files, {speed:.1f} files/s{left}{failed}", err=True)


def _left(now: "Progress", speed: float) -> str:
    """Nothing before `ENOUGH` files are done: what the first ones took says little of the others."""
    if now.files_done < ENOUGH:
        return ""
    seconds = round(seconds_left(now, speed) or 0)
    if seconds < 90:
        return f"{seconds} s left"
    return f"{seconds // 60} min left" if seconds < 5400 else f"{seconds // 3600} h {seconds // 60 % 60} min left"

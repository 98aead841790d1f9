"""What `mmsearch query` takes in before it searches: a folder that the library does not know yet, and what is new."""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmsearch.cli import show
from mmsearch.cli.exit_codes import INTERRUPTED
from mmsearch.cli.ingest import stoppable
from mmsearch.cli.progress import progress
from mmsearch.core.kind_names import kind_name
from mmsearch.core.paths import absolute_path
from mmsearch.errors import InvalidInput, LibraryNotFound

if TYPE_CHECKING:
    from mmsearch import IngestEstimate, Library
    from mmsearch.core.filters.ast import Filter

LONG_S = 60.0
"""Seconds of work that are not begun without asking."""


def take_in(opened: "Library", folder: Path | None, *, update: bool, yes: bool) -> None:
    """Take in what is new in the folders that the library knows, if asked to, and a folder that it doesn't know.

    Raises: InvalidInput where it would take long, and nobody can be asked. Ends the command where somebody says no.
    """
    known = _roots(opened, update)
    wanted = [root for root in known if root.exists()] if update else []
    new = folder is not None and not _is_known(opened, folder, known)
    if folder is not None and new:
        wanted.append(folder)
    if not wanted:
        return
    found = opened.estimate(*wanted)
    if found.files:
        _agree(opened, folder if new else None, found, yes=yes)
    if found.files or update:
        _ingest(opened, wanted, quiet=not found.files)
    elif folder is not None and new:
        show.line(f"There is no picture, sound, video or text in {show.shorter(folder)}.", err=True)


def in_folder(folder: Path, filter: str | None) -> "Filter":
    """The filter that keeps what lies below a folder and matches `filter`, too."""
    from mmsearch.core.filters import filter_of
    from mmsearch.core.filters.ast import And, Comparison

    below = re.sub(r"[*?[]", r"[\g<0>]", os.fspath(folder).rstrip(os.sep)) + f"{os.sep}*"
    only, also = Comparison("path", "glob", below.encode("utf-8", "replace").decode()), filter_of(filter)
    return only if also is None else And((also, only))


def _roots(opened: "Library", update: bool) -> list[Path]:
    try:
        # One that only has excludes was never looked at.
        return [root.path for root in opened.roots() if root.items or root.scanned is not None]
    except LibraryNotFound:
        if update:
            raise
        return []


def _is_known(opened: "Library", folder: Path, roots: Sequence[Path]) -> bool:
    """Whether the folder was taken in, by itself or as a part of another that holds something there."""
    if folder in roots:
        return True
    return not set(roots).isdisjoint(folder.parents) and opened.count(in_folder(folder, None), missing=True) > 0


def _agree(opened: "Library", folder: Path | None, found: "IngestEstimate", *, yes: bool) -> None:
    what = f"{_counted(found)}, about {_time(found.seconds)}"
    if folder is not None:
        show.line(f"{show.shorter(folder)} becomes a folder of the library {opened.path}: {what}", err=True)
    else:
        show.line(f"New in the folders of the library {opened.path}: {what}", err=True)
    if yes or found.seconds <= LONG_S:
        return
    if not sys.stdin.isatty():
        raise InvalidInput(
            f"taking that in would take about {_time(found.seconds)}, and there is no terminal to ask on",
            hint="to agree, add --yes; or take it in first: mmsearch ingest FOLDER",
        )
    if not click.confirm("Take it in now?", default=True, err=True):
        raise SystemExit(INTERRUPTED)


def _counted(found: "IngestEstimate") -> str:
    """12 pictures, 1 sound"""
    return ", ".join(f"{n:,} {kind_name(kind, n)}" for kind, n in found.kinds.items())


def _time(seconds: float) -> str:
    """20 seconds, 3 minutes, 2.5 hours: rough as the guess is."""
    if seconds < 90:
        return f"{max(round(seconds, -1), 10):.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _ingest(opened: "Library", paths: Sequence[Path], *, quiet: bool) -> None:
    with stoppable() as cancel, progress(quiet) as shown:
        report = opened.ingest(*paths, on_progress=shown, cancel=cancel)
    for warning in report.warnings:
        show.line(f"Warning: {warning}", err=True)
    if report.failed:
        click.echo(f"{show.counted(report.failed.total(), 'file')} can't be read; why: mmsearch failures", err=True)
    if report.interrupted:
        click.echo("Interrupted: what was taken in is kept; go on with: mmsearch query --update WORDS", err=True)
        raise SystemExit(INTERRUPTED)


def absolute(folder: Path | None) -> Path | None:
    """As the library writes it."""
    return None if folder is None else absolute_path(folder)

"""What an ingest did, in the words of who owns the files; counts and stages with -v."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmsearch.cli import show
from mmsearch.cli.options import Command

if TYPE_CHECKING:
    from mmsearch.ingest import IngestReport

DONE = (
    ("new", "new"),
    ("changed", "changed"),
    ("moved", "moved"),
    ("copied", "copied"),
    ("restored", "back again"),
)
"""What a report counts of files that were taken in, and what that is called."""


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """How much a command tells."""

    verbose: bool = False
    quiet: bool = False


def told_options(command: Command) -> Command:
    """-v and -q."""
    command = click.option("-q", "--quiet", is_flag=True, help="Print nothing but warnings and errors.")(command)
    return click.option("-v", "--verbose", is_flag=True, help="Also print every count, and where the time went.")(
        command
    )


def print_summary(report: "IngestReport", library: Path, told: IngestSummary) -> None:
    """Nothing of it with -q but the warnings."""
    for text in () if told.quiet else _summary(report, library):
        show.line(text)
    for text in _details(report) if told.verbose and not told.quiet else ():
        show.line(text)
    for warning in report.warnings:
        show.line(f"Warning: {warning}", err=True)
    if report.interrupted:
        click.echo("Interrupted: what was done is kept, the same command goes on from here.", err=True)


def files(number: int, what: str = "") -> str:
    """ "1 new file", "2 new files"."""
    return show.counted(number, f"{what} file" if what else "file")


def _summary(report: "IngestReport", library: Path) -> Iterator[str]:
    taken = [(getattr(report, name), called) for name, called in DONE if getattr(report, name)]
    verb = "Would take in" if report.dry_run else "Took in"
    said = [files(*taken[0]), *(f"{n:,} {called}" for n, called in taken[1:])] if taken else ["nothing new"]
    same = f", {report.unchanged:,} unchanged" if report.unchanged else ""
    yield f"{verb} {', '.join(said)}{same}"
    if report.queued:
        yield f"Queued {files(report.queued)}. Take them in, here or elsewhere: mmsearch worker"
    if failed := report.failed.total():
        yield f"{files(failed)} could not be read. See why: mmsearch failures"
    if report.failed_before:
        again = files(report.failed_before)
        yield f"{again} could not be read before and not tried again: mmsearch failures --retry"
    if report.not_embedded:
        yield f"{files(report.not_embedded)} of kinds that this library's model doesn't know"
    if left := report.skipped.total() + report.other_modality:
        reasons = [
            *sorted(report.skipped.items()),
            *([("another kind", report.other_modality)] * bool(report.other_modality)),
        ]
        yield f"Left out {left:,}: {', '.join(f'{reason} {n:,}' for reason, n in reasons)}"
    if report.missing:
        gone = files(report.missing)
        yield f"{gone} not there any more; the library keeps what it knows of them until: mmsearch prune"
    yield f"Library: {show.shorter(library)}"


def _details(report: "IngestReport") -> Iterator[str]:
    counted = ("new", "changed", "moved", "copied", "restored", "unchanged", "failed_before", "not_embedded", "missing")
    yield ", ".join(f"{name.replace('_', ' ')} {getattr(report, name)}" for name in counted)
    for kind, n in sorted(report.failed.items()):
        yield f"failed ({kind}): {n}"
    stages = ", ".join(f"{stage} {spent:.1f}" for stage, spent in report.seconds.items() if spent >= 0.05)
    embedded = f"{files(report.files)}, {show.counted(report.embedded, 'segment')} embedded"
    yield f"{embedded} in {report.wall_s:.1f} s ({stages or '-'})"

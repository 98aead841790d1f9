"""mmsearch watch"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from mmsearch.cli import show
from mmsearch.cli.options import (
    FilePath,
    device_options,
    json_option,
    library_option,
    manners_options,
    open_for_work,
    scan_options,
)

if TYPE_CHECKING:
    from mmsearch import IngestReport, Watch, WatchEvent

COUNTED = ("new", "changed", "moved", "copied", "restored", "missing")


@click.command()
@click.argument("paths", nargs=-1, required=True, type=FilePath())
@library_option
@scan_options
@manners_options
@device_options
@json_option
def watch(paths: tuple[Path, ...], library: Path | None, as_json: bool, **options: Any) -> None:
    """Ingest what changes in folders, until Ctrl-C.

    It begins with an ingest of all of them. With --json, each event is a line of JSON.
    """
    settings = {name: options.pop(name) for name in ("space", "workers", "jobs", "nice", "device", "precision")}
    with open_for_work(library, **settings) as opened:
        watching = opened.watch(*paths, on_event=_print_json if as_json else _print, **options)
        with _stopped_by_signals(watching):
            watching.run()


@contextmanager
def _stopped_by_signals(watching: "Watch") -> Iterator[None]:
    """Ctrl-C, and what services are ended with, stop after the files in hand; the second one stops at once."""

    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, before[signal.Signals(number)])
        watching.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print(event: "WatchEvent") -> None:
    if event.kind == "rest":
        return
    if event.report is not None:
        _print_report(event.report)
        return
    where = ", ".join(map(str, event.paths))
    said = {
        "watching": f"watching {where}",
        "unwatched": f"scanned now and then: {where}",
        "away": f"away: {where}",
        "lost": "more changed than could be told: everything is scanned",
        "waiting": "not taken in yet, tried again",
    }[event.kind]
    warns = event.kind in ("unwatched", "away", "waiting")
    show.line(f"{said} ({event.message})" if event.message else said, err=warns)


def _print_report(report: "IngestReport") -> None:
    counts = [(name, getattr(report, name)) for name in COUNTED] + [("failed", report.failed.total())]
    if told := ", ".join(f"{name} {count}" for name, count in counts if count):
        click.echo(told)
    for warning in report.warnings:
        show.line(f"Warning: {warning}", err=True)


def _print_json(event: "WatchEvent") -> None:
    report = None if event.report is None else event.report.as_dict()
    show.echo_json_line({**asdict(event), "paths": list(map(str, event.paths)), "report": report})

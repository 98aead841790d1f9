"""mmsearch extract, mmsearch transcript"""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmsearch.cli import show
from mmsearch.cli.exit_codes import INTERRUPTED
from mmsearch.cli.ingest import stoppable
from mmsearch.cli.options import FilePath, json_option, library_option, manners_options, open_for_work, open_library
from mmsearch.cli.progress import progress

if TYPE_CHECKING:
    from mmsearch.extract.extractors import ExtractionEstimate
    from mmsearch.extract.library_extraction import ExtractionAdded

SHOWN = 20
"""Files listed that no words came of; --json has all."""


@click.group()
def extract() -> None:
    """Find what is said and what is written in pictures.

    Needs an extra: `pip install 'mmsearch[speech]'` or `'mmsearch[ocr]'`. See `mmsearch help extract`.
    """


@extract.command("add")
@click.argument("name")
@click.argument("path", required=False, type=FilePath())
@library_option
@click.option("--workers", type=click.IntRange(min=1), help="Processes. Default: one per CPU core, at most 8.")
@click.option("--retry", is_flag=True, help="Try again the files that failed before.")
@click.option("--dry-run", is_flag=True, help="Only say what it would take.")
@manners_options
@json_option
def add_extractor(
    name: str, path: Path | None, library: Path | None, retry: bool, dry_run: bool, as_json: bool, **settings: Any
) -> None:
    """Listen to files (NAME is speech) or read pictures (ocr).

    Searching and ingesting continue. Ctrl-C or a kill loses at most the current files; run the command again to
    continue.
    """
    with open_for_work(library, **settings) as opened:
        estimate = opened.extract.estimate(name, path, retry=retry)
        if dry_run:
            show.echo_json(asdict(estimate)) if as_json else show.line(_estimated(estimate))
            return
        if not as_json:
            show.line(_estimated(estimate))
        with stoppable() as cancel, progress(as_json, "extract add") as shown:
            done = opened.extract.add(name, path, retry=retry, on_progress=shown, cancel=cancel)
    show.echo_json(asdict(done)) if as_json else _print_added(done)
    if done.interrupted:
        raise SystemExit(INTERRUPTED)


@extract.command("list")
@library_option
@json_option
def list_extracted(library: Path | None, as_json: bool) -> None:
    """List what was extracted, and from how many files."""
    with open_library(library) as opened:
        found = opened.extract.list()
    if as_json:
        show.echo_json([asdict(one) for one in found])
        return
    rows = [
        (
            one.extractor, one.source, str(one.contents), str(one.with_text), str(one.segments),
            str(one.failed or "-"), str(one.skipped or "-"),
        )
        for one in found
    ]  # fmt: skip
    show.table(("name", "finds what is", "files", "with text", "passages", "failed", "skipped"), rows)


@extract.command("drop")
@click.argument("name")
@library_option
def drop_extractor(name: str, library: Path | None) -> None:
    """Forget what NAME extracted.

    Searches answer as they did before.
    """
    with open_library(library) as opened:
        gone = opened.extract.drop(name)
    show.line(f"forgotten: {gone.segments} passages of {gone.contents} files, {show.size(gone.freed)} freed")


@click.command()
@click.argument("file", type=FilePath())
@library_option
@click.option("--srt", is_flag=True, help="As SubRip subtitles.")
@click.option("--vtt", is_flag=True, help="As WebVTT subtitles.")
@json_option
def transcript(file: Path, library: Path | None, srt: bool, vtt: bool, as_json: bool) -> None:
    """Print what is said in FILE, a sound or a video.

    Its subtitles are used where it has some, else what `extract add speech` heard.
    """
    with open_library(library) as opened:
        lines = () if srt or vtt else opened.extract.transcript(file)
        subtitles = opened.extract.subtitles(file, "srt" if srt else "vtt") if srt or vtt else ""
    for line in subtitles.splitlines():
        show.line(line)
    if as_json:
        show.echo_json([{**asdict(line), "scores": dict(line.scores)} for line in lines])
    else:
        for one in lines:
            show.line(f"{show.clock(one.start or 0.0)}\t{' '.join(one.text.split())}")


def _estimated(found: "ExtractionEstimate") -> str:
    """What a run will take, in a line."""
    if not found.contents:
        return f"{found.extractor}: nothing new to look at"
    kinds = ", ".join(f"{n} {kind}" for kind, n in found.contents.items())
    sound = f", {_long(found.seconds)} of sound" if found.seconds else ""
    return f"{found.extractor}: {kinds}{sound}; about {_long(found.cpu_s)} on one core"


def _long(seconds: float) -> str:
    """ "40 min"."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 1):.0f} s"


def _print_added(done: "ExtractionAdded") -> None:
    click.echo(
        f"{done.extractor}: {show.counted(done.files, 'file')}, {done.with_lines} with text, "
        f"{show.counted(done.segments, 'passage')} in {done.wall_s:.1f} s"
    )
    for why, n in done.skipped.items():
        show.line(f"left out ({why}): {n}")
    for kind, n in sorted(Counter(one.failure for one in done.problems).items()):
        show.line(f"failed ({kind}): {n}")
    for one in done.problems[:SHOWN]:
        show.line(f"  {show.shorter(one.path)}: {one.reason}", err=True)
    if done.interrupted:
        click.echo("Interrupted: what was done is kept, the same command goes on from here.", err=True)

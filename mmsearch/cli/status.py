"""mmsearch status, mmsearch failures"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmsearch.cli import show
from mmsearch.cli.ingest import print_report, stoppable
from mmsearch.cli.options import json_option, library_option, manners_options, open_for_work, open_library
from mmsearch.cli.progress import progress
from mmsearch.cli.summary import IngestSummary, told_options

if TYPE_CHECKING:
    from mmsearch import QueueStatus


@click.command()
@library_option
@json_option
def status(library: Path | None, as_json: bool) -> None:
    """Show what the library holds."""
    with open_library(library) as opened:
        found = opened.status()
    if as_json:
        show.echo_json(asdict(found))
        return
    show.line(f"library  {found.path}")
    show.line(f"space    {found.space}, {found.dim} dimensions, fingerprint {found.fingerprint[:12]}")
    for c in found.counts:
        missing = f" ({c.missing} missing)" if c.missing else ""
        held = f"{show.counted(c.segments, 'segment')}, {show.counted(c.vectors, 'vector')}"
        show.line(f"{c.modality:<8} {show.counted(c.items, 'item')}{missing}, {held}")
    if found.bundles:
        click.echo(f"bundles  {show.counted(found.bundles, 'stem')} that several files share")
    kept = f", originals {show.size(found.original_bytes)}" if found.original_bytes else ""
    click.echo(f"disk     catalog {show.size(found.catalog_bytes)}, indexes {show.size(found.index_bytes)}{kept}")
    failed = ", ".join(f"{kind} {n}" for kind, n in found.failures.items()) or "none"
    show.line(f"failures {failed}")
    if found.not_embedded:
        click.echo(f"besides  {show.counted(found.not_embedded, 'file')} of kinds that this space doesn't embed")
    for model in found.models:
        if model.lacking:
            lacks = show.counted(model.lacking, "distinct file")
            show.line(f"model    {model.name} lacks {lacks}: mmsearch model add {model.name}")
    if found.newer:
        show.line(f"model    a newer version of {found.space} is here: {found.newer}")
    if found.queue is not None:
        show.line(f"queue    {_queue(found.queue)}")
    if run := found.last_run:
        show.line(f"last     {run.state}, started {run.started_at[:19]} UTC")


def _queue(found: "QueueStatus") -> str:
    claimed = f"{found.claimed:,} claimed by {show.counted(found.workers, 'worker')}"
    if not found.claimed and found.waiting:
        claimed = "no worker has claimed any: mmsearch worker"
    return f"{show.counted(found.waiting, 'file')} waiting, {claimed}" if found.waiting or found.claimed else "empty"


@click.command()
@library_option
@click.option("--retry", is_flag=False, flag_value="all", metavar="[CLASS]", help="Try them again: all, or one class.")
@click.option("--follow-links", is_flag=True, help="With --retry: follow links that lead out of their folder.")
@manners_options
@told_options
@json_option
def failures(
    library: Path | None, retry: str | None, follow_links: bool, jobs: int | None, nice: int | None,
    verbose: bool, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """List the files that could not be read, and why."""
    if retry is not None:
        told = IngestSummary(verbose, quiet)
        with (
            open_for_work(library, jobs=jobs, nice=nice) as opened,
            stoppable() as cancel,
            progress(as_json or quiet) as shown,
        ):
            report = opened.retry(None if retry == "all" else retry, shown, cancel, follow_links=follow_links)
        print_report(report, opened.path, told, as_json=as_json)
        return
    with open_library(library) as opened:
        found = opened.failures()
    if as_json:
        show.echo_json([asdict(failure) for failure in found])
        return
    rows = [(f.failure, str(f.attempts), show.shorter(f.path), f.reason) for f in found]
    show.table(("class", "tries", "path", "reason"), rows, wrap="reason")

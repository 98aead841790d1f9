"""mmsearch worker"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmsearch.cli import show
from mmsearch.cli.ingest import stoppable
from mmsearch.cli.options import device_options, library_option, manners_options, open_for_work

if TYPE_CHECKING:
    from mmsearch.ingest import IngestReport


@click.command()
@library_option
@click.option("--claim", type=click.IntRange(1, 4096), default=64, show_default=True, help="Files claimed at once.")
@click.option(
    "--lease",
    "lease_s",
    type=click.FloatRange(1, 86_400),
    default=600,
    show_default=True,
    help="Seconds after which others may claim what this one died of.",
)
@click.option("--until-empty", is_flag=True, help="End once nothing waits.")
@click.option(
    "--map", "mapped", multiple=True, metavar="THERE=HERE", help="A folder that is elsewhere here; repeatable."
)
@manners_options
@device_options
def worker(library: Path | None, **options: Any) -> None:
    """Take in what ingest --queue found, beside other workers.

    The library is on a server (--library postgresql://...). Start as many as there are machines and GPUs; one that
    dies loses nothing, its files return to the queue. Ctrl-C stops after the current files.
    """
    settings = {name: options.pop(name) for name in ("jobs", "nice", "device", "precision")}

    def told(report: "IngestReport") -> None:
        taken = report.new + report.changed + report.copied + report.restored
        failed = f", {report.failed.total():,} could not be read" if report.failed else ""
        show.line(f"Took in {show.counted(taken, 'file')} in {report.wall_s:.1f} s{failed}")
        for warning in report.warnings:
            show.line(f"Warning: {warning}", err=True)

    with open_for_work(library, **settings) as opened, stoppable() as cancel:
        opened.work(on_claim=told, cancel=cancel, **options)

"""mmsearch doctor"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from mmsearch.cli import show
from mmsearch.cli.exit_codes import CHECK_FAILED
from mmsearch.cli.options import device_options, json_option, library_option, open_library
from mmsearch.types import Location


@click.command()
@library_option
@device_options
@click.option("--paths", is_flag=True, help="Show every place that mmsearch uses on this machine instead.")
@click.option("--mend", is_flag=True, help="First keep all files of the library to you alone.")
@json_option
def doctor(
    library: Path | None, device: str | None, precision: str | None, paths: bool, mend: bool, as_json: bool
) -> None:
    """Check everything that mmsearch needs.

    Changes nothing without --mend. The exit code is 8 if something is wrong.
    """
    with open_library(library, device=device, precision=precision) as opened:
        if mend:
            changed = opened.mend()
            click.echo(f"{changed} files and folders are yours alone now.", err=True)
        if paths:
            _show_places(opened.locations(), as_json)
            return
        findings = opened.doctor()
    if as_json:
        show.echo_json([asdict(finding) for finding in findings])
    else:
        rows = [(show.state(f.state), f.subject, f.detail + (f" -> {f.remedy}" if f.remedy else "")) for f in findings]
        show.table(("", "what", "seen"), rows, wrap="seen")
    if any(finding.state == "error" for finding in findings):
        raise SystemExit(CHECK_FAILED)


def _show_places(places: Sequence[Location], as_json: bool) -> None:
    if as_json:
        show.echo_json([asdict(place) for place in places])
        return
    rows = [(p.name, "-" if p.bytes is None else show.size(p.bytes), str(p.path), p.detail) for p in places]
    show.table(("what", "size", "where", "holds"), rows, wrap=("where", "holds"))

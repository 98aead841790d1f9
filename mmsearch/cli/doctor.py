"""mmsearch doctor"""

import sys
from dataclasses import asdict
from pathlib import Path

import click

from mmsearch.cli import show
from mmsearch.cli.options import device_options, json_option, library_option, open_library


@click.command()
@library_option
@device_options
@json_option
def doctor(library: Path | None, device: str | None, precision: str | None, as_json: bool) -> None:
    """Check everything that mmsearch needs.

    Changes nothing. The exit code is 1 if something is wrong.
    """
    with open_library(library, device=device, precision=precision) as opened:
        findings = opened.doctor()
    if as_json:
        show.echo_json([asdict(finding) for finding in findings])
    else:
        rows = [(f.state, f.subject, f.detail + (f" -> {f.remedy}" if f.remedy else "")) for f in findings]
        show.table(("", "what", "seen"), rows, wrap="seen")
    if any(finding.state == "error" for finding in findings):
        sys.exit(1)

"""mmsearch audit"""

from collections import deque
from dataclasses import asdict
from pathlib import Path

import click

from mmsearch.cli import show
from mmsearch.cli.options import json_option, library_option, open_library
from mmsearch.errors import LibraryError


@click.group()
def audit() -> None:
    """Who asked a server of the library for what.

    Servers write it where the library has tokens, or the setting `audit` is on. See `mmsearch help access`.
    """


@audit.command("list")
@click.option("--who", metavar="NAME", help="Only what this token's holder asked.")
@click.option("-n", "count", type=click.IntRange(1), default=50, show_default=True, help="The last so many.")
@library_option
@json_option
def list_entries(who: str | None, count: int, library: Path | None, as_json: bool) -> None:
    """List what was asked, the newest last."""
    with open_library(library) as opened:
        found = deque((one for one in opened.audit.entries() if who in (None, one.who)), count)
        if as_json:
            show.echo_json([asdict(one) for one in found])
            return
        known = opened.get_many([item for one in found for item in one.items]) if found else {}
    rows = []
    for one in found:
        items = [known[item].path.name if item in known else f"item {item}" for item in one.items]
        about = " ".join([*items, *([repr(one.query)] if one.query is not None else [])])
        rows.append((one.at[:19], one.who, one.what, about or "-", str(one.status or "-")))
    show.table(("time (UTC)", "who", "what", "about", "status"), rows, wrap="about")


@audit.command()
@click.option("--since", metavar="HEAD", help="A head that was told earlier: whether that entry is there still.")
@library_option
@json_option
def verify(since: str | None, library: Path | None, as_json: bool) -> None:
    """Check that no entry was altered, cut off or moved.

    It tells the head of the log. Noted elsewhere, that shows later whether all was written anew.
    """
    with open_library(library) as opened:
        found = opened.audit.verify(since)
    if as_json:
        show.echo_json(asdict(found))
    else:
        show.line(f"entries: {found.entries}")
        show.line(f"head: {found.head}")
    if found.problems:
        more = f", and {len(found.problems) - 3} more" if len(found.problems) > 3 else ""
        raise LibraryError(
            f"the audit log is not as it was written: {'; '.join(found.problems[:3])}{more}",
            hint="keep a copy of it as it is, and find out who may write the library's folder",
        )

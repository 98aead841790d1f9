"""mmsearch token"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmsearch.cli import show
from mmsearch.cli.options import json_option, library_option, open_library

if TYPE_CHECKING:
    from mmsearch.core.tokens import Scope


@click.group()
def token() -> None:
    """Let other people ask a server of the library.

    Each token has a name, may read or manage, and may be for what matches a filter alone. See `mmsearch help access`.
    """


@token.command()
@click.argument("name")
@click.option(
    "--scope", type=click.Choice(("read", "manage")), default="read", show_default=True,
    help="read: search and look; manage: whatever the server lets its owner do.",
)  # fmt: skip
@click.option("--filter", "within", metavar="FILTER", help="Only what matches is there for its holder.")
@library_option
def create(name: str, scope: "Scope", within: str | None, library: Path | None) -> None:
    """Make a token and print it, once."""
    with open_library(library) as opened:
        made = opened.tokens.create(name, scope, within)
        opened.audit.record("shell", f"token create {name}")
        click.echo(made)
        if within is not None:
            click.echo(f"Its holder sees {opened.count(within)} of {opened.count()} items.", err=True)
        click.echo("It is not shown again: hand it over now. They send it as Authorization: Bearer TOKEN.", err=True)


@token.command("list")
@library_option
@json_option
def list_tokens(library: Path | None, as_json: bool) -> None:
    """List tokens; what is kept of them lets nobody in."""
    with open_library(library) as opened:
        found = opened.tokens.list()
    if as_json:
        show.echo_json([asdict(one) for one in found])
        return
    rows = [(one.name, one.scope, one.filter or "-", one.created) for one in found]
    show.table(("name", "scope", "filter", "created"), rows, wrap="filter")


@token.command()
@click.argument("name")
@library_option
def revoke(name: str, library: Path | None) -> None:
    """End a token at once, and the sessions that were begun with it."""
    with open_library(library) as opened:
        opened.audit.record("shell", f"token revoke {name}")
        opened.tokens.revoke(name)
    show.line(f"revoked: {name}")

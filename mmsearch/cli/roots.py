"""mmsearch roots"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmsearch.cli import show
from mmsearch.cli.options import FilePath, json_option, library_option, open_library
from mmsearch.cli.prune import prune_and_tell
from mmsearch.core.paths import absolute_path
from mmsearch.errors import LibraryNotFound

if TYPE_CHECKING:
    from mmsearch.library import Library
    from mmsearch.types import LibraryRoot


@click.command()
@click.argument("folder", required=False, type=FilePath())
@click.option(
    "--exclude", multiple=True, metavar="GLOB", help="Leave this out below FOLDER from now on, as ingest does."
)
@click.option("--include", multiple=True, metavar="GLOB", help="Leave this out no longer: a glob as it is listed.")
@library_option
@json_option
def roots(
    folder: Path | None, exclude: tuple[str, ...], include: tuple[str, ...], library: Path | None, as_json: bool
) -> None:
    """List ingested folders, or keep excludes with one.

    Excludes that are kept with FOLDER count for every ingest at or below it.
    """
    if folder is None and (exclude or include):
        raise click.UsageError("say of which folder: mmsearch roots FOLDER --exclude GLOB")
    with open_library(library) as opened:
        if folder is not None and (exclude or include):
            before = _kept(opened, folder)
            if unknown := set(include) - set(before):
                raise click.UsageError(
                    f"nothing is left out by {', '.join(map(repr, sorted(unknown)))}: see mmsearch roots"
                )
            opened.set_excludes(folder, [*(glob for glob in before if glob not in include), *exclude])
        found = [root for root in opened.roots() if folder is None or root.path == absolute_path(folder)]
        if as_json:
            show.echo_json([asdict(root) for root in found])
            return
        show.table(("path", "excluded", "last scan", "items", "state"), map(_row, found), wrap=("path", "excluded"))
        if folder is not None and exclude and any(root.items + root.missing for root in found):
            if sys.stdin.isatty() and sys.stdout.isatty():
                if click.confirm("Forget what is known already of what is left out now?"):
                    prune_and_tell(opened, (folder,), excluded=True)
            else:
                click.echo("What is known of it already stays until: mmsearch prune --excluded", err=True)


def _kept(opened: "Library", folder: Path) -> tuple[str, ...]:
    """The globs that are kept with a folder."""
    try:
        return next((root.exclude for root in opened.roots() if root.path == absolute_path(folder)), ())
    except LibraryNotFound:
        return ()


def _row(root: "LibraryRoot") -> tuple[str, ...]:
    scanned = "-" if root.scanned is None else f"{root.scanned:%Y-%m-%d %H:%M} UTC"
    return (
        show.shorter(root.path),
        " ".join(root.exclude) or "-",
        scanned,
        str(root.items),
        "" if root.there else "not there",
    )

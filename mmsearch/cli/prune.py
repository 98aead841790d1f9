"""mmsearch remove, mmsearch prune"""

from pathlib import Path

import click

from mmsearch.cli import show
from mmsearch.cli.options import FilePath, library_option, open_library


@click.command()
@click.argument("paths", nargs=-1, required=True, type=FilePath())
@library_option
def remove(paths: tuple[Path, ...], library: Path | None) -> None:
    """Forget everything at or below PATHS.

    The files themselves are not touched.
    """
    with open_library(library) as opened:
        click.echo(f"forgot {opened.remove(*paths)} items")


@click.command()
@library_option
def prune(library: Path | None) -> None:
    """Forget items whose files are missing, and free their space.

    Ingest never does this by itself.
    """
    with open_library(library) as opened:
        pruned = opened.prune()
    click.echo(f"forgot {pruned.items} missing items, freed {show.size(pruned.freed)}")

"""mmsearch backup, mmsearch restore"""

from pathlib import Path

import click

from mmsearch.cli import show
from mmsearch.cli.options import library_option, open_library

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=_FILE)
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
@library_option
def backup(file: Path, force: bool, library: Path | None) -> None:
    """Write all that the library knows into FILE. Searching and ingesting may go on meanwhile."""
    with open_library(library) as opened:
        click.echo(f"wrote {show.size(opened.backup(file, overwrite=force))}")


@click.command()
@click.argument("file", type=_FILE)
@click.option("--force", is_flag=True, help="Replace the library that is there; its catalog is kept as a .bak file.")
@library_option
def restore(file: Path, force: bool, library: Path | None) -> None:
    """Make the library what it was when FILE was written by `mmsearch backup`."""
    with open_library(library) as opened:
        click.echo(f"restored {opened.restore(file, overwrite=force)} items")

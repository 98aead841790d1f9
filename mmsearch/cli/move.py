"""mmsearch move"""

from pathlib import Path

import click

from mmsearch.cli import show
from mmsearch.cli.options import LibraryPath, json_option, open_library


@click.command()
@click.argument("source", type=LibraryPath(file_okay=False))
@click.argument("target", type=LibraryPath(file_okay=False))
@json_option
def move(source: Path, target: Path, as_json: bool) -> None:
    """Copy a library to a server, or back to files.

    SOURCE and TARGET are folders, or addresses (postgresql://...). Ids, vectors and answers stay the same; SOURCE is
    left as it is. Run the command again to go on where it ended.
    """
    with open_library(source) as opened:
        moved = opened.move_to(target)
    if as_json:
        show.echo_json({"rows": moved.rows, "vectors": moved.vectors})
        return
    show.line(
        f"Copied {show.counted(moved.rows['items'], 'file')} with {moved.rows['embeddings']:,} vectors to {target}"
    )
    show.line("Both are the same: rows counted, vectors compared. The source is as it was; remove it when you want.")

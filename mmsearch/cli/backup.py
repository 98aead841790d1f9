"""mmsearch backup, restore, export, import"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmsearch.cli import show
from mmsearch.cli.options import FilePath, json_option, library_option, open_library

if TYPE_CHECKING:
    from mmsearch.maintenance.anonymised import Identifying

IDENTIFYING: "tuple[Identifying, ...]" = ("paths", "names", "places", "dates", "texts")
_FOLDER = FilePath(file_okay=False)
_FILE = FilePath()


@click.command()
@click.argument("file", type=_FILE)
@click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")
@library_option
def backup(file: Path, force: bool, library: Path | None) -> None:
    """Write everything that the library knows into FILE.

    Searching and ingesting may continue meanwhile.
    """
    with open_library(library) as opened:
        click.echo(f"wrote {show.size(opened.backup(file, overwrite=force))}")


@click.command()
@click.argument("file", type=_FILE)
@click.option("--force", is_flag=True, help="Replace an existing library; its catalog is kept as a .bak file.")
@library_option
def restore(file: Path, force: bool, library: Path | None) -> None:
    """Bring a library back from FILE, which `backup` wrote."""
    with open_library(library) as opened:
        click.echo(f"restored {show.counted(opened.restore(file, overwrite=force), 'item')}")


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option("--anonymise", is_flag=True, help="Leave out paths, names, places, dates and texts.")
@click.option("--keep", multiple=True, type=click.Choice(IDENTIFYING), help="With --anonymise: but keep these.")
@click.option("--without-vectors", is_flag=True, help="Leave out vectors, which tell much of what they are made of.")
@click.option("--plain", is_flag=True, help="Of an encrypted library, too, though an export is not encrypted.")
@library_option
@json_option
def export(
    folder: Path,
    anonymise: bool,
    keep: "tuple[Identifying, ...]",
    without_vectors: bool,
    plain: bool,
    library: Path | None,
    as_json: bool,
) -> None:
    """Write items and vectors into a new FOLDER.

    Any program can read its files (JSON Lines, .npy), and `mmsearch import` merges them into another library.
    """
    left_out = [one for one in IDENTIFYING if anonymise and one not in keep]
    with open_library(library) as opened:
        done = opened.export(folder, anonymise=left_out, vectors=not without_vectors, plain=plain)
    if as_json:
        show.echo_json(done._asdict())
        return
    held = f"{show.counted(done.contents, 'content')}, {show.counted(done.segments, 'vector')}"
    click.echo(f"wrote {show.counted(done.items, 'item')}, {held}, {show.size(done.bytes)}")
    _tell_of(done.models, done.trained)


@click.command("import")
@click.argument("folder", type=_FOLDER)
@click.option(
    "--root", "roots", multiple=True, metavar="OLD=NEW", help="Files below OLD are below NEW on this machine."
)
@click.option("--space", metavar="NAME", help="Model of a new library. Default: starter.")
@click.option("--model", "models", multiple=True, metavar="NAME", help="Also take the vectors of this model.")
@library_option
@json_option
def import_folder(
    folder: Path,
    roots: tuple[str, ...],
    space: str | None,
    models: tuple[str, ...],
    library: Path | None,
    as_json: bool,
) -> None:
    """Merge a FOLDER that `export` wrote into the library.

    What the library already knows stays as it is.
    """
    with open_library(library, space=space) as opened:
        done = opened.import_(folder, dict(_pair(root) for root in roots), models)
    if as_json:
        show.echo_json(done._asdict())
        return
    taken = f"{show.counted(done.items, 'item')}, {show.counted(done.contents, 'content')}"
    click.echo(f"took in {taken}; {show.counted(done.known, 'item')} known before")
    if done.other:
        click.echo(f"{done.other} paths hold something else here, and were left as they are")
    _tell_of(done.models, done.trained)
    for name, why in done.left:
        show.line(f"left out {name}: {why}")


def _tell_of(models: Sequence[str], trained: Sequence[str]) -> None:
    for what, names in (("other models' vectors", models), ("trained models", trained)):
        if names:
            show.line(f"{what}: {', '.join(names)}")


def _pair(given: str) -> tuple[str, str]:
    old, equals, new = given.partition("=")
    if not (old and equals and new):
        raise click.BadParameter(f"say OLD=NEW, not {given!r}", param_hint="--root")
    return old, new

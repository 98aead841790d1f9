"""mmsearch duplicates"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmsearch.cli import show
from mmsearch.cli.options import json_option, library_option, open_library, split_modalities

if TYPE_CHECKING:
    from mmsearch.search.duplicates import Duplicate


@click.command()
@library_option
@click.option("--threshold", type=float, help="Cosine of near-duplicates, e.g. 0.98. Default: the setting similarity.")
@click.option(
    "--in", "modalities", callback=split_modalities, metavar="KINDS", help="Only these kinds, e.g. image,audio."
)
@click.option("--filter", metavar="FILTER", help="Only items such as: \"path glob '*/2024/*'\".")
@click.option("--paths", "only_paths", is_flag=True, help="Print only the paths of files not to keep.")
@click.option("-0", "null", is_flag=True, help="With --paths: end each with a null, for xargs -0.")
@json_option
def duplicates(
    library: Path | None,
    threshold: float | None,
    modalities: tuple[str, ...] | None,
    filter: str | None,
    only_paths: bool,
    null: bool,
    as_json: bool,
) -> None:
    """List copies and near-duplicates in groups.

    The file to keep comes first in each group. Nothing is deleted.
    """
    with open_library(library) as opened:
        groups = opened.duplicates(threshold, modalities=modalities, filter=filter)
    if only_paths or null:
        show.paths([file.path for group in groups for file in group.files[1:]], b"\0" if null else b"\n")
    elif as_json:
        show.echo_json([asdict(group) | {"freed": group.freed} for group in groups])
    else:
        rows = [_row(n, file, keep=file is group.files[0]) for n, group in enumerate(groups, 1) for file in group.files]
        show.table(("group", "what", "size", "pixels", "path"), rows, wrap="path")
        more, freed = sum(len(group.files) - 1 for group in groups), sum(group.freed for group in groups)
        click.echo(f"{len(groups)} groups, {more} files more than needed, {show.size(freed)}", err=True)


def _row(group: int, file: "Duplicate", *, keep: bool) -> tuple[str, ...]:
    what = "keep" if keep else "copy" if file.copy else f"{file.similarity:.3f}"
    pixels = f"{file.width} x {file.height}" if file.width else ""
    return str(group), what, show.size(file.size), pixels, show.shorter(file.path)

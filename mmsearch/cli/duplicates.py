"""mmsearch duplicates"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmsearch.cli import show
from mmsearch.cli.options import json_option, kinds_option, library_option, open_library

if TYPE_CHECKING:
    from mmsearch.search.duplicates import Duplicate


_KINDS = ("copy", "saved again", "resized", "transcoded", "cropped", "recoloured", "burst", "revised")
_SAME = _KINDS[:4]
"""What may be offered for deletion: the same thing, no better than the one to keep."""


def _split_kinds(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(one.strip().replace("-", " ") for one in value.split(","))


@click.command()
@library_option
@click.option(
    "--threshold", type=float, help="Cosine from which two are compared, e.g. 0.98. Default: the setting similarity."
)
@click.option("--kind", "kinds", callback=_split_kinds, metavar="KINDS", help=f"Only these, of: {', '.join(_KINDS)}.")
@kinds_option
@click.option("--filter", metavar="FILTER", help="Only items such as: \"path glob '*/2024/*'\".")
@click.option(
    "--paths",
    "only_paths",
    is_flag=True,
    help="Print the paths of all but the first of each group, of files that did not change since: without --kind, only "
    "copies and what is proved to be the same saved again, smaller or transcoded.",
)
@click.option("-0", "null", is_flag=True, help="With --paths: end each with a null, for xargs -0.")
@json_option
def duplicates(
    library: Path | None,
    threshold: float | None,
    kinds: tuple[str, ...] | None,
    modalities: tuple[str, ...] | None,
    filter: str | None,
    only_paths: bool,
    null: bool,
    as_json: bool,
) -> None:
    """List copies, other versions and near-duplicates in groups.

    The file to keep comes first in each group. Nothing is deleted.
    """
    if kinds is None and (only_paths or null):
        kinds = _SAME
    with open_library(library) as opened:
        groups = opened.duplicates(threshold, kinds=kinds, modalities=modalities, filter=filter)
    if only_paths or null:
        show.paths([path for group in groups for path in group.spare], b"\0" if null else b"\n")
    elif as_json:
        show.echo_json([asdict(group) | {"freed": group.freed} for group in groups])
    else:
        rows = [_row(n, file) for n, group in enumerate(groups, 1) for file in group.files]
        show.table(("group", "what", "proof", "size", "pixels", "path"), rows, wrap=("what", "proof"))
        more = sum(file.kind in _SAME for group in groups for file in group.files)
        freed = sum(group.freed for group in groups)
        click.echo(
            f"{show.counted(len(groups), 'group')}, {show.counted(more, 'file')} more than needed, {show.size(freed)}",
            err=True,
        )


def _row(group: int, file: "Duplicate") -> tuple[str, ...]:
    proof = "" if file.method is None else f"{file.method} {file.figure:g}"
    pixels = f"{file.width} x {file.height}" if file.width else ""
    what = (file.kind or "keep") + ("" if file.there else " (not there)")
    return str(group), what, proof, show.size(file.size), pixels, show.shorter(file.path)

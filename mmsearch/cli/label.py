"""mmsearch label"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmsearch.cli import show
from mmsearch.cli.options import device_options, json_option, kinds_option, library_option, open_library

if TYPE_CHECKING:
    from mmsearch.types import Label

NONE = "none of these"


@click.command()
@click.option("--as", "names", metavar="NAMES", help='Two or more names, such as "cat,dog,car".')
@click.option("--with", "model", metavar="NAME", help="Use the classifier NAME instead: see `mmsearch train labels`.")
@library_option
@click.option("--filter", metavar="FILTER", help="Only items such as: \"modality = image and path glob '*/2024/*'\".")
@kinds_option
@click.option("--save", is_flag=True, help='Keep the labels as tags, for --filter "tag = dog" and keyword search.')
@click.option("--min-confidence", type=click.FloatRange(0, 1), help=f"Below this confidence, answer {NONE!r}.")
@device_options
@json_option
def label(names: str | None, library: Path | None, as_json: bool, device: Any, precision: Any, **options: Any) -> None:
    """Name each item with the name that fits best, or none."""
    if (names is None) == (options["model"] is None):
        raise click.UsageError("give names with --as, or a classifier with --with")
    with open_library(library, device=device, precision=precision) as opened:
        found = opened.label(names.split(",") if names is not None else (), **options)
    if as_json:
        show.echo_json([asdict(one) for one in found])
        return
    show.table(("label", "confidence", "or", "kind", "path"), [_row(one) for one in found], wrap=("label", "or"))
    click.echo(_summary(found, options["save"]), err=True)


def _row(one: "Label") -> tuple[str, ...]:
    return one.label or NONE, f"{one.confidence:.2f}", one.runner_up, show.kind(one.modality), show.shorter(one.path)


def _summary(found: "list[Label]", saved: bool) -> str:
    fitting = sum(one.label is not None for one in found)
    return f"{fitting} labelled{' and saved' if saved else ''}, {len(found) - fitting} with {NONE}"

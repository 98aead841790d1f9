"""mmsearch searches"""

from dataclasses import asdict
from pathlib import Path

import click

from mmsearch.cli import show
from mmsearch.cli.options import json_option, library_option, open_library


@click.command()
@library_option
@click.option("--save", metavar="NAME=ADDRESS", help="Save a search, by what follows the ? of its address.")
@click.option("--forget", metavar="NAME", help="Forget a saved search.")
@json_option
def searches(library: Path | None, save: str | None, forget: str | None, as_json: bool) -> None:
    """List the searches that were saved.

    They are those of the page: `mmsearch serve`.
    """
    with open_library(library) as opened:
        if save is not None:
            name, _, address = save.partition("=")
            opened.save_search(name, address)
        if forget is not None:
            opened.forget_search(forget)
        found = opened.saved_searches()
    if as_json:
        show.echo_json([{**asdict(one), "saved": one.saved.isoformat()} for one in found])
    else:
        show.table(("name", "address"), [(one.name, one.address) for one in found], wrap="address")

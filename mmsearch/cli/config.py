"""mmsearch config"""

from pathlib import Path

import click

from mmsearch.cli import output, show
from mmsearch.cli.options import json_option, library_option, open_library


@click.command()
@library_option
@json_option
def config(library: Path | None, as_json: bool) -> None:
    """Show every setting, its value and where it comes from.

    A value comes from the environment, your own file, the library's file, or the default.
    """
    from mmsearch.core import config as settings
    from mmsearch.core.value_ranges import as_text

    with open_library(library) as opened:
        found = settings.read_configuration(opened.path)
    names = settings.DOMAINS
    if as_json:
        told = {name: {"value": getattr(found.settings, name), "from": found.origin(name)} for name in names}
        files = {"user": settings.user_file(), "library": found.library_file}
        show.echo_json({"settings": told, "ignored": found.ignored, "files": files})
        return
    rows = [(name, as_text(getattr(found.settings, name)), found.origin(name)) for name in names]
    show.table(("setting", "value", "from"), rows, wrap="value")
    click.echo(f"yours: {output.printable(str(settings.user_file()))}", err=True)
    click.echo(f"the library's: {output.printable(str(found.library_file))}", err=True)

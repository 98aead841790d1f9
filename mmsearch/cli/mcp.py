"""mmsearch mcp"""

from pathlib import Path

import click

from mmsearch.cli import output
from mmsearch.cli.options import device_options, library_option, open_library
from mmsearch.cli.serve import listening_options, server_options
from mmsearch.errors import InvalidInput

PORT = 8766


@click.command()
@library_option
@click.option("--filter", "within", metavar="FILTER", help="What does not match is not there: it can't be found.")
@click.option("--http", is_flag=True, help="Answer over HTTP, not over standard input and output.")
@listening_options(PORT)
@device_options
def mcp(
    library: Path | None,
    device: str | None,
    precision: str | None,
    within: str | None,
    http: bool,
    token_file: Path | None,
    no_token: bool,
    **options: object,
) -> None:
    """Let an assistant search the library (Model Context Protocol).

    Its program starts this command and talks to it over standard input and output; with --http it asks an address. It
    can search, look and ask why, and change nothing. Needs the extra mcp.
    """
    try:
        from mmsearch.integrations.mcp.server import serve_stdio
    except ModuleNotFoundError as error:
        raise InvalidInput(f"mmsearch mcp needs {error.name}", hint="pip install 'mmsearch[mcp]'") from error
    settled = server_options(token_file, no_token, {**options, "read_only": True}) if http else None
    with open_library(library, device=device, precision=precision) as opened:
        if settled is None:
            with output.protocol():
                serve_stdio(opened, within)
            return
        from mmsearch.integrations.mcp.http import PATH, mcp_over_http

        server = mcp_over_http(opened, settled, within)
        click.echo(f"mmsearch serves {opened.path} to assistants at {server.address}{PATH}")
        if settled.token is not None and settled.made_token:
            click.echo(f"They send the header Authorization: Bearer {settled.token}")
        server.run()

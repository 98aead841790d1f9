"""mmsearch serve"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmsearch.cli.options import Command, FilePath, device_options, library_option, open_library
from mmsearch.errors import InvalidInput

if TYPE_CHECKING:
    from mmsearch.library import Library
    from mmsearch.serve.options import ServeOptions

HOST, PORT = "127.0.0.1", 8765


def listening_options(port: int) -> Callable[[Command], Command]:
    """Where a server listens, and who may ask it."""
    options = (
        click.option("--host", default=HOST, show_default=True, help="Address to listen on."),
        click.option(
            "--port", type=click.IntRange(0, 65535), default=port, show_default=True, help="Port; 0: any free one."
        ),
        click.option(
            "--token-file", type=FilePath(dir_okay=False), help="A file with the token; needed where others can ask."
        ),
        click.option(
            "--no-token", is_flag=True, help="Let in whoever reaches the port, every user of this machine included."
        ),
        click.option(
            "--allow-host", "allow_hosts", multiple=True, metavar="NAME", help="A further name of this server."
        ),
        click.option(
            "--behind-proxy",
            "proxies",
            multiple=True,
            metavar="ADDRESS",
            help="A proxy's address: it says who asks, and how.",
        ),
    )

    def with_options(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return with_options


def server_options(token_file: Path | None, no_token: bool, chosen: dict[str, object]) -> "ServeOptions":
    """What a server is told. Raises: InvalidInput for what does not go together."""
    from mmsearch.serve.options import ServeOptions, read_token

    if no_token:
        chosen = chosen | {"token": None}
        click.echo("Without a token every user and every program of this machine can see these files.", err=True)
    elif token_file is not None:
        chosen = chosen | {"token": read_token(token_file), "made_token": False}
    return ServeOptions(**chosen)  # type: ignore[arg-type]


@click.command()
@library_option
@listening_options(PORT)
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@click.option("--read-only", is_flag=True, help="Change nothing of the library, tags included.")
@click.option("--manage", is_flag=True, help="Let the page ingest known folders, retry failures and prune.")
@click.option("--watch", is_flag=True, help="Take in what changes below the folders that the library knows.")
@device_options
def serve(
    library: Path | None,
    device: str | None,
    precision: str | None,
    token_file: Path | None,
    no_token: bool,
    open_page: bool,
    watch: bool,
    **options: object,
) -> None:
    """Serve the library to a browser and to programs.

    It prints the address to open. Ctrl-C ends it.
    """
    from mmsearch.serve.server import start

    settled = server_options(token_file, no_token, options)
    with open_library(library, device=device, precision=precision) as opened:
        opened.index.start_background_indexing()
        server = start(opened, settled)
        shown = server.sign_in if settled.made_token else f"{server.address}/"
        with watching(opened) if watch else nullcontext():
            click.echo(f"mmsearch serves {opened.path} at {shown}")
            if open_page:
                click.launch(str(server.opening_page()))
            server.run()


@contextmanager
def watching(library: "Library") -> Iterator[None]:
    """Meanwhile take in, in a thread beside, what changes below the folders that a library knows.

    Raises: InvalidInput if it knows none.
    """
    folders = [root.path for root in library.roots() if root.path.is_dir() or not root.there]
    if not folders:
        raise InvalidInput("the library knows no folder to watch yet", hint="mmsearch ingest FOLDER")
    watch = library.watch(*folders)
    thread = threading.Thread(target=watch.run, name="mmsearch-watch")
    thread.start()
    try:
        yield
    finally:
        watch.stop()
        thread.join()

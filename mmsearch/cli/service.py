"""mmsearch service"""

from pathlib import Path

import click

from mmsearch.cli import show
from mmsearch.cli.options import FilePath, library_option
from mmsearch.core.paths import absolute_path, default_library
from mmsearch.core.service_files import service_of
from mmsearch.errors import InvalidInput

name_option = click.option("--name", default="watch", show_default=True, help="Tells several services apart.")


@click.group()
def service() -> None:
    """Watch folders or serve the page as a service.

    It runs from when you log in: a user unit of systemd on Linux, and an agent of launchd on macOS.
    """


@service.command()
@click.argument("paths", nargs=-1, type=FilePath())
@click.option("--serve", is_flag=True, help="Serve the page, too, and watch the folders that the library knows.")
@click.option("--token-file", type=FilePath(dir_okay=False), help="With --serve: the token of the page, in a file.")
@library_option
@name_option
def install(paths: tuple[Path, ...], serve: bool, token_file: Path | None, library: Path | None, name: str) -> None:
    """Write a service that watches PATHS, and say how to start it.

    It gets the MMSEARCH_* variables that are set now.
    """
    folder = default_library(library)
    if serve:
        arguments = _serving(paths, folder, token_file)
    elif not paths:
        raise InvalidInput("no folder is named", hint="mmsearch service install FOLDER, or --serve")
    else:
        for path in paths:
            if not path.is_dir():
                raise InvalidInput(f"{path} is no folder", hint="name folders that are there")
        arguments = ["watch", "--library", str(folder), "--", *(str(absolute_path(path)) for path in paths)]
    made = service_of(name)
    try:
        made.path.parent.mkdir(parents=True, exist_ok=True)
        made.path.write_bytes(made.content(arguments))
    except OSError as error:
        why = f"can't write {made.path}: {error.strerror}"
        raise InvalidInput(why, hint="see that its folder can be written") from error
    show.line(f"written: {made.path}")
    _say("to start it, now and whenever you log in:", made.start)


@service.command()
@name_option
def remove(name: str) -> None:
    """Delete the service's file, and say how to stop one that runs."""
    made = service_of(name)
    try:
        made.path.unlink()
    except FileNotFoundError as error:
        why = f"there is no service {name!r}: {made.path}"
        raise InvalidInput(why, hint="mmsearch service install FOLDER makes one") from error
    except OSError as error:
        raise InvalidInput(f"can't delete {made.path}: {error.strerror}", hint="see who owns its folder") from error
    show.line(f"deleted: {made.path}")
    _say("to stop it, if it runs:", made.stop)


def _serving(paths: tuple[Path, ...], library: Path, token_file: Path | None) -> list[str]:
    """The arguments of a service that serves. Raises: InvalidInput for folders, which it takes from the library."""
    if paths:
        raise InvalidInput(
            "with --serve the folders that the library knows are watched", hint="mmsearch ingest FOLDER first"
        )
    if token_file is None:
        why = "without --token-file the token would be another one each time, and stand in the system's log"
        raise InvalidInput(why, hint="write 16 characters or more into a file that only you can read, and name it")
    return ["serve", "--watch", "--library", str(library), "--token-file", str(absolute_path(token_file))]


def _say(what: str, commands: tuple[str, ...]) -> None:
    click.echo(what)
    for command in commands:
        show.line(f"  {command}")

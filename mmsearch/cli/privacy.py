"""mmsearch privacy"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmsearch.cli import show as shown
from mmsearch.cli.options import json_option, library_option, open_library
from mmsearch.errors import LibraryNotFound

if TYPE_CHECKING:
    from mmsearch.core.keeping import Keeping, Places
    from mmsearch.library import Library

_YES_NO = click.Choice(("yes", "no"))

_WHAT = {
    "places": "where media were taken", "camera": "makes and models of cameras",
    "people": "names of people that files bring", "tags": "keywords that files bring",
    "names": "words of file names, for searches",
}  # fmt: skip


@click.group()
def privacy() -> None:
    """What the library keeps of people and places.

    Faces are never identified. See `mmsearch help privacy`.
    """


@privacy.command()
@library_option
@json_option
def show(library: Path | None, as_json: bool) -> None:
    """Show what is kept from now on, and how much of it is there."""
    with open_library(library) as opened:
        _tell(opened, as_json)


@privacy.command("set")
@click.option("--places", type=click.Choice(("exact", "rounded", "none")), help="Rounded: to a tenth of a degree.")
@click.option("--camera", type=_YES_NO, help="Makes and models of cameras.")
@click.option("--people", type=_YES_NO, help="Names of people that files and sidecars bring.")
@click.option("--tags", type=_YES_NO, help="Keywords that files and sidecars bring.")
@click.option("--names", type=_YES_NO, help="Words of names of files and folders.")
@library_option
@json_option
def set_kept(
    places: "Places | None",
    camera: str | None,
    people: str | None,
    tags: str | None,
    names: str | None,
    library: Path | None,
    as_json: bool,
) -> None:
    """Choose what is kept from now on, in the library's mmsearch.toml."""
    switches = {"camera": camera, "people": people, "tags": tags, "names": names}
    with open_library(library) as opened:
        chosen = {name: value == "yes" for name, value in switches.items() if value is not None}
        opened.privacy.set(places=places, **chosen)
        _tell(opened, as_json)
    click.echo("What is there already stays until: mmsearch privacy apply", err=True)


@privacy.command()
@library_option
@json_option
def apply(library: Path | None, as_json: bool) -> None:
    """Forget what is not to be kept, and wipe it.

    It comes back only if files are removed from the library and ingested anew.
    """
    with open_library(library) as opened:
        done = opened.privacy.apply()
        copies = [copy.path for copy in opened.copies()]
    if as_json:
        shown.echo_json(done._asdict())
        return
    shown.line(f"contents cut: {done.contents}, tags: {done.tags}, passages: {done.passages}, names: {done.names}")
    for path in copies:
        click.echo(f"It may still be in {path}", err=True)


def _tell(opened: "Library", as_json: bool) -> None:
    keeping: Keeping = opened.privacy.keeping
    try:
        there = opened.privacy.show()._asdict()
    except LibraryNotFound:
        there = {}
    if as_json:
        shown.echo_json({"keeping": asdict(keeping), "there": there})
        return
    rows = []
    for name, what in _WHAT.items():
        value = getattr(keeping, name)
        kept = value if isinstance(value, str) else "yes" if value else "no"
        count = max(there.get("gps", 0), there.get("places", 0)) if name == "places" else there.get(name, 0)
        rows.append((name, what, kept, str(count)))
    shown.table(("setting", "what", "kept", "there now"), rows)

"""mmsearch items, mmsearch tag"""

import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmsearch.cli import show
from mmsearch.cli.options import FilePath, json_option, kinds_option, library_option, open_library
from mmsearch.errors import InvalidInput

if TYPE_CHECKING:
    from mmsearch.library import Library
    from mmsearch.types import Item, MetaValue


@click.command()
@click.argument("paths", nargs=-1, type=FilePath())
@library_option
@click.option("--filter", metavar="FILTER", help='Only items such as: "tag = dog and meta.rating >= 4".')
@kinds_option
@click.option("--missing", is_flag=True, help="Items whose files are missing, too.")
@click.option("--count", is_flag=True, help="Print only how many there are.")
@json_option
def items(paths: tuple[Path, ...], library: Path | None, as_json: bool, count: bool, **options: Any) -> None:
    """List items with their tags and metadata.

    They are those at PATHS or, without PATHS, all that match the options.
    """
    if paths and (count or any(options.values())):
        raise click.UsageError("give paths, or options that choose items")
    with open_library(library) as opened:
        if count:
            click.echo(opened.count(**options))
            return
        found = _at(opened, paths) if paths else opened.items(**options)
        if as_json:
            show.echo_json_list(map(_as_json_able, found))
        else:
            show.table(("id", "kind", "path", "tags", "metadata"), map(_row, found), wrap=("tags", "metadata"))


def _at(library: "Library", paths: tuple[Path, ...]) -> "Iterator[Item]":
    for path in paths:
        item = library.get(path)
        if item is None:
            raise InvalidInput(f"nothing is known at {path}", hint="list all items: mmsearch items")
        yield item


def _row(item: "Item") -> tuple[str, ...]:
    tags = [*item.tags, *(f"{name} ({confidence:.2f})" for name, confidence in item.labels)]
    meta = [f"{key}={_written(value)}" for key, value in item.meta.items()]
    return str(item.id), show.kind(item.modality), show.shorter(item.path), ", ".join(tags), ", ".join(meta)


def _as_json_able(item: "Item") -> dict[str, Any]:
    made = {name: _plain(value) for name, value in asdict(item).items()}
    return made | {"meta": {key: _plain(value) for key, value in item.meta.items()}}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _written(value: Any) -> str:
    """As --meta takes it."""
    return str(value).lower() if isinstance(value, bool) else str(_plain(value))


@click.command()
@click.argument("paths", nargs=-1, required=True, type=FilePath())
@library_option
@click.option("--add", multiple=True, metavar="NAME", help="Give the items this tag; may be repeated.")
@click.option("--remove", multiple=True, metavar="NAME", help="Take this tag away; may be repeated.")
@click.option(
    "--meta",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set metadata of your own, for --filter 'meta.KEY = VALUE'; may be repeated. KEY= takes it away.",
)
def tag(
    paths: tuple[Path, ...],
    library: Path | None,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    meta: tuple[str, ...],
) -> None:
    """Tag items at or below PATHS, and set their metadata.

    A VALUE is a number, true, false, or a date such as 2024-05-01; anything else, or what stands in "…", is a text.
    """
    if not (add or remove or meta):
        raise click.UsageError("say what to change: --add, --remove or --meta")
    values = dict(map(_key_and_value, meta))
    with open_library(library) as opened:
        reached = opened.tag(paths, add, remove) if add or remove else 0
        reached = opened.set_meta(paths, values) if values else reached
    click.echo(f"changed {show.counted(reached, 'item')}")


def _key_and_value(given: str) -> "tuple[str, MetaValue | None]":
    key, sign, value = given.partition("=")
    if not sign:
        raise click.UsageError(f"--meta takes KEY=VALUE, not {given!r}")
    return key, _value(value)


def _value(text: str) -> "MetaValue | None":
    """The value that a text stands for; None for an empty one."""
    if not text:
        return None
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1]
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    readers = (int, float, date.fromisoformat, datetime.fromisoformat)
    # Python takes 2024_01 and digits of any script for numbers.
    for read in readers if re.fullmatch(r"[-+.\d][^_]*", text, re.ASCII) and text.isascii() else ():
        try:
            return read(text)
        except ValueError:
            continue
    return text

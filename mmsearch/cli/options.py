"""Options that several commands share."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mmsearch.cli import surroundings
from mmsearch.core import collector
from mmsearch.core.media_paths import is_media_path
from mmsearch.core.paths import SERVER_SCHEMES, default_library

if TYPE_CHECKING:
    from mmsearch.library import Library

Command = TypeVar("Command", bound=Callable[..., Any])


class FilePath(click.Path):
    """A path as `Path`. An empty one, which a shell makes of a variable that isn't set, is not the current folder, and
    ./mem: is a folder, not the media that were handed over in memory."""

    def __init__(self, **conditions: Any) -> None:
        super().__init__(path_type=Path, **conditions)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the path is empty; the current folder is '.'", param, ctx)
        path = super().convert(value, param, ctx)
        if is_media_path(os.fsencode(path)) and not is_media_path(os.fsencode(value)):
            return Path(os.path.abspath(os.fsdecode(path)))
        return path


class LibraryPath(FilePath):
    """A library's folder; for an address, the one that this machine has for it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and value.startswith(SERVER_SCHEMES):
            return default_library(value)
        return super().convert(value, param, ctx)


library_option = click.option(
    "--library",
    type=LibraryPath(file_okay=False),
    help="The library's folder, or postgresql://USER@HOST/DATABASE?schema=NAME. Default: $MMSEARCH_LIBRARY, else "
    "./indexes/default if ./indexes exists, else your data folder.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def device_options(command: Command) -> Command:
    """--device and --precision."""
    command = click.option("--precision", help="Compute in auto, fp32, fp16 or bf16.")(command)
    return click.option("--device", help="Compute on auto, cpu, cuda, cuda:N or mps.")(command)


def manners_options(command: Command) -> Command:
    """--jobs and --nice."""
    command = click.option(
        "--nice",
        type=click.IntRange(0, 19),
        help="Step back behind other programs: 0 not at all, 19 most.  [default: 5]",
    )(command)
    return click.option(
        "--jobs",
        type=click.IntRange(min=1),
        metavar="N",
        help="Take at most N CPU cores, all work together.  [default: all]",
    )(command)


def split_modalities(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """The parts of a comma-separated list."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if value else None


_SYNONYMS = {
    "image": "images picture pictures photo photos photograph photographs img",
    "audio": "audios sound sounds music song songs recording recordings",
    "video": "videos film films movie movies clip clips",
    "text": "texts note notes document documents doc docs passage passages",
}
_MODALITIES = {word: kind for kind, words in _SYNONYMS.items() for word in (kind, *words.split())}
"""What a kind may be called -> its modality."""


def _kinds(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...] | None:
    """Modalities, each once. Raises: BadParameter for what is no kind."""
    from mmsearch.core.registry import known_targets

    if not given:
        return None
    named = [part.strip().lower() for value in given for part in value.split(",") if part.strip()]
    modalities = dict.fromkeys(_MODALITIES.get(name, name) for name in named)
    unknown = [name for name in modalities if name not in known_targets("decoders")]
    if unknown or not modalities:
        known = ", ".join(sorted(known_targets("decoders")))
        what = f"there is no kind {unknown[0]!r}" if unknown else "no kind is named"
        raise click.BadParameter(f"{what}; the kinds are {known}", context, option)
    return tuple(modalities)


kinds_option = click.option(
    "--in",
    "modalities",
    multiple=True,
    callback=_kinds,
    metavar="KINDS",
    help="Only these kinds, e.g. image,audio or photos; may be repeated.",
)


_SCAN = (
    click.option(
        "--exclude", multiple=True, metavar="GLOB", help="Skip what matches, as in .gitignore: *.tmp, private/."
    ),
    click.option("--hidden", is_flag=True, help="Include hidden files and folders."),
    click.option("--follow-links", is_flag=True, help="Follow links that lead out of their folder."),
    kinds_option,
    click.option(
        "--workers", type=click.IntRange(min=1), help="Decoding processes. Default: one per CPU core, at most 8."
    ),
    click.option("--space", metavar="NAME", help="Model of a new library. Default: starter."),
)


def scan_options(command: Command) -> Command:
    """What an ingest and a watch take in, and with which model."""
    for option in reversed(_SCAN):
        command = option(command)
    return command


def open_for_work(library: Path | None, **settings: Any) -> "Library":
    """The library for a long run: this process and those it starts keep to the settings `jobs` and `nice`."""
    from mmsearch.core.manners import bound_process
    from mmsearch.library import open_library

    collector.end_loading()
    opened = open_library(library, **settings)
    bound_process(opened.settings.jobs, opened.settings.nice)
    return opened


def open_library(library: Path | None, **settings: Any) -> "AbstractContextManager[Library]":
    if (kept := surroundings.kept_library()) is not None:
        return nullcontext(kept)
    from mmsearch.library import open_library

    collector.end_loading()
    return open_library(library, **settings)

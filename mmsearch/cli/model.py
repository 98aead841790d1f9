"""mmsearch model"""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmsearch.cli import show
from mmsearch.cli.exit_codes import INTERRUPTED
from mmsearch.cli.ingest import stoppable
from mmsearch.cli.options import (
    device_options,
    json_option,
    library_option,
    manners_options,
    open_for_work,
    open_library,
)
from mmsearch.cli.progress import progress

if TYPE_CHECKING:
    from mmsearch.models.switch import ModelAdded, ModelSwitched

SHOWN = 20
"""Files listed that got no vectors; --json has all."""


@click.group()
def model() -> None:
    """Change the model of a library.

    Add a model beside the one in use, then switch to it. Searching continues meanwhile.
    """


@model.command("list")
@library_option
@json_option
def list_models(library: Path | None, as_json: bool) -> None:
    """List the models that the library has vectors of.

    `mmsearch models` lists those to choose from.
    """
    with open_library(library) as opened:
        found = opened.model.list()
    if as_json:
        show.echo_json([asdict(one) for one in found])
        return
    rows = [
        (
            one.name,
            "in use"
            if one.active
            else "projection"
            if one.base
            else f"lacks {one.lacking}"
            if one.lacking
            else "ready",
            str(one.dim),
            str(one.vectors),
            str(one.refused or "-"),
        )
        for one in found
    ]
    show.table(("name", "state", "dim", "vectors", "not taken"), rows)


@model.command()
@click.argument("name")
@library_option
@click.option("--workers", type=click.IntRange(min=1), help="Decoding processes. Default: one per CPU core, at most 8.")
@click.option("--retry", is_flag=True, help="Try again the files that failed before.")
@manners_options
@device_options
@json_option
def add(name: str, library: Path | None, retry: bool, as_json: bool, **settings: Any) -> None:
    """Embed every file of the library with the model NAME, too.

    Searching and ingesting continue. Ctrl-C or a kill loses at most the current files; run the command again to
    continue.
    """
    with open_for_work(library, **settings) as opened, stoppable() as cancel, progress(as_json, "model add") as shown:
        done = opened.model.add(name, retry=retry, on_progress=shown, cancel=cancel)
    show.echo_json(asdict(done)) if as_json else _print_added(done)
    if done.interrupted:
        raise SystemExit(INTERRUPTED)


@model.command()
@click.argument("name")
@library_option
@click.option("--when-complete", is_flag=True, help="First add missing vectors, after a running ingest.")
@manners_options
@device_options
@json_option
def switch(name: str, library: Path | None, when_complete: bool, as_json: bool, **settings: Any) -> None:
    """Use the model NAME from now on.

    The model used before is kept.
    """
    with open_for_work(library, **settings) as opened, stoppable() as cancel, progress(as_json, "model add") as shown:
        done = opened.model.switch(name, when_complete=when_complete, on_progress=shown, cancel=cancel)
    if done is None:
        click.echo("Interrupted: what was done is kept, nothing was switched.", err=True)
        raise SystemExit(INTERRUPTED)
    show.echo_json(asdict(done)) if as_json else _print_switched(done)


@model.command()
@click.argument("name")
@library_option
def drop(name: str, library: Path | None) -> None:
    """Forget the model NAME and its vectors.

    Vectors that projections computed from them go, too.
    """
    with open_library(library) as opened:
        freed = opened.model.drop(name)
    show.line(f"{name} is gone, {show.size(freed)} freed")


def _print_added(done: "ModelAdded") -> None:
    click.echo(
        f"{done.name}: {show.counted(done.completed, 'distinct file')}, "
        f"{show.counted(done.segments, 'segment')} embedded in {done.wall_s:.1f} s"
    )
    if done.not_embedded:
        click.echo(f"not embedded by this model: {done.not_embedded}")
    for kind, n in sorted(Counter(problem.failure for problem in done.problems).items()):
        show.line(f"left out ({kind}): {n}")
    for problem in done.problems[:SHOWN]:
        show.line(f"  {show.shorter(problem.path)}: {problem.reason}", err=True)
    if done.interrupted:
        click.echo("Interrupted: what was done is kept, the same command goes on from here.", err=True)
    elif done.lacking:
        click.echo(f"still lacking: {done.lacking}; ingest the folders of files that moved or changed, then repeat")
    else:
        show.line(f"search with it: mmsearch model switch {done.name}")


def _print_switched(done: "ModelSwitched") -> None:
    show.line(f"searches use {done.name} now")
    if done.unreachable:
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(done.unreachable.items()))
        show.line(
            f"Warning: only names, tags and words find these, the model has no vectors of them: {kinds}", err=True
        )
    if done.forgotten:
        show.line(
            f"{show.counted(done.forgotten, 'file')} that {done.before} didn't embed: the next ingest tries them again"
        )

"""mmsearch train"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmsearch.cli import show
from mmsearch.cli.options import device_options, json_option, library_option, modalities, open_library

if TYPE_CHECKING:
    from mmsearch.training.loop import Epoch
    from mmsearch.training.training import Trained


@click.group()
def train() -> None:
    """Learn from your own pairs, and search with what was learned."""


@train.command()
@click.argument("pairs", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@library_option
@click.option("--name", default="mine", show_default=True, help="What the model will be called.")
@click.option("--resume", is_flag=True, help="Go on with a training that was cut off; everything else is as it began.")
@click.option("--modality", callback=modalities, help="Whose vectors to move: image, audio, text.  [default: items']")
@click.option("--valid", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Pairs to validate with.")
@click.option("--loss", help="infonce or sigmoid.")
@click.option("--optimizer", help="adamw, adam or sgd.")
@click.option("--epochs", type=int, help="At most.")
@click.option("--batch", type=int, help="Pairs in a step.")
@click.option("--lr", type=float, help="Highest learning rate.")
@click.option("--patience", type=int, help="Epochs without a better validation after which it ends.")
@click.option("--keep", type=float, help="How strongly other vectors are held in place.")
@click.option("--seed", type=int, help="Of everything random.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the curves into a .png, .svg or .pdf file.")
@device_options
@json_option
def projection(
    pairs: Path | None, library: Path | None, name: str, resume: bool, as_json: bool, **options: Any
) -> None:
    """Train on PAIRS, a TSV file with the header query<TAB>relevant, as `mmsearch evaluate` reads it."""
    if (pairs is None) != resume:
        raise click.UsageError("name a file of pairs, or say --resume")
    settings = {key: options.pop(key) for key in ("device", "precision")}
    shown, drawn = (None if as_json else _epoch), options.pop("plot")
    given = {key: value for key, value in options.items() if value is not None}
    with open_library(library, **settings) as opened:
        if pairs is None:
            found = opened.train.resume(name, plot=drawn, on_epoch=shown)
        else:
            found = opened.train.projection(pairs, name, plot=drawn, on_epoch=shown, command=_command(), **given)
    show.echo_json(asdict(found)) if as_json else _print(found)


@train.command("list")
@library_option
@json_option
def list_models(library: Path | None, as_json: bool) -> None:
    """The library's models."""
    with open_library(library) as opened:
        models = opened.train.models()
    if as_json:
        show.echo_json([asdict(model) for model in models])
        return
    states = {True: "in use", False: ""}
    rows = [
        (
            m.name,
            m.kind,
            states[m.active] if m.finished else "unfinished",
            f"{m.after['recall']:.3f}" if m.after else "",
        )
        for m in models
    ]
    show.table(("name", "kind", "state", "validation recall"), rows)


@train.command()
@click.argument("name", required=False)
@click.option("--base", is_flag=True, help="Search without any model again.")
@library_option
@device_options
def apply(name: str | None, base: bool, library: Path | None, **settings: Any) -> None:
    """Search with the model NAME: re-projects the library's vectors, without opening a file of yours."""
    if (name is None) != base:
        raise click.UsageError("name a model, or say --base")
    with open_library(library, **settings) as opened:
        space = opened.train.to_base() if name is None else opened.train.apply(name)
    click.echo(f"searches use the space {space.name} now")


@train.command()
@click.argument("name")
@library_option
def drop(name: str, library: Path | None) -> None:
    """Forget the model NAME and what it made; searches that use it go back to the base space."""
    with open_library(library) as opened:
        opened.train.drop(name)
    click.echo(f"{name} is gone")


def _command() -> str:
    return " ".join(["mmsearch", *sys.argv[1:]])


def _epoch(epoch: "Epoch") -> None:
    measures = "  ".join(f"{name} {value:.3f}" for name, value in epoch.measures.items())
    loss = f"loss {epoch.loss:.3f}" if epoch.number else "untrained "
    click.echo(f"epoch {epoch.number:3}  {loss}  {measures}", err=True)


def _print(found: "Trained") -> None:
    rows = [(name, f"{found.before[name]:.3f}", f"{value:.3f}") for name, value in found.after.items()]
    show.table(("validation", "before", "after"), rows)
    click.echo(f"epoch {found.best_epoch} of {found.epochs} kept in {show.shorter(found.path)}")
    for warning in found.warnings:
        click.echo(f"note: {warning}", err=True)
    if found.unused:
        click.echo(f"not used: {len(found.unused)}")
        rows = [(show.shorter(one.file), str(one.line), one.why) for one in found.unused]
        show.table(("file", "line", "why"), rows, wrap="why")
    click.echo(f"search with it: mmsearch train apply {found.name}")

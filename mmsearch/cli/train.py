"""mmsearch train"""

import math
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmsearch.cli import show
from mmsearch.cli.options import (
    Command,
    FilePath,
    device_options,
    json_option,
    library_option,
    open_library,
    split_modalities,
)

if TYPE_CHECKING:
    from mmsearch.training.loop import EpochReport
    from mmsearch.training.results import TrainingResult


@click.group()
def train() -> None:
    """Train on pairs and examples of your own."""


_FILE = FilePath(exists=True, dir_okay=False)
_PAIRS = (
    click.argument("pairs", required=False, type=_FILE),
    library_option,
    click.option("--name", default="mine", show_default=True, help="Name of the trained model."),
    click.option("--resume", is_flag=True, help="Continue an interrupted training, with its own options."),
    click.option("--valid", type=_FILE, help="Pairs for validation."),
    click.option("--loss", help="Loss: infonce, sigmoid, cross-entropy or mse (not for adapters)."),
    click.option("--optimizer", help="Optimizer: adamw, adam or sgd."),
    click.option("--epochs", type=int, help="Maximum number of epochs."),
    click.option("--batch", type=int, help="Number of pairs in a step."),
    click.option("--lr", type=float, help="Highest learning rate."),
    click.option("--patience", type=int, help="Epochs without improvement before training ends."),
    click.option("--seed", type=int, help="Seed of everything random."),
    click.option("--plot", type=FilePath(), help="Draw the curves into a .png, .svg or .pdf file."),
    device_options,
    json_option,
)
"""What the trainings on pairs have in common."""


def _on_pairs(command: Command) -> Command:
    for option in reversed(_PAIRS):
        command = option(command)
    return command


@train.command()
@_on_pairs
@click.option(
    "--modality",
    callback=split_modalities,
    help="Whose vectors to move: image, audio, text.  [default: those of items]",
)
@click.option("--weak", callback=split_modalities, help="Make pairs from the library: names,folders,sidecars,tags.")
@click.option("--keep", type=float, help="How strongly other vectors are held in place.")
@click.option("--adversarial", help="Also learn from the most harmful small changes: fgm or pgd.")
@click.option("--radius", type=float, help="Size of such a change, as a fraction of a vector's length.")
@click.option("--test", type=float, help="Share of the pairs that take no part, and measure the result in the end.")
@click.option("--augment", type=float, help="Move every vector at random by this fraction of its length, each time.")
def projection(**options: Any) -> None:
    """Train a projection of the library's vectors on PAIRS.

    PAIRS is a TSV file with the header query<TAB>relevant, as for `mmsearch evaluate`. With --weak, the library makes
    pairs of its own from the names of files.
    """
    _train("projection", **options)


@train.command()
@_on_pairs
@click.option("--rank", type=int, help="Rank of the adapters: how much they may learn.  [default: 8]")
@click.option("--alpha", type=int, help="The scale of the adapters is alpha / rank.  [default: 16]")
@click.option("--towers", callback=split_modalities, help="Towers to adapt.  [default: image,text]")
@click.option("--checkpointing", is_flag=True, default=None, help="Use less GPU memory, and more time.")
def adapter(**options: Any) -> None:
    """Adapt an open_clip model to PAIRS of words and pictures.

    It trains LoRA adapters of the model's towers. An adapted model gives other vectors: ingest into a new library with
    the --space that is printed at the end.
    """
    _train("adapter", **options)


def _train(
    kind: str, pairs: Path | None, library: Path | None, name: str, resume: bool, as_json: bool, **options: Any
) -> None:
    if (pairs is None and not options.get("weak")) != resume:
        ways = "give a file of pairs, or --resume" if kind == "adapter" else "give a file of pairs, --weak, or --resume"
        raise click.UsageError(ways)
    settings = {key: options.pop(key) for key in ("device", "precision")}
    shown, drawn = (None if as_json else report_epoch), options.pop("plot")
    given = {key: value for key, value in options.items() if value is not None}
    with open_library(library, **settings) as opened:
        if resume:
            found = opened.train.resume(name, plot=drawn, on_epoch=shown)
        else:
            learn = getattr(opened.train, kind)
            found = learn(pairs, name, plot=drawn, on_epoch=shown, command=_command(), **given)
    show.echo_json(asdict(found)) if as_json else report_trained(found, _use(found))


@train.command("list")
@library_option
@json_option
def list_models(library: Path | None, as_json: bool) -> None:
    """List the trained models of the library."""
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
            _first(m.after),
        )
        for m in models
    ]
    show.table(("name", "kind", "state", "validation"), rows)


@train.command()
@click.argument("name", required=False)
@click.option("--base", is_flag=True, help="Search without a trained model again.")
@library_option
@device_options
def apply(name: str | None, base: bool, library: Path | None, **settings: Any) -> None:
    """Search with the trained model NAME from now on.

    It maps the stored vectors and opens no media file.
    """
    if (name is None) != base:
        raise click.UsageError("give the name of a model, or --base")
    with open_library(library, **settings) as opened:
        space = opened.train.to_base() if name is None else opened.train.apply(name)
    show.line(f"searches use the space {space.name} now")


@train.command()
@click.argument("name")
@library_option
def drop(name: str, library: Path | None) -> None:
    """Forget the trained model NAME and its vectors.

    If it is in use, searches go back to the base space.
    """
    with open_library(library) as opened:
        opened.train.drop(name)
    show.line(f"{name} is gone")


def _first(measures: dict[str, float]) -> str:
    return next((f"{name} {value:.3f}" for name, value in measures.items()), "-")


def _command() -> str:
    return " ".join(["mmsearch", *sys.argv[1:]])


def report_epoch(epoch: "EpochReport") -> None:
    """A line of progress."""
    measures = "  ".join(f"{name} {value:.3f}" for name, value in epoch.measures.items())
    loss = f"loss {epoch.loss:.3f}" if epoch.number else "untrained "
    if not math.isnan(epoch.validation_loss):
        measures = f"validation loss {epoch.validation_loss:.3f}  {measures}"
    click.echo(f"epoch {epoch.number:3}  {loss}  {measures}".rstrip(), err=True)


def report_trained(found: "TrainingResult", use: str) -> None:
    """What a training gave, and how to use it."""
    rows = [(name, f"{found.before[name]:.3f}", f"{value:.3f}") for name, value in found.after.items()]
    show.table(("validation", "before", "after"), rows)
    if found.test:
        show.table(("test", "after"), [(f"test {name}", f"{value:.3f}") for name, value in found.test.items()])
    show.line(f"epoch {found.best_epoch} of {found.epochs} kept in {show.shorter(found.path)}")
    for warning in found.warnings:
        show.line(f"note: {warning}", err=True)
    show.unused(found.unused)
    show.line(use)


def _use(found: "TrainingResult") -> str:
    if found.space is None:
        return f"search with it: mmsearch train apply {found.name}"
    return f"search with it: mmsearch ingest FOLDER --library NEW --space {shlex.quote(found.space)}"

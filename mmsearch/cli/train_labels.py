"""mmsearch train labels"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmsearch.cli import show
from mmsearch.cli.options import FilePath, device_options, json_option, library_option, open_library
from mmsearch.cli.train import report_epoch

if TYPE_CHECKING:
    from mmsearch.training.heads import TrainedHead
    from mmsearch.training.loop import EpochReport

EVERY = 10
"""Epochs from one that is told to the next."""

MEASURES = ("fit", "accuracy", "macro-F1")


@click.command()
@click.argument("table", metavar="LABELS", type=FilePath(exists=True, dir_okay=False))
@library_option
@click.option("--name", default="names", show_default=True, help="Name of the trained model.")
@click.option("--head", "kind", help="Classifier: linear or mlp.")
@click.option("--balanced/--unbalanced", default=None, help="Give every name the same weight, or every example.")
@click.option("--fusion", help="Name groups of files by one vector each: mean or learned:NAME.")
@click.option("--optimizer", help="Optimizer: adamw, adam or sgd.")
@click.option("--epochs", type=int, help="Maximum number of epochs.")
@click.option("--lr", type=float, help="Highest learning rate.")
@click.option("--patience", type=int, help="Epochs without improvement before training ends.")
@click.option("--seed", type=int, help="Seed of everything random.")
@click.option("--confusion", type=FilePath(), help="Draw which names are confused: .png, .svg or .pdf.")
@device_options
@json_option
def labels(table: Path, library: Path | None, name: str, as_json: bool, confusion: Path | None, **options: Any) -> None:
    """Train a classifier on examples of names.

    LABELS is a TSV file with the header path<TAB>label. `mmsearch label --with NAME` uses the classifier.
    """
    settings = {key: options.pop(key) for key in ("device", "precision")}
    given = {key: value for key, value in options.items() if value is not None}
    command, shown = " ".join(["mmsearch", *sys.argv[1:]]), None if as_json else _tell
    with open_library(library, **settings) as opened:
        learned = opened.train.labels(table, name, confusion=confusion, command=command, on_epoch=shown, **given)
    show.echo_json(asdict(learned)) if as_json else _print(learned)


def _tell(epoch: "EpochReport") -> None:
    if epoch.number % EVERY == 0:
        report_epoch(epoch)


def _print(learned: "TrainedHead") -> None:
    measured = [(name, f"{learned.after[name]:.3f}" if learned.after else "-") for name in MEASURES]
    show.table(("validation", ""), measured)
    click.echo(f"{len(learned.classes)} names, epoch {learned.best_epoch} of {learned.epochs} kept")
    for warning in learned.warnings:
        show.line(f"note: {warning}", err=True)
    show.unused(learned.unused)
    show.line(f"label with it: mmsearch label --with {learned.name}")

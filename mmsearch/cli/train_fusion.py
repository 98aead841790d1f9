"""mmsearch train fusion"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from mmsearch.cli import show
from mmsearch.cli.options import FilePath, device_options, json_option, library_option, open_library
from mmsearch.cli.train import report_epoch, report_trained


@click.command()
@click.argument("pairs", required=False, type=FilePath(exists=True, dir_okay=False))
@library_option
@click.option("--name", default="fused", show_default=True, help="Name of the trained model.")
@click.option("--resume", is_flag=True, help="Continue an interrupted training, with its own options.")
@click.option("--strategy", help="Network: sum, mean, weights, concat, cross or transformer.")
@click.option("--hide", type=float, help="How often training hides a modality, in [0, 1].")
@click.option("--attack", help="Train against harmful small changes: none, fgm or pgd.")
@click.option("--radius", type=float, help="Size of such a change, as a fraction of a vector's length.")
@click.option("--loss", help="Loss: infonce, sigmoid, cross-entropy or mse.")
@click.option("--optimizer", help="Optimizer: adamw, adam or sgd.")
@click.option("--epochs", type=int, help="Maximum number of epochs.")
@click.option("--batch", type=int, help="Number of pairs in a step.")
@click.option("--lr", type=float, help="Highest learning rate.")
@click.option("--patience", type=int, help="Epochs without improvement before training ends.")
@click.option("--seed", type=int, help="Seed of everything random.")
@click.option("--plot", type=FilePath(), help="Draw the curves into a .png, .svg or .pdf file.")
@device_options
@json_option
def fusion(pairs: Path | None, library: Path | None, name: str, resume: bool, as_json: bool, **options: Any) -> None:
    """Train one vector for files that belong together.

    PAIRS is a TSV file with the header query<TAB>relevant, as for `mmsearch evaluate`.
    """
    if (pairs is None) != resume:
        raise click.UsageError("give a file of pairs, or --resume")
    settings = {key: options.pop(key) for key in ("device", "precision")}
    shown, drawn = (None if as_json else report_epoch), options.pop("plot")
    given = {key: value for key, value in options.items() if value is not None}
    with open_library(library, **settings) as opened:
        if pairs is None:
            found = opened.train.resume(name, plot=drawn, on_epoch=shown)
        else:
            command = " ".join(["mmsearch", *sys.argv[1:]])
            found = opened.train.fusion(pairs, name, plot=drawn, on_epoch=shown, command=command, **given)
    if as_json:
        show.echo_json(asdict(found))
    else:
        report_trained(found, f"rank groups of files by it: the setting fusion = learned:{found.name}")

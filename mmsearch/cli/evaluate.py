"""mmsearch evaluate"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmsearch.cli import show
from mmsearch.cli.options import FilePath, device_options, json_option, library_option, open_library, split_modalities

if TYPE_CHECKING:
    from mmsearch.evaluate import Evaluation


def _counts(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a list of numbers such as 1,5,10") from error


@click.command()
@click.argument("pairs", type=FilePath(exists=True))
@library_option
@click.option(
    "--direction", callback=split_modalities, metavar="LIST", help="Only these directions, e.g. text-image,image-audio."
)
@click.option("--k", callback=_counts, default="1,5,10", show_default=True, help="Numbers of first results to measure.")
@click.option(
    "--by",
    type=click.Choice(["confidence", "cosine"]),
    default="confidence",
    show_default=True,
    help="Rank as a search shows results, or by the vectors alone.",
)
@click.option("--plot", type=FilePath(), help="Draw recall@k into a .png, .svg or .pdf file.")
@device_options
@json_option
def evaluate(
    pairs: Path, library: Path | None, plot: Path | None, as_json: bool, direction: tuple[str, ...] | None,
    **options: Any,
) -> None:  # fmt: skip
    """Measure search with questions and answers of your own.

    PAIRS is a TSV file with the header query<TAB>relevant.

    A query is words or the path of a file; relevant is a comma-separated list of paths, absolute or relative to the
    TSV's folder. Lines that cannot be used are listed.
    """
    counts, by = options.pop("k"), options.pop("by")
    with open_library(library, **options) as opened:
        found = opened.evaluate(pairs, directions=direction, k=counts, plot=plot, by=by)
    show.echo_json(asdict(found)) if as_json else _print(found)


def _print(found: "Evaluation") -> None:
    for result in found.directions:
        show.line(
            f"{result.name}: {len(result.outcomes)} queries, {result.items} items, "
            f"index recall@10 {result.index_recall:.3f}"
        )
        rows = [(name, f"{e.value:.3f}", f"{e.low:.3f}", f"{e.high:.3f}") for name, e in result.metrics.items()]
        show.table(("measure", "value", "95 % from", "to"), rows)
    for warning in found.warnings:
        show.line(f"Warning: {warning}", err=True)
    show.unused(found.unused)

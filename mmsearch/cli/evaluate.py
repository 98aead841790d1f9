"""mmsearch evaluate"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmsearch.cli import show
from mmsearch.cli.options import device_options, json_option, library_option, open_library, split_modalities
from mmsearch.cli.progress import progress

if TYPE_CHECKING:
    from mmsearch.evaluate import Evaluation
    from mmsearch.library import Library


def _counts(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a list of numbers such as 1,5,10") from error


@click.command()
@click.argument("pairs", type=click.Path(path_type=Path, exists=True))
@library_option
@click.option(
    "--dataset", metavar="NAME", help="PAIRS is the folder of flickr8k, esc10, coco or stamps; its media are taken in."
)
@click.option("--direction", callback=split_modalities, metavar="LIST", help="Only these, e.g. text-image,image-audio.")
@click.option("--k", callback=_counts, default="1,5,10", show_default=True, help="Measure the first k of each list.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw recall@k into a .png, .svg or .pdf file.")
@device_options
@json_option
def evaluate(
    pairs: Path, library: Path | None, dataset: str | None, plot: Path | None, as_json: bool, **options: Any
) -> None:
    """Measure search by PAIRS, a TSV file with the header query<TAB>relevant.

    A query is words or the path of a file; relevant is a comma-separated list of paths, absolute or relative to the
    TSV's folder. Lines that can't be used are listed. A dataset goes into a library that is thrown away, unless
    --library names one.
    """
    settings = {name: options.pop(name) for name in ("device", "precision")}
    with _library(library, dataset, settings) as opened, progress(as_json) as shown:
        found = opened.evaluate(
            pairs, dataset=dataset, directions=options["direction"], k=options["k"], plot=plot, on_progress=shown
        )
    show.echo_json(asdict(found)) if as_json else _print(found)


@contextmanager
def _library(library: Path | None, dataset: str | None, settings: dict[str, Any]) -> Iterator["Library"]:
    if dataset is None or library is not None:
        with open_library(library, **settings) as opened:
            yield opened
        return
    with (
        tempfile.TemporaryDirectory(prefix="mmsearch-evaluate-") as folder,
        open_library(Path(folder), **settings) as opened,
    ):
        yield opened


def _print(found: "Evaluation") -> None:
    for result in found.directions:
        show.line(
            f"{result.name}: {len(result.outcomes)} queries, {result.items} items, "
            f"index recall@10 {result.index_recall:.3f}"
        )
        rows = [(name, f"{e.value:.3f}", f"{e.low:.3f}", f"{e.high:.3f}") for name, e in result.metrics.items()]
        show.table(("measure", "value", "95 % from", "to"), rows)
    show.unused(found.unused)

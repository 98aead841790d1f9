"""mmsearch demo"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import click

from mmsearch.cli import show
from mmsearch.cli.options import device_options, json_option, open_library
from mmsearch.cli.progress import progress
from mmsearch.core.paths import TEMPORARY

if TYPE_CHECKING:
    from mmsearch.library import Library
    from mmsearch.types import Hit

SAMPLES = Path(__file__).resolve().parents[1] / "resources" / "samples"

QUERIES: tuple[tuple[str, str, str], ...] = (
    ("words -> photos", "people waiting for a bus in the rain", "image"),
    ("words -> sounds", "waves rolling onto a beach", "audio"),
    ("a photo -> sounds", "photos/dog-at-a-laptop.jpg", "audio"),
    ("a sound -> photos", "sounds/dog-barking-sharply.ogg", "image"),
    ("words -> a moment in a video", "a rabbit in a meadow", "video"),
    ("words -> a passage of text", "how to feed a sourdough starter", "text"),
)
"""(what it shows, words or a sample's path, item modality to search)."""

TOP = 3


@click.command()
@device_options
@json_option
def demo(device: str | None, precision: str | None, as_json: bool) -> None:
    """Search the packaged samples in a temporary library."""
    with (
        tempfile.TemporaryDirectory(prefix=f"{TEMPORARY}demo-") as folder,
        open_library(Path(folder), device=device, precision=precision) as library,
    ):
        start = perf_counter()
        with progress(as_json) as shown:
            report = library.ingest(SAMPLES, exclude=("CREDITS.md", "*.py"), on_progress=shown)
        if not as_json:
            click.echo(f"Took in {report.files} samples in {perf_counter() - start:.1f} s.")
        searched = list(_searched(library))
    if as_json:
        show.echo_json([{"title": title, "query": query, "paths": _names(hits)} for title, query, hits in searched])
        return
    for title, query, hits in searched:
        click.echo(f"\n{title}: {query}")
        show.table(("confidence", "sample", "where"), [_row(hit) for hit in hits], wrap="where")
    click.echo("\nNow with your own files:\n\n  mmsearch ingest FOLDER\n  mmsearch query 'a dog on a beach'")


def _searched(library: "Library") -> Iterator[tuple[str, str, list["Hit"]]]:
    for title, query, modality in QUERIES:
        asked = SAMPLES / query if (SAMPLES / query).is_file() else query
        yield title, query, library.search(asked, TOP, modalities=(modality,))


def _names(hits: list["Hit"]) -> list[str]:
    return [hit.path.relative_to(SAMPLES).as_posix() for hit in hits]


def _row(hit: "Hit") -> tuple[str, str, str]:
    return show.decimal(hit.confidence, 2), hit.path.relative_to(SAMPLES).as_posix(), show.where(hit)

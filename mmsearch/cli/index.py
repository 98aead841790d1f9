"""mmsearch index"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmsearch.cli import show
from mmsearch.cli.exit_codes import CHECK_FAILED
from mmsearch.cli.options import json_option, library_option, open_library
from mmsearch.errors import IndexDamaged

if TYPE_CHECKING:
    from mmsearch import IndexBuild


@click.group()
def index() -> None:
    """Show, tune, build and verify the indexes of vectors."""


@index.command()
@library_option
@json_option
def presets(library: Path | None, as_json: bool) -> None:
    """List the kinds of index."""
    with open_library(library) as opened:
        found = opened.index.presets()
    if as_json:
        show.echo_json([asdict(preset) for preset in found])
        return
    rows = [
        (one.name, one.summary, str(one.bytes_per_vector(384)), f"{one.from_size:,}" if one.from_size else "")
        for one in found
    ]
    show.table(("preset", "what it is", "bytes of 384 dimensions", "chosen from"), rows, wrap="what it is")


@index.command()
@library_option
@json_option
def status(library: Path | None, as_json: bool) -> None:
    """Show the index of each list and its measured recall."""
    with open_library(library) as opened:
        found = opened.index.status()
    if as_json:
        show.echo_json([asdict(one) for one in found])
        return
    rows = [
        (
            f"{one.item}/{one.segment}", one.preset, f"{one.size:,}", f"{one.since:,}", show.size(one.memory_bytes),
            show.size(one.file_bytes), str(one.generation), _recall(one.recall),
        )
        for one in found
    ]  # fmt: skip
    show.table(("list", "preset", "vectors", "since", "memory", "files", "generation", "recall@10 of queries"), rows)


@index.command()
@click.option("--recall", type=float, help="Fraction of the ten nearest to find.  [default: the setting]")
@library_option
@json_option
def tune(recall: float | None, library: Path | None, as_json: bool) -> None:
    """Choose the least search effort that reaches the recall."""
    with open_library(library) as opened:
        _tell(opened.index.tune(recall), as_json)


@index.command()
@click.option("--preset", help="One of `mmsearch index presets`, or auto.  [default: the setting]")
@click.option("--recall", type=float, help="Fraction of the ten nearest to find.  [default: the setting]")
@library_option
@json_option
def build(preset: str | None, recall: float | None, library: Path | None, as_json: bool) -> None:
    """Build new indexes beside those in use.

    A new index is used only if it reaches the recall; otherwise the exit code is 8.
    """
    with open_library(library) as opened:
        built = opened.index.build(preset, recall)
    for one in built:
        if preset not in (None, "auto", one.preset):
            why = f"{one.size:,} vectors are too few for {preset}: all are compared, which is exact"
            show.line(f"{one.item}/{one.segment}: {why}", err=True)
    _tell(built, as_json)


@index.command()
@click.option("--repair", is_flag=True, help="Rebuild what is wrong.")
@library_option
@json_option
def verify(repair: bool, library: Path | None, as_json: bool) -> None:
    """Compare every index with the catalog.

    The exit code is 5 if an index is wrong and was not repaired.
    """
    with open_library(library) as opened:
        found = opened.index.verify(repair=repair)
    if as_json:
        show.echo_json([asdict(one) for one in found])
    for one in () if as_json else found:
        state = "repaired: " if one.repaired else ""
        show.line(f"{one.item}/{one.segment}  {one.size:,} vectors  {state}{'; '.join(one.wrong) or 'as the catalog'}")
    if any(one.wrong and not one.repaired for one in found):
        raise SystemExit(IndexDamaged.exit_code)


def _tell(outcomes: Sequence["IndexBuild"], as_json: bool) -> None:
    """The exit code is 8 if one misses its target."""
    if as_json:
        show.echo_json([asdict(one) for one in outcomes])
    rows = [
        (
            f"{one.item}/{one.segment}", one.preset, f"{one.size:,}", _recall(one.recall),
            "serves" if one.published else f"misses {one.target:g}: not used", f"{one.seconds:.1f} s",
        )
        for one in outcomes
    ]  # fmt: skip
    if not as_json:
        show.table(("list", "preset", "vectors", "recall@10 of queries", "", "took"), rows)
    if not all(one.published for one in outcomes):
        raise SystemExit(CHECK_FAILED)


def _recall(recall: Mapping[str, float]) -> str:
    return ", ".join(f"{modality} {share:.3f}" for modality, share in recall.items()) or "exact"

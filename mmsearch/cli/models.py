"""mmsearch models, mmsearch prepare"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmsearch.cli import output, show
from mmsearch.cli.options import FilePath, json_option, library_option, open_library
from mmsearch.errors import InvalidInput, MmsearchError

if TYPE_CHECKING:
    from mmsearch.models.available import AvailableModel


@click.command()
@click.argument("paths", nargs=-1, type=FilePath())
@click.option("--cost", is_flag=True, help="Measure what the library, or PATHS, would take with each model here.")
@library_option
@json_option
def models(paths: tuple[Path, ...], cost: bool, library: Path | None, as_json: bool) -> None:
    """List the models, and those on this machine.

    `prepare` gets one. `connect` joins two: pictures by one model, sounds by another. Below stands which one suits
    this machine. With --cost and PATHS: what an ingest of these folders would take with each.
    """
    from mmsearch.models.available import available_models

    if paths and not cost:
        raise click.UsageError("PATHS say what --cost is about")
    found = available_models()
    if cost:
        _costs([model.name for model in found if model.installed], library, paths, as_json)
        return
    if as_json:
        show.echo_json([asdict(model) for model in found])
        return
    columns = ("name", "embeds", "dim", "languages", "size", "licence", "installed")
    costs = _known_costs([model.name for model in found if model.installed], library)
    rows = [_row(model, costs.get(model.name, "")) for model in found]
    show.table(columns, rows, wrap=("embeds", "languages", "licence", "installed"))
    _recommend(library)


def _recommend(library: Path | None = None) -> None:
    """Which model suits this machine, what it costs here where that is known, and the command that comes next."""
    from mmsearch.models.download import prepared_folder
    from mmsearch.models.recommend import recommended, this_machine

    machine = this_machine()
    best = recommended(machine)
    comes = best.repository is None
    here = comes or prepared_folder(best.name) is not None
    cost = _known_costs([best.name], library).get(best.name) or (
        "not measured yet: mmsearch models --cost" if here else "mmsearch models --cost measures it once it is here"
    )
    show.line(f"Recommended for this machine ({machine}): {best.name}", err=True)
    show.line(f"  {best.summary.removeprefix('recommended: ')}; languages: {best.languages}", err=True)
    show.line(f"  cost here: {cost}", err=True)
    if comes:
        show.line("  it comes with mmsearch, and is what a new library takes", err=True)
    elif not here:
        show.line(f"  get it ({show.size(best.bytes)}): mmsearch prepare {best.name}", err=True)
    else:
        show.line(f"  a new library: mmsearch ingest FOLDER --library NEW --space {best.name}", err=True)
        show.line(f"  the library you have: mmsearch model add {best.name}", err=True)


def _known_costs(names: "list[str]", library: Path | None) -> dict[str, str]:
    """Name -> "about 3 h for this library" of those that were measured here before, or seconds a picture where there is
    no library."""
    from mmsearch.models.cost import known_cost
    from mmsearch.models.recommend import in_words

    with open_library(library) as opened:
        settings = opened.settings
        costs = {name: known_cost(name, settings.devices[0], settings.precision) for name in names}
        known = {name: cost for name, cost in costs.items() if cost is not None}
        if not known:
            return {}
        try:
            holdings = opened.model.holdings()
        except MmsearchError:  # none yet, encrypted, away: this is said beside what was asked for
            return {name: f"{cost.picture:.3g} s a picture" for name, cost in known.items() if cost.picture is not None}
        return {name: f"{in_words(cost.of(holdings))} for this library" for name, cost in known.items()}


def _costs(names: "list[str]", library: Path | None, paths: tuple[Path, ...], as_json: bool) -> None:
    """What each model takes here, and for what the library or the paths hold."""
    from mmsearch.models.cost import measure_cost
    from mmsearch.models.recommend import in_words

    with open_library(library) as opened:
        holdings = opened.model.holdings(*paths)
        settings = opened.settings
    costs = [measure_cost(name, settings.devices[0], settings.precision) for name in names]
    if as_json:
        show.echo_json([{**asdict(one), "library": one.of(holdings)} for one in costs])
        return
    whole = "these" if paths else "this library"
    columns = ("name", "a picture", "a minute of sound", "a minute of video", "a passage", whole)
    parts = [(one.picture, one.sound_minute, one.video_minute, one.passage) for one in costs]
    rows = [
        (one.name, *("-" if part is None else f"{part:.3g} s" for part in own), in_words(one.of(holdings)))
        for one, own in zip(costs, parts, strict=True)
    ]
    show.table(columns, rows)


def _row(model: "AvailableModel", cost: str) -> tuple[str, ...]:
    here = ", ".join(part for part in (f"yes{_speed(model)}", cost) if part)
    return (
        model.name,
        ",".join(model.modalities) or "-",
        str(model.dim or "-"),
        model.languages or "-",
        show.size(model.bytes) if model.bytes else "-",
        _terms(model.licence, model.non_commercial),
        f"damaged: {model.problem}" if model.problem else here if model.installed else "no",
    )


def _speed(model: "AvailableModel") -> str:
    """ ", image 43/s, audio 53/s (cpu)"; nothing if nothing was measured."""
    said = "".join(f", {modality} {rate:.3g}/s" for modality, rate in model.speed.items())
    return f"{said} ({model.device})" if said else ""


def _terms(licence: str | None, non_commercial: bool) -> str:
    return (licence or "see its publisher") + (", NO COMMERCIAL USE" if non_commercial else "")


@click.command()
@click.argument("name", required=False)
@click.option(
    "--from",
    "source",
    type=FilePath(),
    metavar="DIR",
    help="Copy from this folder, laid out as on the hub, instead of downloading.",
)
@click.option("--yes", is_flag=True, help="Download without asking.")
def prepare(name: str | None, source: Path | None, yes: bool) -> None:
    """Download or copy the model NAME (see `mmsearch models`).

    This is the only command that ever downloads anything. Without a NAME it says which model suits this machine.
    """
    from mmsearch.models import download, speech

    if name is None:
        if source is not None or yes:
            raise click.UsageError("name the model to prepare")
        _recommend()
        return
    if speech.is_speech_model(name):
        _prepare_speech(name, source, yes)
        return
    if (there := download.prepared_folder(name)) is not None:
        show.line(f"{name} is already here: {there}")
        return
    planned = download.plan_download(name, source)
    total, facts = planned.bytes, planned.preset
    show.line(f"{name}: {show.size(total)} from {planned.source}")
    show.line(f"to {planned.folder}")
    show.line(f"licence: {_terms(facts.licence, facts.non_commercial) if facts else _terms(None, False)}")
    if facts and facts.unverified:
        show.line(f"what is said of it here is {facts.unverified}: it was not measured")
    if source is None and not yes and not _agreed():
        click.echo("nothing was downloaded")
        return
    with _progress(total, shown=source is not None) as on_bytes:
        download.prepare_model(planned, on_bytes)
    show.line(f"prepared; to use it: mmsearch ingest FOLDER --library NEW --space {name}")


def _prepare_speech(name: str, source: Path | None, yes: bool) -> None:
    from mmsearch.models import speech

    if (there := speech.prepared_speech(name)) is not None:
        show.line(f"{name} is already here: {there}")
        return
    size, licence = speech.speech_facts(name)
    show.line(f"{name}: {show.size(size)} from {speech.speech_origin(name, source)}")
    show.line(f"licence: {licence}")
    if speech.downloads_speech(name, source) and not yes and not _agreed():
        click.echo("nothing was downloaded")
        return
    with output.foreign_bars():
        there = speech.prepare_speech(name, source)
    show.line(f"prepared in {there}; to use it: mmsearch extract add speech")


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise InvalidInput(
            "mmsearch downloads nothing without asking, and standard input is not a terminal",
            hint="to agree, add --yes",
        )
    return click.confirm("Download it?")


@contextmanager
def _progress(total: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal's standard error; a download shows its own."""
    if not shown:
        with output.foreign_bars():
            yield lambda _: None
    elif not sys.stderr.isatty():
        yield lambda _: None
    else:
        with click.progressbar(length=total, file=output.bar(sys.stderr)) as bar:
            yield bar.update

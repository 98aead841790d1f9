"""mmsearch ingest"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from mmsearch.cli import show
from mmsearch.cli.encryption import tell_of_key
from mmsearch.cli.exit_codes import INTERRUPTED
from mmsearch.cli.options import (
    FilePath,
    device_options,
    json_option,
    library_option,
    manners_options,
    open_for_work,
    open_library,
    scan_options,
)
from mmsearch.cli.progress import progress
from mmsearch.cli.prune import prune_and_tell
from mmsearch.cli.summary import IngestSummary, print_summary, told_options
from mmsearch.errors import LibraryNotFound

if TYPE_CHECKING:
    from mmsearch import Library, Media
    from mmsearch.ingest import IngestReport


@click.command()
@click.argument("paths", nargs=-1, required=True, type=FilePath())
@library_option
@scan_options
@click.option("--dry-run", is_flag=True, help="Report what would happen; write nothing.")
@click.option("--queue", is_flag=True, help="Only find the files, for workers of a library on a server (see worker).")
@click.option("--name", help="With - for PATHS: the name of the medium on standard input.")
@click.option("--id", "media_id", metavar="ID", help="With -: your own id for it.")
@click.option("--keep", is_flag=True, help="With -: keep its bytes in the library.")
@click.option(
    "--encrypt",
    metavar="[keyring|passphrase|file:PATH]",
    help="Encrypt a new library; what has its key (see help encryption).",
)
@manners_options
@click.option("--when-idle", is_flag=True, help="Work only while other programs use less than a quarter of the cores.")
@device_options
@told_options
@json_option
def ingest(paths: tuple[Path, ...], library: Path | None, as_json: bool, dry_run: bool, **options: Any) -> None:
    """Add new and changed files below PATHS to the library.

    Unchanged files are not opened, moved files are not embedded again, and missing files are kept (see prune). Ctrl-C
    stops after the current files; run the command again to continue.
    With - for PATHS and a --name, one medium is read from standard input.
    """
    told = IngestSummary(options.pop("verbose"), options.pop("quiet"))
    if (protection := options.pop("encrypt")) is not None:
        _begin_encrypted(library, protection)
    settings = {name: options.pop(name) for name in ("space", "workers", "jobs", "nice", "device", "precision")}
    given = {name: options.pop(name) for name in ("name", "media_id", "keep")}
    medium = _piped(paths, given, dry_run or any(options.values()))
    silent = as_json or dry_run or told.quiet
    if medium is None and not (as_json or told.quiet):
        _tell_of_places(library, paths)
    settings["space"] = _agreed_space(library, settings, paths, silent=silent) or settings["space"]
    with open_for_work(library, **settings) as opened, stoppable() as cancel, progress(silent) as shown:
        if medium is not None:
            report = opened.ingest_media(medium, on_progress=shown, cancel=cancel)
        else:
            report = opened.ingest(*paths, dry_run=dry_run, on_progress=shown, cancel=cancel, **options)
    print_report(report, opened.path, told, as_json=as_json)
    asked = report.left_out and not (dry_run or as_json or told.quiet) and sys.stdin.isatty() and sys.stdout.isatty()
    if asked and click.confirm(f"Forget the {report.left_out} files that are left out now, but were taken in before?"):
        with open_library(library) as opened:
            prune_and_tell(opened, paths, excluded=True, exclude=options["exclude"])


def _begin_encrypted(library: Path | None, protection: str) -> None:
    """Make the key of a library, unless that is encrypted already."""
    from mmsearch.library import open_library as open_anew

    with open_anew(library) as opened:
        before = opened.encryption.status()
    with open_anew(library, encrypt=protection):
        if not before.encrypted:
            tell_of_key(protection)


def _agreed_space(library: Path | None, settings: dict[str, Any], paths: tuple[Path, ...], *, silent: bool) -> str:
    """The better model that takes more than an hour, if whoever leaves the choice to us agrees; else "".

    Without a terminal nobody is asked, and it is not taken.
    """
    if silent or Path("-") in paths or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return ""
    with open_library(library, **settings) as opened:
        if opened.settings.space != "auto" or _has_model(opened):
            return ""
        found = opened.model.choice(*paths)
    if found.better is None or found.better_seconds is None:
        return ""
    from mmsearch.models.recommend import in_words

    asked = f"{found.better} finds more, and would take {in_words(found.better_seconds)} here. Take it?"
    return found.better if click.confirm(asked) else ""


def _has_model(opened: "Library") -> bool:
    try:
        return bool(opened.model.list())
    except LibraryNotFound:
        return False


def _tell_of_places(library: Path | None, paths: tuple[Path, ...]) -> None:
    """Before the first ingest of a folder, whoever has not chosen yet learns what pictures tell."""
    with open_library(library) as opened:
        found = opened.privacy.places_unasked(*paths)
    if found is not None:
        click.echo(
            f"{show.counted(found.with_place, 'photo')} of {found.looked_at} hold where they were taken, which is kept "
            "exactly, unless: mmsearch privacy set --places rounded (or none)",
            err=True,
        )


def _piped(paths: tuple[Path, ...], given: dict[str, Any], others: bool) -> "Media | None":
    """The medium on standard input, if that is meant."""
    if Path("-") not in paths:
        if any(given.values()):
            raise click.UsageError("--name, --id and --keep are about standard input: mmsearch ingest - --name NAME")
        return None
    if len(paths) > 1 or others:
        raise click.UsageError("- reads one medium from standard input, and takes --name, --id and --keep alone")
    if given["name"] is None:
        raise click.UsageError("say what to call it, such as: --name cat.jpg")
    from mmsearch import Media

    return Media(given["name"], sys.stdin.buffer.read(), id=given["media_id"], keep=given["keep"])


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second one stops at once, as ever."""
    cancel = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        cancel.set()
        signal.signal(signal.SIGINT, before)
        click.echo("Stopping after the files in hand; Ctrl-C again to stop at once.", err=True)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield cancel
    finally:
        signal.signal(signal.SIGINT, before)


def print_report(report: "IngestReport", library: Path, told: IngestSummary, *, as_json: bool = False) -> None:
    """What happened to the files. Ends the command where Ctrl-C ended the run."""
    if as_json:
        show.echo_json(report.as_dict())
    else:
        print_summary(report, library, told)
    if report.interrupted:
        raise SystemExit(INTERRUPTED)

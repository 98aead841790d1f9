"""mmsearch remove, mmsearch prune"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmsearch.cli import show
from mmsearch.cli.options import FilePath, library_option, open_library
from mmsearch.errors import NotForgotten

if TYPE_CHECKING:
    from mmsearch.library import Library
    from mmsearch.maintenance.forgetting import ForgettingProof

_prove_option = click.option(
    "--prove",
    is_flag=True,
    help="Search every byte of the library's files for what was forgotten, and say what is left.",
)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=FilePath())
@_prove_option
@library_option
def remove(paths: tuple[Path, ...], prove: bool, library: Path | None) -> None:
    """Forget everything at or below PATHS.

    The files themselves are not touched.
    """
    proofs: list[ForgettingProof] = []
    with open_library(library) as opened:
        forgotten = opened.remove(*paths, on_proof=proofs.append if prove else None)
        click.echo(f"forgot {show.counted(forgotten, 'item')}")
        _tell(opened, proofs, copies=True)


@click.command()
@click.argument("folders", nargs=-1, type=FilePath())
@click.option("--excluded", is_flag=True, help="Forget also what is excluded now, by kept globs or an ignore file.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Forget also what matches, as for ingest.")
@_prove_option
@library_option
def prune(
    folders: tuple[Path, ...], excluded: bool, exclude: tuple[str, ...], prove: bool, library: Path | None
) -> None:
    """Forget items whose files are gone, and free their space.

    They are looked for on the disk, below FOLDERS if some are named. Ingest never forgets by itself.
    """
    proofs: list[ForgettingProof] = []
    with open_library(library) as opened:
        prune_and_tell(opened, folders, excluded=excluded, exclude=exclude, proofs=proofs if prove else None)
        _tell(opened, proofs, copies=False)


def prune_and_tell(
    opened: "Library",
    folders: tuple[Path, ...],
    *,
    excluded: bool,
    exclude: tuple[str, ...] = (),
    proofs: "list[ForgettingProof] | None" = None,
) -> None:
    """Forget what is gone, and what is excluded if asked to; say what happened."""
    on_proof = None if proofs is None else proofs.append
    done = opened.prune(*folders, excluded=excluded, exclude=exclude, on_proof=on_proof)
    gone = f"forgot {show.counted(done.items - done.excluded, 'missing item')}"
    left_out = f" and {show.counted(done.excluded, 'excluded one')}" if excluded or exclude else ""
    click.echo(f"{gone}{left_out}, freed {show.size(done.freed)}")
    for root, kept in done.away:
        show.line(f"{root} is empty or not there (unmounted disk?): {show.counted(kept, 'item')} of it kept", err=True)
        show.line(f"Hint: if they are gone for good: mmsearch remove {root}", err=True)
    if not done.wiped:
        click.echo("A search that still runs needs what was forgotten; run prune again when it has ended.", err=True)
    if done.items:
        _name_copies(opened)


def _name_copies(opened: "Library") -> None:
    for copy in opened.copies():
        show.line(f"may still hold it: the {copy.kind} {copy.path} of {copy.made_at:%Y-%m-%d %H:%M} UTC", err=True)


def _tell(opened: "Library", proofs: "list[ForgettingProof]", *, copies: bool) -> None:
    """Say what was proved. Raises: NotForgotten."""
    if copies:
        _name_copies(opened)
    for proof in proofs:
        looked_for = f"{show.counted(proof.words, 'word')} and {show.counted(proof.paths, 'path')}"
        searched = f"{show.counted(proof.files, 'file')}, {show.size(proof.bytes)}, for {looked_for}"
        click.echo(f"searched {searched}: {'something is left' if proof.traces else 'nothing is left'}")
        for trace in proof.traces:
            show.line(f"{trace.path}: {', '.join(trace.found)}")
        if proof.traces:
            raise NotForgotten(
                f"{len(proof.traces)} of the library's files still hold what was forgotten",
                hint="delete copies that end in .bak; end other searches, then: mmsearch prune --prove",
            )

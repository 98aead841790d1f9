"""mmsearch connect"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmsearch.cli import show
from mmsearch.cli.options import FilePath, json_option
from mmsearch.errors import InvalidInput

if TYPE_CHECKING:
    from mmsearch.training.loop import EpochReport

SHOWN = 6
"""Every how manieth epoch is told."""


@click.command()
@click.argument("space_a")
@click.argument("space_b")
@click.option("--name", required=True, help="Name of the new space: connected:NAME.")
@click.option(
    "--texts",
    type=FilePath(exists=True, dir_okay=False),
    help="Texts about your media, one a line.  [default: class names of ImageNet and AudioSet]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything random.")
@json_option
def connect(space_a: str, space_b: str, name: str, texts: Path | None, seed: int, as_json: bool) -> None:
    """Join two models in one space.

    SPACE_A embeds pictures, SPACE_B embeds sounds, and both embed words. What ties pictures to sounds is learned from
    words alone.
    """
    import mmsearch

    made = mmsearch.connect(space_a, space_b, name, _lines(texts), seed=seed, on_epoch=None if as_json else _tell)
    if as_json:
        show.echo_json({**asdict(made), "path": str(made.path)})
        return
    click.echo(f"{made.texts} texts; of those kept aside, {made.met:.0%} are nearest to themselves in the other space")
    show.line(f"to use it: mmsearch ingest FOLDER --library NEW --space {made.space}")


def _lines(texts: Path | None) -> list[str] | None:
    try:
        return None if texts is None else texts.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{texts} can't be read: {error}", hint="give a text file in UTF-8") from error


def _tell(epoch: "EpochReport") -> None:
    if epoch.number % SHOWN == 0:
        click.echo(f"epoch {epoch.number}: {epoch.measures['met']:.3f} met, {epoch.seconds:.1f} s", err=True)

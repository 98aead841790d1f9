"""mmsearch warm"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import click

from mmsearch.cli import show
from mmsearch.cli.options import json_option
from mmsearch.errors import Transient
from mmsearch.warm import address, client
from mmsearch.warm.messages import STATUS, STOP, Request


@dataclass(frozen=True, slots=True)
class WarmStatus:
    """What a warm process tells of itself."""

    library: str
    pid: int
    memory_bytes: int
    """What it has in memory now, with what it shares with other processes (the files of weights)."""
    answered: int
    refused: int
    """Queries that the shell had to answer by itself."""
    ends_s: float | None
    """Seconds until it ends, if nobody asks it anything; None if it stays."""


@click.group()
def warm() -> None:
    """Show or stop the processes that answer queries."""


@warm.command()
@json_option
def status(as_json: bool) -> None:
    """Show your warm processes."""
    found = [one for _, one in _running()]
    if as_json:
        show.echo_json([asdict(one) for one in found])
        return
    if not found:
        click.echo("no warm process", err=True)
        return
    rows = [
        (one.library, str(one.pid), show.size(one.memory_bytes), str(one.answered), str(one.refused), _end(one))
        for one in found
    ]
    show.table(("library", "pid", "memory", "answered", "refused", "ends"), rows, wrap="library")


@warm.command()
def stop() -> None:
    """End your warm processes.

    The next query is answered by a process of its own again.
    """
    stopped = 0
    for base, one in list(_running()):
        if _asked(base, STOP) is None:
            raise Transient(f"the warm process {one.pid} does not answer", hint=f"end it: kill {one.pid}")
        stopped += 1
    click.echo(f"{stopped} stopped")


def _running() -> Iterator[tuple[str, WarmStatus]]:
    """The warm processes that answer, and the beginnings of the names of their files."""
    folder = address.folder()
    if not address.SUPPORTED or not address.is_own(folder):
        return
    for name in sorted(os.listdir(folder)):
        base, suffix = os.path.splitext(os.path.join(folder, name))
        if suffix in (address.SOCKET, address.PORT) and (told := _asked(base, STATUS)) is not None:
            yield base, WarmStatus(**json.loads(told))


def _asked(base: str, what: str) -> bytes | None:
    """What a process says to a request; None if it isn't there, or busy."""
    try:
        answered = client.ask(base, Request([what]))
    except (OSError, ValueError):
        return None
    return None if answered is None else b"".join(data for _, data in answered[1])


def _end(one: WarmStatus) -> str:
    return "with its server" if one.ends_s is None else f"in {show.clock(one.ends_s)}"

"""After a query in a shell: leave a process behind that answers the next ones."""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

from mmsearch.core import machine, vault
from mmsearch.warm.address import LOCK, SUPPORTED, library_named, made_folder, name_of

if TYPE_CHECKING:
    from subprocess import Popen

    from mmsearch.library import Library

ENOUGH_BYTES = 8 * 10**9 * 0.9
"""Of a machine's memory, for `auto`: what is sold as 8 GB shows as a little less."""

AGAIN_S = 30.0
"""Seconds between two starts: a process that ends at once is not started with every query."""

BOOT = """
import sys
sys.path[:0] = [] if sys.argv[1] in sys.path else [sys.argv[1]]
from mmsearch.cli.warm_process import main
main(*sys.argv[2:])
"""


@dataclass(slots=True)
class _Asked:
    """What was searched with words alone, in this process."""

    library: "Library | None" = None


_asked = _Asked()


def note_query(library: "Library", *, words: bool) -> None:
    """Remember that a query was answered from this library, with words alone or not."""
    _asked.library = library if words else None


def keep_warm() -> None:
    """Start a warm process for the library of the last query, if that is wanted here."""
    arguments = sys.argv[1:]
    library = _asked.library
    if library is None or not is_wanted(library.settings.warm, arguments):
        return
    if not vault.opens_unasked(library.path):
        return
    folder = made_folder()
    if folder is None:
        return
    base = os.path.join(folder, name_of(library_named(arguments)))
    with suppress(OSError):
        if _started_lately(base):
            return
        start(base, library.path)


def is_wanted(warm: str, arguments: list[str]) -> bool:
    """Whether a query leaves a process behind; `warm` is the setting."""
    if not SUPPORTED or warm == "off" or "--no-warm" in arguments:
        return False
    if warm == "on":
        return True
    terminal = any(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    return terminal and not os.environ.get("CI") and machine.memory_bytes() >= ENOUGH_BYTES


def start(base: str, library: Path) -> "Popen[bytes]":
    """Start a warm process; it ends at once if there is one at this address. Raises: OSError."""
    import subprocess

    package = str(Path(__file__).resolve().parents[2])
    # -P: a module that lies in the working folder is not imported.
    return subprocess.Popen(
        [sys.executable, "-P", "-c", BOOT, package, base, os.fspath(library)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=os.path.dirname(base),
        start_new_session=True,
    )


def _started_lately(base: str) -> bool:
    try:
        return 0 <= time() - os.stat(base + LOCK).st_mtime < AGAIN_S
    except OSError:
        return False

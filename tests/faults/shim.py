"""The compiled fault layer of `shim.c`: building it, starting Python under it, arming it."""

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from enum import IntEnum
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
CHECKOUT = Path(__file__).resolve().parents[2]
LOADED = "FAULTS_SHIM"
"""Environment variable: the shim that this process runs under."""


class Fault(IntEnum):
    """What happens at the armed call. The numbers are those of `shim.c`."""

    NONE = 0
    CRASH = 1
    """Killed before it, which is after the one before."""
    TORN = 2
    """Half of a write is done, then the process is killed."""
    ENOSPC_ONCE = 3
    FULL = 4
    """From then on nothing that takes room works."""
    EIO_ONCE = 5
    DEAD = 6
    """From then on nothing works."""
    FLIP = 7
    """One bit of a write is another, and nobody is told."""
    SHORT = 8
    """A write takes half of what it was given and says so."""
    CLOCK = 9
    """From then on the clock is a day back."""


LASTING = {Fault.FULL, Fault.DEAD}
WRITES_ONLY = {Fault.TORN, Fault.FLIP, Fault.SHORT}


def missing() -> str | None:
    """Why there can be no faults here; None if there can."""
    if not sys.platform.startswith("linux"):
        return "the fault layer is for Linux"
    if compiler() is None:
        return "the fault layer needs a C compiler (cc)"
    return None


def compiler() -> str | None:
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


def build(folder: Path) -> Path:
    """Compile the shim into a folder, unless it is there."""
    target = folder / f"shim-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]}.so"
    if not target.exists():
        command = [compiler() or "cc", "-O1", "-shared", "-fPIC", "-o", str(target), str(SOURCE), "-ldl", "-lpthread"]
        subprocess.run(command, check=True)
    return target


def environment(folder: Path) -> dict[str, str]:
    """The environment of a Python that runs under the shim."""
    library = str(build(folder))
    return {**os.environ, "LD_PRELOAD": library, LOADED: library, "OMP_NUM_THREADS": "1"}


def relaunch(arguments: list[str]) -> int:
    """Run this program again, under the shim. Returns its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run([sys.executable, *arguments], cwd=CHECKOUT, env=environment(Path(folder))).returncode


class Shim:
    """Control of the layer from inside a process that runs under it."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(os.environ[LOADED])
        self._library.faults_disarm.restype = ctypes.c_long
        self._library.faults_count.restype = ctypes.c_long

    def watch(self, folder: Path) -> None:
        """Count and harm what happens below this folder, which must be a real path."""
        self._library.faults_watch(os.fsencode(folder))

    def log(self, descriptor: int, *, data: bool) -> None:
        self._library.faults_log(descriptor, int(data))

    def arm(self, at: int, fault: Fault) -> None:
        """From now on count; the call of number `at`, from 1, meets the fault."""
        self._library.faults_arm(ctypes.c_long(at), int(fault))

    def count(self) -> int:
        """Calls since it was armed."""
        return int(self._library.faults_count())

    def disarm(self) -> int:
        """Stop counting and harming. Returns how many calls were counted."""
        return int(self._library.faults_disarm())

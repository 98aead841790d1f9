"""What is on no disk: files of a moment in memory, and no memory in files."""

import atexit
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

PREFIX = "mmsearch-memory-"


_PR_SET_DUMPABLE = 4


def no_core_dumps() -> None:
    """From now on this process, and those it starts, leave nothing of their memory behind when they crash, and on Linux
    no other process of the same user may look into it."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # A limit of 0 keeps files away; a program that /proc/sys/kernel/core_pattern names gets the memory all the
        # same, unless the process says that it can't be dumped. Those it starts say so when they take over a key.
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def memory_folder() -> Path:
    """A private folder of this process for what decoders have to read and no disk is to hold: in memory on Linux, and
    else among the system's temporary files. It ends with the process; what a killed one left goes at the next start."""
    return Path(_memory_folder(os.getpid()))


@lru_cache(maxsize=1)
def _memory_folder(_process: int) -> str:
    base = _base()
    sweep_memory()
    made = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=base)
    atexit.register(_remove, made, os.getpid())
    return made


def _base() -> str:
    shared = "/dev/shm"
    return shared if os.path.isdir(shared) and os.access(shared, os.W_OK) else tempfile.gettempdir()


def sweep_memory() -> None:
    """Remove the folders of processes that were killed."""
    for left in Path(_base()).glob(f"{PREFIX}*"):
        number = left.name.removeprefix(PREFIX).partition("-")[0]
        if number.isdecimal() and not os.path.exists(f"/proc/{number}") and os.path.isdir("/proc/self"):
            shutil.rmtree(left, ignore_errors=True)


def _remove(folder: str, process: int) -> None:
    if os.getpid() == process:  # a forked child's end is not its parent's
        shutil.rmtree(folder, ignore_errors=True)

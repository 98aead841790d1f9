"""What is on no disk: files of a moment in memory, and no memory in files."""

import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

PREFIX = "mmsearch-memory-"


def no_core_dumps() -> None:
    """From now on this process, and those it starts, leave nothing of their memory behind when they crash."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def memory_folder() -> Path:
    """A private folder of this process for what decoders have to read and no disk is to hold: in memory on Linux, and
    else among the system's temporary files. It ends with the process; what a killed one left goes at the next start."""
    return Path(_memory_folder(os.getpid()))


@lru_cache(maxsize=1)
def _memory_folder(_process: int) -> str:
    shared = "/dev/shm"
    base = shared if os.path.isdir(shared) and os.access(shared, os.W_OK) else tempfile.gettempdir()
    for left in Path(base).glob(f"{PREFIX}*"):
        number = left.name.removeprefix(PREFIX).partition("-")[0]
        if number.isdecimal() and not os.path.exists(f"/proc/{number}") and os.path.isdir("/proc/self"):
            shutil.rmtree(left, ignore_errors=True)
    made = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=base)
    atexit.register(_remove, made, os.getpid())
    return made


def _remove(folder: str, process: int) -> None:
    if os.getpid() == process:  # a forked child's end is not its parent's
        shutil.rmtree(folder, ignore_errors=True)

"""Takes away, from this process's first moment on, what only POSIX has, and forbids what Windows does.

Gone: the modules fcntl, resource, pwd, grp, termios, tty, pty; AF_UNIX; fork. Refused, as Windows refuses it: removing,
renaming or replacing a file that this process has open or mapped, and file names that Windows can't have.
"""

import contextlib
import multiprocessing
import os
import re
import socket
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec

GONE = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty")
RESERVED = re.compile(r'(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?|.*[<>:"|?*\\\x00-\x1f].*|.*[. ]')


class _Missing(MetaPathFinder):
    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name in GONE:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def _hide() -> None:
    for name in GONE:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, _Missing())
    for owner, names in ((os, ("fork", "forkpty", "register_at_fork", "posix_fadvise")), (socket, ("AF_UNIX",))):
        for name in names:
            if hasattr(owner, name):
                delattr(owner, name)
    multiprocessing.set_start_method("spawn", force=True)


def _held() -> Iterator[str]:
    """The files that this process has open or mapped."""
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            yield os.readlink(f"/proc/self/fd/{number}")
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            yield line.rstrip("\n").partition("/")[2].join(("/", ""))


def _refuse() -> None:
    place = os.path.realpath(os.environ["ELSEWHERE"])
    busy = False

    def ours(path: object) -> str | None:
        if not isinstance(path, str | bytes | os.PathLike):
            return None
        whole = os.path.realpath(os.path.dirname(os.fsdecode(path)) or ".")
        whole = os.path.join(whole, os.path.basename(os.fsdecode(path)))
        return whole if whole.startswith(place + os.sep) else None

    def check(event: str, given: tuple[object, ...]) -> None:
        if event in ("os.rename", "os.remove", "os.rmdir"):
            named = [path for path in map(ours, given[: 2 if event == "os.rename" else 1]) if path]
            held = set(_held())
            for path in named:
                if path in held or any(one.startswith(path + os.sep) for one in held):
                    raise PermissionError(13, "it is in use here, as on Windows", path)
        if event in ("os.rename", "os.mkdir", "open"):
            made = ours(given[1] if event == "os.rename" else given[0])
            if made and (event != "open" or not os.path.exists(made)) and RESERVED.fullmatch(os.path.basename(made)):
                raise OSError(22, "Windows has no such name", made)

    def hook(event: str, given: tuple[object, ...]) -> None:
        nonlocal busy
        if busy or not event.startswith(("os.r", "os.mkdir", "open")):
            return
        busy = True
        try:
            check(event, given)
        finally:
            busy = False

    sys.addaudithook(hook)


if "ELSEWHERE" in os.environ:
    _hide()
    _refuse()

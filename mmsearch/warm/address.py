"""Where a warm process is found: a socket in a folder that belongs to the user alone.

The socket's name is a hash of the installation and the library, so that no shell ever talks to another version's
process. Where a socket's path would be too long, a file of that name tells a port of the loopback and a secret.
"""

import os
import stat
import sys

# Systems take 104 or 108 bytes.
MAX_PATH = 100
SOCKET, PORT, LOCK = ".sock", ".port", ".lock"

SUPPORTED = sys.platform != "win32"
"""Windows' consoles are written to by other calls than bytes on a descriptor."""


def folder() -> str:
    """Of all warm processes of this user: below $XDG_RUNTIME_DIR, else among the temporary files."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime):
        return os.path.join(runtime, "mmsearch")
    return os.path.join(os.environ.get("TMPDIR") or "/tmp", f"mmsearch-{os.getuid()}")


def is_own(path: str) -> bool:
    """Whether a folder, or a file, is this user's, and no other user can look into it or put something there."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    kinds = stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)
    return kinds and status.st_uid == os.geteuid() and not status.st_mode & 0o077


def made_folder() -> str | None:
    """The folder, made if need be; None if it would not be this user's alone."""
    path = folder()
    parent = os.path.dirname(path)
    try:
        # With `sudo`, $XDG_RUNTIME_DIR may be another user's, who would find our folder in the way.
        if os.stat(parent).st_uid == os.geteuid() or os.path.basename(path) != "mmsearch":
            os.makedirs(path, 0o700, exist_ok=True)
    except OSError:
        return None
    return path if is_own(path) else None


def name_of(library: str) -> str:
    """The name that the files of a library's warm process begin with; `library` as `library_named` tells it."""
    here = os.path.dirname(os.path.abspath(__file__))
    home = () if library else (os.environ.get("HOME", ""), os.environ.get("XDG_DATA_HOME", ""))
    text = os.fsencode("\0".join((sys.prefix, sys.version, here, library, *home)))
    # FNV-1a. No protection, which the folder is, but a name: a process of another library refuses to answer.
    value = 0xCBF29CE484222325
    for byte in text:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def library_named(arguments: list[str]) -> str:
    """The library that a command line means, as far as can be told without loading anything; "" for the default one in
    the user's data folder.

    `core.paths.default_library` has the last word; where the two differ, the process asked refuses to answer.
    """
    named = os.environ.get("MMSEARCH_LIBRARY", "")
    for position, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument == "--library" and position + 1 < len(arguments):
            named = arguments[position + 1]
        elif argument.startswith("--library="):
            named = argument.partition("=")[2]
    if named:
        return os.path.abspath(os.path.expanduser(named))
    return os.path.abspath("indexes/default") if os.path.isdir("indexes") else ""


def read_port(path: str) -> tuple[int, str]:
    """Port and secret of a process that listens on the loopback. Raises: OSError, ValueError."""
    if not is_own(path):
        raise OSError("not the user's own")
    with open(path, "rb") as file:
        port, secret = file.read(200).decode("ascii").split()
    return int(port), secret

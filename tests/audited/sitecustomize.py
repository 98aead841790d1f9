"""An audit hook in this process, from its first moment on. It writes down what no data may lead to, a line each:

an event that names a canary, an import outside the closed list, a connection beyond this machine.
"""

import contextlib
import os
import re
import sys
from types import FrameType

CANARY = re.compile(r"canary(\d\d|_named|-folder|-file)")
ODD = {"antigravity", "this", "turtledemo", "idlelib", "cProfile", "webbrowser", "smtplib", "ftplib"}
"""Of the standard library: what only a hostile name would bring in here."""


def _installed() -> set[str]:
    """Top-level names of what lies in the places that modules come from, but for the canaries' own."""
    found: set[str] = set()
    for place in sys.path:
        if os.path.isdir(place) and os.path.basename(place) != "canaries":
            found.update(name.partition(".")[0] for name in os.listdir(place))
    return found


def _watch() -> None:
    log = os.open(os.environ["AUDIT_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    known = (_installed() | set(sys.stdlib_module_names) | set(sys.builtin_module_names)) - ODD
    busy = False

    def say(what: str) -> None:
        os.write(log, f"{os.getpid()} {what}\n".encode("utf-8", "backslashreplace"))

    def hook(event: str, given: tuple[object, ...]) -> None:
        nonlocal busy
        if busy:
            return
        busy = True
        try:
            if event == "import" and _strange(str(given[0]).partition(".")[0], known):
                say(f"import {given[0]}")
            elif event.startswith("socket.") and _leaves(event, given):
                say(f"{event} {given[1:]!r}")
            elif event not in ("compile", "exec", "marshal.loads") and any(_names(one) for one in given):
                say(f"{event} {given!r}"[:500])
        finally:
            busy = False

    say("watched")
    sys.addaudithook(hook)


def _strange(top: str, known: set[str]) -> bool:
    """Whether a name is outside the closed list. Libraries may look for others that are not installed: we don't."""
    return top in ODD or (top not in known and os.sep + "mmsearch" + os.sep in _importer())


def _importer() -> str:
    """The file that wants the import."""
    frame = sys._getframe()
    while frame.f_back is not None and ("importlib" in _file(frame) or _file(frame) == __file__):
        frame = frame.f_back
    return _file(frame)


def _file(frame: FrameType) -> str:
    return frame.f_code.co_filename


def _names(value: object) -> bool:
    """Whether it names a canary; `sys.path` and the environment are not looked into."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return isinstance(value, str) and CANARY.search(value) is not None


def _leaves(event: str, given: tuple[object, ...]) -> bool:
    if event == "socket.getaddrinfo":
        return given[0] not in (None, "", "localhost", "127.0.0.1", "::1")
    if event not in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        return event in ("socket.gethostbyname", "socket.gethostbyaddr")
    address = given[1]
    return isinstance(address, tuple) and not str(address[0]).startswith(("127.", "::1", "localhost"))


if "AUDIT_LOG" in os.environ:
    with contextlib.suppress(OSError):
        _watch()

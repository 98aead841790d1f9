"""A query's answer from the warm process of its library, if there is one: in a shell, before anything is loaded.

Any doubt is None, which means: answer it yourself. Nothing has been printed then.
"""

import os
import sys

from mmsearch.warm.address import PORT, SOCKET, SUPPORTED, folder, is_own, library_named, name_of, read_port
from mmsearch.warm.messages import TAKEN, TERMINAL, Request, environment, system, unpacked_answer

TYPE_CHECKING = False

if TYPE_CHECKING:
    from _socket import socket

TAKEN_S = 0.5
"""Seconds until a process that is not busy has taken a request."""

ANSWER_S = 20.0
"""Seconds until it has answered: the first picture loads models."""

INTERRUPTED, READER_GONE, FAILED = 130, 141, 70
"""As the shell's other commands end, so."""

OFF = ("--no-warm", "--help", "-h")


def is_wanted(arguments: list[str]) -> bool:
    """Whether a command line may be answered by another process at all."""
    if not SUPPORTED or arguments[:1] != ["query"] or "_MMSEARCH_COMPLETE" in os.environ:
        return False
    if os.environ.get("MMSEARCH_WARM") not in (None, "", "auto", "on"):
        return False
    return not any(argument in OFF for argument in arguments)


def answer(arguments: list[str]) -> int | None:
    """Print what a warm process answers, and return the exit code."""
    if not is_wanted(arguments) or sys.stdout is None or sys.stderr is None or sys.stdin is None:
        return None
    try:
        return _answer(arguments)
    except KeyboardInterrupt:
        os.write(2, b"Interrupted.\n")
        return INTERRUPTED


def _answer(arguments: list[str]) -> int | None:
    try:
        answered = ask(os.path.join(folder(), name_of(library_named(arguments))), _request(arguments))
    except (OSError, ValueError):
        return None
    return None if answered is None else _print(*answered)


def ask(base: str, request: Request) -> tuple[int, list[tuple[int, bytes]]] | None:
    """Exit code and pieces of output of the process at an address. Raises: OSError, ValueError."""
    if not is_own(os.path.dirname(base)):
        return None
    connection = _connected(base, request)
    try:
        connection.sendall(request.packed())
        if connection.recv(1) != TAKEN:
            return None
        connection.settimeout(ANSWER_S)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    finally:
        connection.close()
    return unpacked_answer(b"".join(parts))


def _connected(base: str, request: Request) -> "socket":
    """Raises: OSError, ValueError if there is no process."""
    # `socket` itself takes longer to load than all else that is done here.
    import _socket

    if os.path.exists(base + PORT):
        port, request.secret = read_port(base + PORT)
        made = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        address: tuple[str, int] | str = ("127.0.0.1", port)
    else:
        made = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        address = base + SOCKET
    try:
        made.settimeout(TAKEN_S)
        made.connect(address)
    except BaseException:
        made.close()
        raise
    return made


def _request(arguments: list[str]) -> Request:
    """Raises: ValueError for a terminal that is not understood, OSError if the working folder is gone."""
    request = Request(arguments)
    request.system, request.environment = system(), environment()
    request.folder, request.library = os.getcwd(), library_named([])
    terminal = sys.stdout.isatty()
    request.terminals = f"{terminal:d}{sys.stderr.isatty():d}"
    request.encodings = [sys.stdout.encoding, sys.stderr.encoding]
    if terminal:
        told = {name: os.environ[name] for name in TERMINAL if name in os.environ}
        if told.get("TERM", "dumb") in ("dumb", "unknown"):
            raise ValueError("a terminal of another kind")
        if not told.get("COLUMNS", "").isdigit():
            told["COLUMNS"] = str(_columns())
        request.terminal = [f"{name}={value}" for name, value in told.items()]
    return request


def _columns() -> int:
    for number in (0, 1, 2):
        try:
            return os.get_terminal_size(number).columns or 80
        except OSError:
            continue
    return 80


def _print(code: int, pieces: list[tuple[int, bytes]]) -> int | None:
    """The exit code; None if nothing could be printed: whoever answers anew says why."""
    printed = False
    for number, data in pieces:
        try:
            while data:
                data = data[os.write(number, data) :]
                printed = True
        except BrokenPipeError:
            if number == 1:
                return READER_GONE
        except OSError as error:
            if number == 1:
                if not printed:
                    return None
                os.write(2, f"Error: can't write to standard output: {error.strerror}\n".encode())
                return FAILED
    return code

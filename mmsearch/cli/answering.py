"""Answers of a warm process: the bytes that a command of its own would have printed, or none.

Whatever could make them differ is a reason to refuse: another environment, settings or code than when the process
began, a library that is another one, an option that does more than search, an error, a warning.
"""

import io
import logging
import os
import sys
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any, TextIO, cast

import click
from click.core import ParameterSource

from mmsearch.cli import surroundings
from mmsearch.cli.output import Guarded
from mmsearch.cli.query import query
from mmsearch.core.config import read_configuration
from mmsearch.core.paths import data_folder
from mmsearch.errors import MmsearchError
from mmsearch.warm import messages
from mmsearch.warm.messages import Request

if TYPE_CHECKING:
    from mmsearch.library import Library

ANSWERED = frozenset(
    ("query", "library", "text", "image", "audio", "video", "like", "compose", "modalities", "mode", "filter", "k",
     "offset", "dedup", "min_confidence", "show_all", "moments", "scores", "ids", "only_paths", "null", "as_json",
     "as_json_lines")
)  # fmt: skip
"""Options that a warm process may answer; it refuses those it doesn't know, and those that load or open more."""

Pieces = list[tuple[int, bytes]]
"""(1 for standard output or 2 for standard error, what was written), in order."""


class Refused(Exception):
    """The shell answers by itself. `for_good`: this process would refuse whatever is asked from now on."""

    def __init__(self, why: str, *, for_good: bool = False) -> None:
        super().__init__(why)
        self.for_good = for_good


class Answering:
    """Answers command lines with an open library. One request at a time, in one thread."""

    def __init__(self, library: "Library") -> None:
        self._library = library
        self._environment = messages.environment()
        self._system = messages.system()
        self._configuration = read_configuration(library.path)
        self._identity = library.identity()
        self._code: dict[str, int] = {}
        """File or folder -> nanoseconds when it was changed last."""
        self._modules = 0
        self.check_unchanged()

    def answer(self, request: Request) -> tuple[int, Pieces]:
        """Exit code and output. Raises: Refused."""
        self._check_asker(request)
        self.check_unchanged()
        pieces: Pieces = []
        doubts = _Doubts()
        ours = logging.getLogger("mmsearch")
        ours.addHandler(doubts)
        try:
            code = self._run(request, pieces)
        except (MmsearchError, click.ClickException, click.Abort) as error:
            # Rare, and said at leisure: with a terminal's width, after whatever was warned of.
            raise Refused(f"{type(error).__name__}") from error
        finally:
            ours.removeHandler(doubts)
        if doubts.noted:
            raise Refused("a command of its own would warn each time", for_good=True)
        return code, pieces

    def check_unchanged(self) -> None:
        """Raises: Refused if settings, code or library are others by now."""
        try:
            configuration, identity = read_configuration(self._library.path), self._library.identity()
        except MmsearchError as error:
            raise Refused("the settings or the library can't be read", for_good=True) from error
        if configuration != self._configuration or configuration.settings.warm == "off":
            raise Refused("the settings changed", for_good=True)
        if identity != self._identity:
            raise Refused("the library is another one", for_good=True)
        self._check_code()

    def _check_code(self) -> None:
        """Raises: Refused if a module of ours, or what is installed, is not what it was when it was first seen."""
        if len(sys.modules) != self._modules:
            self._modules = len(sys.modules)
            for path in _code_files():
                if path not in self._code and (seen := _modified(path)):
                    self._code[path] = seen
        # Some hundred files with each query: a function call for each would be a third of the time.
        for path, seen in self._code.items():
            try:
                if os.stat(path).st_mtime_ns != seen:
                    raise Refused("the program changed", for_good=True)
            except OSError as error:
                raise Refused("the program is gone", for_good=True) from error

    def _check_asker(self, request: Request) -> None:
        """Raises: Refused."""
        if request.environment != self._environment or request.system != self._system:
            raise Refused("another environment")
        if any(argument.startswith(("mem:", "./mem:", "/dev/", "/proc/")) for argument in request.arguments):
            raise Refused("a path that means another thing here")

    def _run(self, request: Request, pieces: Pieces) -> int:
        """The exit code. Raises: Refused, and what the command raises."""
        # click keeps the names of --help from the first context that a command is in.
        names = ["-h", "--help"]
        context = query.make_context("mmsearch query", request.arguments[1:], help_option_names=names)
        self._check_options(context, request)
        terminal = dict(entry.split("=", 1) for entry in request.terminal)
        there = surroundings.Surroundings(Path(request.folder), terminal, self._library)
        out, err = (
            _recorded(number, pieces, request.encodings[number - 1], terminal=request.terminals[number - 1] == "1")
            for number in (1, 2)
        )
        code = 0
        with surroundings.standing(there), redirect_stdout(out), redirect_stderr(err):
            try:
                with context:
                    query.invoke(context)
            except click.exceptions.Exit as end:
                code = end.exit_code
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            out.flush()
            err.flush()
        return code

    def _check_options(self, context: click.Context, request: Request) -> None:
        """Raises: Refused for what is not a search of this library alone."""
        given = {name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
        if not given <= ANSWERED:
            raise Refused(f"options: {', '.join(sorted(given - ANSWERED))}")
        named: Path | None = context.params["library"]
        path = request.library if named is None else os.path.join(request.folder, os.path.expanduser(named))
        wanted = Path(os.path.abspath(path)) if path else data_folder() / "default"
        if wanted != self._library.path:
            raise Refused("another library")
        files = (context.params[kind] for kind in ("image", "audio", "video"))
        words = [*context.params["query"], *(os.fspath(one) for one in files if one is not None)]
        _check_files(words, request.folder, told=bool(context.params["as_json"]))


def _check_files(words: Iterable[str], folder: str, *, told: bool) -> None:
    """Raises: Refused for words that name what this process can't open, or a folder, which would be taken in.

    Args:
        told: Whether the answer tells the path of a file as it was written.
    """
    for word in words:
        path = os.path.join(folder, os.path.expanduser(word))
        if os.path.realpath(path).startswith(("/dev/", "/proc/")):
            raise Refused("a file of the shell's own")
        if (os.sep in word or word.startswith((".", "~"))) and os.path.isdir(path):
            raise Refused("a folder")
        if told and os.path.exists(path):
            raise Refused("a file that the answer tells of")


class _Doubts(logging.Handler):
    """Notes that something was logged which a shell prints, in this thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.noted = False
        self._thread = get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        self.noted = self.noted or record.thread == self._thread


class _Recorder(io.RawIOBase):
    """A descriptor of the shell's, whose writes are sent there."""

    def __init__(self, number: int, pieces: Pieces, terminal: bool) -> None:
        self._number, self._pieces, self._terminal = number, pieces, terminal

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._terminal

    def write(self, data: Any) -> int:
        written = bytes(data)
        if self._pieces and self._pieces[-1][0] == self._number:
            written = self._pieces.pop()[1] + written
        self._pieces.append((self._number, written))
        return len(data)


class _Routed(Guarded):
    """Standard output or error of the thread that answers; other threads of a server keep their own."""

    def __init__(self, stream: TextIO, others: TextIO, *, wanted: bool) -> None:
        self._answering, self._others, self._thread = stream, others, get_ident()
        super().__init__(stream, wanted=wanted)

    @property
    def _stream(self) -> TextIO:
        return self._answering if get_ident() == self._thread else self._others

    @_stream.setter
    def _stream(self, stream: TextIO) -> None:
        self._answering = stream


def _recorded(number: int, pieces: Pieces, encoding: str, *, terminal: bool) -> TextIO:
    """A standard stream as `output.guard` makes it, whose bytes become pieces."""
    buffer = io.BufferedWriter(cast(Any, _Recorder(number, pieces, terminal)))
    text = io.TextIOWrapper(buffer, encoding, "backslashreplace", line_buffering=terminal or number == 2)
    others = sys.stdout if number == 1 else sys.stderr
    return cast(TextIO, _Routed(text, others, wanted=number == 1))


def _code_files() -> Iterable[str]:
    """The modules of this package that are loaded, and the folders that packages are installed into."""
    yield from (path for path in sys.path if path.endswith("-packages"))
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "mmsearch" and (file := getattr(module, "__file__", None)):
            yield file


def _modified(path: str) -> int:
    """Nanoseconds when a file was changed last; 0 if it isn't there."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0

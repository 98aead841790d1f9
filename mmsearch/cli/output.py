"""The standard streams of the shell: what is printed never steers a terminal; one that is gone is an error of ours.

`guard` puts a `Guarded` in the place of standard output and standard error, so that everything passes through it: our
own lines, click's, warnings, logging and tracebacks. Names of files, texts inside them and what other programs recorded
may hold escape sequences that retitle a window, write to the clipboard or hide text.
"""

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from mmsearch.errors import MmsearchError

_HIDDEN = (
    "\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f"
)
"""What reorders a line, ends one, is not seen, or is no character: bidirectional controls, separators, surrogates."""

_STEERING = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_HIDDEN}]")
_NOT_IN_A_LINE = re.compile(f"[\x00-\x1f\x7f-\x9f{_HIDDEN}]")


class ReaderGone(Exception):
    """Whoever read standard output (head, less) has seen enough. No OSError: click would make an exit code 1 of it."""


def printable(text: str) -> str:
    """Fit for a place in a line: control characters, tabs and line ends too, become escapes such as \\x1b and \\n."""
    return _NOT_IN_A_LINE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


class Guarded:
    """A text stream in front of a standard stream; whatever is not here is the stream's own.

    It has no `buffer`: click would write there, past it. `write_bytes` is for bytes.
    """

    def __init__(self, stream: TextIO, *, wanted: bool, steers: bool = False) -> None:
        self._stream = stream
        self._wanted = wanted
        """Whether it is an error that nothing can be written; nobody could be told of one of standard error."""
        self.steers = steers
        """Whether control characters pass: for bars and tables, whose words were made `printable` before."""

    def write(self, text: str) -> int:
        clean = text if self.steers else _STEERING.sub(_escape, text)
        if clean:  # click tries streams with nothing, and hides what that raises
            with self._written():
                self._stream.write(clean)
        return len(text)

    def write_bytes(self, data: bytes) -> None:
        """As they are, and at once."""
        with self._written():
            self._stream.flush()
            self._stream.buffer.write(data)
            self._stream.buffer.flush()

    def flush(self) -> None:
        with self._written():
            self._stream.flush()

    @property
    def stream(self) -> TextIO:
        """What stands behind it."""
        return self._stream

    def unguarded(self) -> "Guarded":
        """The same stream for a program that moves the cursor itself."""
        return Guarded(self._stream, wanted=self._wanted, steers=True)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self._stream, name)

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            _discard(self._stream)
            if self._wanted:
                raise _failure(error) from error


def _failure(error: OSError) -> Exception:
    if isinstance(error, BrokenPipeError):
        return ReaderGone()
    why = "it is closed" if error.errno == errno.EBADF else error.strerror or str(error)
    return MmsearchError(f"can't write to standard output: {why}")


def guard() -> None:
    """Guard the standard streams, after those that were closed at the start have been given a place.

    A file of ours that got number 1 or 2 would be written into by whatever prints in this process or in a child.
    Writing to a closed standard output fails as it does elsewhere; what goes to a closed standard error is lost.
    """
    for number, access in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, access), True)  # the lowest number that is free, so this one
    sys.stdin = sys.stdin or _nowhere("r", os.O_RDONLY)
    sys.stdout = _guarded(sys.stdout or _nowhere("w", os.O_RDONLY), wanted=True)
    sys.stderr = _guarded(sys.stderr or _nowhere("w", os.O_WRONLY), wanted=False)


def bar(stream: TextIO) -> TextIO:
    """The stream for who draws a bar or a table on it."""
    return cast(TextIO, stream.unguarded()) if isinstance(stream, Guarded) else stream


@contextmanager
def protocol() -> Iterator[None]:
    """Meanwhile standard output is that of a program that speaks a protocol there: its bytes, and nobody's words."""
    guarded = sys.stdout
    if isinstance(guarded, Guarded):
        sys.stdout = guarded.stream
    try:
        yield
    finally:
        sys.stdout = guarded


@contextmanager
def foreign_bars() -> Iterator[None]:
    """Meanwhile a bar of another library may begin its line on standard error anew."""
    guarded = sys.stderr
    sys.stderr = cast(TextIO, _Returning(guarded))
    try:
        yield
    finally:
        sys.stderr = guarded


class _Returning:
    """Lets carriage returns pass, and nothing else that a guarded stream keeps back."""

    def __init__(self, guarded: TextIO) -> None:
        self._guarded = guarded
        self._bar = bar(guarded)

    def write(self, text: str) -> int:
        for part in re.split("(\r)", text):
            (self._bar if part == "\r" else self._guarded).write(part)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._guarded, name)


def write_bytes(data: bytes) -> None:
    """Print bytes as they are."""
    if isinstance(sys.stdout, Guarded):
        sys.stdout.write_bytes(data)
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def _guarded(stream: TextIO, *, wanted: bool) -> TextIO:
    if isinstance(stream, Guarded):
        return stream
    with suppress(AttributeError):
        # Nothing that an encoding lacks ends a command, as names in an older encoding or a C locale did.
        cast(Any, stream).reconfigure(errors="backslashreplace")
    return cast(TextIO, Guarded(stream, wanted=wanted))


def _nowhere(mode: str, access: int) -> TextIO:
    return cast(TextIO, open(os.open(os.devnull, access), mode, encoding="utf-8"))


def _discard(stream: TextIO) -> None:
    """What is still in the stream's buffer goes nowhere, and so does not fail again when Python ends."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)

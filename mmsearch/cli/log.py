"""Where messages go: warnings to standard error, and all of them into a file where one is named.

Above DEBUG no message holds a path or a query: a log is what people send to others.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from mmsearch.cli import output
from mmsearch.core.version import VERSION
from mmsearch.errors import InvalidInput, MmsearchError

LEVELS = ("debug", "info", "warning")

_log = logging.getLogger(__name__)


class _Shown(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"{record.levelname.capitalize()}: {output.printable(record.getMessage())}", err=True)


@contextmanager
def logged(command: str, file: Path | None, level: str) -> Iterator[None]:
    """While a command runs. Raises: InvalidInput if the file can't be written."""
    ours = logging.getLogger("mmsearch")
    before, handlers = ours.level, [_Shown(logging.WARNING), *([] if file is None else [_into(file, level)])]
    ours.setLevel(min(handler.level for handler in handlers))
    for handler in handlers:
        ours.addHandler(handler)
    try:
        _log.info("mmsearch %s: %s begins", VERSION, command)
        yield
        _log.info("%s ends", command)
    except Exception as error:
        _log.info("%s ends with %s", command, type(error).__name__)
        _log.debug("%s", error.message if isinstance(error, MmsearchError) else error)
        raise
    finally:
        for handler in handlers:
            ours.removeHandler(handler)
            handler.close()
        ours.setLevel(before)


def _into(file: Path, level: str) -> logging.Handler:
    try:
        handler = logging.FileHandler(file, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InvalidInput(f"can't write the log {file}: {error.strerror}", hint="name another --log-file") from error
    handler.setLevel(level.upper())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    return handler

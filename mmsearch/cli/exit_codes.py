"""How a command ends: every exit code, and what it says to the script that ran the command."""

from collections.abc import Mapping

import click

from mmsearch.errors import MmsearchError

NOTHING_FOUND = 1
"""As grep's: nothing else ends so."""
CHECK_FAILED = 8
UNEXPECTED = MmsearchError.exit_code
INTERRUPTED = 130
READER_GONE = 141

MEANINGS: Mapping[int, str] = {
    0: "It is done. Of a query: some hit is sure or likely, or nothing could be said of it yet.",
    NOTHING_FOUND: "`mmsearch query` found nothing, or only what is unlikely. Nothing else ends so.",
    2: "The command, an option, a setting or a query makes no sense (`InvalidInput`).",
    3: "The library on disk: none is there, it is empty, newer, damaged or can't be written (`LibraryError`).",
    4: "Another process is writing to the library (`LibraryLocked`).",
    5: "An index is wrong (`IndexDamaged`, and `mmsearch index verify` without `--repair`).",
    6: "A model or its weights can't be used (`EncodeError`).",
    7: "The file of a query can't be read (`MediaError`).",
    CHECK_FAILED: "A check did not pass: `mmsearch doctor` found an error, or a new index misses its recall.",
    UNEXPECTED: "Something that should not happen: please report it, with what was printed.",
    INTERRUPTED: "Ctrl-C, or no to a question; what was done until then is kept.",
    READER_GONE: "Whoever read the output has closed the pipe.",
}
"""Every exit code of the shell; `mmsearch help errors` shows them."""


def of_usage(error: click.ClickException) -> int:
    """The exit code of what click raises: that of bad usage, and never 1."""
    return error.exit_code if error.exit_code != NOTHING_FOUND else UNEXPECTED

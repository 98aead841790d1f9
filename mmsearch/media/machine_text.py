"""What no person wrote into a text: encoded pictures, which are left out, and numbers, of which few are kept."""

import hashlib
import re
from collections.abc import Callable

from mmsearch.types import Metadata

MOST = 128
"""Passages of numbers kept of a file, at most."""

_DIGITS = 0.15
"""Share of the signs of a passage from which it counts as one of numbers; prose and programs have a twentieth."""

_WORDS_EACH = 8
"""Different words of a file for each passage of numbers that holds no new one: a report has hundreds to a table, a
track a dozen in all."""

_SHORTEST = 120
"""Signs without a space that no word, name or address has, if they are of the alphabet of base64."""

# Possessive, and never begun in the midst of a run: what was no match is not looked through again.
_ENCODED = re.compile(
    rf"""
    (?:data:[\w/+.;=-]{{0,100}}base64,)?
    (?<![A-Za-z0-9+/])
    (?:
        (?:[A-Za-z0-9+/]|\\[nr/]){{{_SHORTEST},}}+                             # in one line, or in a text of JSON
      | [A-Za-z0-9+/]{{20,}}+ (?:\r?\n[ \t]*+[A-Za-z0-9+/]{{60,}}+(?=[\s=]|\Z))++    # lines, folded or not
    )
    (?:\r?\n[ \t]*+[A-Za-z0-9+/]{{1,75}}+=)?+ =*+
    """,
    re.VERBOSE,
)
_SMALL, _LARGE, _NUMBER = re.compile("[a-z]"), re.compile("[A-Z]"), re.compile("[0-9]")
_HEX = re.compile(r"(?:[0-9a-f\s]++|[0-9A-F\s]++)\Z")

_DIGIT, _SIGN = re.compile(r"\d"), re.compile(r"\S")
_NAME = re.compile(r"\b[^\W\d_]{3,}\b")


def without_encoded(text: str, note: Callable[[str], None] = lambda run: None) -> str:
    """The text without what is base64 or a long run of hexadecimal digits: attachments, data: addresses, keys.

    Args:
        note: Told of each run.
    """

    def rest(found: re.Match[str]) -> str:
        if not _is_encoded(found[0]):
            return found[0]
        note(found[0])
        return " "

    return _ENCODED.sub(rest, text)


class LeftOut:
    """What was left out of one file. Two texts are the same only if it was the same of both, so its hash is kept."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._any = False

    def add(self, text: str) -> None:
        self._any = True
        self._digest.update("".join(text.split()).encode("utf-8", "replace"))

    def facts(self) -> Metadata:
        """left_out: the hash, in hexadecimal digits; nothing if nothing was."""
        return {"left_out": self._digest.hexdigest()} if self._any else {}


def _is_encoded(run: str) -> bool:
    if len(run) < _SHORTEST or not _NUMBER.search(run):
        return False
    return bool(_SMALL.search(run) and _LARGE.search(run)) or _HEX.match(run) is not None


class Numbers:
    """Which passages of one file are kept: all but those of numbers (tracks, telemetry, logs, tables) that hold no word
    that was not there before, where the file has few words for so many of them."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._kept = 0

    def keeps(self, passage: str) -> bool:
        """Whether a passage is kept; to be asked in their order."""
        names = {name.casefold() for name in _NAME.findall(passage)}
        fresh = bool(names - self._seen)
        self._seen |= names
        fresh = fresh or self._kept <= len(self._seen) // _WORDS_EACH
        if len(_DIGIT.findall(passage)) < _DIGITS * len(_SIGN.findall(passage)):
            return True
        if not fresh or self._kept >= MOST:
            return False
        self._kept += 1
        return True

"""What a value that comes from outside may be: closed lists and ranges; `core.config` has one for each setting.

A value range turns a value into its own type, and raises ValueError for what is outside it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

MAX_CHARACTERS = 4096
"""Characters of a text."""


class ValueRange(Protocol):
    """What a setting may be."""

    @property
    def known(self) -> str:
        """In words, for a hint."""

    def of(self, value: object) -> Any:
        """The value, in its own type. Raises: ValueError, also for a number that is a text, and the other way round."""

    def parsed(self, text: str) -> Any:
        """What a text means, where there is nothing but texts: in the environment. Raises: ValueError."""


@dataclass(frozen=True, slots=True)
class WholeNumbers:
    """Whole numbers in [least, most]."""

    least: int
    most: int

    @property
    def known(self) -> str:
        return f"a whole number from {self.least:,} to {self.most:,}"

    def of(self, value: object) -> int:
        # True is an int to Python, and 2e9 a float to TOML.
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.least <= value <= self.most:
            raise ValueError(self.known)
        if value != int(value):
            raise ValueError(self.known)
        return int(value)

    def parsed(self, text: str) -> int:
        return self.of(int(text))


@dataclass(frozen=True, slots=True)
class RealNumbers:
    """Finite numbers above `above` and at most `most`, or below it."""

    most: float
    above: float = 0.0
    below: bool = False
    """Whether `most` itself is left out."""

    @property
    def known(self) -> str:
        return f"a number above {self.above:g}, {'below' if self.below else 'at most'} {self.most:,g}"

    def of(self, value: object) -> float:
        # Compared before it becomes a float: no float is as large as an int may be.
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.above < value <= self.most:
            raise ValueError(self.known)
        if self.below and value == self.most:
            raise ValueError(self.known)
        return float(value)

    def parsed(self, text: str) -> float:
        return self.of(float(text))


@dataclass(frozen=True, slots=True)
class TextValues:
    """Texts that fit."""

    known: str
    fits: Callable[[str], object]

    def of(self, value: object) -> str:
        if not isinstance(value, str) or len(value) > MAX_CHARACTERS or not self.fits(value):
            raise ValueError(self.known)
        return value

    def parsed(self, text: str) -> str:
        return self.of(text)


def one_of(*names: str) -> TextValues:
    """One of these words."""
    return TextValues(f"known: {', '.join(names)}", names.__contains__)


def parse_pairs(text: str) -> dict[str, float]:
    """ "a=1,b=2" as a dictionary. Raises: ValueError."""
    numbers: dict[str, float] = {}
    for pair in text.split(","):
        name, _, value = pair.partition("=")
        if not name.strip():
            raise ValueError(f"{pair!r} names nothing")
        numbers[name.strip()] = float(value)
    return numbers


def pairs_of_numbers(known: str, fits: Callable[[float], bool]) -> TextValues:
    """Texts such as "a=1,b=2" whose numbers fit."""

    def each(text: str) -> bool:
        try:
            return all(fits(value) for value in parse_pairs(text).values())
        except ValueError:
            return False

    return TextValues(known, each)


def brief_repr(value: object) -> str:
    """A value for an error message: at most 60 characters, however long or deep it is."""
    if not isinstance(value, str | int | float):
        return f"a {type(value).__name__}"
    try:
        text = repr(value)
    except ValueError:  # an int of more digits than Python writes
        return "a number without end"
    return text if len(text) <= 60 else f"{text[:59]}…"

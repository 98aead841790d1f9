"""What a value that comes from outside may be: closed lists and ranges; `core.config` has one for each setting.

A value range turns a value into its own type, and raises ValueError for what is outside it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

MAX_CHARACTERS = 4096
"""Characters of a text."""

MAX_NAMES = 100
"""Names of a mapping."""


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


@dataclass(frozen=True, slots=True)
class Switch:
    """True or false."""

    known: str = "true or false; as a text on or off"

    def of(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError(self.known)
        return value

    def parsed(self, text: str) -> bool:
        words = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}
        if text.lower() not in words:
            raise ValueError(self.known)
        return words[text.lower()]


@dataclass(frozen=True, slots=True)
class NumbersByName:
    """Mappings from a name to a number that fits."""

    known: str
    fits: Callable[[float], bool]

    def of(self, value: object) -> dict[str, float]:
        if not isinstance(value, Mapping) or not 0 < len(value) <= MAX_NAMES:
            raise ValueError(self.known)
        for name, number in value.items():
            if not isinstance(name, str) or not name.strip() or len(name) > MAX_CHARACTERS:
                raise ValueError(self.known)
            # True is an int to Python.
            if isinstance(number, bool) or not isinstance(number, int | float) or not self.fits(number):
                raise ValueError(self.known)
        return {name: float(number) for name, number in value.items()}

    def parsed(self, text: str) -> dict[str, float]:
        """ "a=1,b=2": the last of two that name the same counts."""
        pairs = [pair.partition("=") for pair in text.split(",")]
        return self.of({name.strip(): float(number) for name, _, number in pairs})


def as_text(value: object) -> str:
    """A value as `parsed` reads it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Mapping):
        return ",".join(f"{name}={number!r}".removesuffix(".0") for name, number in value.items())
    return str(value)


def brief_repr(value: object) -> str:
    """A value for an error message: at most 60 characters, however long or deep it is."""
    if not isinstance(value, str | int | float):
        return f"a {type(value).__name__}"
    try:
        text = repr(value)
    except ValueError:  # an int of more digits than Python writes
        return "a number without end"
    return text if len(text) <= 60 else f"{text[:59]}…"

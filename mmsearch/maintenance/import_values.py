"""Values of an exported folder's JSON, each of the type that it must be, and what is wrong where one is not."""

import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from reprlib import Repr
from typing import Any, TypeVar

from mmsearch.core.file_times import INT64
from mmsearch.errors import InvalidInput

T = TypeVar("T")

HINT = "export the library again; if another program wrote this, correct it there"

LONGEST = 32_767
"""Characters of a name or a path: what Windows takes, and more than others do."""

_BRIEF = Repr()
_BRIEF.maxlevel, _BRIEF.maxstring, _BRIEF.maxother = 2, 60, 60
_SHA256 = re.compile(r"[0-9a-f]{64}")


class WrongValue(ValueError):
    """What is wrong with a value, in words: `making_sense` says where it stands."""


@contextmanager
def making_sense(where: object) -> Iterator[None]:
    """Raises: InvalidInput, naming the place, for what is `WrongValue`."""
    try:
        yield
    except WrongValue as error:
        raise InvalidInput(f"{where} is not valid: {error}", hint=HINT) from error


def read_lines(path: Path, make: Callable[[Any], T]) -> Iterator[T]:
    """What each line says. Raises: InvalidInput, naming the line."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            with making_sense(f"{path}, line {number}"):
                yield make(parse_line(line))


def parse_line(line: bytes) -> Any:
    """Raises: WrongValue."""
    try:
        return json.loads(line, parse_constant=_no_number)
    except RecursionError as error:
        raise WrongValue("its JSON is nested too deeply") from error
    except ValueError as error:
        raise WrongValue(f"it is no JSON ({error})") from error


def _no_number(name: str) -> None:
    raise WrongValue(f"{name} is no number of JSON's")


def required(record: Any, name: str) -> Any:
    if not isinstance(record, dict):
        raise WrongValue(f"it is {shown(record)}, not an object")
    if name not in record:
        raise WrongValue(f"{name!r} is missing")
    return record[name]


def required_object(record: Any, name: str) -> dict[str, Any]:
    found = required(record, name)
    if not isinstance(found, dict):
        raise WrongValue(f"{name!r} is {shown(found)}, not an object")
    return found


def required_list(record: Any, name: str) -> list[Any]:
    found = required(record, name)
    if not isinstance(found, list):
        raise WrongValue(f"{name!r} is {shown(found)}, not a list")
    return found


def required_text(record: Any, name: str) -> str:
    found = required(record, name)
    if not isinstance(found, str) or not found or len(found) > LONGEST:
        raise WrongValue(f"{name!r} is {shown(found)}, not a text")
    return found


def required_count(record: Any, name: str) -> int:
    found = required(record, name)
    if not is_count(found):
        raise WrongValue(f"{name!r} is {shown(found)}, not a whole number from 0 on")
    return int(found)


def checked_sha256(value: object, name: str) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise WrongValue(f"{name} is {shown(value)}, not a sha256")
    return value


def is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= INT64[-1]


def is_real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and is_storable(value)


def is_storable(value: int | float) -> bool:
    return value in INT64 if isinstance(value, int) else math.isfinite(value)


def is_text(value: object) -> bool:
    """Whether it is a str that can be written as UTF-8."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(value: object) -> str:
    """A value in few characters, none of which means anything to a terminal."""
    return _BRIEF.repr(value)


def is_word_list(value: object) -> bool:
    return isinstance(value, list) and all(map(is_word, value))


def is_word(value: object) -> bool:
    return isinstance(value, str) and is_text(value) and value != "" and "\0" not in value

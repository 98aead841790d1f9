"""JSON that somebody else wrote."""

import json
from typing import Any

MAX_DEPTH = 64
"""Lists and objects within each other: what goes through them may call itself for each."""


def parse_json(text: str | bytes) -> Any:
    """The value of a document. Raises: ValueError, also for one that is nested too deeply."""
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    level = [found]
    for _ in range(MAX_DEPTH):
        level = [inner for one in level for inner in _within(one) if isinstance(inner, dict | list)]
        if not level:
            return found
    raise ValueError("it is nested too deeply")


def parse_object(text: str | bytes) -> dict[str, Any]:
    """The value of a document that must be an object. Raises: ValueError, also for any other value."""
    found = parse_json(text)
    if not isinstance(found, dict):
        raise ValueError("it is no object of JSON's")
    return found


def _within(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []

"""A person's own metadata: values of contents under keys, kept with their kind, so that filters can compare them."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import Connection, delete, select

from mmsearch.catalog.constructs import upsert
from mmsearch.catalog.statements import chunks
from mmsearch.catalog.tables import Meta
from mmsearch.core.filters.ast import FILTER_TEXT, META_KEY
from mmsearch.core.value_ranges import brief_repr
from mmsearch.errors import InvalidInput
from mmsearch.types import MetaValue

LARGEST = 2**53
"""Whole numbers up to it are compared exactly."""


def checked_meta(values: Mapping[str, MetaValue | None]) -> dict[str, MetaValue | None]:
    """Keys and values as the catalog can hold them. Raises: InvalidInput."""
    if not isinstance(values, Mapping) or not values:
        raise InvalidInput("own metadata is a dict of keys and values", hint='such as {"rating": 5}')
    for key, value in values.items():
        if not isinstance(key, str) or not META_KEY.fullmatch(key):
            raise InvalidInput(
                f"{brief_repr(key)} is no key of own metadata",
                hint="up to 64 letters, digits, _ . and -, the first no . or -",
            )
        if value is not None:
            _row(key, value)
    return dict(values)


def _row(key: str, value: MetaValue) -> dict[str, object]:
    """The columns of a value. Raises: InvalidInput for what is no value of own metadata."""
    kind, text, number = _written(key, value)
    return {"key": key, "kind": kind, "text": text, "number": number}


def _written(key: str, value: MetaValue) -> tuple[str, str, float | None]:
    if isinstance(value, bool):
        return "bool", str(value).lower(), None
    if isinstance(value, int) and abs(value) <= LARGEST:
        return "whole", str(int(value)), float(value)
    if isinstance(value, float) and abs(value) < 2.0**63:
        return "number", repr(float(value)), float(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        return "datetime", value.isoformat(), None
    if isinstance(value, date) and not isinstance(value, datetime):
        return "date", datetime(value.year, value.month, value.day).isoformat(), None
    if isinstance(value, str) and len(value) <= FILTER_TEXT and "\0" not in value and _is_unicode(value):
        return "text", str(value), None
    raise InvalidInput(
        f"the value of {key} can't be kept: {brief_repr(value)}",
        hint=f"a value is a text of up to {FILTER_TEXT} characters, a whole number up to 2**53, another number "
        "below 2**63, True or False, a date, or a datetime without a zone",
    )


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read(kind: str, text: str) -> MetaValue:
    """Raises: ValueError, KeyError for what was never written so."""
    if kind == "text":
        return text
    if kind == "bool":
        return {"true": True, "false": False}[text]
    if kind == "datetime":
        return datetime.fromisoformat(text)
    if kind == "date":
        return datetime.fromisoformat(text).date()
    readers: dict[str, Callable[[str], int | float]] = {"whole": int, "number": float}
    return readers[kind](text)


def set_meta(connection: Connection, contents: Sequence[int], values: Mapping[str, MetaValue | None]) -> None:
    """Give contents these values; None takes what is under the key away. Others stay."""
    gone = [key for key, value in values.items() if value is None]
    rows = [_row(key, value) for key, value in values.items() if value is not None]
    for part in chunks(contents):
        if gone:
            connection.execute(delete(Meta).where(Meta.content_id.in_(part), Meta.key.in_(gone)))
        if rows:
            statement = upsert(Meta)
            replaced = {name: statement.excluded[name] for name in ("kind", "text", "number")}
            connection.execute(
                statement.on_conflict_do_update(index_elements=[Meta.content_id, Meta.key], set_=replaced),
                [{"content_id": content, **row} for content in part for row in rows],
            )


def meta_of(connection: Connection, contents: Sequence[int]) -> dict[int, dict[str, MetaValue]]:
    """Content id -> its values, by their keys in order; {} for what has none."""
    found: dict[int, dict[str, MetaValue]] = defaultdict(dict)
    for part in chunks(contents):
        query = select(Meta.content_id, Meta.key, Meta.kind, Meta.text).where(Meta.content_id.in_(part))
        for content, key, kind, text in connection.execute(query.order_by(Meta.content_id, Meta.key)):
            found[content][key] = _read(kind, text)
    return found

"""Searches that somebody saved under a name."""

from datetime import UTC
from typing import Any

from sqlalchemy import Connection, delete, select

from mmsearch.catalog.constructs import upsert
from mmsearch.catalog.tables import SearchRow
from mmsearch.catalog.tags import storable
from mmsearch.catalog.values import utc_now
from mmsearch.core.value_ranges import brief_repr
from mmsearch.errors import InvalidInput
from mmsearch.types import SavedSearch

NAME, ADDRESS = 200, 10_000
"""Characters of a name, and of what is asked."""


def checked_search(name: str, address: str) -> tuple[str, str]:
    """Both without blanks around them. Raises: InvalidInput for what is no name or no query of an address."""
    name, address = name.strip(), address.strip().removeprefix("/").removeprefix("?")
    if not 0 < len(name) <= NAME or not storable(name) or not name.isprintable():
        raise InvalidInput(f"{brief_repr(name)} is no name of a search", hint=f"a line of up to {NAME} characters")
    if not 0 < len(address) <= ADDRESS or not storable(address) or not address.isprintable():
        raise InvalidInput("that is no search", hint="the query of an address, such as text=dog&modalities=image")
    return name, address


def saved_searches(connection: Connection) -> list[SavedSearch]:
    """All, by name."""
    rows: Any = connection.execute(select(SearchRow.name, SearchRow.address, SearchRow.saved_at))
    return sorted(
        (SavedSearch(name, address, at.replace(tzinfo=UTC)) for name, address, at in rows),
        key=lambda one: (one.name.casefold(), one.name),
    )


def save_search(connection: Connection, name: str, address: str) -> None:
    """Write one, in the place of another of its name."""
    values = {"name": name, "address": address, "saved_at": utc_now()}
    statement = upsert(SearchRow).values(values)
    changed = {"address": address, "saved_at": values["saved_at"]}
    connection.execute(statement.on_conflict_do_update(index_elements=[SearchRow.name], set_=changed))


def forget_search(connection: Connection, name: str) -> bool:
    """Whether there was one of this name; it is gone."""
    return connection.execute(delete(SearchRow).where(SearchRow.name == name)).rowcount > 0

"""What PostgreSQL and psycopg say, in our words: by SQLSTATE, whose texts depend on the server's language."""

from typing import Any

from sqlalchemy.exc import DBAPIError

from mmsearch.catalog import database
from mmsearch.catalog.blobs import MEND
from mmsearch.errors import CatalogDamaged, InvalidInput, LibraryError, LibraryLocked, LibraryReadOnly, MmsearchError

_AWAY = "check that the server runs and can be reached; what was committed is safe"


def state_of(error: BaseException) -> str:
    """The SQLSTATE of an error, "" for one without."""
    found: Any = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(found, "sqlstate", None) or "")


def translate(error: BaseException, place: str) -> MmsearchError:
    """A foreign error in our words."""
    state = state_of(error)
    found: Any = error.orig if isinstance(error, DBAPIError) else error
    told = str(found).strip().splitlines()[0] if str(found).strip() else type(found).__name__
    module = type(found).__module__
    if not module.startswith("psycopg"):
        return database.damaged(place, "it holds what was never written so")
    if made := _by_state(state, told, place):
        return made
    if type(found).__name__ in ("ProgrammingError", "DataError", "NotSupportedError") and not state:
        return InvalidInput("the catalog can't be asked for a value of this type", hint="give a text or a number")
    if not state or type(found).__name__ == "OperationalError":
        return LibraryError(f"the server of the library can't be reached: {told}", hint=_AWAY)
    return CatalogDamaged(f"the catalog is damaged: {place} ({state}: {told})", hint=MEND)


def _by_state(state: str, told: str, place: str) -> MmsearchError | None:
    match state[:2], state:
        case _, "22003":
            return InvalidInput("a number doesn't fit into the catalog's 64 bits", hint="give a smaller one")
        case _, "54000":
            return InvalidInput("a path is too long for a library on PostgreSQL", hint="2,600 bytes at most")
        case _, ("25006" | "42501"):
            return LibraryReadOnly(
                f"the catalog can't be written: {told}", hint="name the primary server, or a user who may write"
            )
        case _, ("55P03" | "40001" | "40P01"):
            return LibraryLocked(f"another process holds the catalog {place}", hint="wait for it to finish, repeat")
        case "28", _:
            return LibraryError(
                f"the server of the library lets nobody in so: {told}",
                hint="check the user; a password goes into ~/.pgpass or the file that PGPASSFILE names",
            )
        case _, ("3D000" | "3F000"):
            return LibraryError(f"the server has no such database: {told}", hint="create it: createdb NAME")
        case "08" | "57" | "58", _:
            return LibraryError(f"the server of the library went away: {told}", hint=_AWAY)
        case "53", _:
            what = {"53100": "its disk is full", "53300": "it has no connection to spare"}
            return LibraryError(
                f"the server of the library can't: {what.get(state, told)}",
                hint="free some, or put PgBouncer before it; what was committed is safe",
            )
        case _, ("22P05" | "22021"):
            return InvalidInput("the catalog holds no text with such signs", hint="leave them out")
        case "42" | "0A", _ if 'type "vector"' in told or "extension" in told:
            return LibraryError(f"the server lacks pgvector: {told}", hint="install it there: CREATE EXTENSION vector")
    return None

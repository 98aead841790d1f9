"""What an engine does in its own way beyond its words (`constructs`): transactions, ids, errors, and keeping house."""

from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sqlalchemy import Connection, Engine, Table

from mmsearch.errors import MmsearchError

if TYPE_CHECKING:
    from mmsearch.catalog.word_candidates import KeywordQuery, WordCandidates
    from mmsearch.catalog.word_statements import WordStatements


class Compiled(NamedTuple):
    """A statement in an engine's own words."""

    sql: str
    fixed: dict[str, Any]
    """The parameters that it brings itself."""


class Dialect(Protocol):
    """How the catalog is kept by one engine. An implementation has no state; thread safety: any number of threads."""

    name: str
    """As SQLAlchemy calls it."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What its driver raises past SQLAlchemy."""

    def compiled(self, statement: Any) -> Compiled:
        """A statement of SQLAlchemy, with its named parameters."""

    def rows(self, connection: Connection, sql: str, asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """What a compiled statement answers, past SQLAlchemy. JSON is text, paths and vectors are bytes."""

    def ready(self, connection: Connection, *, writes: bool) -> None:
        """Before a connection's transaction begins."""

    def begin_snapshot(self, connection: Connection) -> None:
        """Begin a transaction that reads: all its statements see one committed state."""

    def is_lost(self, connection: Connection) -> bool:
        """Whether nothing more can be asked of a connection."""

    def state(self, connection: Connection) -> Hashable:
        """As long as it is the same for a connection, nobody has committed anything in between."""

    def insert_rows(self, connection: Connection, table: Table, rows: Sequence[dict[str, object]]) -> None:
        """As `statements.insert_rows`; there are some."""

    def replace_rows(self, connection: Connection, table: Table, rows: Sequence[dict[str, object]], key: str) -> None:
        """As `statements.replace_rows`; there are some."""

    def new_ids(self, connection: Connection, table: str, count: int) -> list[int]:
        """As `statements.new_ids`."""

    def translate(self, error: BaseException, place: str) -> MmsearchError:
        """A foreign error in our words; `place` is what the catalog is called."""

    def committed(self, engine: Engine) -> None:
        """After a transaction that wrote."""

    def checkpoint(self, engine: Engine) -> bool:
        """Bring what was committed to its place at leisure. Returns whether all of it is there."""

    def release(self, engine: Engine) -> int:
        """Give what is not needed any more back to the file system. Returns bytes."""

    def rewrite(self, engine: Engine) -> tuple[int, bool]:
        """Write everything anew, so that nothing deleted is left. Returns (bytes freed, whether it came to the end)."""

    def mark_traces(self, connection: Connection, *, left: bool) -> None:
        """Note, in a transaction, whether what was deleted is still in the catalog's files."""

    def traces_left(self, connection: Connection) -> bool:
        """Whether it was noted that it is."""

    def merge_words(self, connection: Connection) -> None:
        """Let the tables of words hold nothing of deleted rows."""

    def word_search(
        self, connection: Connection, asked: "KeywordQuery", limit: int, asks: "WordStatements"
    ) -> "WordCandidates":
        """The candidates of a search for words."""

    def after_copy(self, connection: Connection, tables: Sequence[str]) -> None:
        """After rows with ids of their own were copied into tables: the next ids come after them."""

    def check_schema(self, connection: Connection, revision: str | None, place: str) -> None:
        """Raises: CatalogDamaged where a catalog has triggers that no release made."""

    def revision(self, connection: Connection) -> str | None:
        """The catalog's revision, None if it has no schema yet."""

    def make_schema(self, connection: Connection) -> None:
        """Before migrations run: what they stand on, where there is nothing yet."""


def compiled_by(dialect: Any, statement: Any) -> Compiled:
    """A statement in the words of a dialect of SQLAlchemy's; parameters that it brings itself are in it already."""
    compiled = statement.compile(dialect=dialect)
    asked = {name: None for name, bound in compiled.binds.items() if bound.required}
    written = compiled.construct_expanded_state(asked)
    fixed = {name: value for name, value in written.parameters.items() if name not in asked}
    for name in written.processors.keys() & fixed:
        fixed[name] = written.processors[name](fixed[name])
    return Compiled(written.statement, fixed)


@cache
def dialect_named(name: str) -> Dialect:
    """The implementation for an engine that SQLAlchemy calls so."""
    if name == "postgresql":
        from mmsearch.catalog.postgres.dialect import PostgresDialect

        return PostgresDialect()
    from mmsearch.catalog.sqlite.dialect import SqliteDialect

    return SqliteDialect()


def dialect_of(bind: Connection | Engine) -> Dialect:
    """The one that a connection or an engine speaks."""
    return dialect_named(bind.dialect.name)


def place_of_catalog(engine: Engine) -> str:
    """What a catalog is called to people: a file, or an address without secrets."""
    return str(engine.get_execution_options().get("place") or engine.url.database or "")

"""Column types that hold a row to its word: SQLite keeps any value in any column, and anybody may send a catalog."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Dialect, Double, Integer, LargeBinary, String, TypeDecorator
from sqlalchemy.types import TypeEngine

from mmsearch.catalog.blobs import MEND
from mmsearch.errors import CatalogDamaged


class _Checked(TypeDecorator[Any]):
    cache_ok = True
    takes: tuple[type, ...] = ()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Raises: CatalogDamaged for a value of another type."""
        if value is None or type(value) in self.takes:
            return value
        raise CatalogDamaged("the catalog is damaged: it holds a value that mmsearch never writes", hint=MEND)


class WholeColumn(_Checked):
    """64 bits: SQLite's integers are, PostgreSQL's only where it is told so."""

    impl = Integer
    takes = (int,)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """As `TypeDecorator.load_dialect_impl`."""
        return dialect.type_descriptor(BigInteger() if dialect.name == "postgresql" else Integer())


class RealColumn(_Checked):
    impl = Double
    takes = (float, int)
    cache_ok = True


class TextColumn(_Checked):
    """PostgreSQL's text holds no NUL, and so that a library can be moved, neither does SQLite's."""

    impl = String
    takes = (str,)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Without NUL."""
        return value.replace("\0", "") if isinstance(value, str) and "\0" in value else value


class BytesColumn(_Checked):
    impl = LargeBinary
    takes = (bytes,)
    cache_ok = True


class JsonColumn(_Checked):
    """An object in JSON, kept as it was written; without NUL in its texts, as `TextColumn`."""

    impl = JSON
    takes = (dict,)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Without NUL."""
        return without_nul(value) if "\\u0000" in json.dumps(value, default=str) else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Raises: CatalogDamaged, ValueError for what is no object."""
        # Connections to PostgreSQL leave it the text that it is.
        if isinstance(value, str) and dialect.name == "postgresql":
            value = json.loads(value)
        return super().process_result_value(value, dialect)


def without_nul(value: Any) -> Any:
    """A value of JSON without NUL in its texts."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, dict):
        return {without_nul(key): without_nul(inner) for key, inner in value.items()}
    return [without_nul(inner) for inner in value] if isinstance(value, list | tuple) else value


def utc_now() -> datetime:
    """UTC without a zone, as SQLite's DATETIME keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)

"""Column types that hold a row to its word: SQLite keeps any value in any column, and anybody may send a catalog."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Dialect, Double, Integer, LargeBinary, String, TypeDecorator

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
    impl = Integer
    takes = (int,)
    cache_ok = True


class RealColumn(_Checked):
    impl = Double
    takes = (float, int)
    cache_ok = True


class TextColumn(_Checked):
    impl = String
    takes = (str,)
    cache_ok = True


class BytesColumn(_Checked):
    impl = LargeBinary
    takes = (bytes,)
    cache_ok = True


class JsonColumn(_Checked):
    """An object in JSON."""

    impl = JSON
    takes = (dict,)
    cache_ok = True


def utc_now() -> datetime:
    """UTC without a zone, as SQLite's DATETIME keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)

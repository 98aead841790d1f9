"""What a caller's own code raises while it has a snapshot is its own error; what rows hold that was never written so is
damage of the catalog."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from mmsearch.catalog import Catalog
from mmsearch.catalog.database import writing
from mmsearch.catalog.meta import meta_of
from mmsearch.errors import CatalogDamaged, InvalidInput


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    made = Catalog.open(tmp_path, "1", create=True)
    yield made
    made.close()


FAULTS: dict[str, tuple[Callable[[], object], type[Exception]]] = {
    "a number": (lambda: int("x"), ValueError),
    "a key": (lambda: dict[str, int]()["x"], KeyError),
    "a type": (lambda: len(5), TypeError),  # type: ignore[arg-type]
    "JSON": (lambda: json.loads("{"), ValueError),
    "a division": (lambda: 1 / 0, ZeroDivisionError),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_who_reads_is_no_damage(catalog: Catalog, name: str) -> None:
    fault, kind = FAULTS[name]

    def inside(_snapshot: Connection) -> object:
        return fault()

    with pytest.raises(kind), catalog.reading():
        fault()
    with pytest.raises(kind):
        catalog.read(inside)
    with pytest.raises(kind), writing(catalog._engine) as connection:
        connection.exec_driver_sql("UPDATE library SET version = 'unwritten'")
        fault()
    with catalog.reading() as snapshot:
        assert snapshot.exec_driver_sql("SELECT version FROM library").scalar() == "1", "rolled back"


def test_an_error_of_ours_stays_what_it_is(catalog: Catalog) -> None:
    with pytest.raises(InvalidInput), catalog.reading():
        raise InvalidInput("no")


def test_a_value_that_was_never_written_so_is_damage(catalog: Catalog) -> None:
    with writing(catalog._engine) as connection:
        connection.exec_driver_sql(
            "INSERT INTO contents (id, sha256, modality, metadata, changed) VALUES (1, 'a', 'text', '{}', 1)"
        )
        connection.exec_driver_sql("INSERT INTO meta VALUES (1, 'due', 'date', 'tomorrow', NULL)")
    with pytest.raises(CatalogDamaged, match="it holds what was never written so"):
        catalog.read(meta_of, [1])

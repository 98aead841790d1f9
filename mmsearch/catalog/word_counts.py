"""How common words are, by FTS5's own statistics: for bm25, and for what a word tells of the file that holds it."""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean

from sqlalchemy import Connection, column, func, select, table, text

from mmsearch.catalog import layouts
from mmsearch.catalog.database import driver
from mmsearch.catalog.statements import Statement
from mmsearch.catalog.tables import SegmentRow, SpaceRow

K1, B = 1.2, 0.75
"""The constants of FTS5's bm25."""

LEAST_IDF = 1e-6
"""What FTS5 takes for the logarithm that a word's rarity makes in bm25 where half of all rows or more hold it."""

FEW = 10
"""Rows that a share is taken of beyond those there are."""


@dataclass(frozen=True, slots=True)
class WordCounts:
    """How many rows of a table of words there are, and how many hold each term."""

    rows: int
    holding: dict[str, int]

    def share(self, term: str) -> float:
        """In [0, 1]. That one row holds it, the one that is looked for, says nothing of how common it is; nor does a
        share of very few."""
        return max(self.holding[term] - 1, 0) / (self.rows + FEW)

    def idf(self, term: str) -> float:
        """As FTS5's bm25 has it."""
        held = self.holding[term]
        return max(math.log((self.rows - held + 0.5) / (held + 0.5)), LEAST_IDF)


def only_layout(connection: Connection) -> bool:
    """Whether files are cut into passages in one way here. FTS5 counts the passages of all layouts."""
    return _LAYOUTS.rows(connection) == [(1,)]


_LAYOUTS = Statement(select(func.count(SpaceRow.layout.distinct())))


def counts_of(connection: Connection, name: str, terms: Iterable[str]) -> WordCounts:
    """Those of a table of words, all its rows taken."""
    run = driver(connection).execute
    counted = f"SELECT count(*) FROM {name} WHERE {name} MATCH ?"
    # What bm25 takes for the number of rows: the first number of FTS5's record of averages.
    (averages,) = run(f"SELECT block FROM {name}_data WHERE id = 1").fetchone() or (b"",)
    return WordCounts(_first_number(averages), {term: int(run(counted, (term,)).fetchone()[0]) for term in terms})


def active_counts(connection: Connection, terms: Iterable[str]) -> WordCounts:
    """Those of the active space's passages: how common a word is must not depend on what other models are here."""
    run = driver(connection).execute
    rows = select(func.count()).select_from(SegmentRow).where(SegmentRow.layout == layouts.active_layout())
    holding = (
        "SELECT count(*) FROM passage_words JOIN segments ON segments.id = passage_words.rowid "
        "WHERE passage_words MATCH ? AND segments.layout = ?"
    )
    layout = connection.execute(select(layouts.active_layout())).scalar_one()
    held = {term: int(run(holding, (term, layout)).fetchone()[0]) for term in terms}
    return WordCounts(connection.execute(rows.where(SegmentRow.text.is_not(None))).scalar_one(), held)


def as_if_alone(connection: Connection, ids: Iterable[int] | None, rows: int) -> Callable[[int, float], float]:
    """What makes of a passage's density, for which FTS5 takes all layouts' passages, that among the active space's.

    Args:
        ids: The passages; None where there is one layout.
        rows: How many passages of all layouts there are.
    """
    if ids is None:
        return lambda _, density: density
    sizes = table("passage_words_docsize", column("id"), column("sz"))
    own = select(sizes.c.sz).join(SegmentRow, SegmentRow.id == sizes.c.id)
    own = own.where(SegmentRow.layout == layouts.active_layout())
    usual = fmean(map(_first_number, connection.execute(own).scalars().all() or (b"\1",)))
    listed = text("SELECT id, sz FROM passage_words_docsize WHERE id IN (SELECT value FROM json_each(:ids))")
    found = connection.execute(listed, {"ids": json.dumps(sorted(ids))})
    lengths = {rowid: _first_number(size) for rowid, size in found}
    (averages,) = driver(connection).execute("SELECT block FROM passage_words_data WHERE id = 1").fetchone()
    of_all = _first_number(averages[_length_of_number(averages) :]) / max(rows, 1)

    def alone(rowid: int, density: float) -> float:
        dampened, own_dampening = (K1 * (1 - B + B * lengths[rowid] / length) for length in (of_all, usual))
        times = round(density * dampened / (K1 + 1 - density))
        return times * (K1 + 1) / (times + own_dampening)

    return alone


def _length_of_number(record: bytes) -> int:
    """How many bytes the first number of a record of FTS5 takes."""
    return next((place for place, byte in enumerate(record, 1) if byte < 0x80), len(record))


def _first_number(record: bytes) -> int:
    """Of a record of FTS5: a number in SQLite's variable length, most significant bits first. 0 if there is none."""
    number = 0
    for byte in record[:8]:
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return number

"""Candidates of a search for words, found by SQLite's FTS5."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from types import NoneType
from typing import Any

from sqlalchemy import Connection

from mmsearch.catalog import word_counts
from mmsearch.catalog.blobs import MEND
from mmsearch.catalog.constructs import bm25
from mmsearch.catalog.database import driver
from mmsearch.catalog.records import WordMatch
from mmsearch.catalog.signs import joined_signs
from mmsearch.catalog.statements import Statement, json_numbers
from mmsearch.catalog.word_candidates import CandidateRow, KeywordQuery, fold_case
from mmsearch.catalog.word_counts import WordCounts
from mmsearch.catalog.word_statements import WEIGHTS, WordStatements
from mmsearch.errors import CatalogDamaged

NAMED = {"name": 1.0, "folder": 0.0, "title": 1.0, "tags": 1.0}
"""Columns that say what an item is about: with these weights bm25 is 0 where only its folder holds a word."""


class FtsCandidates:
    """As `WordCandidates`, by the statements of one search."""

    def __init__(self, connection: Connection, asked: KeywordQuery, limit: int, asks: WordStatements) -> None:
        self.connection = connection
        self.limit = limit
        self.asks = asks
        self.begun: set[int] = set()
        """Items whose names begin with the whole query."""
        self.quoted = bool(asked.phrases)
        self.item_counts = word_counts.counts_of(connection, "item_words", asked.terms)
        self.passage_counts = word_counts.counts_of(connection, "passage_words", asked.terms)
        self.alone = word_counts.only_layout(connection)
        passages_here = self.passage_counts if self.alone else word_counts.active_counts(connection, asked.terms)
        self.terms = {term: self._telling(term) for term in asked.terms}
        self.known = {
            term: (
                " ".join(fold_case(joined_signs(term))),
                max(self.item_counts.share(term), passages_here.share(term)),
            )
            for term in asked.terms
        }
        """Term -> its words, and how common they are here."""
        phrases = " AND ".join(asked.phrases)
        self.passages = self._passage_rows(self._passage_ids(asked, phrases))
        self.items = self._item_rows(self._item_ids(asked, phrases) | self._holders())

    def words(self, item: CandidateRow, passage: CandidateRow) -> tuple[WordMatch, ...]:
        """What an item and one of its passages hold of the query."""
        return tuple(
            WordMatch(
                word, term in item.named, term in item.terms - item.named, passage.densities.get(term, 0.0), common
            )
            for term, (word, common) in self.known.items()
        )

    def _telling(self, term: str) -> str:
        """What to look for in items: not in the folders if most of them hold it, since /home/anna says nothing."""
        everywhere = 2 * self.item_counts.holding[term] > self.item_counts.rows
        return f"{{name title tags}} : {term}" if everywhere else term

    def _item_ids(self, asked: KeywordQuery, phrases: str) -> set[int]:
        by_rank = self.asks.items_by_rank
        matches = [(by_rank, " OR ".join(f"({term})" for term in self.terms.values()))]
        if phrases:
            matches.append((by_rank, phrases))
        # A name equal to the query is the shortest of those that begin with it; kept as `begun`.
        matches.append((self.asks.items_by_length, f"{{name}} : ^{asked.name}"))
        found: set[int] = set()
        for statement, match in matches:
            self.begun = self._ids(statement, match=match, limit=self.limit)
            found |= self.begun
        return found

    def _passage_ids(self, asked: KeywordQuery, phrases: str) -> set[int]:
        found: set[int] = set()
        for match in (" OR ".join(asked.terms), phrases):
            found |= self._ids(self.asks.passages_by_rank, match=match, limit=self.limit) if match else set()
        return found

    def _holders(self) -> set[int]:
        """Items of the candidate passages: their names count too."""
        return self._ids(self.asks.holders, ids=json_numbers(self.passages)) if self.passages else set()

    def _ids(self, statement: Statement, **asked: object) -> set[int]:
        return {number for (number,) in statement.rows(self.connection, **asked)}

    def _item_rows(self, ids: Iterable[int]) -> dict[int, CandidateRow]:
        rows = {rowid: CandidateRow() for rowid in ids}
        by_name = bm25("item_words", *NAMED.values())
        for term, rowid, score, named in self._scores("item_words", self.item_counts, rows, by_name):
            row = rows[rowid]
            row.score -= score
            row.terms.add(term)
            if named < 0:
                row.named.add(term)
        return rows

    def _passage_rows(self, ids: Iterable[int]) -> dict[int, CandidateRow]:
        rows = {rowid: CandidateRow() for rowid in ids}
        alone = word_counts.as_if_alone(self.connection, None if self.alone else rows, self.passage_counts.rows)
        for term, rowid, score, _ in self._scores("passage_words", self.passage_counts, rows, "NULL"):
            row = rows[rowid]
            row.score -= score
            row.terms.add(term)
            row.densities[term] = alone(rowid, -score / self.passage_counts.idf(term))
        return rows

    def _scores(
        self, name: str, counts: WordCounts, ids: Collection[int], second: str
    ) -> Iterator[tuple[str, int, float, float]]:
        """Of each term, the candidates that hold it, with their bm25 and a second score."""
        # The + keeps SQLite from running the match anew for every single id.
        weights = WEIGHTS.values() if name == "item_words" else ()
        among = f"FROM {name} WHERE {name} MATCH ? AND +rowid IN (SELECT value FROM json_each(?))"
        statement, listed = f"SELECT rowid, {bm25(name, *weights)}, {second} {among}", json_numbers(sorted(ids))
        for term, match in self.terms.items():
            if ids and counts.holding[term]:
                matched = match if name == "item_words" else term
                for rowid, score, other in driver(self.connection).execute(statement, (matched, listed)):
                    yield term, rowid, score, other

    def resolved(self) -> Sequence[Any]:
        """Candidate items, each with each of its content's candidate passages, or with none."""
        # What a quoted phrase is compared with; without one, only the name.
        statement = self.asks.quoted if self.quoted else self.asks.named
        rows = statement.rows(self.connection, ids=json_numbers(self.items), passages=json_numbers(self.passages))
        for _, _, path, modality, _, passage, *_ in rows:
            if type(path) is not bytes or type(modality) is not str or type(passage) not in (str, NoneType):
                raise CatalogDamaged("the catalog holds a path or a text that mmsearch never writes", hint=MEND)
        return rows

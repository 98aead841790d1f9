"""Candidates of a search for words on PostgreSQL: found by an inverted index (GIN) of lexemes with their places, and
scored here by the same bm25 as SQLite's FTS5 computes, from the places of at most a few hundred rows."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

from mmsearch.catalog import word_counts
from mmsearch.catalog.database import raw_connection
from mmsearch.catalog.postgres.lexemes import Term, as_terms, either_of
from mmsearch.catalog.records import WordMatch
from mmsearch.catalog.signs import joined_signs
from mmsearch.catalog.statements import json_numbers
from mmsearch.catalog.word_candidates import CandidateRow, KeywordQuery, fold_case
from mmsearch.catalog.word_counts import K1, B, WordCounts
from mmsearch.catalog.word_statements import WEIGHTS, WordStatements

LETTERS = dict(zip("ADBC", WEIGHTS, strict=True))
"""A column's letter in a row's lexemes -> its name: name, folder, title, tags."""
NAMED = "ABC"
"""Columns that say what an item is about."""


@dataclass(slots=True)
class _Words:
    """Of a row, where the lexemes stand that were asked for: lexeme -> (place, letter of the column)."""

    size: int
    places: dict[str, list[tuple[int, str]]] = field(default_factory=dict)


class LexemeCandidates:
    """As `WordCandidates`."""

    def __init__(self, connection: Connection, asked: KeywordQuery, limit: int, asks: WordStatements) -> None:
        self.connection = connection
        self.limit = limit
        self.asks = asks
        self.quoted = bool(asked.phrases)
        self.begun: set[int] = set()
        self.name, *made = as_terms(connection, [asked.name, *asked.terms])
        self.terms: dict[str, Term] = dict(zip(asked.terms, made, strict=True))
        self.totals = _totals(connection)
        self.item_counts = self._counts("item_words", asked.terms)
        self.passage_counts = self._counts("passage_words", asked.terms)
        self.alone = word_counts.only_layout(connection)
        passages_here = self.passage_counts if self.alone else self._active_counts(asked.terms)
        self.letters = {term: self._telling(term) for term in asked.terms}
        self.known = {
            term: (
                " ".join(fold_case(joined_signs(term))),
                max(self.item_counts.share(term), passages_here.share(term)),
            )
            for term in asked.terms
        }
        """Term -> its words, and how common they are here."""
        self.passages = self._passage_rows(self._passage_ids(asked))
        self.items = self._item_rows(self._item_ids(asked) | self._holders())

    def words(self, item: CandidateRow, passage: CandidateRow) -> tuple[WordMatch, ...]:
        """As `WordCandidates.words`."""
        return tuple(
            WordMatch(
                word, term in item.named, term in item.terms - item.named, passage.densities.get(term, 0.0), common
            )
            for term, (word, common) in self.known.items()
        )

    def resolved(self) -> Sequence[Any]:
        """As `WordCandidates.resolved`."""
        statement = self.asks.quoted if self.quoted else self.asks.named
        return statement.rows(self.connection, ids=json_numbers(self.items), passages=json_numbers(self.passages))

    # How common words are

    def _counts(self, table: str, terms: Sequence[str], letters: str = "") -> WordCounts:
        """How many rows of a table hold each term, in columns of these letters alone."""
        held: list[int] = []
        if terms:
            counted = (
                f"SELECT (SELECT count(*) FROM {table} WHERE words @@ query::tsquery) "
                "FROM unnest(%s::text[]) WITH ORDINALITY AS asked (query, place) ORDER BY place"
            )
            queries = [self.terms[term].query(letters) for term in terms]
            held = [int(one) for (one,) in raw_connection(self.connection).execute(counted, (queries,)).fetchall()]
        return WordCounts(self.totals.get(table, (0, 0))[0], dict(zip(terms, held, strict=True)))

    def _active_counts(self, terms: Iterable[str]) -> WordCounts:
        run = raw_connection(self.connection).execute
        rows = run(_ACTIVE.format("")).fetchone()[0]
        held = {}
        for term in terms:
            query = self.terms[term].query()
            held[term] = int(run(_ACTIVE.format("AND words @@ %s::tsquery"), (query,)).fetchone()[0]) if query else 0
        return WordCounts(int(rows), held)

    def _telling(self, term: str) -> str:
        """Where to look in items: not in the folders if most of them hold it, since /home/anna says nothing."""
        return NAMED if 2 * self.item_counts.holding[term] > self.item_counts.rows else ""

    # Which rows

    def _item_ids(self, asked: KeywordQuery) -> set[int]:
        by_rank = self.asks.items_by_rank
        found = self._ids(by_rank, either_of(self.terms[term].query(self.letters[term]) for term in asked.terms))
        if asked.phrases:
            found |= self._ids(by_rank, self._all(asked.phrases))
        begins = " ".join(self.name.lexemes) + " "
        if self.name.lexemes:
            rows = self._ids(self.asks.items_by_length, self.name.query("A"))
            names = "SELECT rowid FROM item_words WHERE rowid = ANY (%s) AND starts_with(begins, %s)"
            self.begun = {row[0] for row in raw_connection(self.connection).execute(names, (sorted(rows), begins))}
        return found | self.begun

    def _passage_ids(self, asked: KeywordQuery) -> set[int]:
        statement = self.asks.passages_by_rank
        found = self._ids(statement, either_of(self.terms[term].query() for term in asked.terms))
        return found | (self._ids(statement, self._all(asked.phrases)) if asked.phrases else set())

    def _all(self, phrases: Iterable[str]) -> str:
        queries = [self.terms[phrase].query() for phrase in phrases]
        return " & ".join(f"({query})" for query in queries) if all(queries) else ""

    def _holders(self) -> set[int]:
        """Items of the candidate passages: their names count too."""
        if not self.passages:
            return set()
        rows = self.asks.holders.rows(self.connection, ids=json_numbers(self.passages))
        return {number for (number,) in rows}

    def _ids(self, statement: Any, match: str) -> set[int]:
        if not match:
            return set()
        return {number for (number,) in statement.rows(self.connection, match=match, limit=self.limit)}

    # What they hold

    def _item_rows(self, ids: Collection[int]) -> dict[int, CandidateRow]:
        rows = {number: CandidateRow() for number in ids}
        narrow = [term for term, letters in self.letters.items() if letters]
        idf = {"": self.item_counts, NAMED: self._counts("item_words", narrow, NAMED)}
        usual = self._usual("item_words")
        for number, words in self._read("item_words", ids).items():
            row = rows[number]
            for term, letters in self.letters.items():
                found = self.terms[term].found(words.places, letters)
                if found:
                    weight = sum(WEIGHTS[LETTERS[letter]] for letter in found)
                    row.score += idf[letters].idf(term) * _dampened(weight, words.size, usual)
                    row.terms.add(term)
                    if any(letter in NAMED for letter in found):
                        row.named.add(term)
        return rows

    def _passage_rows(self, ids: Collection[int]) -> dict[int, CandidateRow]:
        rows = {number: CandidateRow() for number in ids}
        usual = self._usual("passage_words")
        own = usual if self.alone or not ids else self._usual_here()
        for number, words in self._read("passage_words", ids).items():
            row = rows[number]
            for term, asked in self.terms.items():
                times = len(asked.found(words.places))
                if times:
                    row.score += self.passage_counts.idf(term) * _dampened(times, words.size, usual)
                    row.terms.add(term)
                    row.densities[term] = _dampened(times, words.size, own)
        return rows

    def _read(self, table: str, ids: Collection[int]) -> dict[int, _Words]:
        """Of rows, where the lexemes of the terms stand."""
        if not ids:
            return {}
        exact = sorted({one for term in self.terms.values() for one in term.lexemes})
        begun = [f"{term.lexemes[-1]}%" for term in self.terms.values() if term.begins and term.lexemes]
        query = (
            f"SELECT rowid, size, lexeme, positions, weights FROM {table}, unnest(words) "
            f"WHERE rowid = ANY (%s) AND (lexeme = ANY (%s) OR lexeme LIKE ANY (%s))"
        )
        found: dict[int, _Words] = {}
        for number, size, lexeme, places, letters in raw_connection(self.connection).execute(
            query, (sorted(ids), exact, begun)
        ):
            words = found.setdefault(number, _Words(size))
            words.places[lexeme] = list(zip(places, letters, strict=True))
        return found

    def _usual(self, table: str) -> float:
        rows, words = self.totals.get(table, (0, 0))
        return words / rows if rows else 1.0

    def _usual_here(self) -> float:
        mean = raw_connection(self.connection).execute(_ACTIVE.replace("count(*)", "avg(size)").format("")).fetchone()
        return float(mean[0] or 1.0)


def _dampened(weight: float, size: int, usual: float) -> float:
    """What bm25 makes of how often a term stands in a row of so many words."""
    return weight * (K1 + 1) / (weight + K1 * (1 - B + B * size / usual))


_ACTIVE = (
    "SELECT count(*) FROM passage_words JOIN segments ON segments.id = passage_words.rowid WHERE segments.layout = "
    "(SELECT layout FROM spaces JOIN library ON library.space_id = spaces.id) {}"
)


def _totals(connection: Connection) -> Mapping[str, tuple[int, int]]:
    """Table of words -> its rows, and the words in all of them."""
    rows = connection.execute(text("SELECT name, sum(rows), sum(words) FROM word_totals GROUP BY name"))
    return {name: (int(count), int(words)) for name, count, words in rows}

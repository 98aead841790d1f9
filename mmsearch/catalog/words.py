"""Words of names, folders, titles, tags and passages, found with SQLite's FTS5. The tables are kept by triggers.

FTS5's tokenizer cuts at everything that is neither letter nor digit, folds case and diacritics, and stems English
words (Porter, 1980). Signs of scripts without spaces are words (`signs`). A user's words never become its
syntax: each is a quoted string there.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePath
from types import NoneType
from typing import Any, NamedTuple

from sqlalchemy import Connection

from mmsearch.catalog import word_counts
from mmsearch.catalog.blobs import MEND
from mmsearch.catalog.database import driver
from mmsearch.catalog.records import KeywordMatch, WordMatch
from mmsearch.catalog.signs import SHIFTED, cut_signs, joined_signs
from mmsearch.catalog.statements import Statement, json_numbers
from mmsearch.catalog.word_counts import WordCounts
from mmsearch.catalog.word_statements import WordStatements, bm25, word_statements
from mmsearch.core.filters.ast import Filter
from mmsearch.errors import CatalogDamaged
from mmsearch.types import Modality

NAMED = {"name": 1.0, "folder": 0.0, "title": 1.0, "tags": 1.0}
"""Columns that say what an item is about: with these weights bm25 is 0 where only its folder holds a word."""

MAX_TERMS = 32
"""Words and phrases of a query that are looked at; the rest of a pasted page adds nothing but time."""

MAX_CHARACTERS = 10_000

OVER = 4
"""Candidates per wanted row: copies and passages of one file fall together."""

POOL = 400
"""Candidates, at least: the first 100 rows are the same ones however many are wanted."""

# Words that say nothing about a file, and would match every sentence.
STOP = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be been being but by can did do does for from had has have how i if in "
        "into is it its me my of on or our s so some such t than that the their them then there "
        "these they this those to was we were what when where which while who whose why will with "
        "would you your ",
    )
)

# Not across another opening sign: of ten thousand of them, each would be followed to the end.
_QUOTED = re.compile(r'"([^"]*)"|“([^“”]*)”|«([^«»]*)»')
_WIDE = "\u3001\u3002\u3008-\u3011\u30fb\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f"
"""Signs between words as Chinese and Japanese write them; the inside of a class of characters."""
_BETWEEN = re.compile(rf"""[\s/\\"(),;:!?\[\]{{}}<>|={_WIDE}]+""")
_WORD = re.compile(rf"[^\W_]+|[{SHIFTED}]")
_POSSESSIVE = re.compile(r"(?<=\w)['\u2019]s\b")


@dataclass(frozen=True, slots=True)
class KeywordQuery:
    """A query taken apart. Terms are FTS5 strings, already quoted; phrases are terms too."""

    terms: tuple[str, ...]
    phrases: tuple[str, ...]
    whole: tuple[str, ...]
    """The folded words of all of it, to compare with a file name."""
    name: str
    """All of it as one FTS5 string."""


@dataclass(slots=True)
class _Row:
    """What is known of a candidate: an item's row, or a passage."""

    score: float = 0.0
    terms: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    densities: dict[str, float] = field(default_factory=dict)


_NOTHING = _Row()


def fold_case(words: str) -> tuple[str, ...]:
    """The words of a text without case and diacritics."""
    plain = unicodedata.normalize("NFKD", words.casefold())
    return tuple(_WORD.findall("".join(c for c in plain if not unicodedata.combining(c))))


def parse_words(query: str) -> KeywordQuery:
    """Take a user's query apart; a `*` at the end of a word finds every word that begins so."""
    clean = query.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")[:MAX_CHARACTERS]
    phrases = [_literal("".join(found)) for found in _QUOTED.findall(clean) if fold_case("".join(found))]
    loose = [word for word in re.split(_BETWEEN, _POSSESSIVE.sub("", _QUOTED.sub(" ", clean))) if fold_case(word)]
    telling = [word for word in loose if not STOP.issuperset(fold_case(word))]
    words = telling or ([] if phrases else loose)
    terms = dict.fromkeys([*phrases, *(_literal(word) for word in words)])
    cut = cut_signs(clean)
    name = '"{}"'.format(cut.replace('"', " "))
    return KeywordQuery(tuple(terms)[:MAX_TERMS], tuple(dict.fromkeys(phrases))[:MAX_TERMS], fold_case(cut), name)


def _literal(word: str) -> str:
    # For one thing only: the same word twice is one term. Not folded: to FTS5 "strasse" is not "straße".
    star = "*" if word.endswith("*") else ""
    return f'"{cut_signs(word.lower()).strip().rstrip("*").rstrip()}"{star}'


def search_words(
    connection: Connection,
    query: str,
    k: int,
    modalities: Collection[Modality] | None = None,
    filter: Filter | None = None,
) -> list[KeywordMatch]:
    """The k present items whose name, folder, title, tags or passages hold most of the query's words.

    Best first: exact ones (the whole name equals the query, or every quoted phrase occurs, those with no other signs
    between its words first), then by the share of words found, then by bm25 (Robertson and Zaragoza, 2009) with column
    weights; ties by path. A query without any letter or digit finds nothing.

    Args:
        filter: What every row meets, however few do.
    """
    asked = parse_words(query)
    if not asked.terms:
        return []
    asks = word_statements(None if modalities is None else tuple(sorted(modalities)), filter)
    found = _Search(connection, asked, max(k * OVER, POOL), asks)
    best: dict[int, _Held] = {}
    rows = (row for row in found.resolved() if asks.own is None or row[4] is not None)
    for held in sorted((_held(row, asked, found) for row in rows), key=_order):
        best.setdefault(held.item_id, held)
    return [_match_of(held, found) for held in islice(best.values(), k)]


class _Held(NamedTuple):
    """A candidate item with one of its candidate passages, or with none."""

    item_id: int
    content_id: int
    path: bytes
    modality: Modality
    segment_id: int | None
    item: _Row
    passage: _Row
    share: float
    exact: bool
    verbatim: bool


def _held(row: Any, asked: KeywordQuery, found: "_Search") -> _Held:
    item_id, content_id, path, modality, segment_id, passage_text, *fields = row
    name = fields[0]
    item = found.items.get(item_id, _NOTHING)
    passage = found.passages.get(segment_id, _NOTHING)
    terms = item.terms | passage.terms
    named = item_id in found.begun and asked.whole in (fold_case(name), fold_case(PurePath(name).stem))
    quoted = bool(asked.phrases) and terms.issuperset(asked.phrases)
    texts = [cut_signs(one) for one in (*fields, passage_text) if one] if quoted else []
    exact = named or (quoted and all(_holds(phrase, fold_case, texts) for phrase in asked.phrases))
    verbatim = named or (exact and all(_holds(phrase, _between_blanks, texts) for phrase in asked.phrases))
    share = len(terms) / len(asked.terms)
    return _Held(item_id, content_id, path, modality, segment_id, item, passage, share, exact, verbatim)


def _holds(phrase: str, cut: Callable[[str], Iterable[str]], texts: Iterable[str]) -> bool:
    """Whether a text has the words of a phrase one after the other, as they are: FTS5 compares their stems.

    Args:
        cut: What makes words of a text.
    """
    quoted = " ".join(cut(phrase.rstrip("*")[1:-1]))
    end = "" if phrase.endswith("*") else r"(?!\w)"
    wanted = re.compile(rf"(?<!\w){re.escape(quoted)}{end}")
    return any(wanted.search(" ".join(cut(one))) for one in texts)


def _between_blanks(words: str) -> list[str]:
    return words.casefold().split()


def _order(held: _Held) -> tuple[bool, bool, float, float, bytes, int]:
    score = held.item.score + held.passage.score
    return not held.exact, not held.verbatim, -held.share, -score, held.path, held.segment_id or 0


def _match_of(held: _Held, found: "_Search") -> KeywordMatch:
    return KeywordMatch(
        held.item_id, held.content_id, held.path, held.modality, held.segment_id,
        held.item.score + held.passage.score, found.words(held.item, held.passage), held.exact,
        held.verbatim,
    )  # fmt: skip


class _Search:
    """The statements of one search, over one snapshot."""

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

    def words(self, item: _Row, passage: _Row) -> tuple[WordMatch, ...]:
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

    def _item_rows(self, ids: Iterable[int]) -> dict[int, _Row]:
        rows = {rowid: _Row() for rowid in ids}
        for term, rowid, score, named in self._scores("item_words", self.item_counts, rows, bm25("item_words", NAMED)):
            row = rows[rowid]
            row.score -= score
            row.terms.add(term)
            if named < 0:
                row.named.add(term)
        return rows

    def _passage_rows(self, ids: Iterable[int]) -> dict[int, _Row]:
        rows = {rowid: _Row() for rowid in ids}
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
        among = f"FROM {name} WHERE {name} MATCH ? AND +rowid IN (SELECT value FROM json_each(?))"
        statement, listed = f"SELECT rowid, {bm25(name)}, {second} {among}", json_numbers(sorted(ids))
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

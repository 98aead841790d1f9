"""Words of names, folders, titles, tags and passages, found with SQLite's FTS5. The tables are kept by triggers.

FTS5's tokenizer cuts at everything that is neither letter nor digit, folds case and diacritics, and stems English
words (Porter, 1980). A user's words never become its syntax: each is a quoted string there.
"""

import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from sqlalchemy import Connection

from mmsearch.catalog.records import Keyword
from mmsearch.types import Modality, Span

WEIGHTS = {"name": 10.0, "folder": 1.0, "title": 6.0, "tags": 6.0}
"""What a match in a column counts for in bm25, next to 1 in a passage."""

MAX_TERMS = 32
"""Words and phrases of a query that are looked at; the rest of a pasted page adds nothing but time."""

MAX_CHARACTERS = 10_000

OVER = 4
"""Candidates per wanted row: copies and passages of one file fall together."""

# Words that say nothing about a file, and would match every sentence.
STOP = frozenset(
    "a an and are as at be been being but by can did do does for from had has have how i if in into is it its me my of "
    "on or our s so some such t than that the their them then there these they this those to was we were what when "
    "where which while who whose why will with would you your".split()
)

_QUOTED = re.compile(r'"([^"]*)"|“([^”]*)”|«([^»]*)»')
_POSSESSIVE = re.compile(r"(?<=\w)['’]s\b")


@dataclass(frozen=True, slots=True)
class Asked:
    """A query taken apart. Terms are FTS5 strings, already quoted; phrases are terms too."""

    terms: tuple[str, ...]
    phrases: tuple[str, ...]
    whole: tuple[str, ...]
    """The folded words of all of it, to compare with a file name."""


@dataclass(slots=True)
class _Row:
    """What is known of a candidate: an item's row, or a passage."""

    score: float = 0.0
    terms: set[str] = field(default_factory=set)
    columns: list[str] = field(default_factory=list)


def fold(text: str) -> tuple[str, ...]:
    """The words of a text without case and diacritics."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return tuple(re.findall(r"[^\W_]+", "".join(c for c in plain if not unicodedata.combining(c))))


def parse(text: str) -> Asked:
    """Take a user's query apart; a `*` at the end of a word finds every word that begins so."""
    clean = text.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")[:MAX_CHARACTERS]
    phrases = [_literal("".join(found)) for found in _QUOTED.findall(clean) if fold("".join(found))]
    loose = [word for word in re.split(r'[\s/\\"]+', _POSSESSIVE.sub("", _QUOTED.sub(" ", clean))) if fold(word)]
    telling = [word for word in loose if not STOP.issuperset(fold(word))]
    words = telling or ([] if phrases else loose)
    terms = dict.fromkeys([*phrases, *(_literal(word) for word in words)])
    return Asked(tuple(terms)[:MAX_TERMS], tuple(dict.fromkeys(phrases))[:MAX_TERMS], fold(clean))


def _literal(word: str) -> str:
    # Folded here for one thing only: the same word twice is one term.
    star = "*" if word.endswith("*") else ""
    return f'"{word.casefold().strip().rstrip("*")}"{star}'


def search(
    connection: Connection, text: str, k: int, modalities: Collection[Modality] | None = None
) -> list[Keyword]:
    """The k present items whose name, folder, title, tags or passages hold most of the query's words.

    Best first: exact ones (the whole name equals the query, or every quoted phrase occurs), then by the share of
    words found, then by bm25 (Robertson and Zaragoza, 2009) with column weights; ties by path. A query without any
    letter or digit finds nothing.
    """
    asked = parse(text)
    if not asked.terms:
        return []
    found = _Search(connection, asked, k * OVER, modalities)
    rows = [_keyword(row, asked, found) for row in found.resolved()]
    best: dict[int, Keyword] = {}
    for row in sorted(rows, key=_order):
        best.setdefault(row.item_id, row)
    return list(best.values())[:k]


def _order(row: Keyword) -> tuple[bool, float, float, bytes, int]:
    return not row.exact, -row.share, -row.score, row.path, row.segment_id or 0


class _Search:
    """The statements of one search, over one snapshot."""

    def __init__(
        self, connection: Connection, asked: Asked, limit: int, modalities: Collection[Modality] | None
    ) -> None:
        self.connection = connection
        self.limit = limit
        self.kinds = "" if modalities is None else "AND c.modality IN (SELECT value FROM json_each(:modalities))"
        self.given = {} if modalities is None else {"modalities": json.dumps(sorted(modalities))}
        self.terms = {term: self._telling(term) for term in asked.terms}
        phrases = " AND ".join(asked.phrases)
        self.passages = self._rows("passage_words", {t: t for t in asked.terms}, self._passage_ids(asked, phrases))
        self.items = self._rows("item_words", self.terms, self._item_ids(asked, phrases) | self._holders())

    def _all(self, statement: str, **values: object) -> Sequence[Any]:
        return self.connection.exec_driver_sql(statement, {"n": self.limit, **self.given, **values}).all()

    def _telling(self, term: str) -> str:
        """The term, looked for beside the folders where most of them hold it: /home/anna says nothing."""
        ((total,),) = self._all("SELECT count(*) FROM items")
        match = f"{{folder}} : {term}"
        ((here,),) = self._all("SELECT count(*) FROM item_words WHERE item_words MATCH :match", match=match)
        return f"{{name title tags}} : {term}" if here > total / 2 else term

    def _item_ids(self, asked: Asked, phrases: str) -> set[int]:
        statement = f"""SELECT w.rowid FROM item_words w JOIN items i ON i.id = w.rowid
            JOIN contents c ON c.id = i.content_id
            WHERE item_words MATCH :match AND i.status = 'present' {self.kinds} ORDER BY {{order}}, i.path LIMIT :n"""
        by_rank = statement.format(order=_bm25("item_words"))
        matches = [(by_rank, " OR ".join(f"({term})" for term in self.terms.values()))]
        if phrases:
            matches.append((by_rank, phrases))
        # A name equal to the query is the shortest of those that begin with it.
        whole = " ".join(asked.whole)
        matches.append((statement.format(order="length(w.name)"), f'{{name}} : ^"{whole}"'))
        return {row[0] for statement, match in matches for row in self._all(statement, match=match)}

    def _passage_ids(self, asked: Asked, phrases: str) -> set[int]:
        statement = f"""SELECT w.rowid FROM passage_words w JOIN segments s ON s.id = w.rowid
            JOIN contents c ON c.id = s.content_id
            WHERE passage_words MATCH :match {self.kinds}
            AND EXISTS (SELECT 1 FROM items i WHERE i.content_id = c.id AND i.status = 'present')
            ORDER BY bm25(passage_words), w.rowid LIMIT :n"""
        matches = [" OR ".join(asked.terms), *([phrases] if phrases else [])]
        return {row[0] for match in matches for row in self._all(statement, match=match)}

    def _holders(self) -> set[int]:
        """Items of the candidate passages: their names count too."""
        statement = """SELECT i.id FROM segments s JOIN items i ON i.content_id = s.content_id
            WHERE s.id IN (SELECT value FROM json_each(:ids)) AND i.status = 'present'"""
        return {row[0] for row in self._all(statement, ids=json.dumps(sorted(self.passages)))}

    def _rows(self, table: str, terms: dict[str, str], ids: Iterable[int]) -> dict[int, _Row]:
        """Scores, terms and columns of the candidates."""
        rows = {rowid: _Row() for rowid in ids}
        # The + keeps SQLite from running the match anew for every single id.
        among = f"FROM {table} WHERE {table} MATCH :match AND +rowid IN (SELECT value FROM json_each(:ids))"
        listed = json.dumps(sorted(rows))
        either = " OR ".join(f"({term})" for term in terms.values())
        for rowid, score in self._all(f"SELECT rowid, {_bm25(table)} {among}", match=either, ids=listed):
            rows[rowid].score = -score
        for term, match in terms.items():
            for (rowid,) in self._all(f"SELECT rowid {among}", match=match, ids=listed):
                rows[rowid].terms.add(term)
        for column in WEIGHTS if table == "item_words" else ():
            for (rowid,) in self._all(f"SELECT rowid {among}", match=f"{{{column}}} : ({either})", ids=listed):
                rows[rowid].columns.append(column)
        return rows

    def resolved(self) -> Sequence[Any]:
        """Candidate items, each with each of its content's candidate passages, or with none."""
        return self._all(
            f"""SELECT i.id, i.content_id, i.path, c.modality, c.metadata, w.name, s.id,
                s.start, s."end", s.page, s.char_start, s.char_end, s.text
            FROM items i JOIN contents c ON c.id = i.content_id JOIN item_words w ON w.rowid = i.id
            LEFT JOIN segments s ON s.content_id = i.content_id AND s.id IN (SELECT value FROM json_each(:passages))
            WHERE i.status = 'present' {self.kinds} AND (s.id IS NOT NULL OR i.id IN (SELECT value FROM json_each(:items)))""",
            passages=json.dumps(sorted(self.passages)), items=json.dumps(sorted(self.items)),
        )  # fmt: skip


def _bm25(table: str) -> str:
    return f"bm25({', '.join([table, *map(str, WEIGHTS.values())])})" if table == "item_words" else f"bm25({table})"


def _keyword(row: Any, asked: Asked, found: _Search) -> Keyword:
    item_id, content_id, path, modality, metadata, name, segment_id, *span = row
    item = found.items.get(item_id, _Row())
    passage = found.passages.get(segment_id, _Row())
    terms = item.terms | passage.terms
    exact = asked.whole in (fold(name), fold(PurePath(name).stem)) or (
        bool(asked.phrases) and terms.issuperset(asked.phrases)
    )
    return Keyword(
        item_id, content_id, path, modality, segment_id, Span(*span), json.loads(metadata),
        score=item.score + passage.score, share=len(terms) / len(asked.terms),
        columns=(*item.columns, *(["passage"] if segment_id is not None else [])), exact=exact,
    )  # fmt: skip

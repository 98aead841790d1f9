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

from sqlalchemy import (
    ColumnElement,
    Connection,
    TableClause,
    and_,
    bindparam,
    column,
    func,
    literal_column,
    select,
    table,
    text,
)
from sqlalchemy.orm import InstrumentedAttribute

from mmsearch.catalog import layouts
from mmsearch.catalog.filters import filter_clause, row_by_row
from mmsearch.catalog.records import KeywordMatch
from mmsearch.catalog.tables import Content, Item, SegmentRow
from mmsearch.filters.ast import Filter
from mmsearch.types import Modality

ITEM_WORDS = table("item_words", column("rowid"), column("name"))
PASSAGE_WORDS = table("passage_words", column("rowid"))

WEIGHTS = {"name": 10.0, "folder": 1.0, "title": 6.0, "tags": 6.0}
"""What a match in a column counts for in bm25, next to 1 in a passage."""

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
_BETWEEN = re.compile(r"""[\s/\\"(),;:!?\[\]{}<>|=]+""")
_POSSESSIVE = re.compile(r"(?<=\w)['\u2019]s\b")


@dataclass(frozen=True, slots=True)
class KeywordQuery:
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


def fold_case(words: str) -> tuple[str, ...]:
    """The words of a text without case and diacritics."""
    plain = unicodedata.normalize("NFKD", words.casefold())
    return tuple(re.findall(r"[^\W_]+", "".join(c for c in plain if not unicodedata.combining(c))))


def parse_words(query: str) -> KeywordQuery:
    """Take a user's query apart; a `*` at the end of a word finds every word that begins so."""
    clean = query.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")[:MAX_CHARACTERS]
    phrases = [_literal("".join(found)) for found in _QUOTED.findall(clean) if fold_case("".join(found))]
    loose = [word for word in re.split(_BETWEEN, _POSSESSIVE.sub("", _QUOTED.sub(" ", clean))) if fold_case(word)]
    telling = [word for word in loose if not STOP.issuperset(fold_case(word))]
    words = telling or ([] if phrases else loose)
    terms = dict.fromkeys([*phrases, *(_literal(word) for word in words)])
    return KeywordQuery(tuple(terms)[:MAX_TERMS], tuple(dict.fromkeys(phrases))[:MAX_TERMS], fold_case(clean))


def _literal(word: str) -> str:
    # Folded here for one thing only: the same word twice is one term.
    star = "*" if word.endswith("*") else ""
    return f'"{word.casefold().strip().rstrip("*")}"{star}'


def search_words(
    connection: Connection,
    query: str,
    k: int,
    modalities: Collection[Modality] | None = None,
    filter: Filter | None = None,
) -> list[KeywordMatch]:
    """The k present items whose name, folder, title, tags or passages hold most of the query's words.

    Best first: exact ones (the whole name equals the query, or every quoted phrase occurs), then by the share of
    words found, then by bm25 (Robertson and Zaragoza, 2009) with column weights; ties by path. A query without any
    letter or digit finds nothing.

    Args:
        filter: What every row meets, however few do.
    """
    asked = parse_words(query)
    if not asked.terms:
        return []
    allowed = [Item.status == "present"]
    if modalities is not None:
        allowed.append(row_by_row(Content.modality.in_(sorted(modalities))))
    if filter is not None:
        allowed.append(filter_clause(filter, few=True))
    found = _Search(connection, asked, max(k * OVER, POOL), allowed)
    best: dict[int, KeywordMatch] = {}
    for row in sorted((_keyword(row, asked, found) for row in found.resolved()), key=_order):
        best.setdefault(row.item_id, row)
    return list(best.values())[:k]


def _order(row: KeywordMatch) -> tuple[bool, float, float, bytes, int]:
    return not row.exact, -row.share, -row.score, row.path, row.segment_id or 0


class _Search:
    """The statements of one search, over one snapshot."""

    def __init__(
        self, connection: Connection, asked: KeywordQuery, limit: int, allowed: Sequence[ColumnElement[bool]]
    ) -> None:
        self.connection = connection
        self.limit = limit
        self.allowed = allowed
        self.begun: set[int] = set()
        """Items whose names begin with the whole query."""
        self.terms = self._telling(asked.terms)
        phrases = " AND ".join(asked.phrases)
        self.passages = self._rows("passage_words", {t: t for t in asked.terms}, self._passage_ids(asked, phrases))
        self.items = self._rows("item_words", self.terms, self._item_ids(asked, phrases) | self._holders())

    def _telling(self, terms: Iterable[str]) -> dict[str, str]:
        """What to look for in items: not the folders of most of them, since /home/anna says nothing."""
        return {term: f"{{name title tags}} : {term}" if self._everywhere(term) else term for term in terms}

    def _everywhere(self, term: str) -> bool:
        """Whether the folders of more than half of all items hold a term."""
        counted = text("SELECT count(*) FROM item_words WHERE item_words MATCH :match")
        here = int(self.connection.execute(counted, {"match": f"{{folder}} : {term}"}).scalar_one())
        if here == 0:
            return False
        # Counting stops where the answer is known: a large library is counted whole for common words only.
        some = select(Item.id).limit(2 * here).subquery()
        return int(self.connection.execute(select(func.count()).select_from(some)).scalar_one()) < 2 * here

    def _item_ids(self, asked: KeywordQuery, phrases: str) -> set[int]:
        by_rank = text(_bm25("item_words"))
        matches = [(by_rank, " OR ".join(f"({term})" for term in self.terms.values()))]
        if phrases:
            matches.append((by_rank, phrases))
        # A name equal to the query is the shortest of those that begin with it; kept as `begun`.
        matches.append((text("length(item_words.name)"), f'{{name}} : ^"{" ".join(asked.whole)}"'))
        found: set[int] = set()
        for order, match in matches:
            query = select(Item.id).join(Content).join(ITEM_WORDS, ITEM_WORDS.c.rowid == Item.id)
            query = query.where(_match(ITEM_WORDS, match), *self.allowed).order_by(order, Item.path)
            self.begun = set(self.connection.execute(query.limit(self.limit)).scalars())
            found |= self.begun
        return found

    def _passage_ids(self, asked: KeywordQuery, phrases: str) -> set[int]:
        here = select(Item.id).join(Content).where(Item.content_id == SegmentRow.content_id, *self.allowed).exists()
        found: set[int] = set()
        for match in (" OR ".join(asked.terms), phrases):
            query = select(SegmentRow.id).join(PASSAGE_WORDS, PASSAGE_WORDS.c.rowid == SegmentRow.id)
            query = query.where(
                _match(PASSAGE_WORDS, match), SegmentRow.layout == layouts.active_layout(), here
            ).order_by(text(_bm25("passage_words")), SegmentRow.id)
            found.update(self.connection.execute(query.limit(self.limit)).scalars() if match else ())
        return found

    def _holders(self) -> set[int]:
        """Items of the candidate passages: their names count too."""
        if not self.passages:
            return set()
        query = select(Item.id).join(Content).join(SegmentRow, SegmentRow.content_id == Content.id)
        return set(self.connection.execute(query.where(_among(SegmentRow.id, self.passages), *self.allowed)).scalars())

    def _rows(self, name: str, terms: dict[str, str], ids: Iterable[int]) -> dict[int, _Row]:
        """Scores, terms and columns of the candidates."""
        rows = {rowid: _Row() for rowid in ids}
        if not rows:
            return rows
        # The + keeps SQLite from running the match anew for every single id.
        among = f"FROM {name} WHERE {name} MATCH :match AND +rowid IN (SELECT value FROM json_each(:ids))"
        listed = json.dumps(sorted(rows))
        either = " OR ".join(f"({term})" for term in terms.values())
        scored = text(f"SELECT rowid, {_bm25(name)} {among}")
        for rowid, score in self.connection.execute(scored, {"match": either, "ids": listed}):
            rows[rowid].score = -score
        matching = text(f"SELECT rowid {among}")
        for term, match in terms.items():
            for rowid in self.connection.execute(matching, {"match": match, "ids": listed}).scalars():
                rows[rowid].terms.add(term)
        for part in WEIGHTS if name == "item_words" else ():
            columns = {"match": f"{{{part}}} : ({either})", "ids": listed}
            for rowid in self.connection.execute(matching, columns).scalars():
                rows[rowid].columns.append(part)
        return rows

    def resolved(self) -> Sequence[Any]:
        """Candidate items, each with each of its content's candidate passages, or with none."""
        segment = SegmentRow
        here = and_(segment.content_id == Content.id, _among(segment.id, self.passages))
        columns = Item.id, Item.content_id, Item.path, Content.modality, ITEM_WORDS.c.name, segment.id
        joined = select(Item.id).join(Content).join(ITEM_WORDS, ITEM_WORDS.c.rowid == Item.id).outerjoin(segment, here)
        query = joined.where(_among(Item.id, self.items), *self.allowed)
        return self.connection.execute(query.with_only_columns(*columns, maintain_column_froms=True)).all()


def _match(words: TableClause, match: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = literal_column(words.name).bool_op("MATCH")(match)
    return found


def _among(column: InstrumentedAttribute[int], ids: Iterable[int]) -> ColumnElement[bool]:
    """Whatever their number: SQLite limits the parameters of a statement, not their length."""
    listed = text("SELECT value FROM json_each(:value)").bindparams(
        bindparam("value", json.dumps(sorted(ids)), unique=True)
    )
    return column.in_(listed)


def _bm25(name: str) -> str:
    return f"bm25({', '.join([name, *map(str, WEIGHTS.values())])})" if name == "item_words" else f"bm25({name})"


def _keyword(row: Any, asked: KeywordQuery, found: _Search) -> KeywordMatch:
    item_id, content_id, path, modality, name, segment_id = row
    item = found.items.get(item_id, _Row())
    passage = found.passages.get(segment_id, _Row())
    terms = item.terms | passage.terms
    named = item_id in found.begun and asked.whole in (fold_case(name), fold_case(PurePath(name).stem))
    exact = named or (bool(asked.phrases) and terms.issuperset(asked.phrases))
    return KeywordMatch(
        item_id, content_id, path, modality, segment_id,
        score=item.score + passage.score, share=len(terms) / len(asked.terms),
        columns=(*item.columns, *(["passage"] if segment_id is not None else [])), exact=exact,
    )  # fmt: skip

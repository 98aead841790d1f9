"""Words of names, folders, titles, tags and passages. The tables of words are kept by triggers.

SQLite's FTS5, and what `catalog.postgres` has in its place, cut at everything that is neither letter nor digit, fold
case and diacritics, and stem English words (Porter, 1980). Signs of scripts without spaces are words (`signs`). A
user's words never become syntax: each is a quoted string.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import groupby, islice, pairwise
from pathlib import PurePath
from typing import Any, NamedTuple

from sqlalchemy import Connection

from mmsearch.catalog.dialect import dialect_of
from mmsearch.catalog.records import NO_ROW, KeywordMatch, Row
from mmsearch.catalog.signs import cut_signs
from mmsearch.catalog.statements import json_numbers
from mmsearch.catalog.word_candidates import CandidateRow, KeywordQuery, WordCandidates, fold_case
from mmsearch.catalog.word_statements import WordStatements, word_statements
from mmsearch.core.filters.ast import Filter
from mmsearch.types import Modality

MAX_TERMS = 32
"""Words and phrases of a query that are looked at; the rest of a pasted page adds nothing but time."""

MAX_CHARACTERS = 10_000

OVER = 4
"""Candidates per wanted row: copies and passages of one file fall together."""

POOL = 400
"""Candidates, at least: the first 100 rows are the same ones however many are wanted."""

LEAST_ROW, ROWS_READ = 4, 32
"""Words of a query for which it matters whether they follow each other; and passages that are looked at for that, those
that hold most of them."""

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
_POSSESSIVE = re.compile(r"(?<=\w)['\u2019]s\b")


_NOTHING = CandidateRow()


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
    between its words first), then by the share of words found, then by how far a passage has them one after the other,
    then by bm25 (Robertson and Zaragoza, 2009) with column weights; ties by path. A query without any
    letter or digit finds nothing.

    Args:
        filter: What every row meets, however few do.
    """
    asked = parse_words(query)
    if not asked.terms:
        return []
    asks = word_statements(None if modalities is None else tuple(sorted(modalities)), filter)
    found = dialect_of(connection).word_search(connection, asked, max(k * OVER, POOL), asks)
    rows = (row for row in found.resolved() if asks.own is None or row[4] is not None)
    ordered = sorted((_held(row, asked, found) for row in rows), key=_order)
    if len(asked.whole) >= LEAST_ROW:
        ordered = _in_a_row(connection, ordered, asked.whole, asks)
    best: dict[int, _Held] = {}
    for held in ordered:
        best.setdefault(held.item_id, held)
    return [_match_of(held, found) for held in islice(best.values(), k)]


class _Held(NamedTuple):
    """A candidate item with one of its candidate passages, or with none."""

    item_id: int
    content_id: int
    path: bytes
    modality: Modality
    segment_id: int | None
    item: CandidateRow
    passage: CandidateRow
    share: float
    exact: bool
    verbatim: bool
    row: Row = NO_ROW


def _held(row: Any, asked: KeywordQuery, found: WordCandidates) -> _Held:
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


def _in_a_row(
    connection: Connection, ordered: Sequence[_Held], words: tuple[str, ...], asks: WordStatements
) -> list[_Held]:
    """Candidates in order, once it is known of the foremost passages whether the words follow each other there."""
    looked = [held for held in ordered if held.segment_id is not None and len(held.passage.terms) > 1][:ROWS_READ]
    if not looked:
        return list(ordered)
    ids = sorted({held.segment_id for held in looked if held.segment_id is not None})
    rows = {
        number: row_of(words, fold_case(cut_signs(text or "")))
        for number, text in asks.texts.rows(connection, ids=json_numbers(ids))
    }
    return sorted((held._replace(row=rows.get(held.segment_id or -1, NO_ROW)) for held in ordered), key=_order)


def row_of(words: Sequence[str], there: Sequence[str]) -> Row:
    """How words, folded, follow each other in those of a text as they do by themselves."""
    follow = set(pairwise(there))
    rows = [sum(1 for _ in same) for found, same in groupby(pairwise(words), follow.__contains__) if found]
    return Row(math.sqrt(sum(one * one for one in rows)), len(words) - 1)


def _order(held: _Held) -> tuple[bool, bool, float, float, float, bytes, int]:
    score = held.item.score + held.passage.score
    return not held.exact, not held.verbatim, -held.share, -held.row.pairs, -score, held.path, held.segment_id or 0


def _match_of(held: _Held, found: WordCandidates) -> KeywordMatch:
    return KeywordMatch(
        held.item_id, held.content_id, held.path, held.modality, held.segment_id,
        held.item.score + held.passage.score, found.words(held.item, held.passage), held.exact,
        held.verbatim, held.row,
    )  # fmt: skip

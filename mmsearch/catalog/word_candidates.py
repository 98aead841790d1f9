"""What a search for words takes from an engine: its query taken apart, and the candidates with what they hold."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mmsearch.catalog.records import WordMatch
from mmsearch.catalog.signs import SHIFTED

_WORD = re.compile(rf"[^\W_]+|[{SHIFTED}]")


def fold_case(words: str) -> tuple[str, ...]:
    """The words of a text without case and diacritics."""
    plain = unicodedata.normalize("NFKD", words.casefold())
    return tuple(_WORD.findall("".join(c for c in plain if not unicodedata.combining(c))))


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
class CandidateRow:
    """What is known of a candidate: an item's row, or a passage."""

    score: float = 0.0
    terms: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    densities: dict[str, float] = field(default_factory=dict)


class WordCandidates(Protocol):
    """The candidates of one search, over one snapshot."""

    begun: set[int]
    """Items whose names begin with the whole query."""

    @property
    def items(self) -> Mapping[int, CandidateRow]:
        """Item id -> what is known of its name, folder, title and tags."""

    @property
    def passages(self) -> Mapping[int, CandidateRow]:
        """Segment id -> what is known of the passage."""

    def words(self, item: CandidateRow, passage: CandidateRow) -> tuple[WordMatch, ...]:
        """What an item and one of its passages hold of the query."""

    def resolved(self) -> Sequence[Any]:
        """Candidate items, each with each of its content's candidate passages, or with none: ids of item and content,
        path, modality, id of the passage, its words or None, then the item's name, and where a phrase was asked for
        all its words."""

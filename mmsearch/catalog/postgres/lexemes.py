"""Terms of a search as PostgreSQL takes them: lexemes that follow each other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from mmsearch.catalog.database import raw_connection


@dataclass(frozen=True, slots=True)
class Term:
    """A word or a phrase."""

    lexemes: tuple[str, ...]
    begins: bool = False
    """Whether the last one only begins the word."""

    def query(self, letters: str = "") -> str:
        """As the text of a tsquery, in columns of these letters alone; "" if there is no word in it."""
        if not self.lexemes:
            return ""
        first = [f"'{one}'" + (f":{letters}" if letters else "") for one in self.lexemes[:-1]]
        end = ("*" if self.begins else "") + letters
        return " <-> ".join([*first, f"'{self.lexemes[-1]}'" + (f":{end}" if end else "")])

    def found(self, places: Mapping[str, Sequence[tuple[int, str]]], letters: str = "") -> list[str]:
        """The letter of the column of each place at which it begins in a row, whose places are given by lexeme."""
        if not self.lexemes:
            return []
        here = {place: letter for place, letter in places.get(self.lexemes[0], ())}
        if self.begins and len(self.lexemes) == 1:
            here = dict(_beginning(places, self.lexemes[0]))
        for step, lexeme in enumerate(self.lexemes[1:], 1):
            last = step == len(self.lexemes) - 1
            there = _beginning(places, lexeme) if last and self.begins else places.get(lexeme, ())
            after = {place - step: letter for place, letter in there}
            here = {place: letter for place, letter in here.items() if after.get(place) == letter}
        return [letter for letter in here.values() if not letters or letter in letters]


def _beginning(places: Mapping[str, Sequence[tuple[int, str]]], start: str) -> list[tuple[int, str]]:
    return [one for lexeme, some in places.items() if lexeme.startswith(start) for one in some]


def either_of(queries: Iterable[str]) -> str:
    """The text of a tsquery that matches where one of these does."""
    return " | ".join(f"({query})" for query in queries if query)


def as_terms(connection: Connection, terms: Sequence[str]) -> list[Term]:
    """Terms that `words.parse_words` wrote, with their lexemes as the server makes them of texts."""
    plain = [term.rstrip("*").strip('"') for term in terms]
    query = "SELECT lexemes_of(term) FROM unnest(%s::text[]) WITH ORDINALITY AS terms (term, place) ORDER BY place"
    rows = raw_connection(connection).execute(query, (plain,)).fetchall()
    return [Term(tuple(lexemes), term.endswith("*")) for term, (lexemes,) in zip(terms, rows, strict=True)]

"""Words as FTS5 stems them here, by its own tokenizer."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing

TOKENS = "porter unicode61 remove_diacritics 2"
"""The tokenizer of the tables of words; a test compares."""


def stems(words: Sequence[str]) -> dict[str, frozenset[str]]:
    """Word -> its terms in the tables of words: one mostly, several of what the tokenizer cuts."""
    with closing(sqlite3.connect(":memory:")) as made:
        made.execute(f"CREATE VIRTUAL TABLE given USING fts5 (word, content = '', tokenize = '{TOKENS}')")
        made.execute("CREATE VIRTUAL TABLE terms USING fts5vocab (given, instance)")
        made.executemany("INSERT INTO given (rowid, word) VALUES (?, ?)", enumerate(words))
        found: dict[str, set[str]] = {}
        for term, place in made.execute("SELECT term, doc FROM terms"):
            found.setdefault(words[place], set()).add(term)
    return {word: frozenset(terms) for word, terms in found.items()}

"""What documents say of themselves: title, author, dates, keywords."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from mmsearch.errors import MediaError
from mmsearch.media.documents.archive import Archive
from mmsearch.types import Metadata

LONGEST = 200
"""Characters of a title or a name."""

DESCRIPTION = 2000

MOST = 100
"""Keywords, and authors."""

_PROGRAMS = frozenset(
    {*("openpyxl", "python-docx", "python-pptx", "xlsxwriter", "pptxgenjs", "microsoft office user", "user", "unknown")}
    | {*("windows user", "apache poi", "steve canny", "un-named", "calibre", "author", "admin", "administrator")}
)
"""What stands for an author where nobody said who it is."""

_GENERATED = re.compile(r"generated (?:by|using|with)\b", re.IGNORECASE)

_TAKEN = frozenset(
    {*("title", "creator", "subject", "description", "keywords", "keyword", "created", "creation-date", "date")}
    | {"initial-creator", "language", "publisher"}
)


class Properties:
    """Collects the texts of a file of properties, each under its element's name."""

    def __init__(self) -> None:
        self.values: dict[str, list[str]] = defaultdict(list)
        self._open: list[tuple[str, list[str]]] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._open.append((name, []))

    def text(self, data: str) -> None:
        if self._open and self._open[-1][0] in _TAKEN:
            self._open[-1][1].append(data)

    def end(self, name: str) -> None:
        own, pieces = self._open.pop()
        value = one_line("".join(pieces), DESCRIPTION)
        if value and len(self.values[own]) < MOST:
            self.values[own].append(value)


def read_properties(archive: Archive, name: str) -> Metadata:
    """The facts of a file of properties; none if it is missing, damaged or too large."""
    found = Properties()
    with suppress(MediaError):
        archive.parse(name, found)
    return known(found.values)


def known(values: Mapping[str, Sequence[str]]) -> Metadata:
    """title, author, subject, description, keywords, created (ISO 8601), of the names that the formats have."""

    def first(*names: str) -> str | None:
        return next((value for name in names for value in values.get(name, ())), None)

    authors = [name[:LONGEST] for name in values.get("initial-creator") or values.get("creator", ())]
    keywords = [word for text in (*values.get("keywords", ()), *values.get("keyword", ())) for word in split(text)]
    title, subject = first("title"), values.get("subject", ())
    facts: Metadata = {
        "title": title and title[:LONGEST],
        "author": ", ".join(dict.fromkeys(name for name in authors if name.lower() not in _PROGRAMS)),
        "subject": ", ".join(dict.fromkeys(subject))[:LONGEST],
        "description": next((text for text in values.get("description", ()) if not _GENERATED.match(text)), None),
        "publisher": first("publisher"),
        "keywords": list(dict.fromkeys(keywords))[:MOST],
        "created": moment(first("created", "creation-date", "date") or ""),
    }
    return {name: value for name, value in facts.items() if value}


def words(facts: Metadata) -> str:
    """What of the facts is to be found by words, a line each."""
    named = [str(facts[name]) for name in ("title", "author", "subject", "description", "publisher") if name in facts]
    return "\n".join([*dict.fromkeys(named), ", ".join(facts.get("keywords", ()))]).strip()


def split(text: str) -> list[str]:
    """The keywords of a line."""
    return [word[:LONGEST] for word in map(str.strip, re.split(r"[;,]", text)) if word]


def moment(text: str) -> str | None:
    """A moment or a day in ISO 8601, UTC if it says where; None for what is none."""
    with suppress(ValueError, OverflowError):
        found = datetime.fromisoformat(text)
        if len(text) <= len("2024-05-01"):
            return found.date().isoformat()
        whole = found.replace(microsecond=0)
        return whole.isoformat() if whole.tzinfo is None else whole.astimezone(UTC).isoformat()
    return None


def one_line(text: str, length: int) -> str:
    """Words in one line, without what no terminal should see."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * length]).split())[:length]

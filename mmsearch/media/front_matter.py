"""Front matter: title, tags and date at the head of a Markdown document, in YAML between lines of ---, or in TOML
between lines of +++.

Of YAML a small part is read, the one that people write there: a key and a value in a line, lists in brackets or below
each other. Nothing else is looked at, so a document with a colon too many keeps what can be read, and no alias, tag or
type of YAML means anything.
"""

import re
import tomllib
from contextlib import suppress
from datetime import date, datetime
from typing import Any

from mmsearch.types import Metadata

LONGEST = 16_384
"""Characters within which it ends."""

MOST = 200
"""Tags, and characters of a title or a tag."""

_BLOCK = re.compile(r"\ufeff?(---|\+\+\+)[ \t]*\r?\n")
_KEY = re.compile(r"([A-Za-z][\w-]{0,40})[ \t]*:(?:[ \t]+(.*))?")
_ITEM = re.compile(r"[ \t]*-[ \t]+(.*)")
_DATE = re.compile(
    r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ]+(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,]\d+)?)?)?\s*(?:Z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_TITLES, _TAGS, _DATES = ("title",), ("tags", "keywords", "tag"), ("date", "created", "pubdate", "published")


def front_matter(text: str) -> Metadata:
    """title, keywords and taken, as far as a document, whole or its beginning, has them in its front matter."""
    opened = _BLOCK.match(text)
    if opened is None:
        return {}
    mark = r"(?:---|\.\.\.)" if opened[1] == "---" else r"\+\+\+"
    closed = re.compile(rf"^{mark}[ \t]*\r?$", re.MULTILINE).search(text, opened.end(), LONGEST)
    if closed is None:
        return {}
    block = text[opened.end() : closed.start()]
    values = _yaml(block) if opened[1] == "---" else _toml(block)
    title = next((" ".join(map(str, one)) for name in _TITLES if (one := values.get(name))), "")
    tags = [tag for name in _TAGS for value in values.get(name, ()) for tag in _tags(value, len(values[name]) > 1)]
    taken = next((at for name in _DATES for value in values.get(name, ()) if (at := _moment(value))), None)
    known = {"title": " ".join(title.split())[:MOST], "keywords": list(dict.fromkeys(tags))[:MOST], "taken": taken}
    return {name: value for name, value in known.items() if value}


def _yaml(block: str) -> dict[str, list[Any]]:
    """Key in lower case -> its values, one or those of its list."""
    found: dict[str, list[Any]] = {}
    last: list[Any] | None = None
    for row in block.splitlines():
        entry = _KEY.fullmatch(row)
        item = _ITEM.fullmatch(row)
        if entry is not None:
            value = _without_comment(entry[2] or "")
            last = found.setdefault(entry[1].lower(), _listed(value) if value not in ("|", ">", ">-", "|-") else [])
        elif item is not None and last is not None:
            last.append(_unquoted(_without_comment(item[1])))
    return found


def _without_comment(value: str) -> str:
    """A value up to a sharp that begins a comment: one behind a blank, outside of quotes."""
    quote = value[:1] if value[:1] in "\"'" and value else ""
    if quote and (end := value.find(quote, 1)) > 0:
        return value[: end + 1]
    return re.split(r"(?:^|\s)#(?:\s|$)", value, maxsplit=1)[0].strip()


def _listed(value: str) -> list[Any]:
    if value.startswith("["):
        inner = value.strip("[]")
        parts = re.findall(r"\"[^\"]*\"|'[^']*'|[^,]+", inner)
        return [_unquoted(part.strip()) for part in parts if part.strip()]
    return [_unquoted(value)] if value else []


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1].replace("''", "'") if value[0] == "'" else value[1:-1].replace('\\"', '"')
    return value


def _toml(block: str) -> dict[str, list[Any]]:
    with suppress(tomllib.TOMLDecodeError, RecursionError, ValueError):
        read = tomllib.loads(block)
        taxonomies = read.get("taxonomies")
        values = {**read, **(taxonomies if isinstance(taxonomies, dict) else {})}
        return {name.lower(): value if isinstance(value, list) else [value] for name, value in values.items()}
    return {}


def _tags(value: Any, in_list: bool) -> list[str]:
    """One of a list is a tag as it is; a line of them is cut at commas, or at blanks."""
    text = "".join(c for c in str(value) if c.isprintable())
    parts = [text] if in_list else text.split(",") if "," in text else text.split()
    return [tag[:MOST] for part in parts if (tag := part.strip().lstrip("#").strip())]


def _moment(value: Any) -> str | None:
    if isinstance(value, date):
        return value.isoformat()
    found = _DATE.fullmatch(str(value).strip())
    if found is None:
        return None
    numbers = [int(part) for part in found.groups() if part is not None]
    with suppress(ValueError):
        moment = datetime(*numbers)  # type: ignore[arg-type]
        return moment.isoformat() if len(numbers) > 3 else moment.date().isoformat()
    return None

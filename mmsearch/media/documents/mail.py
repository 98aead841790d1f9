"""Mails: who wrote what to whom and when, the words, and what is attached.

A mail's own text has no place of its own. Attached texts, pages and mails are parts with the attachment's name as their
place; attached pictures are pictures of such parts. Other attachments (sounds, videos, documents, archives) are named,
and so are found by their names; what is in them is not looked at.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from typing import ClassVar

from mmsearch.errors import LimitExceeded, MediaError
from mmsearch.media import html
from mmsearch.media.documents.facts import LONGEST
from mmsearch.media.documents.mime import MailPart, header, mail_parts
from mmsearch.media.documents.parts import Part, label
from mmsearch.types import Metadata

PEOPLE = 100
"""Addresses of a header that are kept."""

_ATTACHED_MAILS = 3
"""Mails inside each other."""


class Mail:
    tells_facts: ClassVar[bool] = True

    def __init__(self, data: bytes) -> None:
        self._headers, self._parts = mail_parts(data)

    def facts(self) -> Metadata:
        return mail_facts(self._headers)

    def parts(self) -> Iterator[Part]:
        # Of an encrypted one, what stands above it is there to be found.
        yield from _mail(self._headers, self._parts, "", 1)


def mail_facts(headers: "Message[str, str]") -> Metadata:
    """title (the subject), author and from (the sender), to, cc, taken (by the sender's clock)."""
    sender = people(header(headers, "From"))
    facts: Metadata = {
        "title": header(headers, "Subject")[:LONGEST],
        "author": ", ".join(name for name, _ in sender)[:LONGEST],
        "from": _written(sender),
        "to": _written(people(header(headers, "To"))),
        "cc": _written(people(header(headers, "Cc"))),
        "taken": sent(header(headers, "Date")),
    }
    return {name: value for name, value in facts.items() if value}


def people(line: str) -> list[tuple[str, str]]:
    """(name, address) of those in a header; without a name the address stands for it."""
    found = getaddresses([line])[:PEOPLE]
    return [(name or address, address) for name, address in found if name or address]


def _written(found: list[tuple[str, str]]) -> str:
    return ", ".join(name if name == address else f"{name} <{address}>" for name, address in found)


def sent(date: str) -> str | None:
    """The moment in a header, ISO 8601, with the zone it is told in."""
    with suppress(Exception):  # of what is no date nearly anything is raised
        return parsedate_to_datetime(date[:LONGEST]).isoformat()
    return None


def summary(facts: Metadata) -> str:
    """What stands above a mail."""
    titles = {"title": "", "from": "From: ", "to": "To: ", "cc": "Cc: ", "taken": "Date: "}
    return "\n".join(f"{title}{facts[name]}" for name, title in titles.items() if name in facts)


def _mail(headers: "Message[str, str]", parts: list[MailPart], place: str, depth: int) -> Iterator[Part]:
    bodies = [part for part in parts if _is_body(part)]
    texts = [_words(part) for part in _chosen(bodies)]
    rest = [part for part in parts if not _is_body(part)]
    names = [part.name for part in rest if part.name]
    named = [f"Attached: {', '.join(names)}"] if names else []
    text = "\n\n".join(piece for piece in [summary(mail_facts(headers)), *texts, *named] if piece.strip())
    yield Part(text, place=place or None, marks=[_mark(part) for part in rest])
    for part in rest:
        yield from _attachment(part, depth)


def _mark(part: MailPart) -> bytes:
    return f"{part.kind} {part.name} {len(part.body)}".encode("utf-8", "replace") + part.body


def _is_body(part: MailPart) -> bool:
    return part.kind in ("text/plain", "text/html") and not part.attached and not part.name


def _chosen(bodies: list[MailPart]) -> Iterator[MailPart]:
    """Of what is written both as text and as a page the text, if it has words."""
    plain = any(part.kind == "text/plain" and _words(part).strip() for part in bodies if _is_choice(part))
    for part in bodies:
        if not _is_choice(part) or (part.kind == "text/plain") == plain:
            yield part


def _is_choice(part: MailPart) -> bool:
    return "multipart/alternative" in part.inside


def _words(part: MailPart) -> str:
    with suppress(MediaError):
        words = part.words()
        return html.html_text(words) if part.kind == "text/html" or html.is_html(words) else words
    return ""


def _attachment(part: MailPart, depth: int) -> Iterator[Part]:
    place = f"attachment {label(part.name) or part.kind}"
    if part.kind == "message/rfc822" and depth <= _ATTACHED_MAILS:
        with suppress(LimitExceeded):
            headers, parts = mail_parts(part.data())
            yield from _mail(headers, parts, f"attachment {label(part.name or header(headers, 'Subject'))}", depth + 1)
    elif part.kind.startswith("image/"):
        read: Callable[[], bytes] = part.data
        yield Part("", place=place, pictures=[read])
    elif part.kind.startswith("text/"):
        yield Part(_words(part), place=place)

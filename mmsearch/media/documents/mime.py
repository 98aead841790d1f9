"""The parts of a mail (RFC 2045 to 2047), bounded: of a header no more is read than people write, parts are counted.

Headers are read by the standard library's `email`; what is between the boundaries is cut here, since its parser looks
through all open parts at every line, and nests without end.
"""

import binascii
import quopri
import re
from collections.abc import Iterator
from contextlib import suppress
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser
from typing import NamedTuple

from mmsearch.errors import LimitExceeded
from mmsearch.media import plaintext

MOST = 1000
"""Parts of a mail, those in mails that are attached counted too."""

DEEPEST = 20
"""Parts inside each other."""

HEADERS, HEADER = 2**18, 10_000
"""Bytes of the headers of a part, and characters of one."""

_BLANK = re.compile(rb"\r?\n\r?\n|\A\r?\n")
_FIRST = re.compile(rb"(?:From [^\n]{1,1000}\n)?(?:[A-Za-z][A-Za-z0-9-]{0,60}:[^\n]*\n(?:[ \t][^\n]*\n)*)+")
_NAMES = re.compile(rb"^([A-Za-z-]+):", re.MULTILINE)
_ALWAYS = frozenset({b"from", b"received", b"return-path", b"delivered-to"})
_OFTEN = frozenset({b"to", b"subject", b"date", b"message-id", b"mime-version", b"content-type", b"reply-to", b"cc"})


class MailPart(NamedTuple):
    """A part that is no container of others."""

    kind: str
    """Its type, in small letters: "text/plain"."""
    name: str
    """Of its file; empty if it has none."""
    attached: bool
    headers: "Message[str, str]"
    body: bytes
    """As it is written in the mail."""
    inside: tuple[str, ...]
    """Types of the parts around it, the outermost first."""

    def data(self) -> bytes:
        """Without its transfer encoding."""
        encoding = header(self.headers, "Content-Transfer-Encoding").lower()
        if encoding == "base64":
            clean = re.sub(rb"[^A-Za-z0-9+/]", b"", self.body)
            with suppress(binascii.Error):
                return binascii.a2b_base64(clean[: len(clean) // 4 * 4] + _padded(clean[len(clean) // 4 * 4 :]))
            return b""
        return quopri.decodestring(self.body) if encoding == "quoted-printable" else self.body

    def words(self) -> str:
        """Its characters. Raises: MediaError."""
        data = self.data()
        with suppress(LookupError, UnicodeError, ValueError):
            charset = str(self.headers.get_param("charset") or "")
            if plaintext.is_charset(charset):
                return data.decode(charset)
        return plaintext.decoded_text(data) if data.strip() else ""


def _padded(rest: bytes) -> bytes:
    return rest.ljust(4, b"=") if len(rest) > 1 else b""


def is_mail(head: bytes) -> bool:
    """Whether a file begins as a mail does."""
    found = _FIRST.match(head.removeprefix(b"\xef\xbb\xbf"))
    if found is None:
        return False
    names = {name.lower() for name in _NAMES.findall(found[0])}
    return bool(names & _ALWAYS) and len(names & (_ALWAYS | _OFTEN)) >= 3


def header(message: "Message[str, str]", name: str) -> str:
    """A header's words, decoded, in one line; empty if there is none."""
    raw = str(message.get(name, ""))[:HEADER]
    pieces = []
    with suppress(Exception):  # of what is damaged nearly anything is raised
        for data, charset in decode_header(raw):
            pieces.append(data if isinstance(data, str) else _decoded(data, charset))
        raw = "".join(pieces)
    return " ".join("".join(c if c.isprintable() else " " for c in raw).split())


def _decoded(data: bytes, charset: str | None) -> str:
    known = charset if charset and plaintext.is_charset(charset) else None
    return data.decode(known or "utf-8", "replace")


def headers_of(data: bytes) -> tuple["Message[str, str]", bytes]:
    """The headers, and what follows them. Raises: LimitExceeded."""
    blank = _BLANK.search(data, 0, HEADERS)
    if blank is None and len(data) > HEADERS:
        raise LimitExceeded(f"headers of more than {HEADERS:,} bytes")
    end, rest = (blank.start(), blank.end()) if blank else (len(data), len(data))
    # The line that programs write before a mail is none of its headers.
    first = data.find(b"\n") + 1 if data[:5] == b"From " else 0
    lines = data[first:end]
    return BytesHeaderParser().parsebytes(lines), data[rest:]


def mail_parts(data: bytes) -> tuple["Message[str, str]", list[MailPart]]:
    """The headers of a mail, and its parts in order. Raises: LimitExceeded."""
    headers, body = headers_of(data)
    found: list[MailPart] = []
    for part in _cut(headers, body, ()):
        found.append(part)
        if len(found) > MOST:
            raise LimitExceeded(f"a mail of more than {MOST:,} parts")
    return headers, found


def _cut(headers: "Message[str, str]", body: bytes, inside: tuple[str, ...]) -> Iterator[MailPart]:
    if len(inside) > DEEPEST:
        raise LimitExceeded(f"parts of a mail nested deeper than {DEEPEST}")
    kind = headers.get_content_type()
    boundary = _boundary(headers) if kind.startswith("multipart/") else None
    if boundary is None:
        name = label_of(headers)
        attached = header(headers, "Content-Disposition").lower().startswith("attachment")
        yield MailPart(kind, name, attached, headers, body, inside)
        return
    line = re.compile(rb"(?:\A|\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?:\r?\n|\Z)")
    at = None
    for count, found in enumerate(line.finditer(body)):
        if count > MOST + 1:
            raise LimitExceeded(f"a mail of more than {MOST:,} parts")
        if at is not None:
            yield from _cut(*headers_of(body[at : found.start()]), (*inside, kind))
        # The end of a line belongs to the boundary after it: of two in a row each has one.
        at = found.end()
        if found[1]:
            return
    if at is not None:
        yield from _cut(*headers_of(body[at:]), (*inside, kind))


def _boundary(headers: "Message[str, str]") -> bytes | None:
    with suppress(Exception):
        value = headers.get_boundary()
        return value.encode("ascii")[:200] if value else None
    return None


def label_of(headers: "Message[str, str]") -> str:
    """The name of the file that a part holds."""
    with suppress(Exception):
        name = headers.get_filename()
        if name:
            found = "".join(
                piece if isinstance(piece, str) else _decoded(piece, charset)
                for piece, charset in decode_header(name[:HEADER])
            )
            return re.split(r"[/\\]", " ".join(found.split()))[-1][:200]
    return ""

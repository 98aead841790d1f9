"""Outlook's messages (MS-OXMSG in MS-CFB), by python-oxmsg: the extra `office`."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from mmsearch.errors import Corrupt, LimitExceeded, MediaError, Unsupported
from mmsearch.media import html
from mmsearch.media.documents.facts import LONGEST
from mmsearch.media.documents.mail import PEOPLE, people, summary
from mmsearch.media.documents.mime import MOST
from mmsearch.media.documents.parts import Part, label
from mmsearch.types import Limits, Metadata

EXTRA = "pip install 'mmsearch[office]'"

_SIZES = 4
"""How many times `text_bytes` a message may be, with all that is attached."""

_MOST_STREAMS = 100 * MOST


class OutlookMail:
    tells_facts: ClassVar[bool] = True

    def __init__(self, path: Path, limits: Limits) -> None:
        """Raises: Unsupported without the extra, Corrupt, LimitExceeded."""
        if find_spec("oxmsg") is None:
            raise Unsupported(
                f"an Outlook message needs an extra: {EXTRA}, then mmsearch failures --retry unsupported", hint=EXTRA
            )
        self._message = _loaded(path, limits)

    def facts(self) -> Metadata:
        message = self._message
        sender = people(_text(lambda: message.sender))
        to = [(_text(lambda one=one: one.name), _text(lambda one=one: one.email_address)) for one in self._recipients()]
        facts: Metadata = {
            "title": _text(lambda: message.subject)[:LONGEST],
            "author": ", ".join(name for name, _ in sender)[:LONGEST],
            "from": _written(sender),
            "to": _written(to),
            "taken": _text(lambda: message.sent_date.isoformat()),
        }
        return {name: value for name, value in facts.items() if value}

    def parts(self) -> Iterator[Part]:
        attachments: list[Any] = []
        with suppress(Exception):
            attachments = list(self._message.attachments)
        names = [name for one in attachments if (name := _text(lambda one=one: one.file_name))]
        named = f"Attached: {', '.join(names)}" if names else ""
        text = "\n\n".join(piece for piece in (summary(self.facts()), self._body(), named) if piece.strip())
        yield Part(text, marks=[_mark(one) for one in attachments])
        for one in attachments:
            kind, name = _text(lambda one=one: one.mime_type), _text(lambda one=one: one.file_name)
            if kind.startswith("image/") or name.lower().endswith((".jpg", ".jpeg", ".png", ".gif", ".webp", ".heic")):
                yield Part("", place=f"attachment {label(name) or kind}", pictures=[partial(_bytes, one)])

    def _body(self) -> str:
        plain = _text(lambda: self._message.body)
        return plain if plain.strip() else html.html_text(_text(lambda: self._message.html_body))

    def _recipients(self) -> list[Any]:
        with suppress(Exception):
            return list(self._message.recipients)[:PEOPLE]
        return []


def _loaded(path: Path, limits: Limits) -> Any:
    from olefile import OleFileIO
    from oxmsg import Message

    try:
        with OleFileIO(str(path)) as ole:
            entries = [entry for entry in ole.direntries if entry is not None]
            size = path.stat().st_size
            # Each is read whole: of streams that lie over each other, a small file has any number.
            if len(entries) > _MOST_STREAMS or sum(entry.size for entry in entries if entry.entry_type == 2) > 2 * size:
                raise LimitExceeded("streams in it lie over each other")
        if size > _SIZES * limits.text_bytes:
            raise LimitExceeded(f"a message of more than {_SIZES * limits.text_bytes:,} bytes")
        return Message.load(str(path))
    except (MediaError, MemoryError):
        raise
    except Exception as error:
        raise Corrupt("its structure is damaged") from error


def _text(read: Any) -> str:
    """A property; empty if there is none, or it is damaged: of either nearly anything is raised."""
    with suppress(Exception):
        found = read()
        return "" if found is None else str(found).replace("\0", "")
    return ""


def _bytes(attachment: Any) -> bytes:
    try:
        return bytes(attachment.file_bytes or b"")
    except Exception as error:
        raise Corrupt("an attachment is damaged") from error


def _mark(attachment: Any) -> bytes:
    with suppress(MediaError):
        return _text(lambda: attachment.file_name).encode("utf-8", "replace") + _bytes(attachment)
    return b""


def _written(found: list[tuple[str, str]]) -> str:
    return ", ".join(name if name == address or not address else f"{name} <{address}>" for name, address in found)

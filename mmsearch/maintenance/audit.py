"""The audit log of a library: who asked a server for what, and which items were opened or changed.

    audit/log.jsonl              a line for each entry, the newest last
    audit/log-000000000001.jsonl  what was written before, by the number of its first entry; never deleted by mmsearch
    audit/head                   how many entries there are, and the hash of the last one

Each entry has the hash of the one before it, so that none can be changed, taken out or moved without a break; the head
tells that the last ones were cut off. Items are named by their ids: what is forgotten is not named here. Whoever may
write these files could make the whole chain anew: what `verify` says of its head, noted elsewhere, tells that, too.
"""

import base64
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmsearch.context.context import LibraryContext
from mmsearch.core import sealed, vault
from mmsearch.core.arguments import checked_methods
from mmsearch.core.atomic import make_folder, told
from mmsearch.errors import InvalidInput, LibraryError
from mmsearch.maintenance.tokens import LibraryTokens

FOLDER, LOG, HEAD, LOCK_NAME = "audit", "log.jsonl", "head", "audit.lock"

ROTATE_BYTES = 10_000_000
"""From this size on a file is put aside, and another one begun."""

TAIL = 2**17
"""Bytes at the end of a file that hold its last entry."""

LONGEST_QUERY = 1_000
"""Characters of a query that are kept."""

SEALED = "sealed:"
"""Begins a query that an encrypted library notes; the chain of hashes is over what is written, and needs no key."""

FIRST = "0" * 64
"""What stands for the hash before the first entry."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that was asked."""

    number: int
    """1-based."""
    at: str
    """UTC, ISO 8601."""
    who: str
    """The name of a token; "owner" for the server's own, "shell", or "-" for a token that was refused."""
    what: str
    """Such as "GET /items/{item_id}/file" or "token create"."""
    items: tuple[int, ...] = ()
    """Ids of the items that were opened or changed."""
    status: int | None = None
    """What a server answered: 200 for done, 403 for refused."""
    query: str | None = None
    """What was searched for, where the setting `audit_queries` asks for it."""
    before: str = FIRST
    """Hash of the entry before."""
    hash: str = ""
    """SHA-256 of all of the above."""


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """What `verify` found."""

    entries: int
    head: str
    """NUMBER:HASH of the last entry: noted elsewhere, it tells whether all was written anew."""
    problems: tuple[str, ...]
    """What was altered, cut or moved; none if all is as it was written."""


@checked_methods
class LibraryAudit:
    """Writes and checks the audit log of a library. Thread safety: all methods may be called from any thread, and
    several processes may write."""

    def __init__(self, context: LibraryContext, tokens: LibraryTokens) -> None:
        self._context = context
        self._tokens = tokens
        self._folder = context.path / FOLDER

    @property
    def on(self) -> bool:
        """Whether servers write it: as the setting `audit` says; by default where the library has tokens."""
        chosen = self._context.settings.audit
        return chosen == "on" or (chosen == "auto" and self._tokens.any())

    def record(
        self, who: str, what: str, items: Sequence[int] = (), status: int | None = None, query: str | None = None
    ) -> None:
        """Write an entry, if the log is `on`. Raises: LibraryError if it can't be written."""
        if not self.on:
            return
        asked = query[:LONGEST_QUERY] if query is not None and self._context.settings.audit_queries else None
        with self._context.locked(LOCK_NAME, "writing the audit log of", 5.0), told(self._folder):
            make_folder(self._folder, private=True)
            number, before = self._last()
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            if asked is not None and (key := vault.key_of_library(self._folder)) is not None:
                asked = SEALED + base64.b64encode(sealed.sealed(asked.encode(), key, f"query {number + 1}")).decode()
            entry = AuditEntry(number + 1, at, who, what, tuple(items), status, asked, before)
            log = self._folder / LOG
            if log.exists() and log.stat().st_size > ROTATE_BYTES:
                log.rename(self._folder / f"log-{_first_number(log):012}.jsonl")
            hashed = hash_of(entry)
            _append(log, json.dumps(_plain(entry) | {"hash": hashed}) + "\n")
            _write(self._folder / HEAD, f"{entry.number:020} {hashed}\n")

    def entries(self) -> Iterator[AuditEntry]:
        """All, the oldest first. Raises: LibraryError for a line that is none."""
        for where, line in self._lines():
            entry = _entry(line)
            if entry is None:
                raise LibraryError(f"{where} is no entry of an audit log", hint="mmsearch audit verify")
            yield self._opened(entry)

    def _opened(self, entry: AuditEntry) -> AuditEntry:
        key = vault.key_of_library(self._folder)
        if key is None or entry.query is None or not entry.query.startswith(SEALED):
            return entry
        query = sealed.unsealed(base64.b64decode(entry.query.removeprefix(SEALED)), key, f"query {entry.number}")
        return replace(entry, query=query.decode("utf-8", "replace"))

    def verify(self, since: str | None = None) -> AuditCheck:
        """Whether the log is as it was written.

        Args:
            since: The head that an earlier `verify` told: whether that entry is there still.

        Raises: InvalidInput for what is no head.
        """
        wanted = _head_of(since) if since is not None else None
        problems: list[str] = []
        number, before, there = 0, FIRST, wanted is None
        head = self._head()
        for where, line in self._lines():
            entry = _entry(line)
            if entry is None:
                problems.append(f"{where} is no entry")
                continue
            if entry.number != number + 1:
                missing = f"{number + 1} to {entry.number - 1}"
                after = entry.number > number
                problems.append(f"{where}: " + (f"entries {missing} are missing" if after else "it is out of order"))
            elif entry.before != before:
                problems.append(f"{where}: the entry before it is another than it was")
            if entry.hash != hash_of(entry):
                problems.append(f"{where}: it was altered")
            if head is not None and entry.number == head[0] and entry.hash != head[1]:
                problems.append(f"{where}: it is another entry than the head says")
            number, before = entry.number, entry.hash
            there = there or (number, before) == wanted
        if head is None and number:
            problems.append("the head is missing or is none")
        elif head is not None and head[0] > number:
            problems.append(f"entries {number + 1} to {head[0]} are missing: the log was cut")
        if not there:
            problems.append(f"the entry {since} is not there: the log was cut or written anew")
        return AuditCheck(number, f"{number}:{before}", tuple(problems))

    def _lines(self) -> Iterator[tuple[str, str]]:
        """Where a line is, and the line."""
        files = [*sorted(self._folder.glob("log-*.jsonl")), self._folder / LOG]
        for path in files:
            if path.is_file():
                with told(path):
                    lines = sealed.read_sealed_or_plain(path).decode("utf-8", "replace").split("\n")
                for number, line in enumerate(lines[: len(lines) - (lines[-1] == "")], 1):
                    yield f"{path.name}, line {number}", line

    def _last(self) -> tuple[int, str]:
        """The number and the hash after which the next entry comes: the head's, or those of an entry that was written
        as its writer died before it could write the head."""
        head = self._head() or (0, FIRST)
        log = self._folder / LOG
        try:
            with log.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
                tail = file.read().decode("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return head
        last = _entry(tail[-1]) if tail else None
        if last is not None and last.number > head[0]:
            return last.number, last.hash
        return head

    def _head(self) -> tuple[int, str] | None:
        try:
            number, _, hashed = (self._folder / HEAD).read_text("ascii").strip().partition(" ")
            return _head_of(f"{number}:{hashed}")
        except (OSError, ValueError):
            return None


def hash_of(entry: AuditEntry) -> str:
    """Of all of an entry but its hash."""
    told = _plain(entry)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _plain(entry: AuditEntry) -> dict[str, Any]:
    found = {one.name: getattr(entry, one.name) for one in fields(entry) if one.name != "hash"}
    return found | {"items": list(entry.items)}


def _entry(line: str) -> AuditEntry | None:
    """None for what is none."""
    try:
        read = json.loads(line)
        entry = AuditEntry(**(read | {"items": tuple(read["items"])}))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return entry if type(entry.number) is int and isinstance(entry.hash, str) else None


def _head_of(told: str) -> tuple[int, str]:
    """Raises: InvalidInput."""
    number, _, hashed = told.partition(":")
    if not number.isdecimal() or len(number) > 20 or len(hashed) != len(FIRST):
        raise InvalidInput(f"{told!r} is no head of an audit log", hint="as mmsearch audit verify tells it")
    return int(number), hashed


def _first_number(log: Path) -> int:
    with log.open(encoding="utf-8", errors="replace") as file:
        first = _entry(file.readline())
    return first.number if first is not None else 0


def _append(path: Path, text: str) -> None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        size = os.fstat(handle).st_size
        # Who died in the midst of a line ends it here.
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n" if hasattr(os, "pread") else False
        os.write(handle, ("\n" * torn + text).encode())
    finally:
        os.close(handle)


def _write(path: Path, text: str) -> None:
    """In one piece that is always as long."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)

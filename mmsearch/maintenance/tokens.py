"""Tokens of a library: who else may ask a server of it, and what of it is there for them.

They lie in a file of their own beside the catalog, not in it: a backup that is restored brings back no token that was
revoked since, and neither a backup nor an export takes a way in along. Only hashes are kept. A token has 256 random
bits, so that a plain SHA-256 of it can't be guessed back.
"""

import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from mmsearch.context.context import LibraryContext
from mmsearch.core import sealed
from mmsearch.core.arguments import checked_methods
from mmsearch.core.atomic import replacing
from mmsearch.core.filters import filter_of
from mmsearch.core.tokens import AccessToken, Scope, token_hash
from mmsearch.core.value_ranges import brief_repr
from mmsearch.errors import InvalidInput, LibraryError, UnknownName

FILE_NAME, LOCK_NAME = "tokens.json", "tokens.lock"

PREFIX = "mms_"
"""Begins every token, so that who finds one, in a script say, knows what it opens."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.@-]{0,63}")
_HASH = re.compile(r"[0-9a-f]{64}")
_RESERVED = ("owner", "shell", "stdio")


@checked_methods
class LibraryTokens:
    """Makes, lists and revokes the tokens of a library. Thread safety: all methods may be called from any thread."""

    def __init__(self, context: LibraryContext) -> None:
        self._context = context
        self._path = context.path / FILE_NAME
        self._read: tuple[object, Mapping[str, AccessToken]] = (None, {})

    def create(self, name: str, scope: Scope = "read", filter: str | None = None) -> str:
        """A new token: whoever has it may ask. It is told now and never again.

        Args:
            name: Whose it is; for lists and for the audit log.
            scope: "read": search, look at items, open files. "manage": what the server lets its owner do; with a
                filter, only tag what matches.
            filter: Only items that match are there for its holder, as in `search`.

        Raises: InvalidInput, LibraryNotFound, LibraryReadOnly.
        """
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise InvalidInput(f"{brief_repr(name)} can't be a token's name", hint="letters, digits, blanks, _ . @ -")
        filter_of(filter)
        self._context.catalog()
        token = PREFIX + secrets.token_urlsafe(32)
        with self._changing() as known:
            if any(one.name == name for one in known.values()):
                raise InvalidInput(f"there is a token named {name!r} already", hint=f"mmsearch token revoke {name!r}")
            made = datetime.now(UTC).isoformat(timespec="seconds")
            known[token_hash(token)] = AccessToken(name, scope, filter, made)
        return token

    def list(self) -> list[AccessToken]:
        """All tokens, by name. Raises: LibraryNotFound, LibraryError for a file that is not to be trusted."""
        self._context.catalog()
        return sorted(self._known().values(), key=lambda one: one.name)

    def revoke(self, name: str) -> None:
        """Let a token, and what was begun with it, end at once. Raises: UnknownName, LibraryReadOnly."""
        with self._changing() as known:
            gone = [key for key, one in known.items() if one.name == name]
            if not gone:
                raise UnknownName(f"there is no token named {brief_repr(name)}", hint="mmsearch token list")
            del known[gone[0]]

    def holder(self, hashed: str) -> AccessToken | None:
        """Whose a token is, by its `token_hash`; None if it is nobody's. Raises: LibraryError."""
        return self._known().get(hashed)

    def any(self) -> bool:
        """Whether there is one. Raises: LibraryError."""
        return bool(self._known())

    @contextmanager
    def _changing(self) -> Iterator[dict[str, AccessToken]]:
        with self._context.locked(LOCK_NAME, "changing the tokens of", 5.0):
            known = dict(self._known())
            yield known
            lines = [{"hash": key, **asdict(one)} for key, one in known.items()]
            with replacing(self._path) as temporary:
                handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                os.write(handle, sealed.as_stored(self._path, json.dumps({"tokens": lines}, indent=1).encode()))
                os.close(handle)

    def _known(self) -> Mapping[str, AccessToken]:
        """By hash, as the file has them now. Raises: LibraryError."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise LibraryError(f"{self._path} can't be read: {error}", hint="check permissions") from error
        state = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode)
        if self._read[0] != state:
            if os.name == "posix" and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise LibraryError(f"others can write {self._path}", hint=f"chmod 600 {self._path}")
            self._read = state, _tokens_of(self._path)
        return self._read[1]


def _tokens_of(path: Path) -> dict[str, AccessToken]:
    """Raises: LibraryError for what `create` never wrote: then nobody is let in."""
    strange = LibraryError(f"{path} is not what mmsearch writes", hint="delete it, and make the tokens anew")
    try:
        found: dict[str, AccessToken] = {}
        for line in json.loads(sealed.read_text(path))["tokens"]:
            one = AccessToken(line["name"], line["scope"], line["filter"], line["created"])
            texts = (one.name, one.created, line["hash"])
            known = one.scope in get_args(Scope) and (one.filter is None or isinstance(one.filter, str))
            if not known or not all(isinstance(text, str) for text in texts) or not _HASH.fullmatch(line["hash"]):
                raise strange
            filter_of(one.filter)
            found[line["hash"]] = one
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise strange from error
    return found

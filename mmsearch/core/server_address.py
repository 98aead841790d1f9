"""Libraries on a server: postgresql://USER@HOST:PORT/DATABASE?schema=NAME, and the folders that this machine has for
them.

Such a library has a folder below the user's data folder, as every library has one: `server.url` in it says where the
catalog is, and beside it lie what is this machine's (settings, tokens, trained models). What can be made again lies in
the user's cache folder. No address has a password in it: addresses are seen in lists of processes and in logs.
"""

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from mmsearch.core.atomic import make_folder, replacing
from mmsearch.core.paths import SERVER_SCHEMES
from mmsearch.errors import InvalidInput

URL_NAME = "server.url"
FOLDER = "servers"
"""The folder of such libraries, below the user's data folder and the user's cache folder."""

_NO_PASSWORD = "put it into ~/.pgpass (or the file that PGPASSFILE names), or name a service: ?service=NAME"
_SECRET = frozenset(("password", "sslpassword"))
_SCHEMA = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


def checked_address(address: str) -> str:
    """An address in one form, with its schema. Raises: InvalidInput, for a password in it among others."""
    try:
        parts = urlsplit(address)
        asked = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise InvalidInput(
            f"no address of a library: {error}", hint=f"such as {SERVER_SCHEMES[0]}me@host/media"
        ) from error
    user, _, hosts = parts.netloc.rpartition("@")
    if ":" in user or any(name in _SECRET for name, _ in asked):
        raise InvalidInput("an address with a password can be read by everybody on this machine", hint=_NO_PASSWORD)
    options = dict(asked)
    schema = options.pop("schema", "mmsearch")
    if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_") or len(options) + 1 < len(asked):
        raise InvalidInput(f"{schema!r} is no name of a schema", hint="letters, digits and _, at most 63, once")
    query = urlencode([*sorted(options.items()), ("schema", schema)])
    path = parts.path if len(parts.path) > 1 else "/"
    return urlunsplit(("postgresql", f"{user}@{hosts}" if user else hosts, path, query, ""))


def split_address(address: str) -> tuple[str, str]:
    """(what libpq takes, the schema) of a checked address."""
    parts = urlsplit(address)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    schema = options.pop("schema")
    return urlunsplit((*parts[:3], urlencode(options), "")), schema


def folder_of_address(address: str, data: Path) -> Path:
    """The folder of a library on a server, below the user's data folder; made where it isn't there yet, with the
    address in it. Raises: InvalidInput."""
    checked = checked_address(address)
    parts = urlsplit(checked)
    name = re.sub(r"[^\w.-]+", "-", f"{unquote(parts.path).strip('/')}-{split_address(checked)[1]}")[:80]
    folder = data / FOLDER / f"{name}-{hashlib.sha256(checked.encode()).hexdigest()[:12]}"
    if not (folder / URL_NAME).is_file():
        make_folder(folder, private=True)
        with replacing(folder / URL_NAME) as temporary:
            temporary.write_text(checked + "\n", encoding="utf-8")
    return folder


def address_in(folder: Path, data: Path) -> str | None:
    """The address that the library in a folder has, None for one of files. Only folders that we made below the user's
    own say so: one that somebody sent names no server."""
    if folder.parent != data / FOLDER:
        return None
    try:
        return checked_address((folder / URL_NAME).read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return None


def is_local(host: str) -> bool:
    """Whether a host is this machine: a socket's folder, or the loopback."""
    return not host or host.startswith(("/", "@", "127.")) or host in ("localhost", "::1") or os.path.isabs(host)

"""Keys of encrypted libraries.

A library that is encrypted has a file `encryption.json` beside its catalog. It holds no secret: a random data key of
256 bits, wrapped (AES-256-GCM) by a key that the keyring of the operating system has, or a file, or that scrypt makes
of a passphrase. From the data key come the keys of the catalog, of files and of names; it never changes, so that
another passphrase is another file of some hundred bytes, replaced whole. A backup has the same at its end.

Who opens a library's file asks here for its key: that is where it is unlocked, once for a process.
"""

import base64
import hmac
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mmsearch.core import key_stores
from mmsearch.core.atomic import make_folder, replacing
from mmsearch.core.json_text import parse_object
from mmsearch.core.memory_files import no_core_dumps, sweep_memory
from mmsearch.core.paths import data_folder
from mmsearch.core.server_address import address_in
from mmsearch.errors import InvalidInput, LibraryEncrypted, LibraryError

HEADER = "encryption.json"

KEYRING, PASSPHRASE, FILE = "keyring", "passphrase", "file"

NONCE_BYTES = 12

ON_A_SERVER = "see: mmsearch help encryption; or make a library in a folder with --encrypt"

TRAILER = b"MMSVAULT"
"""Ends a backup that is encrypted; before it 4 bytes, the length of the header before those."""

_CATALOG = "catalog.sqlite"
_TRAILER_MOST = 2**16
_PARTS = frozenset(("indexes", "previews", "slices", "training", "originals", "audit", "tokens.json", HEADER))
"""What lies in a library's folder: a header beside anything else is somebody's own file."""

_DEPTH = 5
"""Folders between a library and what lies deepest in it."""


@dataclass(frozen=True, slots=True)
class Header:
    """What is written down of a library's key."""

    id: str
    method: str
    """keyring, passphrase or file."""
    place: str = ""
    """The name of the entry in the keyring, or the path of the key file."""
    salt: str = ""
    """Of a passphrase, in base64."""
    wrapped: str = ""
    """Nonce and wrapped data key, in base64."""

    def bound(self) -> bytes:
        """What the wrapped key is bound to: a header in which another word stands opens nothing."""
        return json.dumps(["mmsearch", 1, self.id, self.method, self.salt]).encode()

    def packed(self) -> bytes:
        return (json.dumps({"format": 1} | asdict(self), indent=1) + "\n").encode()


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """An unlocked library's keys."""

    header: Header
    data: bytes = field(repr=False)

    def derived(self, purpose: str) -> bytes:
        """32 bytes for one purpose: they tell nothing of those for another."""
        return hmac.digest(self.data, b"mmsearch " + purpose.encode(), "sha256")

    def hidden(self, name: str) -> str:
        """A name that says nothing to who has not the key."""
        return hmac.digest(self.derived("names"), name.encode(), "sha256").hex()


_unlocked: dict[str, Key] = {}
"""By the id of the header."""


# Whose key


def owner_folder(path: Path) -> Path | None:
    """The folder of the encrypted library that a path lies in; None if there is none."""
    path = Path(os.path.abspath(path))
    for parent in list(path.parents)[:_DEPTH]:
        first = path.relative_to(parent).parts[0].lstrip(".")
        if (first in _PARTS or first.startswith(_CATALOG)) and (parent / HEADER).is_file():
            return parent
    return None


def header_of(path: Path) -> Header | None:
    """Of the library that a path lies in, or of a backup itself; None: it is not encrypted. Raises: LibraryError."""
    folder = owner_folder(path)
    if folder is not None:
        return read_header(folder)
    # Who opens a live catalog's file beside SQLite and closes it, gives SQLite's locks away.
    return None if path.name == _CATALOG else _header_at_end(path)


def is_encrypted(path: Path) -> bool:
    """Whether what lies at a path, in a library, is to be encrypted. Unlocks nothing."""
    return owner_folder(path) is not None


def key_of(path: Path) -> Key | None:
    """The key of what lies at a path; None where nothing is encrypted. Raises: LibraryEncrypted, LibraryError."""
    header = header_of(path)
    if header is None:
        return None
    known = _unlocked.get(header.id)
    return known if known is not None else _unlock(header, os.fspath(owner_folder(path) or path))


def key_of_library(path: Path) -> Key | None:
    """The key of the library that a path lies in; None where that is not encrypted, or there is none. Raises: as
    `key_of`."""
    return key_of(path) if is_encrypted(path) else None


def opens_unasked(folder: Path) -> bool:
    """Whether another process may open a library without being told anything: it is not encrypted, or its key is in
    the keyring."""
    return not (folder / HEADER).is_file() or read_header(folder).method == KEYRING


def handed_over(folder: Path) -> str | None:
    """What lets a process that this one starts open the library, to be told through a pipe; None: it needs nothing."""
    key = key_of_library(folder / HEADER)
    return None if key is None else base64.b64encode(key.data).decode()


def take_over(folder: Path, told: str | None) -> None:
    """Open the library with what the process that started this one told."""
    if told is not None:
        _hold(Key(read_header(folder), base64.b64decode(told)))


def read_header(folder: Path) -> Header:
    """Raises: LibraryError."""
    path = folder / HEADER
    try:
        return _parsed(path.read_bytes(), path)
    except OSError as error:
        raise LibraryError(f"{path} can't be read: {error}", hint="check permissions") from error


def trailer(header: Header) -> bytes:
    """What is put at the end of a backup."""
    packed = header.packed()
    return packed + len(packed).to_bytes(4, "little") + TRAILER


def _header_at_end(path: Path) -> Header | None:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - len(TRAILER) - 4))
            end = file.read()
            length = int.from_bytes(end[:4], "little")
            if not end.endswith(TRAILER) or length > min(_TRAILER_MOST, size):
                return None
            file.seek(size - len(end) - length)
            return _parsed(file.read(length), path)
    except OSError:
        return None


def _parsed(content: bytes, path: Path) -> Header:
    try:
        read = parse_object(content.decode("utf-8"))
        if read.pop("format") != 1:
            raise LibraryError(f"{path} is of a newer release", hint="upgrade: pip install --upgrade mmsearch")
        header = Header(**read)
        if not all(isinstance(one, str) for one in asdict(header).values()) or header.method not in (
            KEYRING, PASSPHRASE, FILE,
        ):  # fmt: skip
            raise ValueError(header.method)
    except (ValueError, TypeError, KeyError) as error:
        raise LibraryError(
            f"{path} is not what mmsearch writes: without it nothing can be decrypted",
            hint=f"bring {HEADER} back from a copy, or restore a backup",
        ) from error
    return header


# Making and changing keys


def create(folder: Path, protection: str) -> Key:
    """Make a key for a library that is about to be, and its header.

    Args:
        protection: "keyring", "passphrase" or "file:PATH".

    Raises: InvalidInput, LibraryEncrypted if no passphrase is given, LibraryError.
    """
    key = fresh(protection, folder)
    make_folder(folder, private=True)
    write_header(folder, key.header)
    return key


def begin_encrypted(folder: Path, protection: str) -> None:
    """See to it that a library, if there is none yet, will be encrypted. Raises: InvalidInput if there is one that is
    not; as `create`."""
    if (folder / HEADER).is_file():
        return
    if address_in(folder, data_folder()) is not None:
        raise InvalidInput("the library is on a server, which encrypts its own disk", hint=ON_A_SERVER)
    if (folder / _CATALOG).exists():
        raise InvalidInput(
            f"there is a library at {folder} that is not encrypted", hint=f"mmsearch encrypt {protection}"
        )
    create(folder, protection)


def fresh(protection: str, folder: Path, passphrase: str | None = None, *, again: bool = False) -> Key:
    """A new key for a library, whose header the caller writes. Raises: as `create`."""
    require()
    bare = Key(Header(secrets.token_hex(16), KEYRING), secrets.token_bytes(key_stores.KEY_BYTES))
    key = _protected(bare, protection, folder, passphrase, again=again)
    return _hold(key)


def rewrap(folder: Path, protection: str, passphrase: str | None = None) -> None:
    """Protect a library's data key in another way, or by another passphrase. Whoever dies meanwhile leaves the old way
    or the new one. Raises: as `create`."""
    require()
    key = key_of(folder / HEADER)
    if key is None:
        raise InvalidInput(f"the library at {folder} is not encrypted", hint="mmsearch encrypt")
    made = _protected(key, protection, folder, passphrase, again=True)
    write_header(folder, made.header)
    _unlocked[made.header.id] = made
    forget_protection(key)


def discard(key: Key) -> None:
    """Take back a key that was made for nothing. Never of one that a header on disk needs."""
    if key.header.method == FILE:
        with suppress(OSError):
            os.unlink(key.header.place)
    forget_protection(key)
    _unlocked.pop(key.header.id, None)


def forget_protection(key: Key) -> None:
    """Take a key from the keyring that no header on disk needs any more; one that stays harms nothing."""
    if key.header.method == KEYRING:
        with suppress(LibraryError):
            key_stores.forget_in_keyring(key.header.place)


def write_header(folder: Path, header: Header) -> None:
    """Put a header in its place, whole. Raises: LibraryError."""
    with replacing(folder / HEADER) as temporary:
        temporary.write_bytes(header.packed())


def _protected(key: Key, protection: str, folder: Path, passphrase: str | None = None, *, again: bool = False) -> Key:
    method, _, place = protection.partition(":")
    if method == KEYRING and not place:
        place, secret = f"{key.header.id}-{secrets.token_hex(4)}", secrets.token_bytes(key_stores.KEY_BYTES)
        key_stores.keep_in_keyring(place, secret)
        header = Header(key.header.id, KEYRING, place)
    elif method == PASSPHRASE and not place:
        salt = secrets.token_bytes(16)
        secret = key_stores.stretched(passphrase or key_stores.new_passphrase(folder, again=again), salt)
        header = Header(key.header.id, PASSPHRASE, salt=base64.b64encode(salt).decode())
    elif method == FILE and place:
        path = Path(os.path.abspath(Path(place).expanduser()))
        secret = secrets.token_bytes(key_stores.KEY_BYTES)
        key_stores.write_key_file(path, secret, folder)
        header = Header(key.header.id, FILE, os.fspath(path))
    else:
        raise InvalidInput(f"{protection!r} protects no key", hint="keyring, passphrase or file:PATH")
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = nonce + _aead(secret).encrypt(nonce, key.data, header.bound())
    return Key(replace(header, wrapped=base64.b64encode(sealed).decode()), key.data)


# Unlocking


def _unlock(header: Header, what: str) -> Key:
    require()
    wrong = False
    for secret in _secrets(header, what):
        data = _unwrapped(header, secret)
        if data is not None:
            return _hold(Key(header, data))
        wrong = True
    how = {
        KEYRING: "its key is in the keyring of the user who made it",
        PASSPHRASE: f"run it in a terminal, or set {key_stores.PASSPHRASE_ENV}",
        FILE: f"its key is in {header.place}; if it was moved: {key_stores.KEY_FILE_ENV}=PATH",
    }[header.method]
    problem = {
        KEYRING: "the keyring has not its key", PASSPHRASE: "no passphrase is given", FILE: "its key file is not there",
    }[header.method]  # fmt: skip
    if wrong:
        problem = "that passphrase is not its" if header.method == PASSPHRASE else "that key is not its"
    raise LibraryEncrypted(f"{what} is encrypted, and {problem}", hint=how)


def _hold(key: Key) -> Key:
    """Have a key from now on. What processes that were killed left in memory goes."""
    no_core_dumps()
    sweep_memory()
    _unlocked[key.header.id] = key
    return key


def _secrets(header: Header, what: str) -> Iterator[bytes]:
    """What may unwrap the key; each of a passphrase's takes half a second."""
    if header.method == KEYRING:
        found = key_stores.in_keyring(header.place)
        if found is not None:
            yield found
    elif header.method == FILE:
        path = Path(os.environ.get(key_stores.KEY_FILE_ENV) or header.place)
        if path.is_file():
            yield key_stores.read_key_file(path)
    else:
        for one in key_stores.passphrases(what):
            yield key_stores.stretched(one, base64.b64decode(header.salt))


def _unwrapped(header: Header, secret: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag

    try:
        sealed = base64.b64decode(header.wrapped, validate=True)
        data = _aead(secret).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], header.bound())
    except (InvalidTag, ValueError):
        return None
    return data if len(data) == key_stores.KEY_BYTES else None


def _aead(secret: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(secret)


def any_unlocked() -> bool:
    """Whether this process has an encrypted library's key."""
    return bool(_unlocked)


def require() -> None:
    """Raises: LibraryEncrypted where the extra is not installed."""
    try:
        import cryptography  # noqa: F401
        import sqlcipher3  # noqa: F401
    except ImportError as error:
        raise LibraryEncrypted(
            "encrypted libraries need sqlcipher3 and cryptography", hint="pip install 'mmsearch[encryption]'"
        ) from error

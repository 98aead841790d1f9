"""Sealed files: what an encrypted library keeps beside its catalog, each with a key of its own.

    8 bytes    MAGIC
    16 bytes   salt
    pieces     of PIECE bytes, the last one shorter, each with a tag of 16 bytes (AES-256-GCM)

A piece is bound to its place, to whether it is the last, and to the name of the file in its library: none can be
altered, cut, moved or put in another's place unnoticed. In a library that is not encrypted, a file is what it was.
"""

import hmac
import os
import secrets
from pathlib import Path
from typing import Any

from mmsearch.core import vault
from mmsearch.core.atomic import replacing
from mmsearch.errors import LibraryError

MAGIC = b"MMSEAL01"
SALT_BYTES, TAG_BYTES = 16, 16
PIECE = 2**22


def write_bytes(path: Path, content: bytes) -> None:
    """Put a content in the place of a file, whole, sealed where the library is encrypted. Raises: LibraryError."""
    stored = as_stored(path, content)
    with replacing(path) as temporary:
        temporary.write_bytes(stored)


def as_stored(path: Path, content: bytes) -> bytes:
    """What a file has to hold that is going to bear this path. Raises: LibraryEncrypted."""
    key = vault.key_of_library(path)
    return content if key is None else sealed(content, key, _name(path))


def read_bytes(path: Path) -> bytes:
    """What `write_bytes` was given. Raises: OSError, LibraryError for what was altered, or not sealed."""
    content = path.read_bytes()
    key = vault.key_of_library(path)
    return content if key is None else unsealed(content, key, _name(path))


def read_sealed_or_plain(path: Path) -> bytes:
    """The same of a file that may have been written before the library was encrypted, or as what needs no sealing."""
    content = path.read_bytes()
    key = vault.key_of_library(path)
    return content if key is None or not content.startswith(MAGIC) else unsealed(content, key, _name(path))


def read_text(path: Path) -> str:
    """The same, as UTF-8. Raises: OSError, ValueError, LibraryError."""
    return read_bytes(path).decode("utf-8")


def sealed(content: bytes, key: vault.Key, name: str) -> bytes:
    """A content as a file of this name holds it."""
    salt = secrets.token_bytes(SALT_BYTES)
    cipher = _cipher(key, salt)
    starts = range(0, max(len(content), 1), PIECE)
    pieces = [
        cipher.encrypt(_nonce(number), content[start : start + PIECE], _bound(name, number, start == starts[-1]))
        for number, start in enumerate(starts)
    ]
    return b"".join((MAGIC, salt, *pieces))


def unsealed(content: bytes, key: vault.Key, name: str) -> bytes:
    """Raises: LibraryError."""
    from cryptography.exceptions import InvalidTag

    altered = LibraryError(f"{name} is not what this library wrote", hint="delete it; it may be made anew")
    start = len(MAGIC) + SALT_BYTES
    if not content.startswith(MAGIC) or len(content) < start + TAG_BYTES:
        raise altered
    cipher = _cipher(key, content[len(MAGIC) : start])
    starts = range(start, len(content), PIECE + TAG_BYTES)
    try:
        return b"".join(
            cipher.decrypt(_nonce(n), content[at : at + PIECE + TAG_BYTES], _bound(name, n, at == starts[-1]))
            for n, at in enumerate(starts)
        )
    except InvalidTag:
        raise altered from None


def _cipher(key: vault.Key, salt: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(hmac.digest(key.derived("files"), salt, "sha256"))


def _nonce(number: int) -> bytes:
    return number.to_bytes(vault.NONCE_BYTES, "big")


def _bound(name: str, number: int, last: bool) -> bytes:
    return f"{number} {last:d} {name}".encode("utf-8", "surrogateescape")


def _name(path: Path) -> str:
    """The place of a file in its library, by slashes."""
    folder = vault.owner_folder(path)
    return path.name if folder is None else Path(os.path.abspath(path)).relative_to(folder).as_posix()

"""Where the keys of encrypted libraries come from: the keyring of the operating system, a file, a passphrase."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmsearch.core.atomic import told
from mmsearch.errors import InvalidInput, LibraryEncrypted

KEY_BYTES = 32

SERVICE = "mmsearch"
"""What the keyring knows keys of libraries by."""

SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**17, 8, 1
"""128 MiB of memory and some tenths of a second for each guess."""

PASSPHRASE_ENV, PASSPHRASE_FD_ENV, KEY_FILE_ENV = "MMSEARCH_PASSPHRASE", "MMSEARCH_PASSPHRASE_FD", "MMSEARCH_KEY_FILE"
NEW_PASSPHRASE_ENV = "MMSEARCH_NEW_PASSPHRASE"
SECRET_ENV = frozenset((PASSPHRASE_ENV, PASSPHRASE_FD_ENV, NEW_PASSPHRASE_ENV))
"""Variables that are never written into a file or sent to another process."""

_offered: list[str] = []
"""Passphrases that a program gave, the last one first."""

_asking: list[Callable[[str], str]] = []
"""Asks a person for a passphrase; argument: what for."""


def offer(passphrase: str) -> None:
    """Give a passphrase that some library of this process may need."""
    if passphrase in _offered:
        _offered.remove(passphrase)
    _offered.insert(0, passphrase)


def ask_with(ask: Callable[[str], str]) -> None:
    """Let a person be asked from now on."""
    _asking[:] = [ask]


def new_passphrase(folder: Path, *, again: bool = False) -> str:
    """One that a key is to be protected with; `again`: in the place of another, which may be what was offered.

    Raises: LibraryEncrypted if there is none, InvalidInput.
    """
    chosen = os.environ.get(NEW_PASSPHRASE_ENV)
    if chosen is None and not again:
        chosen = _offered[0] if _offered else _from_environment()
    if chosen is None and _asking:
        chosen = _asking[0](f"New passphrase of {folder}")
        if chosen != _asking[0]("The same once more"):
            raise InvalidInput("the two passphrases differ", hint="repeat the command")
    if not chosen:
        name = NEW_PASSPHRASE_ENV if again else PASSPHRASE_ENV
        raise LibraryEncrypted("no passphrase is given", hint=f"run it in a terminal, or set {name}")
    return chosen


def passphrases(what: str) -> Iterator[str]:
    """Those that may be a library's, one after the other; a person is asked where nobody gave one."""
    given = [*_offered]
    if (named := _from_environment()) is not None and named not in given:
        given.append(named)
    yield from given
    if _asking and not given:
        yield _asking[0](f"Passphrase of {what}")


_read_fd: dict[int, str] = {}


def _from_environment() -> str | None:
    if (given := os.environ.get(PASSPHRASE_ENV)) is not None:
        return given
    number = os.environ.get(PASSPHRASE_FD_ENV, "")
    if not number.isdecimal():
        return None
    if int(number) not in _read_fd:
        try:
            with os.fdopen(int(number), "rb") as file:
                _read_fd[int(number)] = file.read().decode("utf-8").rstrip("\r\n")
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{PASSPHRASE_FD_ENV}={number} can't be read: {error}", hint="an open file") from error
    return _read_fd[int(number)]


def stretched(passphrase: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        passphrase.encode("utf-8", "surrogateescape"), salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P,
        maxmem=2**28, dklen=KEY_BYTES,
    )  # fmt: skip


def keep_in_keyring(place: str, secret: bytes) -> None:
    keyring = _keyring()
    try:
        keyring.set_password(SERVICE, place, secret.hex())
        kept = keyring.get_password(SERVICE, place)
    except Exception as error:  # backends are other people's
        raise _no_keyring(error) from error
    if kept != secret.hex():
        # One that is switched off says nothing, and forgets.
        raise _no_keyring(ValueError("it does not keep what it is given"))


def in_keyring(place: str) -> bytes | None:
    keyring = _keyring()
    try:
        found = keyring.get_password(SERVICE, place)
    except Exception as error:
        raise _no_keyring(error) from error
    try:
        return bytes.fromhex(found) if found is not None else None
    except ValueError:
        return None


def forget_in_keyring(place: str) -> None:
    keyring = _keyring()
    try:
        keyring.delete_password(SERVICE, place)
    except Exception as error:
        raise _no_keyring(error) from error


def _keyring() -> Any:
    try:
        import keyring
    except ImportError as error:
        raise LibraryEncrypted(
            "the key is in the keyring, which needs the package keyring", hint="pip install 'mmsearch[encryption]'"
        ) from error
    return keyring


def _no_keyring(error: Exception) -> LibraryEncrypted:
    return LibraryEncrypted(
        f"the keyring of this system can't be used: {str(error).splitlines()[0] if str(error) else error!r}",
        hint="use a passphrase or file:PATH in its place; or set up a keyring (Secret Service on Linux)",
    )


def write_key_file(path: Path, secret: bytes, folder: Path) -> None:
    if path.is_relative_to(os.path.abspath(folder)):
        raise InvalidInput("a key in the library's own folder protects nothing", hint="keep it on another disk")
    with told(path):
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise InvalidInput(f"{path} exists already", hint="name a new file for the key") from error
        with os.fdopen(handle, "wb") as file:
            file.write(secret.hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def read_key_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return bytes.fromhex(file.read(2 * KEY_BYTES + 2).decode("ascii").strip())
    except (OSError, ValueError) as error:
        raise LibraryEncrypted(f"the key file {path} can't be used: {error}", hint="bring it back") from error

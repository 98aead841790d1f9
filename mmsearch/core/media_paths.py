"""Paths of media that were handed over in memory. Other items have a file's path; these have one that is no file's.

    mem:/ID/NAME               ID is the application's
    mem:/sha256:HASH/NAME      the application gave none

Every file's path that the catalog keeps is absolute, on every platform: no scan, no folder and no drive has one of
these in it, and no file can take its place. They are UTF-8 with slashes everywhere, so a library that is copied to
another machine keeps them. An ID is quoted as in addresses (%2F for a slash), so that two ids never share a path.
"""

import os
import re
from urllib.parse import unquote

from mmsearch.errors import InvalidInput

MEDIA_ROOT = b"mem:"
"""Where the root of a file's item is the folder that was ingested."""

MOST_NAME_BYTES = 255
"""In UTF-8, as file systems have it."""

MOST_ID_CHARACTERS = 512

_HASHED = "sha256:"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_QUOTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029%/\\:]")
_FORM = re.compile(rb"mem:/((?:[^/\\:%\x00-\x1f\x7f]|%[0-9A-F]{2})+|sha256:[0-9a-f]{64})/([^/\\\x00-\x1f\x7f]+)")


def media_folder(media_id: str | None, sha256: str) -> bytes:
    """The folder of a medium's path: it is the only one in it, unless the application gave no id."""
    return MEDIA_ROOT + b"/" + (_HASHED + sha256 if media_id is None else _quoted(media_id)).encode()


def media_path(media_id: str | None, name: str, sha256: str) -> bytes:
    """The path of a medium."""
    return media_folder(media_id, sha256) + b"/" + name.encode()


def is_media_path(path: bytes) -> bool:
    """Whether a path of the catalog is that of a medium that was handed over in memory, or leads towards some."""
    return path == MEDIA_ROOT or path.startswith(MEDIA_ROOT + b"/")


def is_whole_media_path(path: bytes) -> bool:
    """Whether a path is written as `media_path` writes it."""
    found = _FORM.fullmatch(path)
    try:
        text = path.decode()
        given = text.split("/")[1] if found else ""
    except UnicodeDecodeError:
        return False
    return (
        found is not None
        and (given.startswith(_HASHED) or _quoted(unquote(given)) == given)
        and _is_name(text.split("/")[2])
    )


def media_id(path: bytes) -> str | None:
    """The id that the application gave; None for any other path."""
    if not is_media_path(path) or not is_whole_media_path(path):
        return None
    given = path.decode().split("/")[1]
    return None if given.startswith(_HASHED) else unquote(given)


def item_path(path: str | os.PathLike[str]) -> bytes:
    """The path of an item as the catalog keeps it, from what a caller gives: a file's is made absolute.

    Raises: InvalidInput for what no file system has in a path.
    """
    given = os.fspath(path)
    try:
        os.fsencode(given)
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{given!r} holds what is in no path", hint="give a path as the system has it") from error
    if "\0" in given:
        raise InvalidInput(f"{given!r} holds a null character, which is in no path", hint="leave it out")
    # On Windows pathlib turns slashes over; nothing in such a path has a backslash of its own.
    turned = os.fsencode(given.replace("\\", "/") if os.sep == "\\" else given)
    if is_media_path(turned):
        return turned.rstrip(b"/")
    return os.fsencode(os.path.abspath(os.path.expanduser(given)))


def checked_name(name: object) -> str:
    """Raises: InvalidInput for what can't be the name of a file on every platform."""
    if not isinstance(name, str):
        raise InvalidInput(f"a medium's name is a str, not {type(name).__name__}", hint='such as "cat.jpg"')
    if not _is_name(name):
        raise InvalidInput(
            f"{name[:80]!r} can't be a medium's name",
            hint=f'a name such as "cat.jpg": 1 to {MOST_NAME_BYTES} bytes of UTF-8, without slashes and control'
            " characters",
        )
    return name


def checked_id(media_id: object) -> str | None:
    """Raises: InvalidInput for what can't be an id."""
    if media_id is None:
        return None
    if not isinstance(media_id, str):
        raise InvalidInput(f"a medium's id is a str, not {type(media_id).__name__}", hint="str(ID) of a number")
    if not is_id(media_id):
        raise InvalidInput(
            f"{media_id[:80]!r} can't be a medium's id", hint=f"1 to {MOST_ID_CHARACTERS} characters of Unicode"
        )
    return media_id


def is_id(text: str) -> bool:
    """Whether an application may call a medium so."""
    return 1 <= len(text) <= MOST_ID_CHARACTERS and _is_utf8(text)


def _is_name(name: str) -> bool:
    if name in ("", ".", "..") or "/" in name or "\\" in name or _CONTROL.search(name):
        return False
    return _is_utf8(name) and len(name.encode()) <= MOST_NAME_BYTES


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _quoted(media_id: str) -> str:
    quoted = _QUOTED.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), media_id)
    # To a file system these are the folder itself and the one above.
    return quoted.replace(".", "%2E") if quoted in (".", "..") else quoted

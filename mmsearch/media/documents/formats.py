"""Which kind of document a file is, by its content, and its reader."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmsearch.errors import Corrupt, LimitExceeded, Unsupported
from mmsearch.media import sniff
from mmsearch.media.documents import mime, opendocument
from mmsearch.media.documents.archive import Archive, opened_archive
from mmsearch.media.documents.books import Book
from mmsearch.media.documents.mail import Mail
from mmsearch.media.documents.opendocument import OpenDocument
from mmsearch.media.documents.outlook import OutlookMail
from mmsearch.media.documents.packages import main_file
from mmsearch.media.documents.parts import Document
from mmsearch.media.documents.sheets import SheetDocument
from mmsearch.media.documents.slides import SlideDocument
from mmsearch.media.documents.word import WordDocument
from mmsearch.types import Limits

_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OFFICE_ENTRY = re.compile(
    rb"PK\x03\x04.{26}(?:\[Content_Types\]\.xml|_rels/|docProps/|word/|ppt/|xl/|mimetype|META-INF/)", re.DOTALL
)
_PACKED = frozenset(
    {*(".docx", ".docm", ".dotx", ".dotm", ".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm", ".xlsx", ".xlsm")}
    | {*(".xltx", ".xltm", ".xlsb", ".odt", ".ott", ".odp", ".otp", ".ods", ".ots", ".odg", ".otg", ".epub")}
)
_READERS = (
    ("word/", WordDocument), ("ppt/", SlideDocument), ("xl/", SheetDocument),
)  # fmt: skip
_STREAMS = re.compile("(?:__substg1|__properties_version|__nameid_version|__recip_version|__attach_version)")
_SECTORS = 8
"""Sectors of an OLE file's directory that are looked at: names in no particular order."""


def is_document(path: Path, head: bytes) -> bool:
    """Whether a file is of a kind that is read here, or would be if it were not protected or damaged."""
    if head.startswith(_ZIP):
        return path.suffix.lower() in _PACKED or _OFFICE_ENTRY.search(head) is not None
    if head.startswith(_OLE):
        names = _ole_names(path, head)
        return _STREAMS.search(names) is not None or "EncryptedPackage" in names
    return mime.is_mail(head)


@contextmanager
def opened_document(path: Path, head: bytes, limits: Limits) -> Iterator[Document]:
    """A document of a file that `is_document`. Raises: MediaError."""
    if head.startswith(_ZIP):
        with opened_archive(path, limits) as archive:
            yield _packed(archive)
    elif head.startswith(_OLE):
        if _STREAMS.search(_ole_names(path, head)) is None:
            raise Unsupported("an office document that is protected by a password")
        yield OutlookMail(path, limits)
    else:
        yield Mail(_whole(path, limits))


def _packed(archive: Archive) -> Document:
    kind = archive.read("mimetype")[:200] if "mimetype" in archive else b""
    if kind.strip() == b"application/epub+zip" or "META-INF/container.xml" in archive:
        return Book(archive)
    if (known := opendocument.document_kind(kind)) is not None and "content.xml" in archive:
        return OpenDocument(archive, known)
    main = main_file(archive)
    if main is None:
        raise Unsupported("a ZIP archive or an office document of a kind that is not read")
    if main.endswith(".bin"):
        raise Unsupported("a binary Excel workbook: save it as .xlsx")
    reader = next((reader for folder, reader in _READERS if main.lower().startswith(folder)), None)
    if reader is None:
        raise Unsupported("a ZIP archive or an office document of a kind that is not read")
    if main not in archive:
        raise Corrupt("its main part is missing")
    return reader(archive, main)


def _whole(path: Path, limits: Limits) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(limits.text_bytes + 1)
    except OSError as error:
        raise sniff.from_os_error(error) from error
    if len(data) > limits.text_bytes:
        raise LimitExceeded(f"more than {limits.text_bytes:,} bytes")
    return data


def _ole_names(path: Path, head: bytes) -> str:
    """Names at the beginning of an OLE file's directory: 128 bytes each, the name first (MS-CFB 2.6)."""
    shift, first = int.from_bytes(head[30:32], "little"), int.from_bytes(head[48:52], "little")
    if shift not in (9, 12):
        return ""
    size = 1 << shift
    try:
        with open(path, "rb") as file:
            file.seek((first + 1) * size)
            directory = file.read(_SECTORS * size)
    except OSError as error:
        raise sniff.from_os_error(error) from error
    entries = (directory[at : at + 64] for at in range(0, len(directory), 128))
    return "\n".join(entry.decode("utf-16-le", "replace").partition("\0")[0] for entry in entries)

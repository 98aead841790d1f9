"""Which decoder a file belongs to: its content decides, its name only where the content can't."""

import errno
import mimetypes
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from mmsearch.errors import Corrupt, LimitExceeded, MediaError, OutOfMemory, Transient, Unreadable, Unsupported
from mmsearch.types import Decoder, Limits

HEAD_BYTES = 8192

# Kinds of file that people keep beside their media, so that the ledger can name them.
_KNOWN: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old office document"),
    (b"{\\rtf", "an RTF document"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"BZh", "bzip2-compressed data"),
    (b"\xfd7zXZ\x00", "xz-compressed data"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"gimp xcf", "a GIMP project"),
    (b"\x00\x05\x16\x07", "macOS metadata (AppleDouble)"),
    (b"ADIF", "AAC of the old ADIF kind"),
    (b"\xff\xd8\xff\xf7", "a JPEG-LS picture"),
    (b"IIRO", "a camera's raw picture"),
    (b"IIRS", "a camera's raw picture"),
    (b"IIU\x00", "a camera's raw picture"),
    (b"MMOR", "a camera's raw picture"),
    (b"wOFF", "a font"),
    (b"wOF2", "a font"),
    (b"OTTO", "a font"),
    (b"ttcf", "a font"),
    (b"FWS", "a Flash program"),
    (b"CWS", "a Flash program"),
    (b"ZWS", "a Flash program"),
)
_SVG = re.compile(rb"<svg[\s>]", re.IGNORECASE)


def open_decoder(path: Path, decoders: Sequence[Decoder], limits: Limits) -> Decoder:
    """The first decoder that accepts the file.

    Raises: Unreadable for what is no regular file or may not be read, Transient if it is gone, LimitExceeded for
    its size, Corrupt if it is empty or isn't what its name says, Unsupported if no decoder knows it.
    """
    head = read_head(path, limits)
    for decoder in decoders:
        if decoder.accepts(path, head):
            return decoder
    kind = kind_of(head)
    if kind:
        raise Unsupported(f"{kind}: no decoder for it")
    named = (mimetypes.guess_type(path.name)[0] or "").partition("/")[0]
    if named in ("image", "audio", "video"):
        raise Corrupt(f"its name says {named}, its content says nothing known")
    raise Unsupported("no decoder knows this kind of file")


def read_head(path: Path, limits: Limits) -> bytes:
    """The first 8 KiB of a regular file. Raises: Unreadable, Transient, LimitExceeded, Corrupt (empty)."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("not a regular file")
        if status.st_size > limits.file_bytes:
            raise LimitExceeded(f"{status.st_size:,} bytes, the limit is {limits.file_bytes:,}")
        if status.st_size == 0:
            raise Corrupt("empty file")
        with open(path, "rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise from_os_error(error) from error


def kind_of(head: bytes) -> str | None:
    """A name for some kinds of file that no decoder takes."""
    if _SVG.search(head[:2048]):
        return "an SVG drawing"
    return next((name for magic, name in _KNOWN if head.startswith(magic)), None)


def from_os_error(error: OSError) -> MediaError:
    """The failure class of an error that the file system raised."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return Transient("the file is gone")
    if error.errno == errno.ENOMEM:
        return OutOfMemory("out of memory")
    return Unreadable(error.strerror or "can't be read")

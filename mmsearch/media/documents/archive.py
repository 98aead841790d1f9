"""ZIP files from strangers: what is in them is counted before and while it is unpacked, and nothing lands on a disk."""

import os
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from mmsearch.errors import Corrupt, LimitExceeded, MediaError, Unsupported
from mmsearch.media import sniff
from mmsearch.media.documents import xml
from mmsearch.types import Limits

MOST_ENTRIES = 20_000
"""Files in a ZIP. A slide deck of a thousand slides has six thousand."""

_DIRECTORY_BYTES = 8 * 2**20
"""Of the list of these files, which is read whole before the first is."""

PICTURES_SHARE = 4
"""How many times `text_bytes` the pictures of a document may be, all together; further ones are left out."""

MOST_RATIO, RATIO_FROM = 400, 2**20
"""How many times smaller than itself a file of a megabyte may have been packed: spreadsheets of one number reach 200,
zeros 1,000."""

_CHUNK = 2**16
_END, _END_BYTES = b"PK\x05\x06", 22
_LOCATOR_BYTES, _END64, _END64_BYTES = 20, b"PK\x06\x06", 56


class Archive:
    """A ZIP file that is open. Names are compared without case, as Office does."""

    def __init__(self, file: zipfile.ZipFile, limits: Limits, size: int) -> None:
        self._file = file
        self._limits = limits
        self._left = limits.text_bytes
        """Bytes of XML that may still be unpacked."""
        self._pictures_left = PICTURES_SHARE * limits.text_bytes
        self.budget = xml.Budget(limits.text_bytes // xml.BYTES_EACH)
        self._entries = {entry.filename.replace("\\", "/").lstrip("/").lower(): entry for entry in file.infolist()}
        if sum(entry.compress_size for entry in self._entries.values()) > size:
            raise LimitExceeded("files in it lie over each other, as in a ZIP bomb")

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._entries

    def check_room(self, names: Iterable[str]) -> None:
        """Refuse at once what would not fit in the end. Raises: LimitExceeded."""
        known = (self._entries.get(name.lower()) for name in names)
        if sum(entry.file_size for entry in known if entry is not None) > self._left:
            raise self._too_long()

    def _too_long(self) -> LimitExceeded:
        return LimitExceeded(f"more than {self._limits.text_bytes:,} bytes of text")

    def read(self, name: str) -> bytes:
        """A file of text or XML. Raises: Corrupt if it is missing or damaged, LimitExceeded, Unsupported (password)."""
        data = self._unpacked(name, self._left)
        if data is None:
            raise self._too_long()
        self._left -= len(data)
        return data

    def picture(self, name: str) -> bytes:
        """Another file. Raises: as `read`."""
        data = self._unpacked(name, min(self._pictures_left, self._limits.text_bytes))
        if data is None:
            raise LimitExceeded("its pictures are too large")
        self._pictures_left -= len(data)
        return data

    def parse(self, name: str, handler: xml.Handler) -> None:
        """Read a file of XML. Raises: as `read` and `xml.parse`."""
        xml.parse(self.read(name), handler, self.budget)

    def _unpacked(self, name: str, most: int) -> bytes | None:
        """None if it is larger than that, whatever it says of its size."""
        entry = self._entries.get(name.lower())
        if entry is None:
            raise Corrupt(f"{Path(name).name} is missing in it")
        if entry.flag_bits & 1:
            raise Unsupported("protected by a password")
        unpacked = bytearray()
        try:
            with self._file.open(entry) as file:
                while chunk := file.read(_CHUNK):
                    unpacked += chunk
                    if len(unpacked) > most:
                        return None
                    if len(unpacked) > max(RATIO_FROM, MOST_RATIO * entry.compress_size):
                        raise LimitExceeded(f"packed more than {MOST_RATIO} times, as in a ZIP bomb")
        except NotImplementedError as error:
            raise Unsupported("packed in a way that can't be read") from error
        except MediaError:
            raise
        except OSError as error:
            damage = Corrupt("a file in it is damaged") if error.errno is None else sniff.from_os_error(error)
            raise damage from error
        except MemoryError:
            raise
        except Exception as error:
            raise Corrupt("a file in it is damaged") from error
        return bytes(unpacked)


@contextmanager
def opened_archive(path: Path, limits: Limits) -> Iterator[Archive]:
    """Raises: Corrupt, LimitExceeded, Unsupported."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open(path, "rb"))
            size = os.fstat(file.fileno()).st_size
            _check_directory(file, size)
            opened = stack.enter_context(zipfile.ZipFile(file))
        except MediaError:
            raise
        except OSError as error:
            raise sniff.from_os_error(error) from error
        except Exception as error:
            # Over a damaged list of files `zipfile` raises nearly anything.
            raise Corrupt("its ZIP structure is damaged") from error
        if len(opened.infolist()) > MOST_ENTRIES:
            raise _too_many()
        yield Archive(opened, limits, size)


def _check_directory(file: IO[bytes], size: int) -> None:
    """The length of the list of files, which `zipfile` would read whole."""
    begin = max(0, size - 2**16 - _END_BYTES)
    file.seek(begin)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + _END_BYTES:
        raise Corrupt("its ZIP structure is damaged, or it is cut off")
    length = int.from_bytes(tail[at + 12 : at + 16], "little")
    at64 = at - _LOCATOR_BYTES - _END64_BYTES
    if at64 >= 0 and tail[at64 : at64 + 4] == _END64:
        length = max(length, int.from_bytes(tail[at64 + 40 : at64 + 48], "little"))
    if _DIRECTORY_BYTES < length <= size:
        raise _too_many()
    file.seek(0)


def _too_many() -> LimitExceeded:
    return LimitExceeded(f"a ZIP of more than {MOST_ENTRIES:,} files")

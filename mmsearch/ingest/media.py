"""Media that an application hands over in memory: bytes with a name and, if wanted, an id of its own.

They take the way that files take: planned by their hash, decoded in a worker from a private file that is there for that
alone, embedded, committed. What is special is where they are (`core.media_paths`) and that their bytes are gone
afterwards, unless they are to be kept (`catalog.originals`).
"""

import hashlib
import re
import time
from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mmsearch.catalog.contents import sha256_of
from mmsearch.catalog.failures import failures_under
from mmsearch.catalog.items import items_under
from mmsearch.catalog.originals import needed_originals
from mmsearch.catalog.records import KnownItem
from mmsearch.catalog.tags import tags_of
from mmsearch.core.file_times import size_and_time
from mmsearch.core.media_paths import MEDIA_ROOT, checked_id, checked_name, media_folder, media_path
from mmsearch.errors import InvalidInput, LimitExceeded, MmsearchError
from mmsearch.ingest.plan import FileStep, Planner
from mmsearch.ingest.report import IngestReport
from mmsearch.ingest.run import Ingest

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,16}")


@dataclass(frozen=True, slots=True)
class Media:
    """A medium in memory, for `Library.ingest_media`.

    Args:
        name: What a file of it would be called, such as "cat.jpg": words, filters and formats go by it.
        data: The bytes of the encoded file (JPEG, MP3, PDF, ...). Any object with a buffer is taken, and copied.
        id: The application's own name for it, 1 to 512 characters. The same id again is the same item: unchanged, or
            changed where the bytes are others. Without one, the bytes and the name tell.
        keep: Keep the bytes in the library, so that they can be explained, given to other models and read again. What
            is kept already stays until the item is removed or gets other bytes.
        tags: Words to give it; those it has stay.

    Raises: InvalidInput for arguments of other types, and for names and ids that can't be.
    """

    name: str
    data: bytes = field(repr=False)
    id: str | None = None
    keep: bool = False
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checked_name(self.name)
        checked_id(self.id)
        if not isinstance(self.data, bytes):
            object.__setattr__(self, "data", _bytes(self.data))
        if not isinstance(self.keep, bool):
            raise InvalidInput(f"keep is True or False, not {self.keep!r}")
        object.__setattr__(self, "tags", _checked_tags(self.tags))


def _bytes(data: object) -> bytes:
    if isinstance(data, bytearray | memoryview):
        return bytes(data)
    raise InvalidInput(
        f"a medium's data are bytes, not {type(data).__name__}", hint="for a file on disk: library.ingest(path)"
    )


def _checked_tags(tags: object) -> tuple[str, ...]:
    if not isinstance(tags, tuple | list | set | frozenset):
        raise InvalidInput(f"tags are a tuple of words, not {type(tags).__name__}", hint='tags=("holiday",)')
    for tag in tags:
        if not isinstance(tag, str) or not tag.strip() or "\0" in tag or tag.encode("utf-8", "replace").decode() != tag:
            raise InvalidInput(f"{tag!r} can't be a tag", hint="tags are words, such as 'holiday'")
    return tuple(dict.fromkeys(tags))


def checked_media(media: object) -> Iterable[Media]:
    """Media to take in, looked at before anything is done where all are at hand. Raises: InvalidInput."""
    if isinstance(media, Media):
        return [media]
    if not isinstance(media, Iterable) or isinstance(media, str | bytes | bytearray | memoryview):
        raise InvalidInput(
            f"media are mmsearch.Media objects, not {type(media).__name__}",
            hint='library.ingest_media([mmsearch.Media("cat.jpg", data)])',
        )
    return [_checked(one) for one in media] if isinstance(media, Collection) else map(_checked, media)


def _checked(one: object) -> Media:
    if not isinstance(one, Media):
        raise InvalidInput(
            f"media are mmsearch.Media objects, not {type(one).__name__}",
            hint='library.ingest_media([mmsearch.Media("cat.jpg", data)])',
        )
    return one


class MediaIngest(Ingest):
    """A run over media in memory. They are taken from where they come one by one, in the caller's thread."""

    def take(self, media: Iterable[Media]) -> IngestReport:
        """Take them in, in their order. Raises: InvalidInput for what are no media, and what the iterable raises."""
        self._originals = self._catalog.originals
        self._unneeded: set[str] = set()
        planner = self._planner()
        if isinstance(media, Collection):
            self._progress.total(len(media))
        self._originals.begin()
        try:
            rest = iter(media)
            waiting: deque[Media] = deque()
            while (first := waiting.popleft() if waiting else next(rest, None)) is not None:
                self._carry(self._steps(first, rest, waiting, planner), planner)
                if self._options.cancel.is_set():
                    break
        except BaseException:
            # What was committed stays. What can't be swept now is by who opens the library next.
            with suppress(MmsearchError):
                self._catalog.sweep_originals()
            raise
        self._originals.end()
        return self.report

    def _steps(
        self, first: Media, rest: Iterator[Media], waiting: deque[Media], planner: Planner
    ) -> Generator[FileStep, None, None]:
        """Up to a medium whose path or id came up already, which waits until that one is committed."""
        seen: set[bytes] = set()
        medium: Media | None = first
        while medium is not None and not self._options.cancel.is_set():
            sha256 = hashlib.sha256(medium.data).hexdigest()
            key = media_folder(medium.id, sha256) if medium.id is not None else media_path(None, medium.name, sha256)
            if key in seen:
                waiting.append(medium)
                return
            seen.add(key)
            if (step := self._step(medium, sha256, planner)) is not None:
                yield step
            medium = next(rest, None)

    def _step(self, medium: Media, sha256: str, planner: Planner) -> FileStep | None:
        """What is to be done about a medium; None if nothing is."""
        path, size = media_path(medium.id, medium.name, sha256), len(medium.data)
        limit = self._options.max_bytes
        if size > limit:
            error = LimitExceeded(f"{size:,} bytes, the limit is {limit:,}")
            return FileStep("fail", path, MEDIA_ROOT, size, time.time_ns(), error=error)
        if medium.keep:
            self._originals.check_kept()
        known, same, settled = self._known(medium, path, sha256)
        kept = medium.keep or (same is not None and bool(same.kept))
        holders, known_here = planner.holders(sha256)
        if same is not None and known_here and settled and self._is_kept(same, kept, sha256):
            self.report.unchanged += 1
            return None
        if known_here:
            action = "place"
        else:
            action = "await" if sha256 in planner.planned else "decode"
            planner.planned.add(sha256)
        kind = _kind(known, same, path, action, bool(holders))
        source, mtime_ns = self._received(medium, sha256, action == "decode" or kept)
        moved = known.id if known is not None and known.path != path else None
        return FileStep(
            action, path, MEDIA_ROOT, size, mtime_ns, sha256, kind, known, moved, None, source, kept, medium.tags
        )

    def _known(self, medium: Media, path: bytes, sha256: str) -> tuple[KnownItem | None, KnownItem | None, bool]:
        """The item that the id names; again if it has the same bytes; and whether nothing else about it changed."""
        place = media_folder(medium.id, sha256) if medium.id is not None else path
        with self._catalog.reading() as snapshot:
            known = next(iter(items_under(snapshot, place, None, 1)), None)
            if known is None or sha256_of(snapshot, known.content_id) != sha256:
                return known, None, False
            settled = known.path == path and not failures_under(snapshot, place, None, 1)
            settled = settled and set(tags_of(snapshot, [known.content_id])[known.content_id]).issuperset(medium.tags)
            return known, known, settled

    def _is_kept(self, item: KnownItem, kept: bool, sha256: str) -> bool:
        """Whether its bytes are kept if they are to be: what was lost is put back."""
        return bool(item.kept) == kept and (not kept or self._originals.is_there(sha256, item.size))

    def _received(self, medium: Media, sha256: str, wanted: bool) -> tuple[Path | None, int]:
        """The bytes in a private file, if they are wanted as one, and the time it has, or now."""
        if not wanted:
            return None, time.time_ns()
        suffix = Path(medium.name).suffix
        source = self._originals.receive(
            lambda file: file.write(medium.data), sha256, suffix if _SUFFIX.fullmatch(suffix) else ""
        )
        return source, size_and_time(source.stat())[1]

    def _place(self, step: FileStep) -> None:
        if step.source is not None:
            if step.kept:
                # Before the commit that needs it.
                self._originals.keep(step.source, step.sha256)
            self._let_go(step)
        if step.known is not None and step.known.kept:
            self._unneeded.add(self._catalog.read(sha256_of, step.known.content_id))
        super()._place(step)

    def _drop(self, step: FileStep, failure: tuple[str, str]) -> None:
        self._let_go(step)
        super()._drop(step, failure)

    def _fail(self, step: FileStep, failure: str, reason: str) -> None:
        if step.source is not None:
            reason = reason.replace(step.source.name, step.path.rpartition(b"/")[2].decode())
        super()._fail(step, failure, reason)

    @staticmethod
    def _let_go(step: FileStep) -> None:
        if step.source is not None:
            with suppress(OSError):
                step.source.unlink(missing_ok=True)

    def _commit(self) -> None:
        super()._commit()
        if self._unneeded:
            needed = self._catalog.read(needed_originals, sorted(self._unneeded))
            self._originals.discard(self._unneeded - needed)
            self._unneeded = set()


def _kind(known: KnownItem | None, same: KnownItem | None, path: bytes, action: str, held: bool) -> str:
    """How the report counts a medium."""
    if same is not None:
        if action != "place":
            return "completed"
        return "unchanged" if same.path == path else "moved"
    if known is not None:
        return "changed"
    return "copied" if held or action == "await" else "new"

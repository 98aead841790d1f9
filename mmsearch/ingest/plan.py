"""Comparing what a scan found with what the catalog knows: what each file needs, without decoding anything."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from mmsearch.catalog import Catalog, KnownFailure, KnownItem, Snapshot
from mmsearch.catalog.contents import sha256_of
from mmsearch.catalog.embeddings import is_embedded_or_unsupported
from mmsearch.catalog.failures import failures_under
from mmsearch.catalog.items import items_under, items_with_content
from mmsearch.catalog.paths import SEPARATOR
from mmsearch.core.file_times import size_and_time
from mmsearch.core.media_paths import is_media_path
from mmsearch.errors import DecodeTimeout, MediaError, NotEmbedded, Transient, Unreadable
from mmsearch.ingest.report import IngestReport
from mmsearch.types import SourceFile

PAGE = 2000
"""Known items or failures read at once: no read transaction stays open for the length of a job."""

TIMEOUTS = 3
"""Runs in which a file may take too long until it is left alone: the machine, or its disk, may have been busy."""

TOO_LONG = "path too long for the library's server"
"""Why a file is skipped."""

Known = TypeVar("Known", KnownItem, KnownFailure)


@dataclass(frozen=True, slots=True)
class FileStep:
    """What has to be done about one file.

    action: "decode", "place" (its content is known), "await" (its content is being decoded for another path of
    this run), "fail" (`error` says why), or "missing" (known, and not there any more).
    """

    action: str
    path: bytes
    root: bytes
    size: int = 0
    mtime_ns: int = 0
    sha256: str = ""
    kind: str = ""
    """new, changed, moved, copied, unchanged or restored: how the report counts it."""
    known: KnownItem | None = None
    moved: int | None = None
    error: MediaError | None = None
    source: Path | None = None
    """The file to decode, where it is not the one at the path."""
    kept: bool = False
    """Whether the library keeps the bytes."""
    tags: tuple[str, ...] = ()
    """Given along with it."""


@dataclass(slots=True)
class Planner:
    """Makes the steps of one run; remembers which contents and which moves it has given out already."""

    catalog: Catalog | None
    """None for a dry run before the library exists."""
    space_id: int
    version: str
    report: IngestReport
    retry: Callable[[KnownFailure], bool]
    max_bytes: int
    planned: set[str] = field(default_factory=set)
    """Hashes given out to be decoded."""
    claimed: set[int] = field(default_factory=set)
    """Items that are being moved: their old path is not missing."""
    kept: int = 0
    """Items whose files are there, but are left out by what the user wrote since."""

    def steps(
        self,
        root: Path,
        files: Iterable[SourceFile],
        blocked: list[Path],
        leaves_out: Callable[[bytes], bool] = lambda path: False,
        within: Path | None = None,
    ) -> Iterator[FileStep]:
        """Merge a scan (in byte order of paths) with the known items under the root (in the same order), or with those
        within a part of it that alone was scanned."""
        base, scanned = os.fsencode(root), os.fsencode(within or root)
        items = self._paged(scanned, items_under)
        failures = self._paged(scanned, failures_under)
        item, failure = next(items, None), next(failures, None)
        # A million unchanged files come through here: what is done for each of them counts.
        for file in files:
            path = file.path
            while item is not None and item.path < path:
                yield from self._gone(item, base, blocked, leaves_out)
                item = next(items, None)
            while failure is not None and failure.path < path:
                failure = next(failures, None)
            known = None
            if item is not None and item.path == path:
                known, item = item, next(items, None)
                if known.size == file.size and known.mtime_ns == file.mtime_ns and known.status == "present":
                    self.report.unchanged += 1
                    continue
            before = failure if failure is not None and failure.path == path else None
            yield from self.step(file, base, known, before)
        while item is not None:
            yield from self._gone(item, base, blocked, leaves_out)
            item = next(items, None)

    def step(
        self, file: SourceFile, root: bytes, known: KnownItem | None = None, before: KnownFailure | None = None
    ) -> Iterator[FileStep]:
        """The step for one existing file that is new, changed or back; none if it failed `before` as it is now."""
        if self.catalog is not None and len(file.path) > self.catalog.store.longest_path:
            self.report.skipped[TOO_LONG] += 1
            return
        if known and (known.size, known.mtime_ns) == (file.size, file.mtime_ns):
            yield self._again(file, root, known, self._sha256_of(known))
            return
        same = before and (before.size, before.mtime_ns, before.version) == (file.size, file.mtime_ns, self.version)
        mended = before and same and before.failure == Unreadable.failure and _opens(file.path)
        if before and same and not _undecided(before) and not mended and not self.retry(before):
            if before.failure == NotEmbedded.failure:
                self.report.not_embedded += 1
            else:
                self.report.failed_before += 1
            return
        try:
            yield self._classified(file, root, known)
        except MediaError as error:
            yield FileStep("fail", file.path, root, file.size, file.mtime_ns, error=error, known=known)

    def _classified(self, file: SourceFile, root: bytes, known: KnownItem | None) -> FileStep:
        if file.size > self.max_bytes:
            # Not hashed: the decoder will refuse it by its size, and says so in its own words.
            return self._decode(file, root, known, "")
        with self.report.timed("hash"):
            sha256 = content_hash(file)
        if known and self._sha256_of(known) == sha256:
            return self._again(file, root, known, sha256)
        holders, known_here = self.holders(sha256)
        if known_here:
            left = None if known else next((item for item in holders if self._has_left(item)), None)
            if left is not None:
                self.claimed.add(left.id)
            kind = "changed" if known else "moved" if left else "copied" if holders else "new"
            return self._place(file, root, known, sha256, kind, left.id if left else None)
        if sha256 in self.planned:
            return self._step("await", file, root, known, sha256, "changed" if known else "copied")
        self.planned.add(sha256)
        return self._decode(file, root, known, sha256)

    def _again(self, file: SourceFile, root: bytes, known: KnownItem, sha256: str) -> FileStep:
        """A known path with the content it had."""
        if known.status == "present":
            return self._place(file, root, known, sha256, "unchanged")
        # While it was away, the library may have got another model.
        if self.holders(sha256)[1]:
            return self._place(file, root, known, sha256, "restored")
        action = "await" if sha256 in self.planned else "decode"
        self.planned.add(sha256)
        return self._step(action, file, root, known, sha256, "restored")

    def _decode(self, file: SourceFile, root: bytes, known: KnownItem | None, sha256: str) -> FileStep:
        return self._step("decode", file, root, known, sha256, "changed" if known else "new")

    def _place(
        self, file: SourceFile, root: bytes, known: KnownItem | None, sha256: str, kind: str, moved: int | None = None
    ) -> FileStep:
        return self._step("place", file, root, known, sha256, kind, moved)

    @staticmethod
    def _step(
        action: str, file: SourceFile, root: bytes, known: KnownItem | None, sha256: str, kind: str,
        moved: int | None = None,
    ) -> FileStep:  # fmt: skip
        return FileStep(action, file.path, root, file.size, file.mtime_ns, sha256, kind, known, moved)

    def _has_left(self, item: KnownItem) -> bool:
        return item.id not in self.claimed and not is_media_path(item.path) and not os.path.lexists(item.path)

    def _gone(
        self, item: KnownItem, root: bytes, blocked: list[Path], leaves_out: Callable[[bytes], bool]
    ) -> Iterator[FileStep]:
        hidden = any(item.path.startswith(os.fsencode(folder) + SEPARATOR) for folder in blocked)
        # Excluded, hidden or unreadable is not gone.
        if item.status != "present" or hidden:
            return
        if not os.path.lexists(item.path):
            yield FileStep("missing", item.path, root, known=item)
        elif leaves_out(item.path):
            self.kept += 1

    def _paged(
        self, root: bytes, read: Callable[[Snapshot, bytes, bytes | None, int], Sequence[Known]]
    ) -> Iterator[Known]:
        """What is known at or below the root, by path."""
        after: bytes | None = None
        while self.catalog is not None:
            page = self.catalog.read(read, root, after, PAGE)
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].path

    def _sha256_of(self, item: KnownItem) -> str:
        return self.catalog.read(sha256_of, item.content_id) if self.catalog is not None else ""

    def holders(self, sha256: str) -> tuple[list[KnownItem], bool]:
        """The items with a content, and whether nothing has to be embedded for it: it is, or can't be."""
        if self.catalog is None:
            return [], False
        with self.catalog.reading() as connection:
            known = is_embedded_or_unsupported(connection, sha256, self.space_id)
            return (items_with_content(connection, sha256) if known else []), known


def _undecided(before: KnownFailure) -> bool:
    """Whether a failure says nothing for certain, so that the file is tried again as it is."""
    return before.failure == Transient.failure or (
        before.failure == DecodeTimeout.failure and before.attempts < TIMEOUTS
    )


def _opens(path: bytes) -> bool:
    """Whether a file can be read: permission changes no size and no time, so what failed by it has to be tried."""
    try:
        with open(path, "rb", buffering=0) as opened:
            opened.read(1)
    except OSError:
        return False
    return True


def content_hash(file: SourceFile) -> str:
    """sha256 of a file's bytes. Raises: Unreadable, Transient if it vanished or changed meanwhile."""
    try:
        with open(file.path, "rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
            status = os.fstat(opened.fileno())
    except FileNotFoundError as error:
        raise Transient("it vanished while it was read") from error
    except OSError as error:
        raise Unreadable(f"it can't be read: {error.strerror or error}") from error
    if size_and_time(status) != (file.size, file.mtime_ns):
        raise Transient("it changed while it was read")
    return digest

"""Folders that are watched: what changes in them is taken in as soon as they are quiet.

A change says no more than where to look: an ingest of that place finds out what happened, and knows files that moved by
their content. Nothing rests on changes being told: all is scanned at the start, now and then, and whenever some may
have been missed.
"""

import os
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Literal, TypeAlias

from mmsearch.errors import InvalidInput, LibraryLocked, MmsearchError
from mmsearch.ingest.excludes import IGNORE_FILE, NO_MEDIA
from mmsearch.ingest.mounts import network_folders
from mmsearch.ingest.notice import Changes, Notifier, Watchfiles
from mmsearch.ingest.report import IngestReport

MANY = 64
"""Changed paths in one folder from which the folder is scanned as a whole."""

_RULES = (os.fsdecode(IGNORE_FILE), os.fsdecode(NO_MEDIA))
"""Files that say what else of their folder is taken in."""


@dataclass(frozen=True, slots=True)
class WatchTimes:
    """How a watch spends its time, in seconds."""

    quiet_s: float = 2.0
    """Without a change until what changed is taken in."""
    patience_s: float = 60.0
    """After which it is taken in although changes go on."""
    scan_s: float = 3600.0
    """Between scans of everything."""
    unwatched_s: float = 600.0
    """Between scans of what tells of no changes: network mounts, and folders beyond the system's limit."""
    retry_s: float = 10.0
    """Until what could not be done is tried again: somebody else is writing, or a folder is away."""


WatchKind: TypeAlias = Literal["watching", "unwatched", "away", "lost", "ingested", "waiting", "rest"]


@dataclass(frozen=True, slots=True, eq=False)
class WatchEvent:
    """What a watch does or finds."""

    kind: WatchKind
    """"watching": changes below `paths` are told; "unwatched": they are not, so these are scanned in turn; "away":
    folders that are not there or empty, although files of them are known; "lost": changes were missed, so everything is
    scanned; "ingested": `paths` were, with a `report`; "waiting": they could not be, and are tried again; "rest":
    nothing is left to do."""
    paths: tuple[Path, ...] = ()
    message: str = ""
    """Why, where something went wrong."""
    report: IngestReport | None = None


TakeIn: TypeAlias = Callable[[Sequence[Path], Sequence[Path], threading.Event], IngestReport]
"""Ingest roots, or only what lies at or below some paths within them, until the event is set."""


@dataclass(slots=True)
class Pending:
    """What has to be taken in, and since when."""

    everything: bool = True
    """At the start nothing is known of what happened before."""
    paths: set[Path] = field(default_factory=set)
    since: float = 0.0
    """When the first of it was told."""
    last: float = 0.0

    def __bool__(self) -> bool:
        return self.everything or bool(self.paths)

    def add(self, changes: Changes, now: float) -> None:
        """Note what changed."""
        self.since = self.since if self else now
        self.last = now
        self.everything |= changes.lost
        self.paths |= changes.paths

    def due(self, times: WatchTimes) -> float:
        """When it is to be taken in, by `monotonic`."""
        return min(self.last + times.quiet_s, self.since + times.patience_s)


class Watch:
    """Watches some folders for a library until it is stopped. `run` is for one thread, `stop` for any.

    >>> watch = library.watch("~/Pictures")  # doctest: +SKIP
    >>> threading.Thread(target=watch.run).start()  # doctest: +SKIP
    >>> watch.stop()  # doctest: +SKIP
    """

    def __init__(
        self,
        roots: Sequence[Path],
        library: Path,
        take_in: TakeIn,
        known: Callable[[Path], bool],
        times: WatchTimes,
        on_event: Callable[[WatchEvent], None] = lambda event: None,
        notifier: Callable[[Sequence[Path], Callable[[bytes], bool]], Notifier] | None = None,
    ) -> None:
        """`known`: whether files below a root are in the library. `notifier`: makes who tells of changes; by default
        what suits the system."""
        self._roots = list(roots)
        self._library = os.fsencode(library)
        self._take_in = take_in
        self._known = known
        self._times = times
        self._tell = on_event
        self._make = notifier or system_notifier()
        self._pending = Pending()
        self._away: set[Path] = set()
        self._limited = False
        """Whether the system watches no more folders."""
        self._mutex = threading.Lock()
        self._notifier: Notifier | None = None
        self._remote: set[Path] = set()
        """Folders that tell of no changes."""
        self._scanned = self._visited = self._looked = monotonic()
        self._stopped = threading.Event()
        self._idle = False

    def run(self) -> None:
        """Take in what changes, until `stop`."""
        self._begin()
        try:
            while not self._stopped.is_set():
                self._note_away()
                self._schedule()
                if self._pending and monotonic() >= self._pending.due(self._times):
                    self._work()
                elif not self._pending and not self._idle:
                    self._idle = True
                    self._tell(WatchEvent("rest"))
                else:
                    self._wait()
        finally:
            self._close()

    def stop(self) -> None:
        """End `run`, after the files in hand."""
        self._stopped.set()
        with self._mutex:
            if self._notifier is not None:
                self._notifier.wake()

    # Being told of changes

    def _begin(self) -> None:
        """Watch the roots that are there and tell of changes."""
        self._close()
        there = [root for root in self._roots if root.is_dir()]
        remote = {folder for root in there for folder in network_folders(root)}
        local = [root for root in there if root not in remote]
        if local and not self._limited:
            try:
                made = self._make(local, self._is_passed_over)
                with self._mutex:
                    self._notifier = made
                self._tell(WatchEvent("watching", tuple(local)))
            except InvalidInput as error:
                self._fall_back(error)
        self._remote = remote
        if remote:
            self._tell(WatchEvent("unwatched", tuple(sorted(remote)), "a network mount tells of no changes"))
        if self._stopped.is_set():
            self.stop()

    def _close(self) -> None:
        """Watch nothing any more."""
        with self._mutex:
            notifier, self._notifier = self._notifier, None
        if notifier is not None:
            notifier.close()

    def _fall_back(self, error: InvalidInput) -> None:
        """Scan in turn what can't be watched."""
        self._limited = True
        self._close()
        hint = f"; {error.hint}" if error.hint else ""
        self._tell(WatchEvent("unwatched", tuple(self._roots), error.message + hint))

    def _is_passed_over(self, path: bytes) -> bool:
        """The library's own folder changes with every ingest."""
        return path == self._library or path.startswith(self._library + os.fsencode(os.sep))

    def _wait(self) -> None:
        """Until something changes, or it is time for something."""
        now = monotonic()
        seconds = max(0.0, self._next() - now)
        if self._notifier is None:
            self._stopped.wait(seconds)
            return
        try:
            changes = self._notifier.wait(seconds)
        except InvalidInput as error:
            self._fall_back(error)
            changes = Changes(lost=True)
        if changes.lost:
            self._tell(WatchEvent("lost"))
        if changes.gone:
            # Its folder was renamed, deleted or unmounted, perhaps to come back.
            self._begin()
            changes.lost = True
        if changes:
            self._idle = False
            self._pending.add(changes, monotonic())

    # What is to be done when

    def _next(self) -> float:
        """When there is something to do at the latest."""
        moments = [self._scanned + self._times.scan_s]
        if self._pending:
            moments.append(self._pending.due(self._times))
        if self._remote or self._limited:
            moments.append(self._visited + self._times.unwatched_s)
        if self._away:
            moments.append(self._looked + self._times.retry_s)
        return min(moments)

    def _schedule(self) -> None:
        """Note what has to be scanned since time went by."""
        now = monotonic()
        if now >= self._scanned + self._times.scan_s:
            self._pending.everything, self._idle = True, False
        if (self._remote or self._limited) and now >= self._visited + self._times.unwatched_s:
            self._visited, self._idle = now, False
            self._pending.everything |= self._limited
            self._pending.paths |= self._remote

    def _note_away(self) -> None:
        """Find out which roots are away: nothing of them is taken for deleted. One that is back is scanned."""
        now = monotonic()
        if self._away and now < self._looked + self._times.retry_s:
            return
        self._looked = now
        away = {root for root in self._roots if not _has_something(root) and self._known(root)}
        if back := self._away - away:
            self._begin()
            self._pending.add(Changes(set(back)), now)
            self._idle = False
        if fresh := away - self._away:
            self._tell(WatchEvent("away", tuple(sorted(fresh)), "it is not there, or empty: its files stay known"))
        self._away = away

    def _work(self) -> None:
        """Take in what is pending; it is pending again if that fails."""
        pending, self._pending = self._pending, Pending(everything=False)
        roots = [root for root in self._roots if _has_something(root) or not self._known(root)]
        scopes = [] if pending.everything else scopes_of(pending.paths, roots)
        if not roots or not (scopes or pending.everything):
            return
        try:
            report = self._take_in(roots, scopes, self._stopped)
        except MmsearchError as error:
            self._again(pending, error)
            return
        if report.interrupted:
            self._again(pending, None)
            return
        if pending.everything:
            self._scanned = self._visited = monotonic()
        self._tell(WatchEvent("ingested", tuple(scopes or roots), report=report))

    def _again(self, pending: Pending, error: MmsearchError | None) -> None:
        now = monotonic()
        self._pending = replace(pending, since=now, last=now + self._times.retry_s - self._times.quiet_s)
        self._pending.since = self._pending.last
        if error is not None:
            why = "somebody else is writing" if isinstance(error, LibraryLocked) else error.message
            self._tell(WatchEvent("waiting", tuple(sorted(pending.paths)), why))


def system_notifier() -> Callable[[Sequence[Path], Callable[[bytes], bool]], Notifier]:
    """What tells of changes on this system."""
    if sys.platform != "linux":
        return Watchfiles
    # Searches load this module too, and have no use for the foreign functions of libc.
    from mmsearch.ingest.inotify import Inotify

    return Inotify


def scopes_of(changed: Iterable[Path], roots: Iterable[Path]) -> list[Path]:
    """Where to look for what changed: the changed paths, or folders with many of them; none lies below another.

    A file that says what of its folder is taken in stands for the folder.
    """
    found = {path.parent if path.name in _RULES else path for path in changed}
    found = {path for path in found if any(path.is_relative_to(root) for root in roots)}
    while True:
        by_folder: defaultdict[Path, int] = defaultdict(int)
        for path in found:
            by_folder[path.parent] += 1
        crowded = {folder for folder, count in by_folder.items() if count > MANY}
        crowded = {folder for folder in crowded if any(folder.is_relative_to(root) for root in roots)}
        if not crowded:
            break
        found = {path for path in found if path.parent not in crowded} | crowded
    return sorted(path for path in found if found.isdisjoint(path.parents))


def _has_something(root: Path) -> bool:
    try:
        with os.scandir(root) as entries:
            return next(entries, None) is not None
    except NotADirectoryError:
        return True
    except OSError:
        return False

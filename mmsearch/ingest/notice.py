"""Who tells of changes below folders: a Protocol, and watchfiles where Linux's own way is not there."""

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Protocol

from mmsearch.errors import InvalidInput

BURST = 4096
"""Changes at one time from which some may have been dropped: watchfiles doesn't tell."""

_STEP_MS = 200


@dataclass(slots=True)
class Changes:
    """What happened since one asked last."""

    paths: set[Path] = field(default_factory=set)
    """Files and folders that came, went or changed."""
    lost: bool = False
    """Whether there was more than could be told: anything may have changed."""
    gone: bool = False
    """Whether a root itself went, so that nothing more is told of it."""

    def __bool__(self) -> bool:
        return bool(self.paths) or self.lost or self.gone

    def add(self, later: "Changes") -> None:
        """What happened after that, too."""
        self.paths |= later.paths
        self.lost |= later.lost
        self.gone |= later.gone


class Notifier(Protocol):
    """Tells of changes below the folders it was made for. For one thread, but for `wake`."""

    def wait(self, seconds: float) -> Changes:
        """What changed since the last call, or since it was made; waits for something until then. Several changes of
        one moment may be told in several calls. Raises: InvalidInput if no more can be watched."""

    def wake(self) -> None:
        """End a `wait`, and every later one at once. From any thread."""

    def close(self) -> None:
        """Watch nothing any more."""


class Watchfiles:
    """Changes as watchfiles tells them: by FSEvents, ReadDirectoryChangesW, or inotify."""

    def __init__(self, roots: Iterable[Path], passed_over: Callable[[bytes], bool]) -> None:
        """As `Inotify`."""
        self._roots = [os.fspath(root) for root in roots]
        self._passed_over = passed_over
        self._stop = threading.Event()
        self._found: set[tuple[object, str]] = set()
        self._start()

    def wait(self, seconds: float) -> Changes:
        """As the Protocol says."""
        end = monotonic() + seconds
        while not self._found and monotonic() < end and not self._stop.is_set():
            try:
                self._found = set(next(self._told, ()))
            except RuntimeError:
                # A name that is no text, or a limit of the system: what came with it is gone.
                self._start()
                return Changes(lost=True)
        found, self._found = self._found, set()
        paths = {Path(path) for _, path in found if not self._is_passed_over(Path(path))}
        return Changes(paths, lost=len(found) >= BURST, gone=not all(map(os.path.isdir, self._roots)))

    def wake(self) -> None:
        """As the Protocol says."""
        self._stop.set()

    def close(self) -> None:
        """As the Protocol says."""
        self._told.close()

    def _start(self) -> None:
        """Raises: InvalidInput."""
        from watchfiles import watch

        self._told = watch(
            *self._roots, watch_filter=None, debounce=_STEP_MS, step=_STEP_MS // 4, rust_timeout=_STEP_MS,
            stop_event=self._stop, yield_on_timeout=True, ignore_permission_denied=True, raise_interrupt=True,
        )  # fmt: skip
        try:
            # Only now it begins to watch.
            self._found = set(next(self._told, ()))
        except (OSError, RuntimeError) as error:
            raise InvalidInput(
                f"the system watches no more folders: {error}", hint="let folders be scanned in turn"
            ) from error

    def _is_passed_over(self, path: Path) -> bool:
        return any(self._passed_over(os.fsencode(one)) for one in (path, *path.parents))

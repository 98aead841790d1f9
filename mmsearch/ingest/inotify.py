"""What changes below folders, from Linux itself.

watchfiles, which tells it elsewhere, drops what this is written for: the kernel's word that its queue has overflowed,
after which anything may have changed (its Rust half passes over events without a path). It also can't name files whose
names are no UTF-8.
"""

import ctypes
import errno
import os
import select
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mmsearch.errors import InvalidInput
from mmsearch.ingest.notice import Changes
from mmsearch.ingest.scan import LIBRARY_MARK

_MODIFY, _ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x2, 0x4, 0x8, 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _UNMOUNT, _OVERFLOW, _IGNORED, _IS_FOLDER = 0x400, 0x800, 0x2000, 0x4000, 0x8000, 0x40000000
_ONLY_FOLDERS, _NOT_UNLINKED = 0x1000000, 0x4000000
_WANTED = (
    _MODIFY | _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
    | _ONLY_FOLDERS | _NOT_UNLINKED
)  # fmt: skip
_HEAD = struct.Struct("iIII")
_READ = 2**18
_SEPARATOR = os.fsencode(os.sep)


class Inotify:
    """Tells of changes below some folders. For one thread, but for `wake`."""

    def __init__(self, roots: Iterable[Path], passed_over: Callable[[bytes], bool]) -> None:
        """`passed_over`: folders that are not looked into. Raises: InvalidInput where the system has none left."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._number = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._number < 0:
            raise _none_left(ctypes.get_errno())
        self._passed_over = passed_over
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._roots = [os.fsencode(root) for root in roots]
        self._paths: dict[int, bytes] = {}
        """Watch -> folder."""
        try:
            self._watch_roots()
        except BaseException:
            self.close()
            raise

    def wait(self, seconds: float) -> Changes:
        """What changed since the last call; waits for something until then. Raises: InvalidInput as at first."""
        changes = Changes()
        ready, _, _ = select.select([self._number, self._woken], [], [], seconds)
        while self._number in ready:
            try:
                data = os.read(self._number, _READ)
            except BlockingIOError:
                break
            for watch, mask, name in _events(data):
                self._take(watch, mask, name, changes)
        if changes.lost:
            self._watch_roots()
        return changes

    def wake(self) -> None:
        """End a `wait`. From any thread."""
        os.write(self._wake, b".")

    def close(self) -> None:
        """Watch nothing any more."""
        for number in (self._number, self._woken, self._wake):
            os.close(number)

    def _take(self, watch: int, mask: int, name: bytes, changes: Changes) -> None:
        if mask & _OVERFLOW:
            changes.lost = True
            return
        folder = self._paths.get(watch)
        if folder is None:
            return
        if mask & (_IGNORED | _UNMOUNT | _DELETE_SELF | _MOVE_SELF):
            if mask & (_IGNORED | _UNMOUNT):
                self._paths.pop(watch, None)
            if folder in self._roots:
                changes.gone = True
            return
        path = folder + _SEPARATOR + name if name else folder
        if mask & _IS_FOLDER and mask & _MOVED_FROM:
            self._forget(path)
        if mask & _IS_FOLDER and mask & (_CREATE | _MOVED_TO):
            self._watch_tree(path)
        # Of a folder's own rights and times nothing follows but that it may be readable now.
        if name or mask & _ATTRIB:
            changes.paths.add(Path(os.fsdecode(path)))

    def _watch_roots(self) -> None:
        for root in self._roots:
            self._watch_tree(root)

    def _watch_tree(self, top: bytes) -> None:
        """Raises: InvalidInput if the system watches no more folders."""
        folders = [top]
        while folders:
            folder = folders.pop()
            if self._passed_over(folder) or not self._watch(folder):
                continue
            try:
                # Watched first, then read: what comes meanwhile is told.
                with os.scandir(folder) as entries:
                    inner, names = [], set()
                    for entry in entries:
                        names.add(entry.name)
                        if entry.is_dir(follow_symlinks=False):
                            inner.append(entry.path)
            except OSError:
                continue
            if LIBRARY_MARK not in names:
                folders += inner

    def _watch(self, folder: bytes) -> bool:
        watch = self._libc.inotify_add_watch(self._number, folder, _WANTED)
        if watch >= 0:
            self._paths[watch] = folder
            return True
        if ctypes.get_errno() in (errno.ENOSPC, errno.ENOMEM):
            raise _none_left(ctypes.get_errno())
        return False

    def _forget(self, folder: bytes) -> None:
        """A folder has left: what was below it is told of under its new name, if it has one here."""
        below = folder + _SEPARATOR
        for watch in [one for one, path in self._paths.items() if path == folder or path.startswith(below)]:
            del self._paths[watch]
            self._libc.inotify_rm_watch(self._number, watch)


def _none_left(number: int) -> InvalidInput:
    return InvalidInput(
        f"the system watches no more folders: {os.strerror(number)}",
        hint="raise fs.inotify.max_user_watches and max_user_instances, or let folders be scanned in turn",
    )


def _events(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Watch, mask and name of each."""
    at = 0
    while at < len(data):
        watch, mask, _, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size + length
        yield watch, mask, data[at - length : at].rstrip(b"\0")

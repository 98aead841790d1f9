"""Folders that are watched: what is told of, what is made of it, and what becomes of the library."""

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from mmsearch.errors import InvalidInput, LibraryLocked
from mmsearch.ingest import IngestReport, Watch, WatchEvent, WatchTimes
from mmsearch.ingest.mounts import network_folders
from mmsearch.ingest.notice import Changes, Notifier, Watchfiles
from mmsearch.ingest.scan import Scan
from mmsearch.ingest.watch import MANY, scopes_of, system_notifier
from mmsearch.library import Library
from tests.generated import words

DEADLINE_S = 60.0
"""Of waiting for what has to come."""

NOTIFIERS = [Watchfiles] if sys.platform != "linux" else [Watchfiles, system_notifier()]
by_notifier = pytest.mark.parametrize("make", NOTIFIERS, ids=lambda make: make.__name__.lower())


class Watched:
    """A watch in a thread of its own, and what it tells."""

    def __init__(self) -> None:
        self.events: list[WatchEvent] = []
        self._told = threading.Condition()
        self._thread: threading.Thread | None = None
        self.watch: Watch | None = None

    def note(self, event: WatchEvent) -> None:
        with self._told:
            self.events.append(event)
            self._told.notify_all()

    def start(self, watch: Watch) -> "Watched":
        self.watch = watch
        self._thread = threading.Thread(target=watch.run)
        self._thread.start()
        return self

    def until(self, wanted: Callable[[list[WatchEvent]], bool]) -> None:
        with self._told:
            assert self._told.wait_for(lambda: wanted(self.events), DEADLINE_S), self.events

    def until_rest(self, done: Callable[[], bool] = lambda: True) -> None:
        """Until nothing is left to do, and something holds."""
        self.until(lambda events: bool(events) and events[-1].kind == "rest" and done())

    def kinds(self) -> list[str]:
        with self._told:
            return [event.kind for event in self.events]

    def end(self) -> None:
        if self.watch is not None and self._thread is not None:
            self.watch.stop()
            self._thread.join()


@pytest.fixture
def watched() -> Iterator[Watched]:
    made = Watched()
    yield made
    made.end()


QUICK = WatchTimes(quiet_s=0.02, retry_s=0.05)


def present(library: Library) -> set[str]:
    return {item.path.name for item in library.items() if item.state == "present"}


def test_changes_are_looked_for_where_they_were_and_in_crowded_folders_as_a_whole() -> None:
    root = Path("/r")
    assert scopes_of([root / "b" / "x", root / "a", root / "a" / "y", Path("/s/z")], [root]) == [
        root / "a",
        root / "b/x",
    ]
    many = [root / "f" / str(number) for number in range(MANY + 1)]
    assert scopes_of(many[1:], [root]) == sorted(many[1:])
    assert scopes_of(many, [root]) == [root / "f"]
    folders = [root / str(number) / "x" / str(n) for number in range(MANY + 1) for n in range(MANY + 1)]
    assert scopes_of(folders, [root]) == sorted(root / str(number) / "x" for number in range(MANY + 1))
    assert scopes_of([root / "d" / ".nomedia", root / "e" / ".mmsearchignore"], [root]) == [root / "d", root / "e"]
    assert scopes_of([root / str(number) for number in range(MANY + 1)], [root]) == [root]


MOUNTS = r"""
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:40 / /mnt/my\040share rw - nfs4 server:/share rw
31 30 8:2 / /mnt/my\040share/local rw master:2 - ext4 /dev/sdb rw
40 21 0:50 / /home/ann/far rw - fuse.sshfs ann@host: rw
41 21 0:51 / /usb rw - fuseblk /dev/sdc rw
50 21 0:52 / /over rw - nfs a rw
51 50 8:3 / /over rw - ext4 /dev/sdd rw
torn
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Linux's mount points")
@pytest.mark.parametrize(
    ("root", "found"),
    [
        ("/home", ["/home/ann/far"]),
        ("/home/ann/far/photos", ["/home/ann/far/photos"]),
        ("/mnt/my share", ["/mnt/my share"]),
        ("/mnt/my share/local/photos", []),
        ("/usb", []),
        ("/over/photos", []),
    ],
)
def test_folders_on_network_mounts_are_known(tmp_path: Path, root: str, found: list[str]) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS, "utf-8")
    assert network_folders(Path(root), tmp_path / "mountinfo") == list(map(Path, found))
    assert network_folders(Path(root), tmp_path / "none") == []


def test_a_part_of_a_root_is_scanned_by_the_rules_of_all_of_it(folder: Path) -> None:
    for name in ("a/b/keep.txt", "a/b/skip.tmp", "a/b/own.log", "a/other.txt", "a/.hidden/x.txt", "z.txt"):
        words(folder / name, "red")
    (folder / "a" / ".mmsearchignore").write_text("*.log\n", "utf-8")

    def found(within: str) -> list[str]:
        scan = Scan(folder, ("*.tmp",), within=folder / within)
        return [os.path.relpath(os.fsdecode(file.path), folder) for file in scan.files()]

    assert found("a/b") == ["a/b/keep.txt"]
    assert found("a/b/keep.txt") == ["a/b/keep.txt"] and found("a/b/own.log") == []
    assert found("a") == ["a/b/keep.txt", "a/other.txt"]
    assert found("a/.hidden/x.txt") == [] and found("gone") == []
    (folder / "a" / ".nomedia").touch()
    assert found("a/b") == []


@pytest.mark.slow
@by_notifier
def test_whoever_watches_tells_of_every_kind_of_change(
    folder: Path, tmp_path: Path, make: Callable[..., Notifier]
) -> None:
    words(folder / "there.txt", "red")
    notifier = make([folder], lambda path: path.endswith(b"library"))

    def told_of(*paths: Path) -> None:
        told: set[Path] = set()
        for _ in range(int(DEADLINE_S)):
            told |= notifier.wait(1.0).paths
            if told.issuperset(paths):
                return
        raise AssertionError(told)

    try:
        words(folder / "new.txt", "green")
        told_of(folder / "new.txt")
        (folder / "there.txt").rename(folder / "moved.txt")
        told_of(folder / "there.txt", folder / "moved.txt")
        (folder / "new.txt").unlink()
        told_of(folder / "new.txt")
        words(tmp_path / "tree" / "deep" / "in.txt", "blue")
        (tmp_path / "tree").rename(folder / "tree")
        told_of(folder / "tree")
        (folder / "tree").rename(folder / "turned")
        told_of(folder / "tree", folder / "turned")
        words(folder / "turned" / "deep" / "later.txt", "blue")
        told_of(folder / "turned" / "deep" / "later.txt")
        words(folder / "library" / "catalog", "passed over")
        words(folder / "last.txt", "red")
        told_of(folder / "last.txt")
        assert not any("library/" in str(path) for path in notifier.wait(0).paths)
    finally:
        notifier.wake()
        assert not notifier.wait(DEADLINE_S)
        notifier.close()


needs_inotify = pytest.mark.skipif(sys.platform != "linux", reason="Linux's own queue")


@needs_inotify
def test_a_queue_that_overflows_is_told_of(folder: Path) -> None:
    notifier = system_notifier()([folder], lambda path: False)
    _overflow(folder)
    (folder / "made meanwhile").mkdir()
    changes = notifier.wait(0)
    assert changes.lost
    words(folder / "made meanwhile" / "x.txt", "red")
    assert notifier.wait(1.0).paths == {folder / "made meanwhile" / "x.txt"}, "folders of that time are watched now"
    notifier.close()


def _overflow(folder: Path) -> None:
    """More changes than the kernel keeps; of two files in turn, since it keeps equal ones once."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text("ascii"))
    for name in "ab":
        words(folder / f"{name}.txt", f"red {name}")
    for _ in range(limit // 2 + 1):
        os.utime(folder / "a.txt")
        os.utime(folder / "b.txt")


@needs_inotify
def test_names_that_are_no_text_are_told_of(folder: Path) -> None:
    notifier = system_notifier()([folder], lambda path: False)
    odd = folder / os.fsdecode(b"\xff\xfe.txt")
    odd.touch()
    assert odd in notifier.wait(DEADLINE_S).paths
    notifier.close()


@pytest.mark.slow
def test_what_changes_in_a_folder_is_taken_in(library: Library, folder: Path, tmp_path: Path, watched: Watched) -> None:
    words(folder / "a.txt", "red")
    watched.start(library.watch(folder, times=QUICK, on_event=watched.note))
    watched.until_rest(lambda: present(library) == {"a.txt"})
    words(folder / "sub" / "b.txt", "green")
    (folder / "a.txt").rename(folder / "sub" / "c.txt")
    watched.until_rest(lambda: present(library) == {"b.txt", "c.txt"})
    (folder / "sub" / "b.txt").unlink()
    watched.until_rest(lambda: present(library) == {"c.txt"})
    roots = {item.path.parent for item in library.items() if item.state == "present"}
    assert roots == {folder / "sub"}
    moved = [event.report.moved for event in watched.events if event.report is not None]
    assert sum(moved) == 1, "a file that moved is known by its content"
    watched.end()
    assert not (tmp_path / "library" / "sub").exists()


@pytest.mark.slow
def test_a_library_inside_a_watched_folder_comes_to_rest(
    open_tiny: Callable[..., Library], folder: Path, watched: Watched
) -> None:
    words(folder / "a.txt", "red")
    library = open_tiny("media/library")
    watched.start(library.watch(folder, times=QUICK, on_event=watched.note))
    watched.until_rest(lambda: present(library) == {"a.txt"})
    words(folder / "b.txt", "red b")
    watched.until_rest(lambda: present(library) == {"a.txt", "b.txt"})
    assert watched.kinds().count("ingested") <= 3


@pytest.mark.slow
def test_a_folder_that_is_away_or_empty_is_no_deletion(library: Library, folder: Path, watched: Watched) -> None:
    words(folder / "a.txt", "red")
    watched.start(library.watch(folder, times=QUICK, on_event=watched.note))
    watched.until_rest(lambda: present(library) == {"a.txt"})
    away = folder.with_name("elsewhere")
    folder.rename(away)
    watched.until(lambda events: any(event.kind == "away" for event in events))
    assert present(library) == {"a.txt"}
    words(away / "b.txt", "green")
    away.rename(folder)
    watched.until_rest(lambda: present(library) == {"a.txt", "b.txt"})


class Recorded:
    """Takes in, as a library would, after some errors."""

    def __init__(self, *errors: Exception) -> None:
        self.asked: list[tuple[list[Path], list[Path]]] = []
        self._errors = list(errors)

    def __call__(self, roots: Sequence[Path], within: Sequence[Path], cancel: threading.Event) -> IngestReport:
        self.asked.append((list(roots), list(within)))
        if self._errors:
            raise self._errors.pop()
        return IngestReport()


def test_what_somebody_else_keeps_from_being_written_is_tried_again(folder: Path, watched: Watched) -> None:
    words(folder / "a.txt", "red")
    take_in = Recorded(LibraryLocked("another process is writing"), InvalidInput("odd"))
    watched.start(Watch([folder], folder / "library", take_in, lambda root: True, QUICK, watched.note))
    watched.until_rest()
    assert watched.kinds() == ["watching", "waiting", "waiting", "ingested", "rest"]
    assert take_in.asked == [([folder], [])] * 3
    words(folder / "b.txt", "red")
    watched.until_rest(lambda: len(take_in.asked) == 4)
    assert take_in.asked[3] == ([folder], [folder / "b.txt"])


def test_beyond_the_system_s_limit_folders_are_scanned_in_turn(folder: Path, watched: Watched) -> None:
    words(folder / "a.txt", "red")

    def none_left(roots: Sequence[Path], passed_over: Callable[[bytes], bool]) -> Notifier:
        raise InvalidInput(f"the system watches no more folders: {os.strerror(errno.ENOSPC)}")

    take_in, times = Recorded(), WatchTimes(quiet_s=0.0, unwatched_s=0.02)
    made = Watch([folder], folder / "library", take_in, lambda root: True, times, watched.note, none_left)
    watched.start(made)
    watched.until(lambda events: len(take_in.asked) >= 3)
    assert watched.events[0].kind == "unwatched" and "No space left" in watched.events[0].message
    assert set(map(str, take_in.asked)) == {str(([folder], []))}


def test_everything_is_scanned_now_and_then(folder: Path, watched: Watched) -> None:
    words(folder / "a.txt", "red")
    take_in, times = Recorded(), WatchTimes(quiet_s=0.0, scan_s=0.02)
    watched.start(Watch([folder], folder / "library", take_in, lambda root: True, times, watched.note))
    watched.until(lambda events: len(take_in.asked) >= 3)
    assert set(map(str, take_in.asked)) == {str(([folder], []))}


def test_pending_changes_wait_for_quiet_but_not_for_ever() -> None:
    from mmsearch.ingest.watch import Pending

    pending, times = Pending(everything=False), WatchTimes(quiet_s=2.0, patience_s=5.0)
    assert not pending
    for now in (100.0, 101.5, 103.0, 104.5):
        pending.add(Changes({Path("/r/a")}), now)
        assert pending.due(times) == min(now + 2.0, 105.0)


@pytest.mark.parametrize("named", ["a.txt", "."])
def test_only_folders_are_watched(library: Library, folder: Path, tmp_path: Path, named: str) -> None:
    words(folder / "a.txt", "red")
    path = folder / named if named != "." else tmp_path / "library"
    with pytest.raises(InvalidInput, match=r"is no folder|the library itself"):
        library.watch(path)


def test_a_watch_that_was_stopped_before_it_ran_ends_at_once(library: Library, folder: Path) -> None:
    watch = library.watch(folder)
    watch.stop()
    watch.run()
    assert not library.path.exists()

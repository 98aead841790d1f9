"""A thousand files that come, move, change and go at random while they are watched: at rest nothing is amiss."""

import os
import random
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mmsearch.ingest import Watch, WatchEvent, WatchTimes
from mmsearch.ingest.notice import Notifier
from mmsearch.library import Library
from tests.generated import words
from tests.ingest.test_watch import DEADLINE_S, Watched, by_notifier
from tests.ingest.test_watch import watched as watched

pytestmark = [pytest.mark.slow, pytest.mark.extras]

FILES = 1000


class Changes:
    """Changes below a folder, drawn by a seed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._draw, self._made = folder, random.Random(seed), 0

    def make(self) -> None:
        """One of: a new file, a change, a rename, a move of a file or a folder, a copy, a deletion."""
        files = [path for path in self._folder.rglob("*") if path.is_file()]
        kinds = [self._create, self._create, self._change, self._move, self._copy, self._move_folder, self._delete]
        self._draw.choice(kinds if len(files) > 5 else [self._create])(files)

    def _place(self) -> Path:
        self._made += 1
        names = [str(self._draw.randrange(4)) for _ in range(self._draw.randrange(4))]
        path = self._folder.joinpath("keep", *names, f"{self._made}.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _create(self, _: list[Path]) -> None:
        words(self._place(), f"note {self._made} {self._draw.choice(('red', 'green', 'blue'))}")

    def _change(self, files: list[Path]) -> None:
        self._made += 1
        self._draw.choice(files).write_text(f"changed {self._made}", "utf-8")

    def _move(self, files: list[Path]) -> None:
        self._draw.choice(files).rename(self._place())

    def _copy(self, files: list[Path]) -> None:
        shutil.copy(self._draw.choice(files), self._place())

    def _move_folder(self, files: list[Path]) -> None:
        folder = self._draw.choice(files).parent
        if folder.parent != self._folder and folder != self._folder:
            target = self._place().with_suffix("")
            if not target.is_relative_to(folder):
                folder.rename(target)

    def _delete(self, files: list[Path]) -> None:
        self._draw.choice(files).unlink()


def known(library: Library) -> dict[str, tuple[str, str, int]]:
    """Path -> content, kind and size of each file that is there."""
    return {
        str(item.path): (item.sha256, item.modality, item.size) for item in library.items() if item.state == "present"
    }


def roots_of(library: Library) -> set[bytes]:
    from sqlalchemy import select

    from mmsearch.catalog.tables import ItemRow, Root

    roots = select(Root.path).join(ItemRow, ItemRow.root_id == Root.id).where(ItemRow.status == "present")
    with library._context.catalog().reading() as snapshot:
        return set(snapshot.execute(roots).scalars())


def at_rest_as_a_fresh_one(library: Library, fresh: Library, folder: Path) -> None:
    fresh.ingest(folder)
    assert known(library) == known(fresh) and roots_of(library) == roots_of(fresh) == {os.fsencode(folder)}
    for query in ("red", "note", "changed 7"):
        # How sure a hit is rests on what the library held when it was calibrated, so on what was deleted since, too.
        found, wanted = (
            {hit.path: hit.cosine for hit in one.search(query, FILES, mode="vector")} for one in (library, fresh)
        )
        assert found == wanted and len(found) == len(known(library))
    assert library.ingest(folder).unchanged == len(known(library)), "a scan finds nothing to do"


@by_notifier
def test_at_rest_the_library_is_as_one_that_was_made_anew(
    open_tiny: Callable[..., Library], folder: Path, watched: Watched, make: Callable[..., Notifier]
) -> None:
    library, changes = open_tiny(), Changes(folder, seed=5)
    words(folder / "first.txt", "red")
    times = WatchTimes(quiet_s=0.05, patience_s=0.5)
    watch = library.watch(folder, times=times, on_event=watched.note)
    watch._make = make
    watched.start(watch)
    for number in range(FILES):
        changes.make()
        if number % 250 == 249:
            watched.until(lambda events: events[-1].kind == "rest")
    words(folder / "zzz last.txt", "blue")
    watched.until_rest(lambda: str(folder / "zzz last.txt") in known(library))
    watched.end()
    assert watched.kinds().count("ingested") > 4
    at_rest_as_a_fresh_one(library, open_tiny("fresh"), folder)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's own queue")
def test_nothing_is_lost_where_the_queue_overflows(
    open_tiny: Callable[..., Library], folder: Path, watched: Watched
) -> None:
    """The watch is held up until the kernel has dropped what happened last."""
    library, changes = open_tiny(), Changes(folder, seed=6)
    hold, held = threading.Event(), threading.Event()

    def note(event: WatchEvent) -> None:
        watched.note(event)
        if event.kind == "rest" and not hold.is_set():
            held.set()
            hold.wait(DEADLINE_S)

    words(folder / "first.txt", "red")
    watch: Watch = library.watch(folder, times=WatchTimes(quiet_s=0.05), on_event=note)
    watched.start(watch)
    assert held.wait(DEADLINE_S)
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text("ascii"))
    words(folder / "second.txt", "green")
    for _ in range(limit // 2 + 1):
        os.utime(folder / "first.txt")
        os.utime(folder / "second.txt")
    for _ in range(200):
        changes.make()
    hold.set()
    watched.until_rest(lambda: "lost" in [event.kind for event in watched.events])
    watched.end()
    at_rest_as_a_fresh_one(library, open_tiny("fresh"), folder)

"""Random sequences of everything that one does with a library, against a model that knows what must be found.

The media are those of `world.py`. A crash is the copy of a library's folder that is taken in the middle of an ingest:
what a killed process leaves, its log not folded in and its work half done. A second library object, opened once, stays
a reader through all of it.
"""

import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, precondition, rule
from sqlalchemy import Engine, event

from mmsearch.errors import InvalidInput, LibraryEmpty, LibraryNotFound
from mmsearch.library import Library
from tests.faults.trial import content_of
from tests.faults.world import STRUCTURES, image, lay, open_library, text, video, wrong_answers

NAMES = [f"{folder}{name}" for folder in ("", "sub/", "sub/deep/") for name in ("a.one", "b.two", "c.three", "d.four")]
CONTENTS = [
    *(image(40 + 13 * n, 250 - 9 * n, 20 + 5 * n) for n in range(8)),
    *(video(f"image {n} 100 {255 - n}", "audio mid") for n in range(1, 4)),
    *(text(word) for word in ("red", "light")),
]

TAKEN: Counter[str] = Counter()
"""How often each rule was taken in this process, for reports."""


class Killed(BaseException):
    """In the place of a process's end."""


class Sequences(RuleBasedStateMachine):
    """`disk` and `kept` are the model: what files there are, and what the library must find, by path."""

    kept = Bundle("kept")
    """Copies of a library's state: (folder or file, what is to be found in it)."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="sequences-", dir=_memory())).resolve()
        self.root, self.home = self.folder / "media", self.folder / "library"
        self.root.mkdir()
        self.disk: dict[str, str] = {}
        self.found: dict[Path, str] = {}
        self.copies = 0

    @initialize(index=st.sampled_from([*STRUCTURES, "numpy"]))
    def begin(self, index: str) -> None:
        TAKEN[f"index {index}"] += 1
        self.index = index
        self.library, self.reader = self._open(), self._open()

    def _open(self) -> Library:
        return open_library(self.home, index=self.index)

    def teardown(self) -> None:
        for library in (self.library, self.reader):
            library.close()
        shutil.rmtree(self.folder)

    # What happens to files

    @rule(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=5), contents=st.lists(st.sampled_from(CONTENTS)))
    def write(self, names: list[str], contents: list[str]) -> None:
        for name, content in zip(names, contents, strict=False):
            self.disk[name] = content

    @precondition(lambda self: self.disk)
    @rule(data=st.data(), name=st.sampled_from(NAMES), move=st.booleans())
    def copy_or_move(self, data: Any, name: str, move: bool) -> None:
        source = data.draw(st.sampled_from(sorted(self.disk)))
        self.disk[name] = self.disk[source]
        if move and source != name:
            del self.disk[source]

    @precondition(lambda self: self.disk)
    @rule(data=st.data())
    def delete(self, data: Any) -> None:
        del self.disk[data.draw(st.sampled_from(sorted(self.disk)))]

    # What one does with a library

    @rule()
    def ingest(self) -> None:
        lay(self.root, self.disk)
        self.library.ingest(self.root)
        self.found = self._ingested()
        self._check("ingest")

    def _ingested(self) -> dict[Path, str]:
        return {self.root / name: content for name, content in self.disk.items()}

    @precondition(lambda self: self.disk)
    @rule(moment=st.integers(1, 30))
    def crash(self, moment: int) -> None:
        """Killed in an ingest: what was found before and would be after is found, of the rest only the one or other."""
        lay(self.root, self.disk)
        before, after = self.found, self._ingested()
        left = self.folder / "left"
        with _killing(moment, lambda: shutil.copytree(self.home, left)), suppress(Killed):
            self.library.ingest(self.root)
        self._close()
        if left.exists():
            shutil.rmtree(self.home)
            left.rename(self.home)
        self.library, self.reader = self._open(), self._open()
        self.found = _present(self.home)
        for path in before.keys() | after.keys():
            assert self.found.get(path) in (before.get(path), after.get(path)), path
        assert self.found.keys() <= before.keys() | after.keys()
        self._check("crash")

    @rule(name=st.sampled_from([*NAMES, "sub", "sub/deep", "."]))
    def remove(self, name: str) -> None:
        gone = self.root if name == "." else self.root / name
        try:
            self.library.remove(gone)
        except (InvalidInput, LibraryNotFound):
            assert not any(path.is_relative_to(gone) for path in self.found)
        self.found = {path: content for path, content in self.found.items() if not path.is_relative_to(gone)}
        self._check("remove")

    @rule()
    def prune(self) -> None:
        try:
            self.library.prune()
        except LibraryNotFound:
            assert not self.found
        self._check("prune")

    @rule()
    def reopen(self) -> None:
        self.library.close()
        self.library = self._open()
        self._check("reopen")

    @precondition(lambda self: self.found)
    @rule(target=kept)
    def backup(self) -> tuple[str, Path, dict[Path, str]]:
        self.copies += 1
        file = self.folder / f"{self.copies}.backup"
        self.library.backup(file)
        return "backup", file, dict(self.found)

    @precondition(lambda self: self.found)
    @rule(target=kept)
    def copy_while_idle(self) -> tuple[str, Path, dict[Path, str]]:
        self.copies += 1
        folder = self.folder / f"{self.copies}.copy"
        self.library.close()
        shutil.copytree(self.home, folder)
        return "copy", folder, dict(self.found)

    @rule(copy=kept, indexes=st.booleans())
    def go_back(self, copy: tuple[str, Path, dict[Path, str]], indexes: bool) -> None:
        """To a backup; or by putting a copy of the folder in its place, with or without the index files of now."""
        kind, source, found = copy
        if kind == "backup":
            self.library.restore(source, overwrite=True)
        else:
            self._close()
            for name in ("catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm"):
                (self.home / name).unlink(missing_ok=True)
            for path in source.glob("catalog.sqlite*"):
                shutil.copy(path, self.home)
            if indexes and (source / "indexes").exists():
                shutil.rmtree(self.home / "indexes", ignore_errors=True)
                shutil.copytree(source / "indexes", self.home / "indexes")
            self.library, self.reader = self._open(), self._open()
        self.found = dict(found)
        self._check(f"back to {kind}")

    # What happens to index files

    @rule(
        harm=st.sampled_from(["delete", "flip", "cut", "empty", "swap", "all"]),
        now=st.booleans(),
        # Fixed ranges: how large a file is, is not the same each time.
        numbers=st.tuples(*[st.integers(0, 9999)] * 4),
    )
    def harm(self, harm: str, now: bool, numbers: tuple[int, ...]) -> None:
        files = _files(self.home)
        if not files:
            return
        path, other = files[numbers[0] % len(files)], files[numbers[1] % len(files)].read_bytes()
        content = bytearray(path.read_bytes())
        if now:
            self._close()
        # A file that is mapped must not be cut while it is: what comes in its place is a new one.
        path.unlink()
        if harm == "delete":
            pass
        elif harm == "flip" and content:
            content[numbers[2] % len(content)] ^= 1 << numbers[3] % 8
            path.write_bytes(content)
        elif harm == "cut":
            path.write_bytes(content[: len(content) // 2])
        elif harm == "empty":
            path.write_bytes(b"")
        elif harm == "swap":
            path.write_bytes(other)
        elif harm == "all":
            shutil.rmtree(self.home / "indexes")
        if now:
            self.library, self.reader = self._open(), self._open()
        self._check(f"harm by {harm}")

    # What must be right

    @precondition(lambda self: self.found)
    @rule(folder=st.sampled_from(["sub/", "sub/deep/"]), modality=st.sampled_from(["image", "text", "video"]))
    def search_filtered(self, folder: str, modality: str) -> None:
        TAKEN["filter"] += 1
        where = f"path glob '{self.root / folder}*' or modality = {modality}"
        expected = {
            path
            for path, content in self.found.items()
            if str(path).startswith(str(self.root / folder)) or content.startswith(modality)
        }
        hits = self.library.search("red", 1000, mode="vector", filter=where)
        assert {hit.path for hit in hits} == expected

    def _check(self, what: str) -> None:
        TAKEN[what] += 1
        TAKEN["with a structure"] += any(path.suffix == ".built" for path in _files(self.home))
        for library in (self.library, self.reader):
            try:
                wrong = wrong_answers(library, self.found)
                assert not wrong, (what, "reader" if library is self.reader else "writer", wrong)
            except (LibraryEmpty, LibraryNotFound):
                assert not self.found

    def _close(self) -> None:
        self.library.close()
        self.reader.close()


class _killing:
    """At the so many'th transaction that begins, does something and ends what runs."""

    def __init__(self, moment: int, first: Callable[[], object]) -> None:
        self._left = moment
        self._first = first

    def __enter__(self) -> None:
        event.listen(Engine, "begin", self._begins)

    def __exit__(self, *_: object) -> None:
        event.remove(Engine, "begin", self._begins)

    def _begins(self, _connection: object) -> None:
        self._left -= 1
        if self._left == 0:
            self._first()
            raise Killed


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _files(home: Path) -> list[Path]:
    return sorted(path for path in (home / "indexes").rglob("*") if path.is_file())


def _present(home: Path) -> dict[Path, str]:
    """Path -> content of what a catalog counts as present."""
    if not (home / "catalog.sqlite").exists():
        return {}
    with closing(sqlite3.connect(home / "catalog.sqlite")) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'items'").fetchone():
            return {}
        rows = db.execute(
            "SELECT path, sha256 FROM items JOIN contents ON contents.id = content_id WHERE status = 'present'"
        )
        return {Path(path.decode()): content_of(sha256, CONTENTS) for path, sha256 in rows}

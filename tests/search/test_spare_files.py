"""What `duplicates` says can be spared, so that whoever deletes by it loses nothing."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mmsearch import Media
from mmsearch.library import Library
from mmsearch.search.duplicates import DuplicateGroup
from tests.conftest import Run
from tests.generated import picture, words


def told(library: Library) -> list[tuple[list[str], list[str]]]:
    """The names of the files of each group, those that are not there in brackets, and of those that can be spared."""

    def names(group: DuplicateGroup) -> list[str]:
        return [one.path.name if one.there else f"({one.path.name})" for one in group.files]

    return [(names(group), sorted(path.name for path in group.spare)) for group in library.duplicates()]


def note(path: Path, text: str, seconds: float) -> None:
    words(path, text)
    os.utime(path, (seconds, seconds))


@pytest.mark.slow
def test_what_a_link_leads_to_is_not_told_as_a_copy_of_it(library: Library, folder: Path) -> None:
    note(folder / "real.txt", "red", 2e9)
    (folder / "a_link.txt").symlink_to("real.txt")
    os.link(folder / "real.txt", folder / "hard.txt")
    library.ingest(folder)
    assert library.count("name in ('real.txt', 'a_link.txt', 'hard.txt')") == 3
    assert told(library) == []
    note(folder / "copy.txt", "red", 2.1e9)
    library.ingest(folder)
    assert [(files[1:], spare) for files, spare in told(library)] == [(["copy.txt"], ["copy.txt"])]


@pytest.mark.slow
def test_a_file_is_spared_only_while_the_better_one_is_there_unchanged(
    library: Library, folder: Path, run: Run
) -> None:
    note(folder / "old.txt", "red", 1e9)
    note(folder / "new.txt", "red", 2e9)
    library.ingest(folder)
    printed = ["duplicates", "--paths", "--library", library.path]
    assert told(library) == [(["old.txt", "new.txt"], ["new.txt"])]
    assert run(*printed).stdout.decode().splitlines() == [str(folder / "new.txt")]
    note(folder / "new.txt", "rot", 2.1e9)
    assert told(library) == [(["old.txt", "(new.txt)"], [])]
    note(folder / "new.txt", "red", 2e9)
    (folder / "old.txt").unlink()
    assert told(library) == [(["new.txt", "(old.txt)"], [])]
    assert run(*printed).stdout == b""
    assert b"copy (not there)" in run("duplicates", "--library", library.path).stdout


@pytest.mark.slow
def test_a_medium_from_memory_is_no_reason_to_delete_a_file(open_tiny: Callable[..., Library], folder: Path) -> None:
    library = open_tiny()
    for name in ("kept", "lost"):
        picture(folder / f"{name}.png", {"kept": "red", "lost": "green"}[name])
        data = (folder / f"{name}.png").read_bytes()
        library.ingest_media(Media(f"{name}.img", data, id=name, keep=name == "kept"))
        os.utime(folder / f"{name}.png", (4e9, 4e9))
    library.ingest(folder)
    assert sorted(told(library)) == [(["kept.png", "kept.img"], []), (["lost.png", "(lost.img)"], [])]
    shutil.copy(folder / "lost.png", folder / "copy.png")
    library.ingest(folder)
    groups = [group for group in told(library) if "lost.png" in group[0]]
    assert groups == [(["copy.png", "lost.png", "(lost.img)"], ["lost.png"])]

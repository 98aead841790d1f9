"""What users leave out is left out, however they write it, and they hear of what matched nothing."""

import os
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import pytest

from mmsearch import InvalidInput, Library
from mmsearch.ingest.scan import Scan
from tests.generated import words

TREE = ("a.md", "camera/1.png", "camera/raw/2.png", "in/private/b.md", "private/a.md", "public/c.md", "public/private")


@pytest.fixture
def tree(folder: Path) -> Path:
    for name in TREE:
        words(folder / name, name)
    return folder


def scanned(root: Path, *exclude: str, hidden: bool = False) -> tuple[set[str], dict[str, int], set[str]]:
    """Files found below the root, what was skipped, and the globs that matched nothing."""
    scan = Scan(root, exclude, hidden)
    found = {Path(os.fsdecode(file.path)).relative_to(root).as_posix() for file in scan.files()}
    return found, dict(scan.skipped), scan.unmatched()


@pytest.mark.parametrize(
    ("glob", "left_out"),
    [
        ("private", {"in/private/b.md", "private/a.md", "public/private"}),
        ("private/", {"in/private/b.md", "private/a.md"}),
        ("./private", {"private/a.md"}),
        ("./private/", {"private/a.md"}),
        ("/private", {"private/a.md"}),
        ("in/private", {"in/private/b.md"}),
        ("private/*", {"private/a.md"}),
        ("private/**", {"private/a.md"}),
        ("**/private", {"in/private/b.md", "private/a.md", "public/private"}),
        ("*.png", {"camera/1.png", "camera/raw/2.png"}),
        ("camera/*.png", {"camera/1.png"}),
        ("camera/**/*.png", {"camera/1.png", "camera/raw/2.png"}),
        ("PRIVATE", set()),
        ("#a.md", set()),
        ("nowhere/private", set()),
    ],
)
def test_an_exclude_means_what_gitignore_means(tree: Path, glob: str, left_out: set[str]) -> None:
    found, skipped, unmatched = scanned(tree, glob)
    assert found == set(TREE) - left_out
    assert bool(skipped.get("excluded")) == bool(left_out)
    assert unmatched == (set() if left_out else {glob})


def test_a_path_below_the_root_is_meant_from_where_one_stands(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree.parent)
    without = set(TREE) - {"private/a.md"}
    for glob in ("media/private", "./media/private/", f"{tree}/private", f"{tree}/private/"):
        assert scanned(tree, glob)[0] == without, glob
    monkeypatch.chdir(tree / "camera")
    assert scanned(tree, "../private")[0] == without
    assert scanned(tree, str(tree.parent / "private"))[2] == {str(tree.parent / "private")}


def test_a_glob_can_take_back_what_one_before_left_out(tree: Path) -> None:
    assert scanned(tree, "*.md", "!/a.md")[0] == {"a.md", "camera/1.png", "camera/raw/2.png", "public/private"}


def test_names_of_macs_match_what_other_systems_write(folder: Path) -> None:
    forms: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
    for form in forms:
        words(folder / unicodedata.normalize(form, f"café {form}") / "a.md", "red")
    for form in forms:
        assert scanned(folder, unicodedata.normalize(form, "café*/"))[0] == set(), form


def test_odd_names_are_matched_as_they_are(folder: Path) -> None:
    for name in ("#recycle", "end ", "a\nb", os.fsdecode(b"\xff")):
        words(folder / name / "a.md", "red")
    assert scanned(folder, "#recycle", "end ", "a?b", "[!a#e]")[0] == set()


def test_an_ignore_file_counts_from_its_folder_and_the_innermost_decides(tree: Path) -> None:
    (tree / ".mmsearchignore").write_text("# not these\n\n*.png\n/private\n")
    (tree / "camera" / "raw" / ".mmsearchignore").write_text("!2.png\r\n")
    (tree / "public" / ".mmsearchignore").write_text("/c.md\n")
    found, skipped, _ = scanned(tree)
    assert found == {"a.md", "camera/raw/2.png", "in/private/b.md", "public/private"}
    assert skipped == {"hidden": 3, ".mmsearchignore": 3}
    # What the command says is not taken back by a file.
    assert "camera/raw/2.png" not in scanned(tree, "*.png")[0]


def test_a_folder_with_nomedia_is_not_looked_into(tree: Path) -> None:
    (tree / "camera" / ".nomedia").touch()
    for hidden in (False, True):
        found, skipped, _ = scanned(tree, hidden=hidden)
        assert found == set(TREE) - {"camera/1.png", "camera/raw/2.png"}
        assert skipped == {".nomedia": 1}


def test_an_ignore_file_that_cannot_be_read_closes_its_folder(tree: Path) -> None:
    (tree / "private" / ".mmsearchignore").symlink_to(tree / "nowhere")
    os.mkfifo(tree / "public" / ".mmsearchignore")
    scan = Scan(tree)
    assert len(list(scan.files())) == 4
    assert scan.blocked == [tree / "private", tree / "public"]


@pytest.mark.parametrize("dry_run", [True, False])
def test_users_hear_of_globs_that_matched_nothing(library: Library, tree: Path, dry_run: bool) -> None:
    report = library.ingest(tree, exclude=["privat/", "public/", "*.png"], dry_run=dry_run)
    assert report.warnings == ["exclude 'privat/' matched nothing"]
    both = library.ingest(tree / "private", tree / "public", exclude=["c.md"], dry_run=dry_run)
    assert both.warnings == []


def test_users_hear_of_what_was_taken_in_before_they_left_it_out(library: Library, tree: Path) -> None:
    def kept(exclude: Sequence[str] = ()) -> list[str]:
        return [warning for warning in library.ingest(tree, exclude=exclude).warnings if "taken in before: " in warning]

    words(tree / ".hidden" / "h.md", "red")
    library.ingest(tree, hidden=True)
    assert kept() == [], "hidden is no choice of this run's user"
    (told,) = kept(exclude=["private/"])
    assert "taken in before: 2;" in told
    (tree / "public" / ".nomedia").touch()
    (tree / "in" / ".mmsearchignore").write_text("private\n")
    (told,) = kept()
    assert "taken in before: 3;" in told


def test_what_is_no_glob_is_refused(open_tiny: Callable[..., Library], tree: Path) -> None:
    with pytest.raises(InvalidInput, match="is no glob"):
        open_tiny().ingest(tree, exclude=["!"])

"""Which of a content's files it is safest to keep."""

import os
from pathlib import Path

from mmsearch.catalog.items import PresentFile
from mmsearch.search.standing import StandingFile, standing_files


def present(path: Path | bytes, kept: bool = False, size: int | None = None) -> PresentFile:
    """A file as the catalog has it: as it is on disk, if it is there."""
    raw = path if isinstance(path, bytes) else os.fsencode(path)
    found = os.stat(path) if not isinstance(path, bytes) and path.exists() else None
    own = found.st_size if found else 1
    return PresentFile(1, raw, own if size is None else size, found.st_mtime_ns if found else 1, kept, None, None)


def told(*files: PresentFile) -> list[tuple[str, bool]]:
    """The names of the files, and whether each is there."""
    names: list[StandingFile] = standing_files(files)
    return [(os.fsdecode(one.file.path).rpartition(os.sep)[2], one.there) for one in names]


def test_files_come_before_links_and_links_before_media_and_those_before_what_is_gone(tmp_path: Path) -> None:
    for name in ("real", "aim", "changed"):
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("aim")
    gone, link, real = present(tmp_path / "gone"), present(tmp_path / "link"), present(tmp_path / "real")
    changed = present(tmp_path / "changed", size=99)
    kept, lost = present(b"mem:/kept/kept", kept=True), present(b"mem:/lost/lost")
    expected = [("real", True), ("link", True), ("kept", True), ("gone", False), ("lost", False), ("changed", False)]
    assert told(gone, lost, changed, kept, link, real) == expected
    assert told(kept, gone) == told(gone, kept) == [("kept", True), ("gone", False)]


def test_a_file_of_several_paths_is_told_once_by_the_best_of_them(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("real")
    (tmp_path / "link").symlink_to("real")
    os.link(tmp_path / "real", tmp_path / "hard")
    link, hard, real = present(tmp_path / "link"), present(tmp_path / "hard"), present(tmp_path / "real")
    assert told(link, hard, real) == [("hard", True)]
    assert told(link, real, hard) == [("real", True)]


def test_a_path_that_no_system_has_is_gone() -> None:
    assert told(present(b"\0")) == [("\0", False)]

"""Files and folders with odd times, depths, links and permissions: each costs itself at most."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mmsearch.catalog import Batch, NewFailure
from mmsearch.catalog.spaces import base_space
from mmsearch.core.file_times import INT64, size_and_time
from mmsearch.ingest.scan import LEADS_OUT, Scan, size_of
from mmsearch.library import Library
from tests.generated import words

DEEP = 970
"""Folders inside each other: more than Python calls inside each other in this test, less than a path may hold."""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="its file systems know no such times")
@pytest.mark.parametrize("seconds", [9_223_372_037, 11_000_000_000, -9_223_372_037])
def test_a_modification_time_too_large_for_sqlite_is_clamped(library: Library, folder: Path, seconds: int) -> None:
    odd = words(folder / "b.txt", "a green pear")
    words(folder / "a.txt", "a red apple")
    words(folder / "z.txt", "a blue plum")
    os.utime(odd, ns=(0, seconds * 10**9))
    if os.stat(odd).st_mtime_ns // 10**9 != seconds:
        pytest.skip("this file system keeps no such time")
    assert size_and_time(os.stat(odd)) == (12, INT64[-1] if seconds > 0 else INT64[0])
    report = library.ingest(folder)
    assert (report.new, report.failed.total()) == (3, 0)
    assert library.ingest(folder).unchanged == 3
    assert library.search("green", 1)[0].path == odd
    when = "modified > 2200" if seconds > 0 else "modified < 1700"
    assert [hit.path for hit in library.search("green", filter=when)] == [odd]
    odd.write_text("a green  pear")
    os.utime(odd, ns=(0, seconds * 10**9))
    assert library.ingest(folder).changed == 1, "its size tells"


@pytest.fixture
def sink() -> Iterator[Callable[[Path, int], None]]:
    """Makes so many folders "d" inside each other, and removes them afterwards, since pytest's own way recurses."""
    made: list[tuple[Path, int]] = []

    def make(top: Path, depth: int) -> None:
        made.append((top, depth))
        here = os.open(top, os.O_RDONLY)
        for _ in range(depth):
            os.mkdir("d", dir_fd=here)
            here = _step(here, "d")
        os.close(here)

    yield make
    for top, depth in made:
        here = os.open(top, os.O_RDONLY)
        for _ in range(depth):
            here = _step(here, "d")
        for name in os.listdir(here):
            os.unlink(name, dir_fd=here)
        for _ in range(depth):
            here = _step(here, "..")
            os.rmdir("d", dir_fd=here)
        os.close(here)


def _step(here: int, name: str) -> int:
    there = os.open(name, os.O_RDONLY, dir_fd=here)
    os.close(here)
    return there


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="paths there are short")
def test_folders_deeper_than_the_recursion_limit_are_scanned(
    library: Library, folder: Path, sink: Callable[[Path, int], None]
) -> None:
    words(folder / "a.txt", "a red apple")
    sink(folder, DEEP)
    last = os.path.join(folder, *["d"] * DEEP, "b.txt")
    with open(last, "w") as file:
        file.write("a green pear")
    report = library.ingest(folder)
    assert (report.new, report.warnings) == (2, [])
    assert os.fspath(library.search("green", 1)[0].path) == last
    assert size_of(folder) == 2
    assert library.ingest(folder).unchanged == 2


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="paths there are short")
def test_folders_deeper_than_the_longest_path_are_reported(tmp_path: Path, sink: Callable[[Path, int], None]) -> None:
    """What the operating system can't name is a folder that can't be read; what lies before it is found."""
    words(tmp_path / "z.txt", "a red apple")
    sink(tmp_path, 2100)
    scan = Scan(tmp_path)
    assert [file.path for file in scan.files()] == [os.fsencode(tmp_path / "z.txt")]
    assert len(scan.blocked) == 1
    assert size_of(tmp_path) == 1


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.slow
def test_a_link_out_of_the_folder_is_skipped_unless_asked_for(library: Library, folder: Path, tmp_path: Path) -> None:
    secret = words(tmp_path / "elsewhere" / "secret.txt", "a red secret")
    words(tmp_path / "elsewhere" / "deep" / "more.txt", "a blue secret")
    words(folder / "own.txt", "a green pear")
    (folder / "planted.txt").symlink_to(secret)
    (folder / "climbing.txt").symlink_to(Path("..", "elsewhere", "secret.txt"))
    (folder / "planted").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (folder / "within.txt").symlink_to(folder / "own.txt")
    (folder / "by a link.txt").symlink_to(folder / "planted.txt")
    report = library.ingest(folder)
    assert dict(report.skipped) == {LEADS_OUT: 4}
    assert {hit.path.name for hit in library.search("red", 20)} == {"own.txt", "within.txt"}
    followed = library.ingest(folder, follow_links=True)
    assert (followed.copied + followed.new, followed.unchanged, dict(followed.skipped)) == (5, 2, {})
    again = library.ingest(folder)
    assert (again.unchanged, again.missing, dict(again.skipped)) == (2, 0, {LEADS_OUT: 4}), "what is known stays known"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_root_that_is_a_link_is_followed(library: Library, folder: Path, tmp_path: Path) -> None:
    words(folder / "own.txt", "a green pear")
    for name, target in (("folder", folder), ("file.txt", folder / "own.txt")):
        (tmp_path / name).symlink_to(target)
    report = library.ingest(tmp_path / "folder", tmp_path / "file.txt")
    assert (report.files, dict(report.skipped)) == (2, {})


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_failed_file_that_became_a_link_is_not_retried(library: Library, folder: Path, tmp_path: Path) -> None:
    secret = words(tmp_path / "secret.txt", "a red secret")
    bad = folder / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n")
    assert library.ingest(folder).failed.total() == 1
    bad.unlink()
    bad.symlink_to(secret)
    assert dict(library.retry().skipped) == {LEADS_OUT: 1}
    assert library.retry(follow_links=True).new == 1


@pytest.mark.slow
def test_a_file_that_is_readable_again_is_retried(open_tiny: Callable[..., Library], folder: Path) -> None:
    """Permission changes neither size nor time: the ledger's row is as it would be after a refusal."""
    library = open_tiny()
    words(folder / "a.txt", "a red apple")
    library.ingest(folder)
    mended = words(folder / "b.txt", "a green pear")
    base = library._context.catalog().read(base_space)
    assert base is not None
    failed = NewFailure(
        os.fsencode(mended), os.fsencode(folder), *size_and_time(os.stat(mended)), "unreadable", "denied"
    )
    library._context.catalog().commit(Batch(failures=[failed]), base.id)
    assert [one.failure for one in library.failures()] == ["unreadable"]
    report = library.ingest(folder)
    assert (report.new, report.failed_before, library.failures()) == (1, 0, [])


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is unreadable to this user")
def test_a_chmod_that_mends_a_file_is_noticed(library: Library, folder: Path) -> None:
    shut = words(folder / "a.txt", "a red apple")
    shut.chmod(0)
    assert library.ingest(folder).failed == {"unreadable": 1}
    assert library.ingest(folder).failed_before == 1, "nothing changed"
    shut.chmod(0o600)
    assert library.ingest(folder).new == 1


@pytest.mark.slow
def test_a_lone_surrogate_in_a_text_is_replaced(library: Library, folder: Path) -> None:
    r"""JSON may say \ud800 alone, which no UTF-8 holds: neither the words nor the names may reach the catalog so."""
    told = r'"photoTakenTime": {"timestamp": "1"}, "description": "red \ud800 thing", "people": [{"name": "\udfff"}]'
    words(folder / "p.jpg.json", f'{{"title": "p.jpg", {told}}}')
    words(folder / "z.txt", "a green pear")
    report = library.ingest(folder)
    assert (report.new, report.failed.total()) == (2, 0)
    assert [(hit.path.name, hit.passage) for hit in library.search("red", 1)] == [("p.jpg.json", "red ? thing\n?")]

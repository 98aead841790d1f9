"""Ingest over real files and the tiny space: what is new, changed, moved, copied, missing, failed, left out."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mmsearch.catalog.commits import current_commit
from mmsearch.context.locks import LOCK_NAME
from mmsearch.errors import InvalidInput, LibraryLocked
from mmsearch.library import Library
from mmsearch.types import Progress
from tests import tiny
from tests.generated import picture, sound, video, words


@pytest.fixture
def library(open_tiny: Callable[..., Library]) -> Library:
    return open_tiny(workers=2)


def names(library: Library, query: str, k: int = 10) -> list[str]:
    return [hit.path.name for hit in library.search(query, k)]


@pytest.mark.slow
def test_every_modality_is_ingested_and_found(library: Library, folder: Path) -> None:
    picture(folder / "a.png", "red")
    sound(folder / "b.wav", "low")
    words(folder / "c.txt", "a blue house")
    video(folder / "d.mp4", "green", "red", "blue")
    report = library.ingest(folder)
    assert (report.new, report.failed.total(), report.files) == (4, 0, 4)
    assert library.search("red", modalities=("image",))[0].path.name == "a.png"
    assert names(library, "low", 1) == ["b.wav"]
    assert library.search("blue", modalities=("text",))[0].passage == "a blue house"
    hit = library.search("blue", modalities=("video",))[0]
    assert (hit.path.name, hit.start, hit.end) == ("d.mp4", 4.0, 6.0)


@pytest.mark.slow
def test_a_second_ingest_opens_no_unchanged_file(library: Library, folder: Path) -> None:
    path = picture(folder / "a.png", "red")
    library.ingest(folder)
    os.chmod(path, 0)
    tiny.reset()
    report = library.ingest(folder)
    assert (report.unchanged, report.new, report.seconds["hash"], tiny.ENCODED.total()) == (1, 0, 0.0, 0)


@pytest.mark.slow
def test_touched_file_is_hashed_but_not_embedded(library: Library, folder: Path) -> None:
    path = picture(folder / "a.png", "red")
    library.ingest(folder)
    os.utime(path, (1, 1))
    tiny.reset()
    report = library.ingest(folder)
    assert (report.unchanged, report.changed, tiny.ENCODED.total()) == (1, 0, 0)
    os.chmod(path, 0)
    assert library.ingest(folder).unchanged == 1, "the new time was recorded"


@pytest.mark.slow
def test_moved_copied_and_swapped_files_cost_no_embedding(library: Library, folder: Path) -> None:
    picture(folder / "a.png", "red")
    picture(folder / "b.png", "green")
    library.ingest(folder)
    ids = {hit.path.name: hit.item_id for hit in library.search("red", modalities=("image",))}
    tiny.reset()

    (folder / "sub").mkdir()
    (folder / "a.png").rename(folder / "sub" / "moved.png")
    shutil.copy(folder / "b.png", folder / "copy.png")
    report = library.ingest(folder)
    assert (report.moved, report.copied, report.missing, report.new) == (1, 1, 0, 0)
    assert {h.path.name: h.item_id for h in library.search("red")}["moved.png"] == ids["a.png"]
    assert sorted(names(library, "green", 2)) == ["b.png", "copy.png"], "both paths of one content are found"

    (folder / "b.png").rename(folder / "swap")
    (folder / "sub" / "moved.png").rename(folder / "b.png")
    (folder / "swap").rename(folder / "sub" / "moved.png")
    report = library.ingest(folder)
    assert report.changed == 2
    assert names(library, "red", 1) == ["b.png"]
    assert tiny.ENCODED.total() == 0


@pytest.mark.slow
def test_a_changed_file_is_found_by_its_new_content_only(library: Library, folder: Path) -> None:
    path = picture(folder / "a.png", "red")
    picture(folder / "b.png", "blue")
    library.ingest(folder)
    picture(path, "green")
    assert library.ingest(folder).changed == 1
    first = library.search("green")[0]
    assert (first.path.name, round(first.cosine or 0, 6)) == ("a.png", 1.0)
    assert [round(h.cosine or 0, 6) for h in library.search("red")] == [0.0, 0.0]


@pytest.mark.slow
def test_equal_files_of_one_run_are_embedded_once(library: Library, folder: Path) -> None:
    for name in "abcdef":
        picture(folder / f"{name}.png", "red")
    report = library.ingest(folder)
    assert (report.new, report.copied, tiny.ENCODED["image"]) == (1, 5, 1)
    assert names(library, "red") == [f"{name}.png" for name in "abcdef"]


@pytest.mark.slow
def test_missing_files_stay_known_until_prune(library: Library, folder: Path) -> None:
    path = picture(folder / "a.png", "red")
    picture(folder / "b.png", "green")
    library.ingest(folder)
    path.rename(folder.parent / "elsewhere.png")
    assert library.ingest(folder).missing == 1
    assert names(library, "red") == ["b.png"], "what is missing can't be opened, so it is not offered"
    tiny.reset()
    (folder.parent / "elsewhere.png").rename(path)
    assert library.ingest(folder).restored == 1
    assert names(library, "red", 1) == ["a.png"]
    assert tiny.ENCODED.total() == 0
    path.unlink()
    library.ingest(folder)
    assert library.prune().items == 1
    assert library.status().counts[0].missing == 0


@pytest.mark.slow
@pytest.mark.parametrize("state", ["unmounted", "emptied"])
def test_an_unmounted_root_loses_no_vectors(library: Library, folder: Path, state: str) -> None:
    picture(folder / "a.png", "red")
    library.ingest(folder)
    folder.rename(folder.parent / "away")
    if state == "emptied":
        folder.mkdir()
    report = library.ingest(folder)
    assert report.missing == 1 and len(report.warnings) == 1 and "unmounted" in report.warnings[0]
    shutil.rmtree(folder, ignore_errors=True)
    (folder.parent / "away").rename(folder)
    tiny.reset()
    assert library.ingest(folder).restored == 1
    assert tiny.ENCODED.total() == 0


@pytest.mark.slow
def test_files_of_an_unreadable_folder_are_not_missing(library: Library, folder: Path) -> None:
    picture(folder / "sub" / "a.png", "red")
    library.ingest(folder)
    if os.geteuid() == 0:
        pytest.skip("root reads every folder")
    os.chmod(folder / "sub", 0)
    try:
        report = library.ingest(folder)
    finally:
        os.chmod(folder / "sub", 0o700)
    assert report.missing == 0 and len(report.warnings) == 1


@pytest.mark.slow
def test_bad_files_are_recorded_and_harm_no_neighbour(library: Library, folder: Path) -> None:
    picture(folder / "a.png", "red")
    (folder / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"garbage" * 20)
    (folder / "c.jpg").write_bytes(b"")
    picture(folder / "d.png", "green")
    report = library.ingest(folder)
    assert (report.new, dict(report.failed)) == (2, {"corrupt": 2})
    assert names(library, "green", 1) == ["d.png"]
    assert [(f.path.name, f.failure, f.attempts) for f in library.failures()] == [
        ("b.png", "corrupt", 1),
        ("c.jpg", "corrupt", 1),
    ]
    again = library.ingest(folder)
    assert (again.failed.total(), again.failed_before) == (0, 2), "not tried again"
    retried = library.retry("corrupt")
    assert retried.failed.total() == 2
    assert [f.attempts for f in library.failures()] == [2, 2]


@pytest.mark.slow
def test_a_retry_ingests_with_the_options_of_an_ingest(open_tiny: Callable[..., Library], folder: Path) -> None:
    """The same sizes of batches and transactions, and the same limit to a file."""
    library = open_tiny(batch_size=2, commit_segments=2, file_bytes=20_000)
    for number in range(9):
        (folder / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"broken")
    assert library.ingest(folder).failed.total() == 9
    for number in range(8):
        picture(folder / f"{number}.png", "red", mark=number)
    picture(folder / "8.png", "red").write_bytes(bytes(20_001))
    before = library._context.catalog().read(current_commit).generation
    tiny.reset()
    report = library.retry()
    assert (report.new, dict(report.failed)) == (8, {"limit": 1})
    assert tiny.BATCHES == [("image", 2)] * 4
    after = library._context.catalog().read(current_commit).generation
    assert after - before >= 4, "8 pictures are 4 transactions at least"


@pytest.mark.slow
def test_paths_of_known_contents_count_towards_a_transaction(open_tiny: Callable[..., Library], folder: Path) -> None:
    library = open_tiny(commit_segments=2)
    words(folder / "a.txt", "red")
    library.ingest(folder)
    before = library._context.catalog().read(current_commit).generation
    for number in range(6):
        words(folder / f"copy {number}.txt", "red")
    assert library.ingest(folder).copied == 6
    after = library._context.catalog().read(current_commit).generation
    assert after - before == 3, "two to a transaction"


@pytest.mark.slow
def test_a_moved_folder_is_in_sight_all_the_time(open_tiny: Callable[..., Library], folder: Path) -> None:
    library = open_tiny(commit_segments=2)
    for number in range(6):
        words(folder / "a" / f"{number}.txt", f"red {number}")
    library.ingest(folder)
    (folder / "a").rename(folder / "z")
    seen: list[int] = []
    with library._context.catalog().reading() as snapshot:
        before = current_commit(snapshot).generation

    def count(progress: Progress) -> None:
        catalog = library._context.catalog()
        if catalog.read(current_commit).generation > before:
            seen.append(len(library.search("red", 9, modalities=("text",))))

    report = library.ingest(folder, on_progress=count)
    assert (report.moved, report.missing) == (6, 0)
    assert set(seen) == {6} and len(library.search("red", 9, modalities=("text",))) == 6


@pytest.mark.slow
def test_a_cancelled_retry_keeps_what_it_did_and_goes_on(open_tiny: Callable[..., Library], folder: Path) -> None:
    for mark in range(40):
        words(folder / f"{mark:02d}.txt", "")
    library = open_tiny(commit_segments=4)
    assert library.ingest(folder).failed.total() == 40
    for mark in range(40):
        words(folder / f"{mark:02d}.txt", f"red {mark}")
    cancel, seen = threading.Event(), list[Progress]()

    def stop(progress: Progress) -> None:
        seen.append(progress)
        if progress.path == folder / "08.txt":
            cancel.set()

    report = library.retry(on_progress=stop, cancel=cancel)
    assert report.interrupted and report.new < 10
    assert max(one.files_total for one in seen) == 40
    assert (seen[-1].stage, seen[-1].files_done) == ("done", report.files)
    assert len(library.failures()) == 40 - report.new
    assert library.retry().new == 40 - report.new


@pytest.mark.slow
def test_progress_reports_scan_every_file_and_publishing(library: Library, folder: Path) -> None:
    seen: list[Progress] = []
    picture(folder / "a.png", "red")
    picture(folder / "b.png", "green")
    library.ingest(folder, on_progress=seen.append)
    stages = [one.stage for one in seen]
    assert [stage for n, stage in enumerate(stages) if [stage] != stages[n - 1 : n]] == [
        "scan", "work", "load", "work", "publish", "done",
    ]  # fmt: skip
    assert seen[-1] == Progress("done", 2, 2, 0)
    assert [one.files_done for one in seen] == sorted(one.files_done for one in seen)


@pytest.mark.slow
def test_the_last_call_of_progress_says_all_whatever_was_left_out(library: Library, folder: Path) -> None:
    seen: list[Progress] = []
    for mark, name in enumerate(("a.png", "b.png", ".hidden.png", "private/c.png", "d.tmp")):
        picture(folder / name, "red", mark=mark)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    report = library.ingest(folder, exclude=["private/", "*.tmp"], on_progress=seen.append)
    assert (report.new, report.failed.total()) == (2, 1)
    assert seen[0].files_total == 6
    assert seen[-1] == Progress("done", 3, 3, 1)
    library.ingest(folder, exclude=["private/", "*.tmp"], on_progress=seen.append)
    assert seen[-1] == Progress("done", 3, 3, 0)
    library.retry(on_progress=seen.append)
    assert seen[-1] == Progress("done", 1, 1, 1)


@pytest.mark.slow
def test_a_repaired_file_is_no_failure_any_more(library: Library, folder: Path) -> None:
    (folder / "a.png").write_bytes(b"not yet")
    (folder / "a.png").write_bytes(b"\x00\x01 binary")
    library.ingest(folder)
    assert len(library.failures()) == 1
    picture(folder / "a.png", "red")
    report = library.ingest(folder)
    assert (report.new, library.failures()) == (1, [])


@pytest.mark.slow
def test_a_file_that_became_unreadable_is_not_found_any_more(library: Library, folder: Path) -> None:
    path = picture(folder / "a.png", "red")
    picture(folder / "b.png", "green")
    library.ingest(folder)
    path.write_bytes(path.read_bytes()[:40])
    report = library.ingest(folder)
    assert dict(report.failed) == {"corrupt": 1}
    assert names(library, "red") == ["b.png"]


@pytest.mark.slow
def test_a_failed_content_fails_for_all_its_paths(library: Library, folder: Path) -> None:
    for name in "abc":
        (folder / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    assert dict(library.ingest(folder).failed) == {"corrupt": 3}
    assert len(library.failures()) == 3


@pytest.mark.slow
def test_an_ingest_of_some_modalities_leaves_the_others_for_later(library: Library, folder: Path) -> None:
    picture(folder / "a.png", "red")
    sound(folder / "b.wav", "low")
    shutil.copy(folder / "b.wav", folder / "c.wav")
    report = library.ingest(folder, modalities=["image"])
    assert (report.new, report.other_modality, library.failures()) == (1, 2, [])
    assert library.ingest(folder).new == 1


@pytest.mark.slow
def test_excluded_hidden_links_and_pipes_are_counted(library: Library, folder: Path) -> None:
    picture(folder / "a.png", "red")
    picture(folder / ".b.png", "red")
    picture(folder / "cache" / "c.png", "red")
    picture(folder / "deep" / "x.tmp", "red")
    os.mkfifo(folder / "d.jpg")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "broken.jpg").symlink_to(folder / "nowhere")
    report = library.ingest(folder, exclude=["cache", "*.tmp"])
    assert report.files == 1
    assert dict(report.skipped) == {
        "hidden": 1, "excluded": 2, "not a regular file": 1, "link loop": 1, "broken link": 1,
    }  # fmt: skip


@pytest.mark.slow
def test_odd_file_names_are_stored_byte_for_byte(library: Library, folder: Path) -> None:
    odd = ["100%_a.png", "it's.png", "new\nline.png", "Photos/y.png", "photos/y.png", "é" * 100 + ".png"]
    raw = os.fsdecode(b"\xff\xfe.png")
    for mark, name in enumerate([*odd, raw]):
        picture(folder / name, "red", mark=mark)
    report = library.ingest(folder)
    assert (report.new, report.failed.total()) == (7, 0)
    found = {hit.path for hit in library.search("red", 20)}
    assert found == {folder / name for name in [*odd, raw]}
    assert library.remove(folder / "photos") == 1, "and not Photos"


@pytest.mark.sqlite
@pytest.mark.slow
def test_a_library_inside_the_media_is_not_media(
    open_tiny: Callable[..., Library], folder: Path, tmp_path: Path
) -> None:
    picture(folder / "a.png", "red")
    inside = open_tiny("media/library")
    inside.ingest(folder)
    report = inside.ingest(folder)
    assert (report.files, report.skipped["library"]) == (1, 1)


@pytest.mark.slow
def test_a_dry_run_writes_nothing(library: Library, folder: Path) -> None:
    picture(folder / "a.png", "red")
    report = library.ingest(folder, dry_run=True)
    assert (report.new, report.dry_run, library.path.exists()) == (1, True, False)
    library.ingest(folder)
    (folder / "a.png").rename(folder / "b.png")
    report = library.ingest(folder, dry_run=True)
    assert (report.moved, report.missing) == (1, 0)
    assert names(library, "red") == ["a.png"]
    words(folder / "new.txt", "a red house")
    report = library.ingest(folder, dry_run=True, modalities=["image"])
    assert (report.new, report.moved, report.other_modality) == (0, 1, 1)


@pytest.mark.slow
def test_one_writer_any_number_of_readers(open_tiny: Callable[..., Library], folder: Path) -> None:
    from filelock import FileLock

    picture(folder / "a.png", "red")
    library = open_tiny()
    library.ingest(folder)
    with FileLock(library.path / LOCK_NAME):
        with pytest.raises(LibraryLocked, match="another process is writing"):
            library.ingest(folder)
        assert names(open_tiny(), "red") == ["a.png"]


@pytest.mark.slow
def test_cancelled_run_keeps_what_it_did_and_goes_on(open_tiny: Callable[..., Library], folder: Path) -> None:
    for mark in range(60):
        picture(folder / f"{mark:02d}.png", "red", mark=mark)
    library = open_tiny(commit_segments=4)
    cancel = threading.Event()

    def stop(progress: Progress) -> None:
        if progress.files_done >= 8:
            cancel.set()

    report = library.ingest(folder, cancel=cancel, on_progress=stop)
    assert report.interrupted and 8 <= report.new < 60
    rest = library.ingest(folder)
    assert report.new + rest.new == 60 and rest.unchanged == report.new


@pytest.mark.slow
def test_a_single_text_between_pictures_does_not_delay_commits(open_tiny: Callable[..., Library], folder: Path) -> None:
    """Its batch would be full at the end only: once two transactions wait behind it, it is encoded by itself."""
    words(folder / "00.txt", "red")
    for mark in range(1, 41):
        picture(folder / f"{mark:02d}.png", "red", mark=mark)
    library = open_tiny(commit_segments=4, commit_s=3600)
    assert library.ingest(folder).new == 41
    assert len(tiny.BATCHES) >= 10
    assert tiny.BATCHES.index(("text", 1)) <= 3


@pytest.mark.slow
def test_ingesting_a_missing_path_is_an_error(library: Library, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such file or folder"):
        library.ingest(tmp_path / "nowhere")
    with pytest.raises(InvalidInput, match="unknown modality"):
        library.ingest(tmp_path, modalities=["smell"])


@pytest.mark.slow
def test_overlapping_roots_are_scanned_once(library: Library, folder: Path) -> None:
    picture(folder / "sub" / "a.png", "red")
    assert library.ingest(folder / "sub", folder).files == 1


@pytest.mark.slow
def test_a_removed_file_is_not_found_any_more(library: Library, folder: Path) -> None:
    picture(folder / "a.png", "red")
    picture(folder / "b.png", "green")
    library.ingest(folder)
    assert library.remove(folder / "a.png") == 1
    assert names(library, "red") == ["b.png"]
    assert library.status().counts[0].vectors == 1
    with pytest.raises(InvalidInput, match="the library has nothing at"):
        library.remove(folder / "a.png")
    assert library.ingest(folder).new == 1, "the file is still there, so it can be taken in again"

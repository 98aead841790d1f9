"""The published index file: whole or refused."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from time import time
from typing import BinaryIO

import numpy as np
import pytest

from mmsearch import vectors
from mmsearch.core.atomic import appearing
from mmsearch.errors import IndexDamaged, LibraryError, UnknownName
from mmsearch.types import VectorIndex
from mmsearch.vectors import Stamp, check_file, publish_index, quarantine, read_index, remove_file
from mmsearch.vectors import file as index_file
from mmsearch.vectors.file import MAGIC, QUARANTINED

STAMP = Stamp(library="5f0c", part="starter/image", backend="faiss", generation=12)
ROWS = np.eye(3, dtype=np.float32)
NUMBERS = np.array([5, 7, 9], np.int64)


def index(backend: str = "faiss") -> VectorIndex:
    made = vectors.create_index(backend, 3)
    made.add(NUMBERS, ROWS)
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A published index."""
    publish_index(index(), tmp_path / "image.index", STAMP)
    return tmp_path / "image.index"


@pytest.mark.parametrize("backend", ["faiss", "numpy"])
def test_a_published_index_is_read_back_unchanged(backend: str, tmp_path: Path) -> None:
    path, stamp = tmp_path / "not yet" / "image.index", replace(STAMP, backend=backend)
    publish_index(index(backend), path, stamp)
    found, borne = read_index(path, stamp, 3)
    assert borne == stamp
    assert found.search(ROWS, 1).ids.tolist() == [[5], [7], [9]]
    assert [entry.name for entry in path.parent.iterdir()] == ["image.index"]


def test_the_layout_is_payload_footer_length_digest_magic(path: Path, tmp_path: Path) -> None:
    content, payload = path.read_bytes(), tmp_path / "payload"
    index().save(payload)
    length = int.from_bytes(content[-48:-40], "little")
    assert content.endswith(MAGIC)
    assert content[: -48 - length] == payload.read_bytes()
    assert json.loads(content[-48 - length : -48]) == {
        "format": 1, "library": "5f0c", "part": "starter/image", "backend": "faiss", "generation": 12, "mark": 0,
        "count": 3, "dim": 3,
    }  # fmt: skip


def test_another_generation_is_reported(path: Path) -> None:
    assert read_index(path, replace(STAMP, generation=15), 3)[1].generation == 12


@pytest.mark.parametrize(
    "expected", [replace(STAMP, library="77"), replace(STAMP, part="starter/audio"), replace(STAMP, backend="numpy")]
)
def test_an_index_file_with_another_stamp_is_refused(path: Path, expected: Stamp) -> None:
    with pytest.raises(IndexDamaged, match="of another"):
        read_index(path, expected, 3)


def test_another_dimension_is_refused(path: Path) -> None:
    with pytest.raises(IndexDamaged, match="of another dim"):
        read_index(path, STAMP, 4)


def test_an_unknown_backend_is_named(path: Path) -> None:
    with pytest.raises(UnknownName, match="annoy"):
        read_index(path, replace(STAMP, backend="annoy"), 3)


def test_every_flipped_byte_is_noticed(path: Path) -> None:
    content = path.read_bytes()
    for place in range(len(content)):
        for mask in (0x01, 0x80, 0xFF):
            flipped = bytearray(content)
            flipped[place] ^= mask
            path.write_bytes(flipped)
            with pytest.raises(IndexDamaged):
                read_index(path, STAMP, 3)


def test_every_block_of_a_large_file_is_checked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmsearch.vectors.file.BLOCK", 64)
    publish_index(index(), path, STAMP)
    content = path.read_bytes()
    covered = content[:-40]
    digests = b"".join(hashlib.sha256(covered[start : start + 64]).digest() for start in range(0, len(covered), 64))
    assert content[-40:-8] == hashlib.sha256(digests).digest()
    assert len(read_index(path, STAMP, 3)[0]) == 3
    for place in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[place] ^= 0x10
        path.write_bytes(flipped)
        with pytest.raises(IndexDamaged):
            read_index(path, STAMP, 3)


def test_every_truncation_is_noticed(path: Path) -> None:
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(IndexDamaged):
            read_index(path, STAMP, 3)


def test_appended_or_prepended_bytes_are_noticed(path: Path) -> None:
    content = path.read_bytes()
    for altered in (content + b"\0", content + content, b"\0" + content, content + MAGIC):
        path.write_bytes(altered)
        with pytest.raises(IndexDamaged):
            read_index(path, STAMP, 3)


def test_foreign_content_is_refused(path: Path) -> None:
    for foreign in (b"", MAGIC, b"\0" * 48, b"\xff" * 40 + MAGIC, b"SQLite format 3\0" * 100):
        path.write_bytes(foreign)
        with pytest.raises(IndexDamaged):
            read_index(path, STAMP, 3)


def test_a_bare_index_without_footer_is_refused(path: Path) -> None:
    index().save(path)
    with pytest.raises(IndexDamaged):
        read_index(path, STAMP, 3)


def test_a_missing_file_and_a_folder_are_refused(path: Path) -> None:
    path.unlink()
    with pytest.raises(IndexDamaged):
        read_index(path, STAMP, 3)
    path.mkdir()
    with pytest.raises(IndexDamaged):
        read_index(path, STAMP, 3)


def test_publishing_replaces_the_file_and_clears_leftovers_of_a_crash(path: Path) -> None:
    left = [path.with_name(name) for name in (".image.index.writing-1-ab", "..image.index.writing-1-ab.writing-1-cd")]
    others = [path.with_name(name) for name in (".audio.index.writing-1-ab", "image.index.bak")]
    for leftover in left + others:
        leftover.write_bytes(b"half")
    smaller = index()
    smaller.remove(NUMBERS[:1])
    publish_index(smaller, path, replace(STAMP, generation=13))
    found, stamp = read_index(path, STAMP, 3)
    assert (len(found), stamp.generation) == (2, 13)
    assert sorted(path.parent.iterdir()) == sorted([path, *others])


class Unsaved:
    """An index whose disk is full."""

    dim = 3

    def __len__(self) -> int:
        return 0

    def save(self, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")


def test_a_failed_publish_leaves_the_old_file(path: Path) -> None:
    content = path.read_bytes()
    with pytest.raises(LibraryError, match="No space left"):
        publish_index(Unsaved(), path, STAMP)
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_publishing_onto_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "image.index" / "inside").mkdir(parents=True)
    with pytest.raises(LibraryError):
        publish_index(index(), tmp_path / "image.index", STAMP)
    assert [entry.name for entry in tmp_path.iterdir()] == ["image.index"]


def test_a_file_replaced_while_it_is_read_is_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stamp that is returned is the one of the vectors that are returned."""
    from mmsearch.vectors.layered import LayeredIndex

    load = LayeredIndex.load.__func__  # type: ignore[attr-defined]
    loads: list[Path] = []

    def late(cls: type[LayeredIndex], path: Path, dim: int) -> LayeredIndex:
        if not loads:
            newer = index()
            newer.remove(NUMBERS[:1])
            publish_index(newer, path, replace(STAMP, generation=13))
        loads.append(path)
        made: LayeredIndex = load(cls, path, dim)
        return made

    monkeypatch.setattr(LayeredIndex, "load", classmethod(late))
    found, stamp = read_index(path, STAMP, 3)
    assert (len(loads), len(found), stamp.generation) == (2, 2, 13)


def test_quarantine_moves_aside_and_keeps_the_newest(path: Path) -> None:
    moved = []
    for number in range(QUARANTINED + 2):
        path.write_text(str(number))
        moved.append(quarantine(path))
    assert quarantine(path) is None
    kept = sorted(path.parent.iterdir())
    assert [entry.name for entry in kept] == ["image.index.damaged-3", "image.index.damaged-4", "image.index.damaged-5"]
    assert kept == moved[2:] and [entry.read_text() for entry in kept] == ["2", "3", "4"]


def test_quarantine_takes_a_folder_too_and_never_deletes_it(path: Path) -> None:
    path.unlink()
    for _ in range(QUARANTINED + 1):
        (path / "inside").mkdir(parents=True)
        quarantine(path)
    assert len(list(path.parent.glob("image.index.damaged-*/inside"))) == QUARANTINED + 1


def test_quarantining_a_missing_file_does_nothing(tmp_path: Path) -> None:
    assert quarantine(tmp_path / "no folder" / "image.index") is None


def test_a_folder_is_made_complete_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    with pytest.raises(RuntimeError, match="cut short"), appearing(folder) as temporary:
        (temporary / "a").write_text("half")
        raise RuntimeError("cut short")
    assert list(tmp_path.iterdir()) == []
    with appearing(folder) as temporary:
        (temporary / "a").write_text("whole")
        assert not folder.exists()
    with pytest.raises(LibraryError, match="can't write"), appearing(folder) as temporary:
        (temporary / "a").write_text("other")
    assert [path.name for path in tmp_path.iterdir()] == ["made"] and (folder / "a").read_text() == "whole"


@pytest.fixture
def digests(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths that digests were made of; every file is a large one."""
    made = []

    def told(file: BinaryIO, length: int) -> bytes:
        made.append(length)
        return digest(file, length)

    digest = index_file._digest
    monkeypatch.setattr(index_file, "_digest", told)
    monkeypatch.setattr("mmsearch.vectors.found_whole.LARGE", 1)
    return made


def test_a_large_file_is_looked_through_once_and_not_by_every_reader(digests: list[int], tmp_path: Path) -> None:
    path = tmp_path / "image.index"
    publish_index(index(), path, STAMP)
    del digests[:]
    assert read_index(path, STAMP, 3)[1] == STAMP and not digests
    path.with_name("image.index.whole").unlink()
    for _ in range(2):
        read_index(path, STAMP, 3)
    assert len(digests) == 1, "by the first that comes without a note"


@pytest.mark.parametrize("ago", [8 * 86400, -60])
def test_a_large_file_is_looked_through_again_after_a_week(digests: list[int], tmp_path: Path, ago: int) -> None:
    path = tmp_path / "image.index"
    publish_index(index(), path, STAMP)
    noted = path.with_name("image.index.whole")
    os.utime(noted, (time() - ago, time() - ago))
    del digests[:]
    read_index(path, STAMP, 3)
    assert len(digests) == 1


def test_a_large_file_that_was_changed_is_refused_whatever_was_noted(digests: list[int], path: Path) -> None:
    publish_index(index(), path, STAMP)
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(IndexDamaged, match="checksum"):
        read_index(path, STAMP, 3)
    assert digests


def test_damage_that_no_note_knows_of_is_found_by_a_check(digests: list[int], path: Path) -> None:
    publish_index(index(), path, STAMP)
    found, content = path.stat(), bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    read_index(path, STAMP, 3)
    with pytest.raises(IndexDamaged, match="checksum"):
        check_file(path, STAMP, 3)
    assert quarantine(path) is not None and not path.with_name("image.index.whole").exists()


def test_a_file_is_removed_with_its_note(digests: list[int], tmp_path: Path) -> None:
    path = tmp_path / "image.index"
    publish_index(index(), path, STAMP)
    assert len(list(tmp_path.iterdir())) == 2
    remove_file(path)
    remove_file(path)
    assert not list(tmp_path.iterdir())

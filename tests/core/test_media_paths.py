"""Paths of media in memory: no two ids share one, none is a file's, and they are the same on every platform."""

import os
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsearch.core import media_paths
from mmsearch.core.media_paths import is_media_path, is_whole_media_path, item_path, media_folder, media_id, media_path
from mmsearch.errors import InvalidInput

HASH = "0f" * 32

IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40) | st.sampled_from(
    [".", "..", "...", "/", "a/b", "a%2Fb", "%", "\\", "\0", "sha256:" + HASH, " ", "\u2028", "C:", "文档"]
)


@given(IDS, IDS)
def test_an_id_comes_back_from_its_path_and_shares_it_with_no_other(one: str, other: str) -> None:
    path = media_path(one, "cat.jpg", HASH)
    assert media_id(path) == one
    assert is_whole_media_path(path) and is_media_path(path) and path.count(b"/") == 2
    assert (one == other) == (path == media_path(other, "cat.jpg", HASH))
    shown = Path(os.fsdecode(path))
    assert item_path(shown) == path == item_path(str(shown)), "pathlib changes nothing of it"
    assert os.fsencode(os.path.normpath(shown)) == path and not os.path.isabs(shown)
    windows = PureWindowsPath(path.decode())
    assert str(windows).replace("\\", "/").encode() == path and not windows.is_absolute() and not windows.drive


def test_without_an_id_the_bytes_and_the_name_tell() -> None:
    path = media_path(None, "my cat.jpg", HASH)
    assert path == f"mem:/sha256:{HASH}/my cat.jpg".encode()
    assert media_id(path) is None and is_whole_media_path(path)
    assert media_folder("sha256:" + HASH, "") == f"mem:/sha256%3A{HASH}".encode(), "an id can't pretend to be that"


@pytest.mark.parametrize(
    "path",
    ["mem:", "mem:/", "mem:/a", "mem:/a/", "mem:/a/b/c", "mem:/a/..", "mem:/../a", "mem:/./a", "mem:/a//b", "mem:a/b",
     "mem:/a%/b", "mem:/a%2f/b", "mem:/%41/b", "mem:/a\\b/c", "mem:/a:b/c", "mem:/sha256:ab/c", "mem:/a/b\n",
     "mem:/a\0/b", "/mem:/a/b", "x/mem:/a/b", "mem:/a/" + "n" * 256],
)  # fmt: skip
def test_what_is_written_otherwise_is_no_medium_s_path(path: str) -> None:
    assert not is_whole_media_path(path.encode()) and media_id(path.encode()) is None


def test_other_paths_are_made_absolute() -> None:
    assert item_path("mem:a") == os.fsencode(os.path.abspath("mem:a"))
    assert item_path("./mem:/a") == os.fsencode(os.path.abspath("mem:/a")), "a folder of that name"
    assert item_path("~/a") == os.fsencode(os.path.expanduser("~/a"))
    assert item_path("mem:/doc/") == b"mem:/doc"


BAD_NAMES = [
    "", ".", "..", "a/b", "/", "../cat.jpg", "a\\b", "a\0b", "a\nb", "\x1b[2J", "\x7f", "\x85", "a\u2028b", "n" * 256,
    "é" * 128, "\ud800", 7, None, b"cat.jpg", Path("cat.jpg"), ["cat.jpg"],
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES, ids=repr)
def test_a_name_that_no_file_could_have_everywhere_is_refused(name: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        media_paths.checked_name(name)
    assert refused.value.hint and "\x1b" not in refused.value.message


@pytest.mark.parametrize("given_id", ["", "n" * 513, "\udcff", 17, 1.5, b"id", True, ["id"]], ids=repr)
def test_an_id_that_can_t_be_kept_is_refused(given_id: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        media_paths.checked_id(given_id)
    assert refused.value.hint


@pytest.mark.slow
@given(st.text())
def test_any_text_is_a_name_that_can_be_found_again_or_refused(name: str) -> None:
    try:
        media_paths.checked_name(name)
    except InvalidInput:
        return
    path = media_path("x", name, HASH)
    assert is_whole_media_path(path) and Path(os.fsdecode(path)).name == name

"""ANN indexes of encrypted libraries: sealed, read into memory, and worth nothing where anybody touched them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import mmsearch
from mmsearch.catalog import ListKey
from mmsearch.core import key_stores, sealed, vault
from mmsearch.library import Library
from mmsearch.maintenance.index import IndexBuild
from tests.indexing.filled import ROWS, SIZE, batch, commit, fill, unit
from tests.indexing.test_background import Told

pytestmark = pytest.mark.slow

QUERIES = unit(20, 2)
KEY = ListKey("tiny", "image", "image")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An encrypted library of SIZE pictures whose approximate index is built."""
    made = fill(tmp_path / "library", SIZE)
    with opened(made) as library:
        library.encryption.encrypt(f"file:{tmp_path / 'the.key'}")
        (built,) = library.index.build()
        assert (built.preset, built.published) == ("ivf-sq8", True)
    yield made
    vault._unlocked.clear()
    key_stores._offered.clear()


def opened(folder: Path, index: str = "ivf-sq8") -> Library:
    return mmsearch.open(folder, index=index, space="tests.tiny:space")


def index_file(folder: Path) -> Path:
    (found,) = folder.rglob("*.built")
    return found


def preset(library: Library) -> str:
    (one,) = library.index.status()
    return one.preset


def answers(library: Library) -> list[list[int]]:
    (found,) = library._context.indexes().search(QUERIES, 10)[0].values()
    return [ids.tolist() for ids in found.ids]


def nearest(count: int) -> list[list[int]]:
    scores = QUERIES @ ROWS[:count].T
    return [(np.argsort(-row, kind="stable")[:10] + 1).tolist() for row in scores]


def share(found: list[list[int]], right: list[list[int]]) -> float:
    return float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, right, strict=True)]))


def test_it_serves_and_its_file_holds_nothing_plain(folder: Path) -> None:
    with opened(folder) as library:
        assert preset(library) == "ivf-sq8"
        assert share(answers(library), nearest(SIZE)) >= 0.95
        (check,) = library.index.verify()
        assert check.wrong == ()
    assert sorted(path.name for path in (folder / "indexes").rglob("*") if path.is_file()) == [
        "build.lock", "image-image.built",
    ]  # fmt: skip
    content = index_file(folder).read_bytes()
    ids = np.arange(1, SIZE + 1)
    assert len(content) > SIZE * (ROWS.shape[1] + 8) and not any(
        plain in content for plain in (b"IwSq", b"IxF", b"ivf-sq8", b"generation", ids[:4].tobytes())
    )


@pytest.mark.extras
def test_changes_and_what_is_forgotten_reach_it(folder: Path) -> None:
    with opened(folder) as library:
        commit(folder, batch(SIZE, SIZE + 300))
        assert share(answers(library), nearest(SIZE + 300)) >= 0.95
        assert preset(library) == "ivf-sq8"
        library.remove("/p/3", on_proof=lambda _: None)
        assert not any((number - 1) % 10 == 3 for ids in answers(library) for number in ids)
        (ann, *_) = library._context.indexes().ann_index(KEY) or (None,)
        assert ann is not None and not np.any((ann.ids - 1) % 10 == 3), "another was built"


@pytest.mark.extras
@pytest.mark.parametrize("harm", ["altered", "cut", "empty", "another's", "plain"])
def test_a_file_that_anybody_touched_is_not_used(folder: Path, tmp_path: Path, harm: str) -> None:
    path = index_file(folder)
    content = path.read_bytes()
    if harm == "another's":
        # Of the same key, and of another place in the library.
        path.write_bytes(sealed.as_stored(path.with_name("text-text.built"), sealed.read_bytes(path)))
    elif harm == "plain":
        plain = fill(tmp_path / "plain", SIZE)
        with opened(plain) as library:
            library.index.build()
        path.write_bytes(index_file(plain).read_bytes())
    else:
        middle = len(content) // 2
        path.write_bytes({
            "altered": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "cut": content[:middle], "empty": b"",
        }[harm])  # fmt: skip
    with opened(folder) as library:
        assert preset(library) == "flat"
        assert answers(library) == nearest(SIZE)
        (check,) = library.index.verify(repair=True)
        assert (bool(check.wrong), check.repaired) == (True, True)
        assert preset(library) == "ivf-sq8" and share(answers(library), nearest(SIZE)) >= 0.95


@pytest.mark.extras
def test_an_older_file_that_is_put_back_is_brought_up_to_date(folder: Path) -> None:
    before = index_file(folder).read_bytes()
    with opened(folder) as library:
        commit(folder, batch(SIZE, SIZE + 300))
        library.remove("/p/3")
        right = answers(library)
    index_file_path = folder / "indexes" / "tiny" / "image-image.built"
    index_file_path.write_bytes(before)
    with opened(folder) as library:
        assert preset(library) == "ivf-sq8"
        assert share(answers(library), right) >= 0.95
        assert not any((number - 1) % 10 == 3 for ids in answers(library) for number in ids)


@pytest.mark.extras
def test_a_background_build_is_told_the_key_and_no_argument_holds_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_file(folder).unlink()
    monkeypatch.setattr("mmsearch.indexing.background.PERIOD_S", 0.01)
    told = Told()
    with opened(folder) as library:
        library.encryption.rekey("passphrase", passphrase="horse")
        assert preset(library) == "flat"
        library.index.start_background_indexing(told)
        (made,) = told.wait()
        assert isinstance(made, IndexBuild) and made.published
        assert preset(library) == "ivf-sq8"
        worker = library._context.background_worker
        key = vault.handed_over(folder)
        assert worker is not None and key is not None and not any(key in one for one in worker._command)


@pytest.mark.extras
def test_another_key_leaves_no_index_of_the_old_one(folder: Path) -> None:
    with opened(folder) as library:
        library.encryption.rekey(f"file:{folder}.key", new_key=True)
        assert not list(folder.rglob("*.built"))
        assert answers(library) == nearest(SIZE)
        library.index.build()
        assert preset(library) == "ivf-sq8"


@pytest.mark.extras
def test_a_slice_has_its_own_with_the_same_key(folder: Path) -> None:
    with opened(folder) as library, library.only("path glob '/p/*'") as some:
        assert share(answers(some), nearest(SIZE)) >= 0.95
        lists = some._context.indexes()
        (key,) = lists.refresh()
        assert vault.owner_folder(lists.ann_path(key)) == folder

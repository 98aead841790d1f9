"""An export that leaves out whose files these are: planted secrets, searched for in every byte of it."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmsearch.errors import InvalidInput
from mmsearch.library import Library
from mmsearch.maintenance.anonymised import ALL, Identifying
from tests.conftest import Run
from tests.generated import words
from tests.maintenance.test_privacy import SECRETS, fill

TOLD: dict[Identifying, tuple[str, ...]] = {
    "paths": ("Mortadella", "beside", "secretfolder"),
    "names": ("Kamerawerk", "Spezialoptik", "Quirinius", "hushword", "dearest", "owned_by"),
    "places": SECRETS["places"],
    "dates": ("2019-06-30", 'mtime_ns": 1'),
    "texts": ("walk with", "by the sea", "harbour"),
}
"""What is left out -> what is then found nowhere; where it isn't, some of it is."""


@pytest.fixture
def library(open_tiny: Callable[..., Library], folder: Path) -> Library:
    fill(folder / "secretfolder")
    # The same words stand in the descriptions, which are names and places of their own only there.
    words(folder / "secretfolder" / "2019-06-30 12.00.00.txt", "a red boat in the harbour")
    made = open_tiny()
    made.ingest(folder)
    made.tag(folder, ["dearest"])
    made.set_meta(folder, {"owned_by": "somebody"})
    return made


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.slow
def test_nothing_of_what_is_left_out_is_found(library: Library, folder: Path, tmp_path: Path) -> None:
    done = library.export(tmp_path / "all", anonymise=ALL)
    content = bytes_below(tmp_path / "all")
    assert [one for secrets in TOLD.values() for one in secrets if one.encode() in content] == []
    known = [item.sha256 for item in library.items()]
    assert not any(hashed.encode() in content for hashed in known)
    assert done.items == library.count() == 6
    whole = tmp_path / "whole"
    library.export(whole)
    content = bytes_below(whole)
    assert all(any(one.encode() in content for one in secrets) for secrets in TOLD.values())


@pytest.mark.slow
def test_what_is_left_out_is_chosen(library: Library, tmp_path: Path) -> None:
    for what in ("paths", "names", "places", "dates"):
        rest = [one for one in ALL if one != what]
        library.export(tmp_path / what, anonymise=rest)
        content = bytes_below(tmp_path / what)
        assert any(one.encode() in content for one in TOLD[what]), what
        assert not any(one.encode() in content for other in rest for one in TOLD[other]
                       if not (what == "paths" and one == "2019-06-30")), what  # fmt: skip


@pytest.mark.slow
def test_it_can_be_imported_and_without_vectors_it_cannot(
    library: Library, open_tiny: Callable[..., Library], tmp_path: Path
) -> None:
    library.export(tmp_path / "all", anonymise=ALL)
    other = open_tiny("other")
    assert other.import_(tmp_path / "all").items == 6
    assert {path.parent for path in (item.path for item in other.items())} == {Path(os.sep) / "anonymous"}
    # Files that belong together are told by their paths.
    assert (len(other.search("red", 9)), len(library.search("red", 9))) == (6, 5)
    library.export(tmp_path / "bare", anonymise=ALL, vectors=False)
    assert not (tmp_path / "bare" / "vectors.npy").exists()
    with pytest.raises(InvalidInput):
        open_tiny("third").import_(tmp_path / "bare")
    vectors = np.load(tmp_path / "all" / "vectors.npy")
    assert not any(row.tobytes() in bytes_below(tmp_path / "bare") for row in vectors)


@pytest.mark.slow
def test_two_exports_have_no_hash_in_common(library: Library, tmp_path: Path) -> None:
    hashes = []
    for name in ("one", "two"):
        library.export(tmp_path / name, anonymise=["paths"])
        lines = (tmp_path / name / "items.jsonl").read_text().splitlines()
        hashes.append({json.loads(line)["sha256"] for line in lines})
    assert not hashes[0] & hashes[1]


@pytest.mark.slow
def test_the_shell_leaves_out_and_keeps(run: Run, tmp_path: Path) -> None:
    words(tmp_path / "media" / "note.txt", "a red boat in the harbour")
    assert run("ingest", str(tmp_path / "media")).returncode == 0
    made = run("export", str(tmp_path / "out"), "--anonymise", "--keep", "texts", "--without-vectors")
    assert made.returncode == 0
    content = bytes_below(tmp_path / "out")
    assert b"harbour" in content and b"note" not in content
    assert run("export", str(tmp_path / "more"), "--keep", "texts").returncode == 2

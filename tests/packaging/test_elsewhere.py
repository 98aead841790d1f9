"""What would break on another system, tried here: a Python without what only POSIX has that forbids as Windows does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmsearch.core.paths import path_in_table
from mmsearch.evaluate.pairs import read_pairs
from tests.conftest import CHECKOUT
from tests.packaging import portability

GUARDED = """
import os, socket, sys
from pathlib import Path
place = Path(sys.argv[1])
told = [not hasattr(os, "fork"), not hasattr(socket, "AF_UNIX")]
for name in ("fcntl", "resource"):
    try:
        __import__(name)
        told.append(False)
    except ImportError:
        told.append(True)
for name, act in {
    "open": lambda path: os.replace(place / "other", path),
    "removed": lambda path: path.unlink(),
    "CON.txt": lambda path: None,
}.items():
    try:
        (place / "other").write_text("")
        with (place / name).open("w"):
            act(place / name)
        told.append(False)
    except OSError:
        told.append(True)
print(told)
"""


def elsewhere(place: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    (place / "home").mkdir()
    (place / "temporary").mkdir()
    known = {
        "PATH": os.environ["PATH"], "HOME": str(place / "home"), "TMPDIR": str(place / "temporary"),
        "MMSEARCH_SPEECH": "off", "MMSEARCH_OCR": "off",
        "ELSEWHERE": str(place), "PYTHONPATH": os.pathsep.join((str(CHECKOUT / "tests" / "elsewhere"), str(CHECKOUT))),
    }  # fmt: skip
    return subprocess.run([sys.executable, *command], env=known, cwd=place, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the stand-in looks into Linux's /proc")
def test_the_stand_in_hides_and_refuses_what_it_says(tmp_path: Path) -> None:
    assert elsewhere(tmp_path, "-c", GUARDED, str(tmp_path)).stdout == f"{[True] * 7}\n"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the stand-in looks into Linux's /proc")
def test_a_library_works_where_there_is_no_posix_and_no_open_file_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    done = elsewhere(tmp_path, "-m", "tests.packaging.elsewhere", str(tmp_path / "place"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "new": 16, "failed": 1, "red": ["red-0.png", "red-4.png", "red-8.png"], "by picture": 2, "in memory": 2,
        "dedup": False, "indexes": ["flat", "flat", "ivf", "flat"], "more red": 12, "verified": [],
        "asked": [["text", "image", 4]], "unused": 1, "trained": "kinds", "low": ["low.wav"], "imported": ["note.txt"],
        "encoded": True,
    }  # fmt: skip


def test_a_table_s_paths_may_have_windows_separators(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.jpg").touch()
    assert path_in_table("media\\a.jpg", tmp_path) == tmp_path / "media" / "a.jpg"
    assert path_in_table("media/a.jpg", tmp_path) == tmp_path / "media" / "a.jpg"


@pytest.mark.skipif(os.name == "nt", reason="no name has a backslash there")
def test_a_name_that_has_a_backslash_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.jpg").touch()
    (tmp_path / "media\\a.jpg").touch()
    assert path_in_table("media\\a.jpg", tmp_path) == tmp_path / "media\\a.jpg"


def test_pairs_with_windows_line_ends_and_separators_are_read(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.jpg").touch()
    (tmp_path / "pairs.tsv").write_bytes(b"query\trelevant\r\na dog\tmedia\\a.jpg\r\nmedia\\a.jpg\tmedia\\a.jpg\r\n")
    read = read_pairs(tmp_path / "pairs.tsv")
    photo = tmp_path / "media" / "a.jpg"
    assert [(pair.query, pair.relevant) for pair in read.pairs] == [("a dog", (photo,)), (photo, (photo,))]
    assert read.unused == ()


def test_the_docs_have_every_platform_python_and_extra() -> None:
    rows = portability.DOCS.read_text("utf-8").partition(portability.BEGIN)[2].partition(portability.END)[0]
    for platform in portability.PLATFORMS:
        for extra in portability.extras():
            (row,) = (line for line in rows.splitlines() if line.startswith(f"| {platform} | {extra} |"))
            assert row.count("|") == len(portability.PYTHONS) + 3


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("Because hnswlib==0.8.0 has no usable wheels and only hnswlib<=0.8.0 is available", "no wheel of hnswlib"),
        ("because x{sys_platform != 'linux'}>=1.13.0 has no wheels with a matching platform tag", "no wheel of x"),
        ("Because nothing-such was not found in the package registry", "nothing-such is not in the index"),
        ("", "no answer"),
    ],
)
def test_a_missing_wheel_and_a_missing_package_are_told_apart(said: str, answer: str) -> None:
    assert portability.reason(said) == answer

"""The doctor finds what is wrong, says what to do, and changes nothing."""

import json
import os
import sqlite3
import stat
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmsearch.encoders import health
from mmsearch.errors import WeightsError
from mmsearch.library import Library
from mmsearch.maintenance.doctor import _readable_by_others
from mmsearch.types import Encoder, EncoderSpec, Finding, Prepared, Segment, Space, Vectors
from tests import tiny
from tests.conftest import Run
from tests.generated import picture

Open = Callable[..., Library]


def by_subject(library: Library) -> dict[str, Finding]:
    return {finding.subject: finding for finding in library.doctor()}


@pytest.mark.slow
def test_the_doctor_is_content_without_a_library(library: Library) -> None:
    found = by_subject(library)
    assert {f.state for f in found.values()} == {"ok"}
    assert found["library"].detail.startswith("none yet")
    assert {"text encoder", "image encoder", "audio encoder", "decode worker", "sqlite", "faiss", "disk"} <= set(found)
    assert not library.path.exists()


@pytest.mark.slow
def test_the_doctor_is_content_with_a_sound_library(library: Library, folder: Path) -> None:
    picture(folder / "red.png", "red")
    library.ingest(folder)
    found = by_subject(library)
    assert {f.state for f in found.values()} == {"ok"}
    assert found["indexes"].detail == "1 vectors in 1 lists"
    assert found["catalog"].detail.startswith("whole")


@pytest.mark.slow
@pytest.mark.parametrize("damaged", [0, 1], ids=["vectors", "owners"])
def test_a_damaged_index_is_a_warning_that_a_search_clears(
    library: Library, open_tiny: Open, folder: Path, damaged: int
) -> None:
    picture(folder / "red.png", "red")
    library.ingest(folder)
    both = sorted(path for path in (library.path / "indexes").rglob("*") if path.is_file())
    assert [path.name.endswith(".owners") for path in both] == [False, True]
    index = both[damaged]
    torn = index.read_bytes()[:-9]
    index.write_bytes(torn)
    finding = by_subject(open_tiny())["indexes"]
    assert finding.state == "warning" and finding.remedy
    assert index.read_bytes() == torn
    again = open_tiny()
    again.search("red")
    assert by_subject(again)["indexes"].state == "ok"


@pytest.mark.slow
def test_a_damaged_catalog_is_an_error(library: Library, open_tiny: Open, folder: Path, run: Run) -> None:
    for n in range(60):
        picture(folder / f"{n}.png", "red", mark=n)
    library.ingest(folder)
    library.close()
    catalog = library.path / "catalog.sqlite"
    data = bytearray(catalog.read_bytes())
    data[len(data) // 2 :] = b"\xff" * (len(data) - len(data) // 2)
    catalog.write_bytes(data)
    finding = by_subject(open_tiny())["catalog"]
    assert finding.state == "error" and "damaged" in finding.detail and finding.remedy
    done = run("doctor", "--json")
    assert done.returncode == 8
    assert "error" in {f["state"] for f in json.loads(done.stdout) if f["subject"] == "catalog"}


@pytest.mark.slow
def test_another_version_of_the_space_is_an_error(library: Library, open_tiny: Open, folder: Path) -> None:
    picture(folder / "red.png", "red")
    library.ingest(folder)
    library.close()
    with closing(sqlite3.connect(library.path / "catalog.sqlite")) as db:
        db.execute("UPDATE spaces SET target = 'tests.tiny:other_weights'")
        db.commit()
    found = by_subject(open_tiny(space="tests.tiny:other_weights"))
    assert found["space"].state == "error" and "--library" in (found["space"].remedy or "")


class Faulty:
    """An encoder that does one thing wrong."""

    def __init__(self, good: Encoder, fault: str) -> None:
        self._good = good
        self._fault = fault

    @property
    def spec(self) -> EncoderSpec:
        return self._good.spec

    def prepare(self, segment: Segment) -> Prepared:
        return self._good.prepare(segment)

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        if self._fault == "weights":
            raise WeightsError("the weights are gone", hint="install them again")
        if self._fault == "crash":
            raise ValueError("tensor of the wrong kind")
        return np.asarray(2 * self._good.encode(batch, query=query), np.float32)


@pytest.mark.parametrize(
    ("fault", "detail", "remedy"),
    [
        ("weights", "the weights are gone", "install them again"),
        ("crash", "ValueError: tensor of the wrong kind", "pip install --force-reinstall mmsearch"),
        ("scale", "gives no unit vectors", "try --device cpu or --precision fp32"),
    ],
)
def test_a_faulty_encoder_is_named_and_the_others_are_still_checked(fault: str, detail: str, remedy: str) -> None:
    good = tiny.space()
    space: Space = replace(good, encoders={**good.encoders, "image": Faulty(good.encoders["image"], fault)})
    found = {finding.subject: finding for finding in health.findings(space)}
    assert found["image encoder"] == Finding("image encoder", "error", detail, remedy)
    assert found["text encoder"].state == found["audio encoder"].state == "ok"


@pytest.mark.slow
def test_the_doctor_command_prints_a_line_for_each_finding(process: Run) -> None:
    done = process("doctor")
    assert done.returncode == 0, done.stderr.decode()
    assert b"ok\ttext encoder\t" in done.stdout and b"error" not in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Windows keeps a profile's folders to their owner by ACL")
@pytest.mark.parametrize(("mode", "who"), [(0o750, "the folder's group"), (0o705, "everybody on this machine")])
def test_a_library_is_its_owner_s_alone_and_others_are_told_of(
    library: Library, folder: Path, mode: int, who: str
) -> None:
    picture(folder / "red.png", "red")
    before = os.umask(0o022)
    try:
        library.ingest(folder)
    finally:
        os.umask(before)
    assert stat.S_IMODE(library.path.stat().st_mode) == 0o700
    assert _readable_by_others(library.path).state == "ok"
    library.path.chmod(mode)
    found = _readable_by_others(library.path)
    assert (found.state, found.detail) == ("warning", f"{who} can look into the library")
    assert found.remedy == f"keep it to yourself: mmsearch doctor --mend --library {library.path}"
    library.ingest(folder)
    assert stat.S_IMODE(library.path.stat().st_mode) == mode, "it is somebody's choice"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Windows keeps a profile's folders to their owner by ACL")
def test_every_file_of_a_library_is_its_owner_s_alone_and_an_old_one_is_mended(library: Library, folder: Path) -> None:
    picture(folder / "red.png", "red")
    before = os.umask(0o022)
    try:
        library.ingest(folder)
        library.search("red")
        library.backup(folder.parent / "kept.backup")
        library.restore(folder.parent / "kept.backup", overwrite=True)
        library.search("red")
    finally:
        os.umask(before)
    assert len(list(library.path.glob("catalog.sqlite.*.bak"))) == 1
    there = [path for path in library.path.rglob("*") if path.suffix != ".lock"]
    assert {"catalog.sqlite", "image-image"} <= {path.name for path in there}
    assert {stat.S_IMODE(path.stat().st_mode) for path in there} == {0o600, 0o700}
    assert library.mend() == 0
    (library.path / "catalog.sqlite").chmod(0o644)
    (library.path / "indexes").chmod(0o755)
    found = _readable_by_others(library.path)
    assert found.state == "warning" and found.detail.endswith("would show others 2 files: catalog.sqlite, indexes")
    assert library.mend() == 2
    assert _readable_by_others(library.path).state == "ok"
    assert [hit.path.name for hit in library.search("red")] == ["red.png"]

"""Which contents an outline of them says may be the same, whatever their vectors say, in a real library."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mmsearch.catalog.contents import contents_to_keep_first
from mmsearch.catalog.evidence import first_files
from mmsearch.library import Library
from mmsearch.media.sameness.pictures import ROUGHLY
from mmsearch.search.witnesses import RESEMBLES, MediaFiles, Witnesses
from tests.generated import pattern, picture, sound, video, words
from tests.module_library import ModuleLibrary


def fill(folder: Path) -> None:
    pattern(folder / "one.png", "red", seed=1)
    pattern(folder / "one small.png", "red", 48, seed=1)
    pattern(folder / "other.png", "red", seed=2)
    picture(folder / "blank.png", "blue")
    sound(folder / "low.wav", "low", seconds=2.0)
    sound(folder / "low again.wav", "low", seconds=2.04)
    sound(folder / "low longer.wav", "low", seconds=2.5)
    sound(folder / "high.wav", "high", seconds=2.0)
    video(folder / "film.mp4", "red", "green", seconds=1.0)
    video(folder / "film again.mp4", "blue", "green", seconds=1.0)
    video(folder / "long film.mp4", "red", "green", seconds=3.0)
    words(folder / "note.txt", "the same words")
    words(folder / "note again.txt", "the same words \n\n")
    words(folder / "other note.txt", "other words")


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


class Surveyed:
    """The witnesses of a library, by the names of its files."""

    def __init__(self, library: Library) -> None:
        self._reading = library._context.catalog().reading()
        snapshot = self._reading.__enter__()
        ordered = contents_to_keep_first(snapshot)
        files = first_files(snapshot, [content for _, content in ordered])
        self.names = {file.content_id: Path(file.path.decode()).name for file in files}
        self.ids = {name: content for content, name in self.names.items()}
        self.witnesses = Witnesses(snapshot, MediaFiles(library._context))
        self.ordered = ordered

    def near(self, name: str, *, related: bool = False) -> set[str]:
        return {self.names[one] for one in self.witnesses.near(self.ids[name], related=related)}

    def plausible(self, name: str, *others: str) -> list[str]:
        found = self.witnesses.plausible(self.ids[name], [self.ids[one] for one in others], related=False)
        return [self.names[one] for one in found]

    def close(self) -> None:
        self._reading.__exit__(None, None, None)


@pytest.fixture
def surveyed(library: Library) -> Iterator[Surveyed]:
    made = Surveyed(library)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("one.png", {"one.png", "one small.png"}),
        ("one small.png", {"one.png", "one small.png"}),
        ("other.png", {"other.png"}),
        # As long as 0.06 seconds and a five-thousandth more or less, and as loud in each band.
        ("low.wav", {"low.wav", "low again.wav"}),
        ("low again.wav", {"low.wav", "low again.wav"}),
        ("low longer.wav", {"low longer.wav"}),
        ("high.wav", {"high.wav"}),
        # Of a video its length alone is known.
        ("film.mp4", {"film.mp4", "film again.mp4"}),
        ("long film.mp4", {"long film.mp4"}),
        ("note.txt", {"note.txt", "note again.txt"}),
        ("other note.txt", {"other note.txt"}),
    ],
)
def test_near_is_what_an_outline_says_may_be_the_same(surveyed: Surveyed, name: str, expected: set[str]) -> None:
    assert surveyed.near(name) == set(), "nothing was surveyed yet"
    surveyed.witnesses.survey(surveyed.ordered)
    assert surveyed.near(name) == expected


def test_what_may_be_a_part_needs_to_be_less_alike(surveyed: Surveyed) -> None:
    assert RESEMBLES < ROUGHLY
    surveyed.witnesses.survey(surveyed.ordered)
    assert surveyed.near("one.png") <= surveyed.near("one.png", related=True)
    outlines = surveyed.witnesses._outlines
    coarse = {name: outlines[one].coarse for name, one in surveyed.ids.items()}
    one, other = coarse["one.png"], coarse["other.png"]
    assert one is not None and other is not None and float(one @ other) < RESEMBLES
    assert float(one @ one) == pytest.approx(1, abs=1e-5)


def test_candidates_are_told_apart_by_outlines_of_one_kind(surveyed: Surveyed) -> None:
    assert surveyed.plausible("one.png", "one small.png", "other.png") == ["one small.png"]
    assert surveyed.plausible("low.wav", "low again.wav", "high.wav") == ["low again.wav"]
    # What has no outline of the same kind is left to the proof.
    assert surveyed.plausible("film.mp4", "film again.mp4", "long film.mp4") == ["film again.mp4", "long film.mp4"]
    assert surveyed.plausible("one.png") == []


def test_of_what_is_asked_only_what_is_proved_is_given(surveyed: Surveyed) -> None:
    ids = surveyed.ids
    found = surveyed.witnesses.prove(ids["one.png"], [ids["one small.png"], ids["other.png"]], related=False)
    assert {surveyed.names[one]: proof.kind for one, proof in found.items()} == {"one small.png": "resized"}
    assert surveyed.witnesses.prove(ids["one.png"], [ids["one small.png"]], related=True) == {}
    found = surveyed.witnesses.prove(ids["note.txt"], [ids["other note.txt"], ids["note again.txt"]], related=False)
    assert [surveyed.names[one] for one in found] == ["note again.txt"]


@pytest.mark.slow
def test_evidence_that_was_lost_is_made_again_and_files_that_are_gone_tell_nothing(
    surveyed: Surveyed, library: Library, folder: Path, tmp_path: Path
) -> None:
    files = MediaFiles(library._context)
    with library._context.catalog().reading() as snapshot:
        known = first_files(snapshot, [surveyed.ids["one.png"], surveyed.ids["other.png"]])
    shutil.move(folder / "other.png", tmp_path / "elsewhere.png")
    detail = files.detail(known)
    assert list(detail) == [surveyed.ids["one.png"]] and detail[surveyed.ids["one.png"]].dtype == np.float32
    assert list(files.evidence(known)) == [surveyed.ids["one.png"]]
    assert files.detail([]) == {} and files.evidence([]) == {}

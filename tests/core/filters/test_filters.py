"""Filters from end to end: what matches is found, exactly, whatever else is nearer; nothing else is shown."""

import os
from pathlib import Path
from typing import Literal
from unicodedata import normalize

import pytest

from mmsearch.core.filters.ast import And, Comparison, Filter
from mmsearch.errors import InvalidInput
from mmsearch.library import Library
from tests.conftest import Run
from tests.generated import picture, sound, words

Form = Literal["NFC", "NFD"]


@pytest.fixture
def filled(library: Library, folder: Path) -> Library:
    for n in range(30):
        picture(folder / "near" / f"{n:02}.png", "red", mark=n)
    picture(folder / "far" / "wide.png", "green", side=64)
    picture(folder / "far" / "small.png", "blue", mark=1)
    sound(folder / "low.wav", "low", seconds=10)
    words(folder / "red.txt", "a red bus")
    library.ingest(folder)
    return library


def names(library: Library, where: str | Filter, query: str = "red", k: int = 10) -> set[str]:
    return {hit.path.name for hit in library.search(query, k, filter=where)}


@pytest.mark.slow
def test_a_filter_finds_matching_items_however_low_they_rank(filled: Library, folder: Path) -> None:
    assert names(filled, "width = 64", k=1) == {"wide.png"}
    assert names(filled, "duration > 5") == {"low.wav"}
    assert names(filled, f"folder = '{folder / 'far'}'") == {"wide.png", "small.png"}
    assert names(filled, "modality in (text, audio)") == {"low.wav", "red.txt"}
    assert names(filled, And((Comparison("width", "<", 64), Comparison("path", "contains", "far")))) == {"small.png"}
    assert names(filled, f"root = '{folder}' and not path glob '*/near/*'") == {
        "wide.png", "small.png", "low.wav", "red.txt",
    }  # fmt: skip
    assert names(filled, f"root = '{folder.parent}'") == set()
    assert names(filled, "duration is missing and width is missing") == {"red.txt"}
    assert names(filled, "modified > 2020 and size < 1kB and name glob '0[0-2].png'") == {"00.png", "01.png", "02.png"}
    assert len(names(filled, "name glob '??.png'", k=100)) == 30


@pytest.mark.slow
@pytest.mark.parametrize("written", ["NFC", "NFD"])
@pytest.mark.parametrize("asked", ["NFC", "NFD"])
def test_names_are_equal_in_every_form_of_unicode(library: Library, folder: Path, written: Form, asked: Form) -> None:
    place = folder / normalize(written, "Ångström")
    found = normalize(written, "café menu.txt")
    words(place / found, "a red bus")
    words(place / "cafe menu.txt", "a blue bus")
    library.ingest(folder)
    library.tag(place / found, [normalize(written, "déjà vu")])
    library.set_meta(place / found, {"dish": normalize(written, "crème")})
    for where in (
        "name = 'café menu.txt'", "name in ('café menu.txt', x)", "name contains 'café'", "name glob 'caf[é] m*'",
        "name glob '*é*'", f"path = '{folder}/Ångström/café menu.txt'", f"path glob '{folder}/Ångström/*é m*'",
        "tag = 'déjà vu'", "tag contains 'déjà'", "meta.dish = 'crème'", "meta.dish glob 'cr?me'",
        "not name != 'café menu.txt'",
    ):  # fmt: skip
        assert names(library, normalize(asked, where)) == {found}, where
    for where in (f"folder = '{folder}/Ångström'", f"folder glob '{folder}/?ngstr?m'", "folder contains 'gström'"):
        assert names(library, normalize(asked, where)) == {found, "cafe menu.txt"}, where
    for where in ("name contains 'cafe'", "name glob 'cafe*'", "name != 'café menu.txt'"):
        assert names(library, normalize(asked, where)) == {"cafe menu.txt"}, where
    assert names(library, "title contains 'é' or camera glob '*é*'") == set()
    (hit,) = library.search(normalize(asked, "café"), mode="keyword", filter="name contains 'é'")
    assert hit.path.name == found


@pytest.mark.slow
def test_a_root_whose_name_is_no_text_can_be_asked_for(library: Library, folder: Path) -> None:
    odd = folder / os.fsdecode(b"caf\xe9 \xc3\xa9")
    words(odd / "a.txt", "a red bus")
    library.ingest(odd)
    assert names(library, "root contains 'é' and path contains 'é'") == {"a.txt"}


@pytest.mark.slow
def test_of_two_copies_only_the_one_that_passes_the_filter_is_shown(filled: Library, folder: Path) -> None:
    copy = folder / "copies" / "other.png"
    copy.parent.mkdir()
    copy.write_bytes((folder / "far" / "wide.png").read_bytes())
    filled.ingest(folder)
    assert names(filled, "width = 64") == {"wide.png", "other.png"}
    assert names(filled, "width = 64 and path glob '*/copies/*'") == {"other.png"}
    assert names(filled, "width = 64 and not path glob '*/copies/*'") == {"wide.png"}
    copy.unlink()
    filled.ingest(folder)
    assert names(filled, "path glob '*/copies/*'") == set(), "a missing file is not found"


@pytest.mark.slow
def test_a_keyword_search_is_limited_to_items_that_pass_the_filter(filled: Library) -> None:
    for mode in ("hybrid", "keyword"):
        found = filled.search("small", 50, filter="not name = small.png", mode=mode)
        assert "small.png" not in {hit.path.name for hit in found}
    assert [hit.path.name for hit in filled.search("small", 5, filter="width = 32", mode="keyword")] == ["small.png"]


def test_a_senseless_filter_is_refused_before_the_catalog_is_read(library: Library) -> None:
    with pytest.raises(InvalidInput, match="did you mean width"):
        library.search("red", filter="with > 3")


@pytest.mark.slow
@pytest.mark.parametrize(("where", "status"), [("width = 64", 1), ("widht = 64", 2)])
def test_the_query_command_filters_and_points_at_a_misspelt_field(
    filled: Library, run: Run, where: str, status: int
) -> None:
    done = run("query", "red", "--filter", where, "--paths", "--library", filled.path)
    assert done.returncode == status, done.stderr
    if status == 2:
        assert b"did you mean width?\n  widht = 64\n  ^^^^^\n" in done.stderr
    else:
        assert [Path(line).name for line in done.stdout.decode().splitlines()] == ["wide.png"]


@pytest.mark.slow
def test_a_filter_may_list_thousands_of_values(filled: Library, folder: Path) -> None:
    wanted = [f"{n}.png" for n in range(3990)] + ["03.png", "07.png", "small.png"]
    expected = {"03.png", "07.png", "small.png"} | {f"{n}.png" for n in range(10, 30)}
    listed = ", ".join(wanted)
    assert names(filled, f"name in ({listed})", k=100) == expected
    assert names(filled, f"not name in ({listed})", k=100) & expected == set()
    paths = ", ".join(f"'{folder / 'near' / name}'" for name in wanted)
    assert names(filled, f"path in ({paths})", k=100) == expected - {"small.png"}

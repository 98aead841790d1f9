"""A sidecar's date, place and stars are its picture's, in filters and in listings, as long as both are there."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image

from mmsearch.library import Library
from tests.media.test_captions import with_xmp
from tests.media.test_sidecar import xmp
from tests.media_files import photo, wav
from tests.module_library import ModuleLibrary
from tests.raw_files import raw_file

SAID = """<rdf:Description xmp:Rating="4" exif:GPSLatitude="59,54.6N" exif:GPSLongitude="10,44.4E">
 <exif:DateTimeOriginal>2019-05-01T10:20:30</exif:DateTimeOriginal></rdf:Description>"""
TAKEOUT = {
    "title": "IMG_1.jpg",
    "photoTakenTime": {"timestamp": "1556706030"},
    "geoData": {"latitude": 0.0, "longitude": 0.0},
    "geoDataExif": {"latitude": 59.91, "longitude": 10.74},
}
"""2019-05-01 10:20:30 UTC."""
THERE = "within(59, 10, 60, 11)"


def fill(folder: Path) -> None:
    """Pictures and a sound with all kinds of sidecars, one with none, one with a note, and two with facts inside."""
    for n, name in enumerate(("A.xmp", "B.jpg.xmp", "C.jpg.json", "D.jpg.supplemental-metadata.json")):
        photo(folder / f"{name[0]}.jpg", width=32 + n)
        (folder / name).write_text(json.dumps(TAKEOUT) if name.endswith("json") else xmp(SAID), "utf-8")
    wav(folder / "E.wav", 1)
    (folder / "E.xmp").write_text(xmp(SAID), "utf-8")
    photo(folder / "alone.jpg", width=50)
    photo(folder / "noted.jpg", width=52)
    (folder / "noted.txt").write_text("a red apple, 2019-05-01")
    (folder / "noted.json").write_text(json.dumps({"taken": "2019-05-01", "sidecar": True, "note": "an apple"}))
    exif = Image.Exif()
    exif.get_ifd(0x8769)[36867] = "2021:01:02 03:04:05"
    photo(folder / "dated.jpg", exif=exif, width=54)
    (folder / "dated.xmp").write_text(xmp(SAID), "utf-8")
    with_xmp(folder / "inside.jpg")
    raw_file(
        folder / "DSC_1.NEF", dng=False, size=(400, 300), preview=(200, 150), camera={36867: (2, "2020:07:04 05:06:07")}
    )


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


def names(library: Library, asked: str) -> str:
    """Of the items that are no text, without their suffixes."""
    return " ".join(item.path.stem for item in library.items(asked) if item.modality != "text")


FOUND = (
    ("taken = 2019-05", "A B C D E"),
    ("taken in (2018, 2019)", "A B C D E"),
    ("taken > 2019", "DSC_1 dated inside"),
    ("taken is known", "A B C D DSC_1 E dated inside"),
    ("taken is missing", "alone noted"),
    ("not taken = 2019", "DSC_1 alone dated inside noted"),
    (THERE, "A B C D E dated inside"),
    (f"not {THERE}", "DSC_1 alone noted"),
    ("longitude is missing", "DSC_1 alone noted"),
    ("meta.rating >= 4", "A B E dated inside"),
    ("meta.rating is known", "A B E dated inside"),
    ("meta.rating is missing", "C D DSC_1 alone noted"),
    ("not meta.rating = 4", "C D DSC_1 alone noted"),
    ("width = 400 and height = 300 and taken = 2020-07 and camera contains D5300", "DSC_1"),
    ("tag = Fjord and title contains beach and taken = 2024-05", "inside"),
)


@pytest.mark.slow
def test_a_filter_asks_a_file_and_its_sidecar(library: Library) -> None:
    for asked, found in FOUND:
        assert names(library, asked) == found, asked
        hits = library.search("red", 20, filter=f"({asked}) and not modality = text")
        assert sorted(hit.path.stem for hit in hits) == found.split(), f"asked of a list as of each file: {asked}"


def test_an_item_shows_what_its_sidecar_says(library: Library, folder: Path) -> None:
    item = library.get(folder / "A.jpg")
    assert item is not None and item.meta == {"rating": 4}
    assert (item.taken, item.gps) == (datetime(2019, 5, 1, 10, 20, 30), (59.91, 10.74))
    item = library.get(folder / "dated.jpg")
    assert item is not None and item.taken == datetime(2021, 1, 2, 3, 4, 5), "its own clock first"


def test_stars_that_a_person_gave_come_before_a_sidecars(library: Library, folder: Path) -> None:
    library.set_meta(folder / "A.jpg", {"rating": 2})
    assert names(library, "meta.rating = 4") == "B E dated inside" and names(library, "meta.rating < 3") == "A"
    item = library.get(folder / "A.jpg")
    assert item is not None and item.meta == {"rating": 2}


@pytest.mark.slow
def test_a_sidecar_that_changes_or_goes_takes_what_it_said_along(library: Library, folder: Path) -> None:
    (folder / "A.xmp").write_text(xmp(SAID.replace("2019", "2012").replace('Rating="4"', 'Rating="5"')), "utf-8")
    (folder / "B.jpg.xmp").unlink()
    library.ingest(folder)
    assert names(library, "taken = 2012 and meta.rating = 5") == "A" and names(library, "taken = 2019") == "C D E"
    assert names(library, "taken is missing and meta.rating is missing and latitude is missing") == "B alone noted"


def test_keywords_title_words_and_stars_inside_a_picture_are_found(library: Library, folder: Path) -> None:
    item = library.get(folder / "inside.jpg")
    assert item is not None and item.tags == ("Fjord", "beach", "dog") and item.title == "At the beach"
    assert item.meta == {"rating": 4}
    for words in ("fjord", "beach", "kite", "anna", "oslo"):
        assert [hit.path.name for hit in library.search(words, mode="keyword")] == ["inside.jpg"], words


@pytest.mark.slow
def test_an_edit_keeps_the_stars_a_person_gave_and_not_the_files(library: Library, folder: Path) -> None:
    path = folder / "inside.jpg"
    path.write_bytes(path.read_bytes().replace(b'Rating="4"', b'Rating="5"'))
    assert library.ingest(folder).changed == 1
    assert names(library, "meta.rating = 5") == "inside"
    library.set_meta(path, {"rating": 1})
    path.write_bytes(path.read_bytes().replace(b'Rating="5"', b'Rating="3"'))
    assert library.ingest(folder).changed == 1
    assert names(library, "meta.rating = 1") == "inside" and "inside" not in names(library, "meta.rating = 3")

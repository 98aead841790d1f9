"""Times as cameras write them and as names tell them; places as phones write them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mmsearch import Library
from mmsearch.catalog.contents import filter_columns
from mmsearch.media.container import place, tags
from mmsearch.media.dates import time_in_name, written_time
from mmsearch.media.video import VideoDecoder
from mmsearch.types import Limits, Windowing
from tests.generated import picture
from tests.media_files import RED, clip


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2019:06:30 12:34:56", "2019-06-30T12:34:56"),
        ("2019-06-30 12:34:56", "2019-06-30T12:34:56"),
        ("2019/06/30 12:34:56\x00", "2019-06-30T12:34:56"),
        ("2019-06-30T12:34:56.25+02:00", "2019-06-30T12:34:56+02:00"),
        ("2019-06-30T12:34:56Z", "2019-06-30T12:34:56Z"),
        ("2019:13:30 12:34:56", None),
        ("0000:00:00 00:00:00", None),
        ("    :  :     :  :  ", None),
        ("None", None),
    ],
)
def test_a_time_of_a_camera_is_read_with_colons_dashes_and_slashes(text: str, moment: str | None) -> None:
    assert written_time(text) == moment


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("IMG-20240501-WA0001.jpg", "2024-05-01"),
        ("VID-20240501-WA0012.mp4", "2024-05-01"),
        ("IMG_20240501_123456.jpg", "2024-05-01T12:34:56"),
        ("IMG_20240501_123456789.jpg", "2024-05-01T12:34:56"),
        ("20240501_123456(0).jpg", "2024-05-01T12:34:56"),
        ("Screenshot 2024-05-01 at 12.34.56.png", "2024-05-01T12:34:56"),
        ("Screenshot_2024-05-01-12-34-56-78_a.png", "2024-05-01T12:34:56"),
        ("WhatsApp Image 2024-05-01 at 12.34.56 (1).jpeg", "2024-05-01T12:34:56"),
        ("2024-05-01 dinner.jpg", "2024-05-01"),
        ("2024_05_01.jpg", "2024-05-01"),
        ("IMG_20240501_996699.jpg", "2024-05-01"),
        ("IMG_20241301.jpg", None),
        ("IMG_19040101.jpg", None),
        ("DSC_0001.jpg", None),
        ("120240501.jpg", None),
        ("202405.jpg", None),
        ("2024-05.01.jpg", None),
    ],
)
def test_a_time_in_a_name_is_read(name: str, moment: str | None) -> None:
    assert time_in_name(name) == moment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+59.9139+010.7522/", [59.9139, 10.7522]),
        ("-33.8567+151.2100+012.0/", [-33.8567, 151.21]),
        ("+5954.834+01045.132/", [59.9139, 10.7522]),
        ("+595450.04-0104507.92CRSWGS_84/", [59.9139, -10.7522]),
        ("+00.0000+000.0000/", None),
        ("+99.0000+010.0000/", None),
        ("Oslo", None),
    ],
)
def test_a_place_of_a_phone_is_read(text: str, expected: list[float] | None) -> None:
    found = place(text)
    assert found == (expected and pytest.approx(expected, abs=1e-5))


def test_a_video_tells_place_camera_and_local_time(tmp_path: Path) -> None:
    apple = {
        "creation_time": "2024-05-01T22:30:00.000000Z", "com.apple.quicktime.creationdate": "2024-05-02T00:30:00+0200",
        "com.apple.quicktime.location.ISO6709": "+59.9139+010.7522+012.0/", "com.apple.quicktime.make": "Acme",
        "com.apple.quicktime.model": "Phone 1",
    }  # fmt: skip
    said: Any = SimpleNamespace(
        format=SimpleNamespace(name="mov"), metadata=apple, streams=[SimpleNamespace(metadata={"encoder": "x"})]
    )
    assert filter_columns(tags(said)) == {
        "duration": None, "width": None, "height": None, "title": None, "camera": "Acme Phone 1",
        "taken": "2024-05-02T00:30:00", "latitude": 59.9139, "longitude": 10.7522,
    }  # fmt: skip
    decoder = VideoDecoder(Windowing(), Limits())
    android = clip(tmp_path / "x.mp4", [RED] * 5, tags={"location": "+59.9139+010.7522/"})
    assert decoder.describe(android)["gps"] == [59.9139, 10.7522]
    unset = decoder.describe(clip(tmp_path / "y.mp4", [RED] * 5, tags={"creation_time": "1970-01-01T00:00:00Z"}))
    assert "created" not in unset and "gps" not in unset


@pytest.mark.slow
def test_filters_know_the_time_in_a_name_where_the_file_has_none(library: Library, folder: Path) -> None:
    picture(folder / "IMG-20240501-WA0001.png", "red")
    picture(folder / "plain.png", "red", mark=1)
    utc = {"creation_time": "2024-05-01T22:30:00Z"}
    clip(folder / "VID_20240502_003000.mp4", [RED] * 5, tags=utc)
    clip(folder / "VID_20190101_003000.mp4", [RED] * 6, tags=utc)
    library.ingest(folder)

    def taken(when: str) -> set[str]:
        return {hit.path.name for hit in library.search("red", filter=f"taken = {when}")}

    assert taken("2024-05-01") == {"IMG-20240501-WA0001.png", "VID_20190101_003000.mp4"}
    assert taken("2024-05-02") == {"VID_20240502_003000.mp4"}

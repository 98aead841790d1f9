"""Raw pictures are shown by their largest preview, or developed, and have the size of the sensor's picture."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmsearch.errors import LimitExceeded, Unsupported
from mmsearch.media import tiff
from mmsearch.media.image import ImageDecoder
from mmsearch.types import Limits, Metadata, Windowing
from tests.media.test_image import TURNED
from tests.media_files import CORNERS, corners
from tests.raw_files import mosaic, raw_file

DECODER = ImageDecoder(Windowing(), Limits())
FROM_THE_SENSOR = (300, 400)
"""What half of a sensor's picture of 800 x 600 is."""


def seen(path: Path, decoder: ImageDecoder = DECODER) -> tuple[Metadata, Any]:
    (segment,) = decoder.decode(path)
    return decoder.describe(path), segment.data


@pytest.mark.parametrize("dng", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_raw_picture_is_seen_by_its_preview_and_has_the_sensors_size(tmp_path: Path, dng: bool, order: str) -> None:
    facts, pixels = seen(raw_file(tmp_path / "x.raw", dng=dng, order=order))
    assert pixels.shape == (480, 640, 3) and corners(pixels) == list(CORNERS)
    assert (facts["width"], facts["height"], facts["format"]) == (800, 600, "RAW")


@pytest.mark.parametrize("preview", [None, (100, 75)])
def test_without_a_preview_that_is_large_enough_the_sensors_picture_is_developed(
    tmp_path: Path, preview: tuple[int, int] | None
) -> None:
    facts, pixels = seen(raw_file(tmp_path / "x.dng", preview=preview))
    assert pixels.shape == (*FROM_THE_SENSOR, 3) and corners(pixels) == list(CORNERS)
    assert (facts["width"], facts["height"]) == (800, 600)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("preview", [(640, 480), None])
def test_a_raw_picture_is_turned_as_its_camera_was(
    tmp_path: Path, orientation: int, preview: tuple[int, int] | None
) -> None:
    facts, pixels = seen(raw_file(tmp_path / "x.dng", preview=preview, tags={274: (3, orientation)}))
    assert corners(pixels) == TURNED[orientation]
    assert (facts["width"], facts["height"]) == ((800, 600) if orientation < 5 else (600, 800))


def test_a_preview_that_is_upright_already_is_not_turned_again(tmp_path: Path) -> None:
    facts, pixels = seen(raw_file(tmp_path / "x.dng", preview=(480, 640), tags={274: (3, 6)}))
    assert pixels.shape == (640, 480, 3) and corners(pixels) == list(CORNERS)
    assert (facts["width"], facts["height"]) == (600, 800)


def test_a_raw_picture_has_its_cameras_facts_and_a_persons_words(tmp_path: Path) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    xmp += b'<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    xmp += b'xmp:Rating="4"><dc:subject><rdf:Bag><rdf:li>heron</rdf:li></rdf:Bag></dc:subject><dc:description>'
    xmp += b"<rdf:Alt><rdf:li>At the weir</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>"
    path = raw_file(
        tmp_path / "x.nef",
        dng=False,
        tags={700: (1, xmp)},
        camera={36867: (2, "2021:07:04 05:06:07"), 42036: (2, "AF-S 50mm")},
        place={1: (2, "S"), 2: (5, (33, 52, 4)), 3: (2, "E"), 4: (5, (151, 12, 36))},
    )
    (segment,) = DECODER.decode(path)
    assert segment.span.text == "At the weir"
    assert DECODER.describe(path) == {
        "width": 800,
        "height": 600,
        "format": "RAW",
        "taken": "2021-07-04T05:06:07",
        "make": "NIKON CORPORATION",
        "model": "NIKON D5300",
        "lens": "AF-S 50mm",
        "gps": [-33.867778, 151.21],
        "keywords": ["heron"],
        "rating": 4.0,
    }


def test_without_the_extra_a_raw_picture_is_refused_and_the_extra_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = raw_file(tmp_path / "x.dng")
    monkeypatch.setitem(sys.modules, "rawpy", None)
    assert DECODER.accepts(path, path.read_bytes()[:8192]), "it is a picture all the same"
    with pytest.raises(Unsupported, match=r"a camera's raw picture \(DNG\).*pip install 'mmsearch\[raw\]'"):
        DECODER.describe(path)


def test_what_libraw_does_not_know_is_seen_by_its_preview(tmp_path: Path) -> None:
    """A new camera's: a sensor's picture packed in a way of its own."""
    path = raw_file(tmp_path / "x.new", dng=False, sensor={259: (3, 65000)}, tags={271: (2, "New"), 272: (2, "One")})
    facts, pixels = seen(path)
    assert pixels.shape == (480, 640, 3) and (facts["width"], facts["model"]) == (800, "One")


def test_a_thumbnail_is_never_taken_for_the_picture(tmp_path: Path) -> None:
    path = raw_file(tmp_path / "x.dng", preview=(100, 75), data=bytes(100))
    with pytest.raises(Unsupported, match="cut off, or of a variant that LibRaw can't read"):
        list(DECODER.decode(path))


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x18ftypcrx ", "CR3"),
        (b"II\x1a\0\0\0HEAPCCDR", "CRW"),
        (b"FUJIFILMCCD-RAW 0201\0", "RAF"),
        (b"FOVb\x03\0\x02\0", "X3F"),
        (b"\0MRM\0\0\x0a\x0c", "MRW"),
        (b"IIU\0\x18\0\0\0", "RW2"),
        (b"IIRO\x08\0\0\0", "ORF"),
        (b"II*\0\x10\0\0\0CR\x02\0\0\0\0\0", "CR2"),
    ],
)
def test_a_raw_picture_of_which_nothing_can_be_read_is_unsupported_by_name(
    tmp_path: Path, head: bytes, kind: str
) -> None:
    path = tmp_path / "x"
    path.write_bytes(head + bytes(2000))
    assert DECODER.accepts(path, path.read_bytes())
    with pytest.raises(Unsupported, match=kind):
        DECODER.describe(path)
        list(DECODER.decode(path))


def test_a_tiff_that_no_sensor_made_is_a_tiff(tmp_path: Path) -> None:
    Image.fromarray(mosaic(64, 48).astype(np.uint8)).save(tmp_path / "x.tif")
    assert seen(tmp_path / "x.tif")[0] == {"width": 64, "height": 48, "format": "TIFF"}


HUGE = 2**31


@pytest.mark.parametrize(
    "made",
    [
        {"sensor": {256: (4, 60_000), 257: (4, 60_000)}},
        {"sensor": {256: (4, HUGE), 257: (4, HUGE)}},
        {"preview": None, "sensor": {279: (4, HUGE)}, "data": bytes(64)},
        {"preview": None, "sensor": {273: (4, HUGE)}, "data": bytes(64)},
        {"preview": None, "sensor": {330: (4, (8,) * 5000)}, "data": bytes(64)},
        {"preview": None, "sensor": {259: (3, 7)}, "data": b"\xff\xd8\xff\xc3\0\x11\x0e\xff\xff\xff\xff\x01" * 4},
    ],
)
def test_a_bomb_is_refused(tmp_path: Path, made: dict[str, Any]) -> None:
    path = raw_file(tmp_path / "x.dng", **made)
    with pytest.raises((LimitExceeded, Unsupported)):
        DECODER.describe(path)
        list(DECODER.decode(path))


def test_directories_that_name_each_other_are_read_once(tmp_path: Path) -> None:
    entry = b"\x4a\x01\x04\0\x01\0\0\0\x08\0\0\0"
    (tmp_path / "x.tif").write_bytes(b"II*\0\x08\0\0\0" + b"\x01\0" + entry + b"\x08\0\0\0")
    with open(tmp_path / "x.tif", "rb") as file:
        assert list(tiff.directories(file)) == [{330: (8,)}]
    (tmp_path / "x.tif").write_bytes(b"II*\0\xff\xff\xff\xff")
    assert tiff.layout_of(tmp_path / "x.tif") == tiff.NOTHING

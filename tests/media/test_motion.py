"""The film of a motion photo is searched with its still, whoever's phone put it there."""

import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmsearch.library import Library
from mmsearch.media import motion
from mmsearch.media.evidence import EvidenceMaker
from mmsearch.media.image import ImageDecoder
from mmsearch.types import Limits, Query, Windowing
from tests.media_files import BLUE, GREEN, RED, clip

DECODER = ImageDecoder(Windowing(), Limits())
OFFSET = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
 <rdf:Description xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:MicroVideo="1"
 GCamera:MicroVideoOffset="{length}"/></rdf:RDF></x:xmpmeta>"""
ITEMS = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
 <rdf:Description xmlns:Container="http://ns.google.com/photos/1.0/container/"
 xmlns:Item="http://ns.google.com/photos/1.0/container/item/"><Container:Directory><rdf:Seq>
 <rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="Primary" Item:Mime="image/jpeg"/></rdf:li>
 <rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="MotionPhoto" Item:Mime="video/mp4"
 Item:Length="{length}"/></rdf:li></rdf:Seq></Container:Directory></rdf:Description></rdf:RDF></x:xmpmeta>"""


def film(folder: Path, suffix: str = ".mp4") -> bytes:
    """Three seconds: green, blue and green; a tone of 1 kHz."""
    return clip(folder / f"film{suffix}", [GREEN] * 10 + [BLUE] * 10 + [GREEN] * 10, sound_s=3).read_bytes()


def still(path: Path, **options: Any) -> Path:
    Image.new("RGB", (64, 48), RED).save(path, **options)
    return path


def google(path: Path, data: bytes, xmp: str) -> Path:
    still(path, xmp=xmp.format(length=len(data)).encode())
    path.write_bytes(path.read_bytes() + data)
    return path


def samsung(path: Path, data: bytes) -> Path:
    """Its trailer: a block with a name, then where the blocks are."""
    block = b"\0\0\x30\x0a" + struct.pack("<I", 16) + b"MotionPhoto_Data" + data
    table = b"SEFH" + struct.pack("<IIHHII", 107, 1, 0, 0x0A30, len(block), len(block))
    path.write_bytes(still(path).read_bytes() + block + table + struct.pack("<I", len(table)) + b"SEFT")
    return path


def heic(path: Path, data: bytes) -> Path:
    """In a box of its own."""
    path.write_bytes(still(path).read_bytes() + struct.pack(">I", 8 + len(data)) + b"mpvd" + data)
    return path


def motion_photo(folder: Path, kind: str) -> Path:
    data = film(folder, ".mov" if kind == "quicktime" else ".mp4")
    if kind == "samsung":
        return samsung(folder / "x.jpg", data)
    if kind == "heic":
        return heic(folder / "x.heic", data)
    return google(folder / "x.jpg", data, ITEMS if kind == "items" else OFFSET)


def colours(path: Path) -> list[tuple[int, ...]]:
    """Of each picture, the channels that are lit."""
    shown = [segment.data for segment in DECODER.decode(path) if segment.modality == "image"]
    return [tuple(int(value > 127) for value in pixels[20, 20]) for pixels in shown if not isinstance(pixels, str)]


@pytest.mark.parametrize("kind", ["offset", "items", "samsung", "heic", "quicktime"])
def test_three_frames_and_the_sound_of_the_film_follow_the_still(tmp_path: Path, kind: str) -> None:
    path = motion_photo(tmp_path, kind)
    found = list(DECODER.decode(path))
    assert [one.modality for one in found] == ["image"] * 4 + ["audio"]
    assert [(one.span.start, one.span.end) for one in found[:4]] == [(None, None), (0, 1), (1, 2), (2, 3)]
    assert found[4].rate == 16_000 and found[4].span.end == pytest.approx(3, abs=0.1)
    assert colours(path) == [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 0)]
    facts = DECODER.describe(path)
    assert (facts["width"], facts["height"]) == (64, 48)


def test_a_motion_photo_and_its_still_are_the_same_picture(tmp_path: Path) -> None:
    data = film(tmp_path)
    made = []
    for path in (samsung(tmp_path / "x.jpg", data), still(tmp_path / "y.jpg")):
        maker = EvidenceMaker("image")
        for segment in DECODER.decode(path):
            maker.add(segment)
        made.append(maker.finish())
    assert made[0] == made[1] != b""


@pytest.mark.parametrize("cut", [8, 100, 2000])
def test_a_still_with_a_damaged_film_is_a_still(tmp_path: Path, cut: int) -> None:
    path = google(tmp_path / "x.jpg", film(tmp_path)[:cut], OFFSET)
    assert colours(path) == [(1, 0, 0)]


def test_a_film_of_minutes_or_too_many_pixels_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = motion_photo(tmp_path, "offset")
    small = ImageDecoder(Windowing(), Limits(duration_s=2))
    assert len(list(small.decode(path))) == 1
    monkeypatch.setattr(motion, "LARGEST", 1000)
    assert motion.film_in(path) is None


def test_words_that_look_like_a_film_are_none(tmp_path: Path) -> None:
    path = still(tmp_path / "x.jpg")
    path.write_bytes(path.read_bytes() + b"\0\0\0\x20ftypheic" + b"an ftypmp42 in words" * 10)
    assert motion.film_in(path) is None
    assert motion.film_in(still(tmp_path / "x.png")) is None


@pytest.mark.slow
def test_a_motion_photo_is_found_by_its_film_and_its_sound(library: Library, folder: Path, tmp_path: Path) -> None:
    path = samsung(folder / "IMG_1.jpg", film(tmp_path))
    assert library.ingest(folder).segments == 5
    (hit,) = library.search("red")
    assert (hit.path, hit.modality, hit.start) == (path, "image", None) and hit.cosine == pytest.approx(1, abs=0.01)
    (hit,) = library.search("blue")
    assert (hit.path, hit.matched, hit.start, hit.end) == (path, "image", 1.0, 2.0)
    (hit,) = library.search("mid")
    assert (hit.path, hit.modality, hit.matched) == (path, "image", "audio")
    assert [moment.start for moment in library.search("green", moments=True)[0].moments][:1] == [0.0]
    assert library.search(Query(image=path))[0].path == path, "by its pictures alone"

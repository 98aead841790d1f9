"""What people wrote inside pictures, in each of the ways that programs write it."""

import struct
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from mmsearch.media.captions import LARGEST
from mmsearch.media.image import ImageDecoder
from mmsearch.media.iptc import read_iptc
from mmsearch.media.written import LONGEST, MOST, Written
from mmsearch.types import Limits, Metadata, Windowing
from tests.media.test_sidecar import BOMB, FETCH, FULL, xmp
from tests.media_files import photo

DECODER = ImageDecoder(Windowing(), Limits())
PACKET = xmp(FULL).encode()
FACTS = {
    "title": "At the beach",
    "keywords": ["beach", "dog", "Fjord"],
    "people": ["Anna", "Bo"],
    "places": ["Oslo", "Norway"],
    "taken": "2024-05-01T10:20:30+02:00",
    "rating": 4.0,
    "gps": [59.91, 10.74],
}
WORDS = "Two dogs & a kite\nAnna, Bo\nOslo, Norway"


def read(path: Path) -> tuple[Metadata, str | None]:
    """What a person wrote of it, without what a camera did; and the words of its first segment."""
    facts = DECODER.describe(path)
    return {name: facts[name] for name in FACTS if name in facts}, next(iter(DECODER.decode(path))).span.text


def data_sets(found: Mapping[tuple[int, int], bytes | list[bytes]]) -> bytes:
    made = b""
    for (record, name), values in found.items():
        for value in values if isinstance(values, list) else [values]:
            made += struct.pack(">BBBH", 0x1C, record, name, len(value)) + value
    return made


IIM = data_sets(
    {
        (1, 90): b"\x1b%G",
        (2, 5): b"At the beach",
        (2, 25): [b"beach", b"dog", "Fjørd".encode()],
        (2, 120): b"Two dogs & a kite",
        (2, 90): b"Oslo",
        (2, 101): b"Norway",
        (2, 55): b"20240501",
        (2, 60): b"102030+0200",
    }
)


def in_app13(path: Path, block: bytes, number: int = 0x0404) -> Path:
    """Put Photoshop's resource of a number into a JPEG."""
    resource = b"8BIM" + struct.pack(">HHI", number, 0, len(block)) + block + b"\0" * (len(block) % 2)
    body = b"Photoshop 3.0\0" + resource
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xed" + struct.pack(">H", len(body) + 2) + body + data[2:])
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif", ".heic"])
def test_xmp_inside_a_picture_is_read_as_in_a_sidecar(tmp_path: Path, suffix: str) -> None:
    assert read(photo(tmp_path / f"x{suffix}", xmp=PACKET)) == (FACTS, WORDS)


def test_xmp_inside_a_png_is_read(tmp_path: Path) -> None:
    chunk = PngImagePlugin.PngInfo()
    chunk.add_itxt("XML:com.adobe.xmp", PACKET.decode())
    assert read(photo(tmp_path / "x.png", pnginfo=chunk)) == (FACTS, WORDS)


def test_xmp_and_iptc_inside_a_tiff_are_read(tmp_path: Path) -> None:
    path = photo(tmp_path / "x.tif", tiffinfo={700: PACKET})
    assert read(path) == (FACTS, WORDS)
    padded = IIM + b"\0" * (-len(IIM) % 4)
    path = photo(tmp_path / "y.tif", tiffinfo={33723: padded})
    assert read(path)[0]["keywords"] == ["beach", "dog", "Fjørd"]


def test_iptc_inside_a_picture_is_read(tmp_path: Path) -> None:
    facts, words = read(in_app13(photo(tmp_path / "x.jpg"), IIM))
    assert facts == {
        "title": "At the beach",
        "keywords": ["beach", "dog", "Fjørd"],
        "places": ["Oslo", "Norway"],
        "taken": "2024-05-01T10:20:30+0200",
    }
    assert words == "Two dogs & a kite\nOslo, Norway"


@pytest.mark.parametrize(("written", "mark"), [("utf-8", b"\x1b%G"), ("utf-8", None), ("cp1252", None)])
def test_iptc_is_read_in_the_encoding_that_it_has(written: str, mark: bytes | None) -> None:
    block = data_sets({**({(1, 90): mark} if mark else {}), (2, 25): "Käse".encode(written)})
    assert read_iptc(block) == Written(keywords=("Käse",))


def test_a_caption_of_iptc_may_be_longer_than_two_bytes_say() -> None:
    text = b"x" * 70_000
    block = b"\x1c\x02\x78\x80\x04" + struct.pack(">I", len(text)) + text + data_sets({(2, 25): b"dog"})
    assert read_iptc(block) == Written(described=(text.decode(),), keywords=("dog",))


@pytest.mark.parametrize("cut", range(0, len(IIM), 7))
def test_damaged_iptc_gives_what_comes_before_the_damage(cut: int) -> None:
    found = read_iptc(IIM[:cut])
    assert found.keywords == ("beach", "dog", "Fjørd")[: len(found.keywords)]
    assert found.title in ("", "At the beach")


def test_what_windows_writes_into_exif_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "A kite"
    exif[0x4746] = 5
    for tag, text in {0x9C9B: "Am Strand", 0x9C9C: "zwei Möwen", 0x9C9E: "Strand;Möwe; Strand"}.items():
        exif[tag] = text.encode("utf-16-le") + b"\0\0"
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "ein Drachen".encode("utf-16-be")
    facts, words = read(photo(tmp_path / "x.jpg", exif=exif))
    assert facts == {"title": "Am Strand", "keywords": ["Strand", "Möwe"], "rating": 5.0}
    assert words == "A kite\nzwei Möwen\nein Drachen"


@pytest.mark.parametrize("said", ["OLYMPUS DIGITAL CAMERA", "SONY DSC", "Exif_JPEG_PICTURE", "default", " "])
def test_what_a_camera_writes_into_every_picture_is_no_description(tmp_path: Path, said: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = said
    assert read(photo(tmp_path / "x.jpg", exif=exif)) == ({}, None)


def test_the_texts_of_a_png_are_read(tmp_path: Path) -> None:
    chunk = PngImagePlugin.PngInfo()
    chunk.add_text("Title", "A kite")
    chunk.add_text("Description", "high up")
    assert read(photo(tmp_path / "x.png", pnginfo=chunk)) == ({"title": "A kite"}, "high up")


def test_exif_is_believed_before_xmp_and_xmp_before_iptc(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[36867] = "2019:01:02 03:04:05"
    path = in_app13(photo(tmp_path / "x.jpg", exif=exif, xmp=PACKET), data_sets({(2, 5): b"Other", (2, 25): b"kite"}))
    facts, _ = read(path)
    assert facts["taken"] == "2019-01-02T03:04:05" and facts["title"] == "At the beach"
    assert facts["keywords"] == ["beach", "dog", "Fjord", "kite"]


TITLE = '<rdf:Description xmp:Rating="3"><dc:title>&l9;</dc:title></rdf:Description>'


@pytest.mark.parametrize(
    "packet",
    [
        xmp(TITLE, BOMB),
        xmp(TITLE.replace("l9", "f"), FETCH),
        xmp("<rdf:Bag>" * 100 + "</rdf:Bag>" * 100),
        xmp(FULL)[:400],
        "\0" * 100,
        xmp(FULL) + " " * LARGEST,
    ],
)
def test_hostile_xmp_leaves_the_picture_as_it_is(tmp_path: Path, packet: str) -> None:
    path = photo(tmp_path / "x.webp", xmp=packet.encode())
    assert read(path) == ({}, None)


@pytest.mark.slow
def test_what_is_read_of_a_picture_is_bounded(tmp_path: Path) -> None:
    block = data_sets({(2, 25): [f"{n} {'x' * 300}".encode() for n in range(MOST + 5)]})
    found = read_iptc(block)
    assert len(found.keywords) == MOST and {len(word) for word in found.keywords} == {LONGEST}


def with_xmp(path: Path) -> None:
    photo(path, xmp=PACKET)

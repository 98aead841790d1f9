"""Sidecars: what XMP and Takeout's JSON say, and hostile ones."""

import json
from pathlib import Path

import pytest

from mmsearch.errors import Corrupt, LimitExceeded, Unsupported
from mmsearch.media import sidecar, written
from mmsearch.media.text import TextDecoder
from mmsearch.types import Limits, Windowing

NAMESPACES = """xmlns:x="adobe:ns:meta/" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 xmlns:lr="http://ns.adobe.com/lightroom/1.0/" xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" """

FULL = """
<rdf:Description rdf:about="" xmp:Rating="4" photoshop:City="Oslo" photoshop:Country="Norway"
  exif:GPSLatitude="59,54.6N" exif:GPSLongitude="10,44,24E">
 <exif:DateTimeOriginal>2024-05-01T10:20:30+02:00</exif:DateTimeOriginal>
 <dc:title><rdf:Alt><rdf:li xml:lang="de">Am Strand</rdf:li><rdf:li xml:lang="x-default">At the beach</rdf:li>
 </rdf:Alt></dc:title>
 <dc:description><rdf:Alt><rdf:li xml:lang="x-default">Two dogs &amp; a kite</rdf:li></rdf:Alt></dc:description>
 <dc:subject><rdf:Bag><rdf:li>beach</rdf:li><rdf:li>dog</rdf:li></rdf:Bag></dc:subject>
 <lr:hierarchicalSubject><rdf:Bag><rdf:li>Animals|dog</rdf:li><rdf:li>Places|Fjord</rdf:li></rdf:Bag></lr:hierarchicalSubject>
 <Iptc4xmpExt:PersonInImage><rdf:Bag><rdf:li>Anna</rdf:li></rdf:Bag></Iptc4xmpExt:PersonInImage>
 <mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:RegionList><rdf:Bag><rdf:li>
   <rdf:Description mwg-rs:Name="Bo" mwg-rs:Type="Face"/></rdf:li></rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>
</rdf:Description>"""


def xmp(inside: str, before: str = "") -> str:
    packet = f"<x:xmpmeta {NAMESPACES}><rdf:RDF>{inside}</rdf:RDF></x:xmpmeta>"
    return f'{before}<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n{packet}\n<?xpacket end="w"?>'


@pytest.fixture
def decoder() -> TextDecoder:
    return TextDecoder(Windowing(), Limits())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_an_xmp_sidecar_gives_its_text_and_metadata(decoder: TextDecoder, tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "IMG_1.xmp"
    path.write_bytes(xmp(FULL).encode(encoding))
    assert decoder.accepts(path, path.read_bytes()[:8192])
    (segment,) = decoder.decode(path)
    assert segment.data == "At the beach\nTwo dogs & a kite\nbeach, dog, Fjord\nAnna, Bo\nOslo, Norway"
    assert decoder.describe(path) == {
        "sidecar": True,
        "title": "At the beach",
        "keywords": ["beach", "dog", "Fjord"],
        "people": ["Anna", "Bo"],
        "places": ["Oslo", "Norway"],
        "taken": "2024-05-01T10:20:30+02:00",
        "rating": 4.0,
        "gps": [59.91, 10.74],
    }


def test_a_sidecar_without_words_is_unsupported(decoder: TextDecoder, tmp_path: Path) -> None:
    path = tmp_path / "IMG_1.xmp"
    path.write_text(xmp('<rdf:Description xmp:Rating="0" crs:Exposure="1" xmlns:crs="c"/>'), "utf-8")
    assert decoder.describe(path) == {"sidecar": True, "rating": 0.0}
    with pytest.raises(Unsupported, match="no text in it"):
        list(decoder.decode(path))


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMB = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]>'
FETCH = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (xmp("<rdf:Description><dc:title>&l9;</dc:title></rdf:Description>", BOMB), Corrupt, "document type"),
        (xmp("<rdf:Description><dc:title>&f;</dc:title></rdf:Description>", FETCH), Corrupt, "document type"),
        (xmp(FULL)[:-300], Corrupt, "damaged"),
        (xmp("<dc:title>&unknown;</dc:title>"), Corrupt, "damaged"),
        (xmp("<nope:title/>"), Corrupt, "damaged"),
        (xmp("<dc:title>" * 100_000), LimitExceeded, "nested deeper than 64"),
        ('{"title": "a.jpg", "geoData": ' + "[" * 60_000, Corrupt, "JSON is damaged"),
    ],
    ids=["bomb", "fetch", "truncated", "entity", "prefix", "deep", "json"],
)
def test_hostile_sidecars_are_refused(
    decoder: TextDecoder, tmp_path: Path, text: str, kind: type[Exception], message: str
) -> None:
    path = tmp_path / "a.xmp"
    path.write_text(text, "utf-8")
    with pytest.raises(kind, match=message):
        list(decoder.decode(path))
    with pytest.raises(kind, match=message):
        decoder.describe(path)


def test_a_huge_sidecar_keeps_a_bounded_number_of_values() -> None:
    items = "".join(f"<rdf:li>k{n} {'x' * 300}</rdf:li>" for n in range(written.MOST + 5))
    found = sidecar.read_sidecar(
        xmp(f"<rdf:Description><dc:subject><rdf:Bag>{items}</rdf:Bag></dc:subject></rdf:Description>")
    )
    assert len(found.metadata["keywords"]) == written.MOST
    assert {len(keyword) for keyword in found.metadata["keywords"]} == {written.LONGEST}


def test_a_sidecar_over_the_text_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    path.write_text(xmp(FULL), "utf-8")
    with pytest.raises(LimitExceeded, match="bytes of text"):
        list(TextDecoder(Windowing(), Limits(text_bytes=100)).decode(path))


def test_a_takeout_json_file_is_read_as_a_sidecar() -> None:
    told = {
        "title": "IMG_1.jpg",
        "description": "Two dogs",
        "photoTakenTime": {"timestamp": "1714551630", "formatted": "1 May 2024"},
        "geoData": {"latitude": 59.91, "longitude": 10.74},
        "people": [{"name": "Anna"}, "nonsense"],
    }
    found = sidecar.read_sidecar(json.dumps(told, indent=2))
    assert sidecar.is_sidecar(json.dumps(told, indent=2))
    assert found.words == "Two dogs\nAnna"
    assert found.metadata == {
        "sidecar": True, "people": ["Anna"], "taken": "2024-05-01T08:20:30+00:00", "gps": [59.91, 10.74],
    }  # fmt: skip
    for broken in ({**told, "geoData": 3, "people": 4, "description": 5, "photoTakenTime": {"timestamp": "x"}},):
        assert sidecar.read_sidecar(json.dumps(broken)) == sidecar.Sidecar("", {"sidecar": True})


@pytest.mark.parametrize("text", ["<html>about <?xpacket"[5:], '{"title": "a song"}', "# On <x:xmpmeta", "<p>no</p>"])
def test_other_texts_are_no_sidecars(text: str) -> None:
    assert not sidecar.is_sidecar(text)


@pytest.mark.parametrize(
    "odd",
    [
        {"description": "\ud800 words", "people": [{"name": "\udc00nna"}]},
        {"description": "? words", "people": [{"name": "?nna"}, {"name": [[["x"]]]}, {"name": 7}, {"name": None}, 3]},
        {"description": "? words", "people": [{"name": "?nna"}], "geoData": {"latitude": 10**400, "longitude": 1}},
        {"description": "? words", "people": [{"name": "?nna"}], "photoTakenTime": {"timestamp": "9" * 5000}},
    ],
)
def test_odd_values_in_a_takeout_file_are_left_out_alone(odd: dict[str, object]) -> None:
    read = sidecar.read_sidecar(json.dumps({"title": "x", "geoData": {}, **odd}))
    assert read.words == "? words\n?nna"
    assert read.metadata == {"sidecar": True, "people": ["?nna"]}

"""What is kept of people and places: planted secrets, searched for byte by byte wherever they may not be."""

import io
import json
import struct
from collections.abc import Callable
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
from PIL import Image

from mmsearch.core.keeping import Keeping
from mmsearch.errors import Corrupt, Unsupported
from mmsearch.library import Library
from mmsearch.media.places import tells_place
from mmsearch.media.stripped import strip_jpeg, strip_of, strip_png, strip_webp
from mmsearch.serve.options import ServeOptions
from mmsearch.serve.server import served
from tests.conftest import Run
from tests.media_files import photo, quarters
from tests.serve.running import API, TOKEN

LATITUDE, LONGITUDE = 59.912345, 10.745678

SECRETS = {
    "places": ("Zanzibarstadt", str(LATITUDE), str(LONGITUDE)),
    "camera": ("Kamerawerk", "Spezialoptik"), "people": ("Quirinius",), "tags": ("hushword",), "names": ("Mortadella",),
}  # fmt: skip
"""Setting -> what may not be found where it is off."""

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 photoshop:City="Zanzibarstadt" exif:GPSLatitude="59,54.7407N" exif:GPSLongitude="10,44.74068E">
<dc:subject><rdf:Bag><rdf:li>hushword</rdf:li></rdf:Bag></dc:subject>
<dc:description><rdf:Alt><rdf:li>a walk with Quirinius\nby the sea</rdf:li></rdf:Alt></dc:description>
<Iptc4xmpExt:PersonInImage><rdf:Bag><rdf:li>Quirinius</rdf:li></rdf:Bag></Iptc4xmpExt:PersonInImage>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


def exif() -> Image.Exif:
    made = Image.Exif()
    made[0x010F], made[0x0110], made[0x0112] = "Kamerawerk", "Spezialoptik", 6
    degrees = ((59.0, 54.0, 44.442), (10.0, 44.0, 44.4408))
    made.get_ifd(0x8825).update({1: "N", 2: degrees[0], 3: "E", 4: degrees[1]})
    return made


def fill(folder: Path) -> None:
    """Media that tell everything, and one that tells nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    photo(folder / "Mortadella.jpg", exif=exif(), xmp=XMP.encode())
    photo(folder / "plain.png")
    photo(folder / "beside.png", width=80)
    (folder / "beside.xmp").write_text(XMP, "utf-8")
    with av.open(str(folder / "film.mp4"), "w", options={"movflags": "use_metadata_tags"}) as container:
        container.metadata.update({"location": f"+{LATITUDE}+0{LONGITUDE}/", "make": "Kamerawerk"})
        stream = container.add_stream("mpeg4", rate=8)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(16):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 200, np.uint8), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def found(content: bytes, off: tuple[str, ...]) -> list[str]:
    """Secrets of the settings that are off."""
    secrets = [one.encode() for name in off for one in SECRETS[name]]
    if "places" in off:
        secrets += [struct.pack(">d", LATITUDE), struct.pack(">d", LONGITUDE), b"59.9123", b"10.7456"]
    return [secret.decode("latin-1") for secret in secrets if secret in content]


def found_below(folder: Path, off: tuple[str, ...]) -> list[str]:
    return [
        f"{path.name}: {one}" for path in folder.rglob("*") if path.is_file() for one in found(path.read_bytes(), off)
    ]


def answers(library: Library) -> bytes:
    """All that a server says of every item."""
    said = b""
    with (
        served(library, ServeOptions(port=0, token=TOKEN, made_token=False)) as server,
        httpx.Client(base_url=server.address, headers={"authorization": f"Bearer {TOKEN}"}, timeout=60) as client,
    ):
        for item in library.items():
            told = client.get(f"{API}/items/{item.id}").json()
            sent = client.get(f"{API}/items/{item.id}/file").status_code == 200
            assert sent or not told["links"]["playable"]
            for what in ("", "/file", "/thumbnail", "/poster", "/clip?end=1"):
                got = client.get(f"{API}/items/{item.id}{what}")
                assert got.status_code < 500, got.text
                said += got.content.replace(b"Mortadella.jpg", b"")
        for what in ("/search?text=sea&k=50", "/duplicates", "/tags", "/failures", "/status"):
            said += client.get(f"{API}{what}").content.replace(b"Mortadella.jpg", b"")
    return said


OFF: list[tuple[dict[str, object], tuple[str, ...]]] = [
    ({"keep_places": "none"}, ("places",)),
    ({"keep_places": "rounded"}, ("places",)),
    ({"keep_camera": False}, ("camera",)),
    ({"keep_people": False}, ("people",)),
    ({"keep_tags": False}, ("tags",)),
    ({"keep_places": "none", "keep_camera": False, "keep_people": False, "keep_tags": False, "keep_names": False},
     ("places", "camera", "people", "tags")),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.extras
@pytest.mark.parametrize(("settings", "off"), OFF)
def test_what_is_not_kept_is_found_nowhere(
    open_tiny: Callable[..., Library], folder: Path, tmp_path: Path, settings: dict[str, object], off: tuple[str, ...]
) -> None:
    fill(folder)
    if "people" in off:
        # What somebody wrote as a description stays: it is no name of a field of its own.
        for path in (folder / "beside.xmp",):
            path.write_text(path.read_text().replace("a walk with Quirinius", "a walk"))
        photo(folder / "Mortadella.jpg", exif=exif(), xmp=XMP.replace("a walk with Quirinius", "a walk").encode())
    library = open_tiny(**settings)
    library.ingest(folder)
    some = library.only("modality = image")
    assert some.count() == 3
    library.export(tmp_path / "exported")
    assert found_below(library.path, off) == []
    assert found_below(tmp_path / "exported", off) == []
    assert found(answers(library), off) == []


@pytest.mark.slow
@pytest.mark.extras
@pytest.mark.parametrize(("settings", "off"), OFF)
def test_what_was_kept_is_forgotten_when_it_is_applied(
    open_tiny: Callable[..., Library], folder: Path, tmp_path: Path, settings: dict[str, object], off: tuple[str, ...]
) -> None:
    fill(folder)
    library = open_tiny()
    library.ingest(folder)
    assert len(found_below(library.path, off)) >= len(off), "it was there"
    library.only("modality = image").search("red")
    chosen = {name.removeprefix("keep_"): value for name, value in settings.items()}
    library.privacy.set(**chosen)  # type: ignore[arg-type]
    done = library.privacy.apply()
    assert done.contents >= 1
    assert found_below(library.path, off) == []
    assert found(answers(library), off) == []
    assert library.privacy.apply()[:3] == (0, 0, 0)


@pytest.mark.slow
def test_it_is_chosen_shown_and_applied(open_tiny: Callable[..., Library], folder: Path) -> None:
    fill(folder)
    library = open_tiny()
    assert library.privacy.keeping == Keeping()
    assert library.privacy.places_unasked(folder) == (looked := library.privacy.places_in(folder))
    assert (looked.looked_at, looked.with_place) == (3, 1)
    library.ingest(folder)
    assert library.privacy.places_unasked(folder) is None
    there = library.privacy.show()
    assert (there.contents, there.gps, there.camera, there.people, there.tags, there.names) == (5, 3, 2, 2, 2, 5)
    photos = library.items("name = Mortadella.jpg")
    (item,) = photos
    assert (item.gps, item.tags) == ((LATITUDE, LONGITUDE), ("hushword",))
    assert library.privacy.set(places="rounded", tags=False, names=False) == Keeping("rounded", tags=False, names=False)
    assert '"rounded"' in (library.path / "mmsearch.toml").read_text()
    done = library.privacy.apply()
    assert (done.contents, done.tags, done.names) == (3, 2, 5)
    (item,) = (one for one in library.items() if one.path.name == "Mortadella.jpg")
    assert (item.gps, item.tags) == ((59.9, 10.7), ())
    assert library.search("Mortadella", mode="keyword") == []
    assert [hit.path.name for hit in library.search("walk", mode="keyword")] == ["Mortadella.jpg"]
    library.privacy.set(names=True)
    assert library.privacy.apply() == (0, 0, 0, 5)
    assert [hit.path.name for hit in library.search("Mortadella", mode="keyword")] == ["Mortadella.jpg"]


@pytest.mark.slow
def test_a_file_is_handed_out_without_what_is_not_kept_or_not_at_all(
    open_tiny: Callable[..., Library], folder: Path
) -> None:
    fill(folder)
    library = open_tiny(keep_places="none")
    library.ingest(folder)
    picture = library.get(folder / "Mortadella.jpg")
    assert picture is not None
    with library.open_file(picture.id, as_kept=True) as opened:
        content = opened.file.read()
    assert len(content) == opened.size
    with Image.open(io.BytesIO(content)) as stripped, Image.open(folder / "Mortadella.jpg") as whole:
        assert np.array_equal(np.asarray(stripped), np.asarray(whole))
        assert dict(stripped.getexif()) == {0x0112: 6}
    for name in ("film.mp4", "beside.xmp"):
        item = library.get(folder / name)
        assert item is not None
        with pytest.raises(Unsupported):
            library.open_file(item.id, as_kept=True)
        library.open_file(item.id).file.close()


def saved(kind: str, **options: object) -> bytes:
    made = io.BytesIO()
    Image.fromarray(quarters(40, 30)).save(made, kind, **options)
    return made.getvalue()


def test_pictures_are_stripped_of_all_but_their_pixels() -> None:
    progressive = {"progressive": True, "quality": 80}
    for kind, options, strip in (("JPEG", {}, strip_jpeg), ("JPEG", progressive, strip_jpeg), ("PNG", {}, strip_png),
                                 ("WEBP", {"lossless": True}, strip_webp)):  # fmt: skip
        data = saved(kind, exif=exif(), xmp=XMP.encode(), **options)
        assert strip_of(data[:16]) is strip
        if kind == "JPEG":
            data += b"a film that tells of Zanzibarstadt"
        made = strip(data)
        assert found(made, tuple(SECRETS)) == []
        assert b"xmpmeta" not in made
        with Image.open(io.BytesIO(made)) as stripped, Image.open(io.BytesIO(data)) as whole:
            assert np.array_equal(np.asarray(stripped), np.asarray(whole))
    assert strip_of(b"GIF89a") is None
    for strip, damaged in ((strip_jpeg, b"\xff\xd8\xff\xe1\0\x10"), (strip_png, b"\x89PNG\r\n\x1a\n"),
                           (strip_webp, b"RIFF\0\0\0\0WEBP")):  # fmt: skip
        with pytest.raises(Corrupt):
            strip(damaged)


def test_a_look_at_its_beginning_tells_whether_a_picture_holds_a_place(tmp_path: Path) -> None:
    for name, tells in (("a.jpg", True), ("b.png", True), ("c.webp", True)):
        photo(tmp_path / name, exif=exif())
        assert tells_place(tmp_path / name) is tells
    photo(tmp_path / "without.jpg")
    assert tells_place(tmp_path / "without.jpg") is False
    (tmp_path / "note.txt").write_text("II*\0")
    (tmp_path / "odd.jpg").write_bytes(b"\xff\xd8II*\0\xff\xff\xff\xff")
    assert [tells_place(tmp_path / name) for name in ("note.txt", "gone.jpg", "odd.jpg")] == [None, None, False]


@pytest.mark.slow
def test_the_shell_tells_before_the_first_ingest_and_sets_and_applies(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "media")
    said = run("ingest", str(tmp_path / "media")).stderr.decode()
    assert "1 photo of 3 hold where they were taken" in said
    assert "hold where" not in run("ingest", str(tmp_path / "media")).stderr.decode()
    told = json.loads(run("privacy", "set", "--places", "none", "--people", "no", "--json").stdout)
    assert told["keeping"] == {"places": "none", "camera": True, "people": False, "tags": True, "names": True}
    assert told["there"]["gps"] == 3
    assert json.loads(run("privacy", "apply", "--json").stdout)["contents"] == 3
    assert json.loads(run("privacy", "show", "--json").stdout)["there"]["gps"] == 0

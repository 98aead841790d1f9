"""Previews: what a page shows of a medium, made by workers and kept below the library."""

import io
import json
import os
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mmsearch.context.preview_cache import PreviewCache
from mmsearch.errors import InvalidInput, ItemChanged, NotEmbedded, NotKept, UnknownName
from mmsearch.ingest.media import Media
from mmsearch.library import Library
from mmsearch.media import previews
from tests.generated import COLOURS, picture, sound, video, words
from tests.module_library import ModuleLibrary


def seen(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "WEBP"
        return np.asarray(image.convert("RGB"), int)


def is_colour(pixels: np.ndarray, colour: str) -> bool:
    return bool(np.abs(pixels.mean(axis=(0, 1)) - COLOURS[colour]).max() < 40)


def fill(folder: Path) -> None:
    picture(folder / "red.png", "red", side=500)
    video(folder / "clip.mp4", "red", "green", "blue")
    sound(folder / "steps.wav", "low", "high", seconds=1.0)
    words(folder / "note.txt", "a blue house")


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


@pytest.mark.slow
@pytest.mark.extras
def test_of_every_kind_something_is_shown(library: Library) -> None:
    ids = {item.path.name: item.id for item in library.items()}
    still = seen(library.preview(ids["red.png"], side=100))
    assert still.shape == (100, 100, 3) and is_colour(still, "red")
    for moment, colour in ((0.0, "red"), (3.0, "green"), (5.5, "blue"), (99.0, "blue")):
        assert is_colour(seen(library.preview(ids["clip.mp4"], "poster", start=moment)), colour), moment
    sheet = seen(library.preview(ids["clip.mp4"], "sprite"))
    height, width = sheet.shape[0] // previews.ROWS, sheet.shape[1] // previews.COLUMNS
    first, last = sheet[:height, :width], sheet[-height:, -width:]
    assert is_colour(first, "red") and is_colour(last, "blue")
    wave = json.loads(library.preview(ids["steps.wav"], "waveform"))
    assert wave["duration"] == 2.0 and len(wave["peaks"]) == 200
    clip = library.preview(ids["clip.mp4"], "clip", start=2.5, end=3.5)
    with av.open(io.BytesIO(clip), "r") as cut:
        frames = [frame.to_ndarray(format="rgb24") for frame in cut.decode(video=0)]
        assert cut.streams.video[0].codec_context.name in ("vp9", "libvpx-vp9")
    assert len(frames) == 8 and is_colour(frames[0], "green")
    for name, kind in (("red.png", "sprite"), ("note.txt", "thumbnail"), ("clip.mp4", "waveform")):
        with pytest.raises(NotEmbedded):
            library.preview(ids[name], kind)  # type: ignore[arg-type]
    with pytest.raises(UnknownName):
        library.preview(10**6)
    for wrong in ({"side": 5}, {"side": 10**6}, {"start": -1.0}, {"start": 3.0, "end": 2.0}):
        with pytest.raises(InvalidInput):
            library.preview(ids["clip.mp4"], "clip", **wrong)


@pytest.mark.slow
def test_what_was_made_is_shown_though_its_file_is_gone_and_nothing_else_is(library: Library, folder: Path) -> None:
    (red,) = (item.id for item in library.items("name = 'red.png'"))
    kept = library.preview(red)
    (folder / "red.png").rename(folder / "elsewhere.png")
    assert library.preview(red) == kept
    with pytest.raises(ItemChanged):
        library.preview(red, side=640)
    with pytest.raises(ItemChanged):
        library.open_file(red)


@pytest.mark.slow
@pytest.mark.extras
def test_what_is_forgotten_is_shown_no_more(library: Library, folder: Path) -> None:
    ids = {item.path.name: item.id for item in library.items()}
    library.preview(ids["red.png"])
    library.preview(ids["steps.wav"], "waveform")
    library.remove(folder / "red.png")
    kept = [path.name.partition("-")[2] for path in (library.path / "previews").rglob("*") if path.is_file()]
    assert kept == ["waveform-320"]
    (folder / "steps.wav").unlink()
    library.ingest(folder)
    library.prune()
    assert not [path for path in (library.path / "previews").rglob("*") if path.is_file()]


@pytest.mark.slow
@pytest.mark.extras
def test_media_from_memory_are_served_from_what_is_kept(library: Library, folder: Path) -> None:
    content = picture(folder.parent / "x.png", "green").read_bytes()
    library.ingest_media([Media("kept.png", content, id="a", keep=True), Media("gone.png", content + b"x", id="b")])
    kept, gone = (library.get(f"mem:/{name}") for name in ("a/kept.png", "b/gone.png"))
    assert kept is not None and gone is not None
    with library.open_file(kept.id) as opened:
        assert opened.file.read() == content and opened.is_at_its_place()
    assert is_colour(seen(library.preview(kept.id)), "green")
    with pytest.raises(NotKept):
        library.open_file(gone.id)


def test_the_cache_is_bounded_and_keeps_what_is_looked_at(tmp_path: Path) -> None:
    cache, made = PreviewCache(tmp_path, 1000), list[str]()

    def get(name: str) -> bytes:
        return cache.get(name * 64, "thumbnail", lambda: made.append(name) or name.encode() * 150)  # type: ignore[func-returns-value]

    for place, name in enumerate("abcdef"):
        get(name)
        path = next((tmp_path / "previews").rglob(f"{name * 64}-*"))
        os.utime(path, (place, place))
    assert get("a") == b"a" * 150 and made == list("abcdef")
    get("g")
    held = {path.name[0] for path in (tmp_path / "previews").rglob("*") if path.is_file()}
    assert held == set("adefg") | {"c"} or len(held) <= 6
    assert "a" in held and "b" not in held, "what was looked at least lately goes first"
    assert cache.get("z" * 64, "clip", lambda: b"z" * 5000) == b"z" * 5000, "too large to be kept"
    assert not list((tmp_path / "previews").rglob("z*"))


def test_one_of_many_makes_it_and_a_folder_that_can_t_be_written_is_no_error(tmp_path: Path) -> None:
    cache, made, gate = PreviewCache(tmp_path, 10**6), list[int](), threading.Barrier(4)
    found: list[bytes] = []

    def ask() -> None:
        gate.wait()
        found.append(cache.get("a" * 64, "thumbnail", lambda: made.append(1) or b"made"))  # type: ignore[func-returns-value]

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [b"made"] * 4 and made == [1]
    (tmp_path / "file").write_text("x")
    assert PreviewCache(tmp_path / "file", 10**6).get("a" * 64, "thumbnail", lambda: b"made") == b"made"
    assert PreviewCache(tmp_path / "none", 0).get("a" * 64, "thumbnail", lambda: b"made") == b"made"
    assert not (tmp_path / "none").exists()


def test_a_path_to_interpret_is_never_words(library: Library, folder: Path) -> None:
    (part,) = library.interpret(folder / "red.png").parts
    assert part.modality == "image"
    assert library.interpret("no such file").parts[0].value == "no such file"
    with pytest.raises(InvalidInput):
        library.interpret(folder / "no such file")
    library.load_encoders()
    assert library.search("red", 1)[0].path.name == "red.png"

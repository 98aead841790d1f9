"""What is shown of hits: small pictures, moments of videos, outlines of sounds."""

from pathlib import Path

import numpy as np
import pytest

from mmsearch.library import Library
from mmsearch.media.stills import PEAKS, SIDE, outline, shrunk
from tests.generated import picture, sound, video, words


@pytest.mark.slow
def test_each_kind_of_hit_has_its_still(library: Library, folder: Path) -> None:
    picture(folder / "blue.png", "blue", side=600)
    picture(folder / "gone.png", "dark")
    video(folder / "film.mp4", "red", "green", seconds=3.0)
    sound(folder / "low.wav", "low")
    words(folder / "note.txt", "a blue house")
    library.ingest(folder)
    (folder / "gone.png").unlink()
    found = [
        library.search(asked, 1, modalities=[kind])[0]
        for asked, kind in (
            ("blue", "image"),
            ("dark", "image"),
            ("green", "video"),
            ("low", "audio"),
            ("blue", "text"),
        )
    ]
    assert [hit.path.name for hit in found] == ["blue.png", "gone.png", "film.mp4", "low.wav", "note.txt"]
    blue, gone, film, low, note = library.stills(found)
    assert blue is not None and blue.shape == (150, 150, 3) and blue[9, 9].tolist() == [0, 0, 255]
    assert film is not None and film.ndim == 3
    assert film.mean(axis=(0, 1)).argmax() == 1, "the frame at the moment of the hit, which is green"
    assert low is not None and low.shape == (PEAKS,) and low.max() == 1.0
    assert gone is None and note is None


def test_a_picture_keeps_its_shape_and_is_never_blown_up() -> None:
    assert shrunk(np.zeros((1024, 512, 3), np.uint8)).shape == (SIDE, SIDE // 2, 3)
    assert shrunk(np.zeros((20, 30, 3), np.uint8)).shape == (20, 30, 3)


def test_an_outline_is_how_loud_a_sound_is_along_its_course() -> None:
    half = np.concatenate([np.zeros(3200, np.float32), np.full(3200, -0.25, np.float32)])
    assert outline(half).tolist() == [0.0] * (PEAKS // 2) + [1.0] * (PEAKS // 2)
    assert outline(np.zeros(9, np.float32)).tolist() == [0.0] * PEAKS

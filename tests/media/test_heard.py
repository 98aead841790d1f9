"""A clip comes with the sound of its time, where the space wants that, and the sound is decoded once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmsearch.errors import Corrupt, LimitExceeded
from mmsearch.media.heard import ClipSounds
from mmsearch.media.video import VideoDecoder
from mmsearch.types import Limits, Segment, Span, Windowing
from tests.media_files import GREEN, RED
from tests.track_files import RATE, film, tone

SEEN = Windowing(shots=1, min_frames=1, clip_s=10.0, clip_frames=4, audio_window_s=2.0, audio_hop_s=1.0)
HEARD = replace(SEEN, clip_sound=True)


def decode(path: Path, windowing: Windowing) -> dict[str, list[Segment]]:
    found: dict[str, list[Segment]] = {"image": [], "video": [], "audio": []}
    for one in VideoDecoder(windowing, Limits()).decode(path):
        found[one.modality].append(one)
    return found


def test_each_clip_has_the_samples_of_its_time(tmp_path: Path) -> None:
    sound = np.concatenate([tone(2.5, 440), tone(2.5, 1500)]) * np.linspace(0.2, 1, 5 * RATE, dtype=np.float32)
    path = film(tmp_path / "film.mkv", [sound], colours=[RED] * 20 + [GREEN] * 30, sound_codec="pcm_s16le")
    plain, found = decode(path, SEEN), decode(path, HEARD)
    assert [one.sound for one in plain["video"]] == [None, None]
    assert [(one.span.start, one.span.end, one.rate) for one in found["video"]] == [(0, 2, RATE), (2, 5, RATE)]
    for clip, expected in zip(found["video"], (sound[: 2 * RATE], sound[2 * RATE :]), strict=True):
        np.testing.assert_allclose(np.asarray(clip.sound), expected, atol=1e-4)
    assert [one.span for one in found["audio"]] == [one.span for one in plain["audio"]]
    for one, other in zip(found["audio"], plain["audio"], strict=True):
        np.testing.assert_array_equal(one.data, other.data)


def test_a_clip_has_the_main_tracks_sound_and_none_where_there_is_none(tmp_path: Path) -> None:
    path = film(
        tmp_path / "film.mkv", [tone(2, 440), tone(2, 1500)], colours=[RED] * 20 + [GREEN] * 30, sound_codec="pcm_s16le"
    )
    found = decode(path, HEARD)
    assert [one.part for one in found["audio"]] == [False, True]
    np.testing.assert_allclose(np.asarray(found["video"][0].sound), tone(2, 440), atol=1e-4)
    assert found["video"][1].sound is None
    silent = film(tmp_path / "silent.mkv", colours=[RED] * 20)
    assert [one.sound for one in decode(silent, HEARD)["video"]] == [None]


def clip(start: float, end: float) -> Segment:
    return Segment("video", np.zeros((1, 8, 8, 3), np.uint8), Span(start=start, end=end))


def failing(error: Exception) -> Iterator[Segment]:
    yield Segment("audio", np.ones(16, np.float32), Span(start=0.0, end=2.0), 8)
    raise error


def test_sound_that_breaks_off_is_told_once_the_pictures_are() -> None:
    beside = ClipSounds(failing(Corrupt("broken")), 8)
    found = list(beside.added(iter([clip(0, 1), clip(1, 3), clip(3, 4)])))
    assert [one.modality for one in found] == ["video", "audio", "video", "video"]
    assert [None if one.sound is None else one.sound.tolist() for one in found if one.modality == "video"] == [
        [1.0] * 8, [1.0] * 8 + [0.0] * 8, None,
    ]  # fmt: skip
    with pytest.raises(Corrupt, match="broken"):
        list(beside.rest())


def test_a_limit_ends_the_file_at_once() -> None:
    beside = ClipSounds(failing(LimitExceeded("too long")), 8)
    with pytest.raises(LimitExceeded):
        list(beside.added(iter([clip(0, 3)])))

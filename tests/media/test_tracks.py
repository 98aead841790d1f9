"""Of several tracks the right one is seen, and all that sound different are heard."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mmsearch.media.audio import AudioDecoder
from mmsearch.media.video import VideoDecoder
from mmsearch.types import Limits, Segment, Windowing
from tests.media_files import GREEN, RED, clip, sound
from tests.track_files import RATE, film, tone

DECODER = VideoDecoder(Windowing(), Limits())


def heard(segments: list[Segment]) -> list[tuple[float, float, int]]:
    """(start, end, strongest frequency in Hz, 0 for silence) of each window of sound, rounded."""
    found = []
    for segment in segments:
        if segment.modality == "audio":
            samples = np.asarray(segment.data)
            power = np.abs(np.fft.rfft(samples))
            hertz = np.fft.rfftfreq(len(samples), 1 / RATE)[power.argmax()] if np.abs(samples).max() > 1e-3 else 0.0
            found.append((round(segment.span.start or 0, 1), round(segment.span.end or 0, 1), 10 * round(hertz / 10)))
    return found


def decode(path: Path) -> list[Segment]:
    return list(DECODER.decode(path))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_all_tracks_are_heard_at_their_times_the_default_one_first(tmp_path: Path, suffix: str) -> None:
    path = film(tmp_path / f"x{suffix}", [tone(4, 300), tone(4, 3000)], default=1)
    found = heard(decode(path))
    assert [(start, hertz) for start, _, hertz in found] == [(0.0, 3000), (0.0, 300)]
    assert DECODER.describe(path)["audio_tracks"] == 2


def test_the_tracks_of_a_long_film_come_in_order_of_time(tmp_path: Path) -> None:
    path = film(tmp_path / "x.mkv", [tone(10, 300), tone(10, 3000)])
    found = heard(decode(path))
    assert [(start, hertz) for start, _, hertz in found] == [
        (start, hertz) for start in (0.0, 2.5, 5.0) for hertz in (300, 3000)
    ]


def test_a_silent_first_track_hides_no_other(tmp_path: Path) -> None:
    path = film(tmp_path / "x.mkv", [tone(4, 0), tone(4, 3000)])
    assert [hertz for _, _, hertz in heard(decode(path))] == [0, 3000]
    once = np.concatenate([tone(3.5, 0), tone(0.2, 3000), tone(0.3, 0)])
    assert [hertz for _, _, hertz in heard(decode(film(tmp_path / "y.mkv", [tone(4, 0), once])))] == [0, 3000]


def test_a_silent_second_track_adds_nothing(tmp_path: Path) -> None:
    path = film(tmp_path / "x.mkv", [tone(4, 3000), tone(4, 0)])
    assert [hertz for _, _, hertz in heard(decode(path))] == [3000]


def test_a_track_with_the_same_sound_adds_nothing(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 8 * RATE).astype(np.float32)
    quiet = np.concatenate([np.zeros(300, np.float32), 0.5 * noise])[: len(noise)]
    assert len(heard(decode(film(tmp_path / "x.mkv", [noise])))) == 3
    assert len(heard(decode(film(tmp_path / "y.mkv", [noise, quiet])))) == 3
    half = np.concatenate([noise[: 5 * RATE], tone(3, 500)])
    # At its beginning it sounds alike: only where it differs it is heard for itself.
    assert [start for start, _, _ in heard(decode(film(tmp_path / "z.mkv", [noise, half])))] == [0, 2.5, 2.5, 5, 5]


def test_four_tracks_are_listened_to_at_most(tmp_path: Path) -> None:
    path = film(tmp_path / "x.mkv", [tone(2, hertz) for hertz in (300, 600, 900, 1200, 1500)], default=4)
    assert [hertz for _, _, hertz in heard(decode(path))] == [1500, 300, 600, 900]


def test_a_sound_file_of_several_tracks_is_heard_whole(tmp_path: Path) -> None:
    path = film(tmp_path / "x.mka", [tone(3, 300), tone(3, 3000)], colours=())
    decoder = AudioDecoder(Windowing(), Limits())
    assert decoder.accepts(path, path.read_bytes()[:8192])
    assert [(start, hertz) for start, _, hertz in heard(list(decoder.decode(path)))] == [(0.0, 300), (0.0, 3000)]


def test_the_default_track_of_pictures_is_seen(tmp_path: Path) -> None:
    path = film(tmp_path / "x.mkv", colours=[RED] * 30, second=[GREEN] * 30)
    frames = [np.asarray(one.data).reshape(-1, 3).mean(axis=0) for one in decode(path)]
    assert [tuple(255 if value > 127 else 0 for value in mean) for mean in frames] == [GREEN] * 3


def test_one_track_is_heard_as_ever(tmp_path: Path) -> None:
    path = sound(tmp_path / "x.flac", 6, "flac")
    assert [(s.span.start, s.span.end) for s in AudioDecoder(Windowing(), Limits()).decode(path)] == [
        (0.0, 5.0),
        (2.5, 6.0),
    ]
    assert "audio_tracks" not in AudioDecoder(Windowing(), Limits()).describe(path)


TAGS = {"title": "So What", "artist": "Miles Davis", "album": "Kind of Blue", "genre": "Jazz", "date": "1959-08-17"}


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp3", "mp3"), (".m4a", "aac"), (".flac", "flac"), (".ogg", "libopus"), (".mkv", "aac")]
)
def test_who_made_a_song_is_told_by_every_container(tmp_path: Path, suffix: str, codec: str) -> None:
    path = sound(tmp_path / f"x{suffix}", 0.2, codec, tags={**TAGS, "album_artist": "Sextet", "track": "1/5"})
    facts = AudioDecoder(Windowing(), Limits()).describe(path)
    expected = {**TAGS, "album_artist": "Sextet", "track": 1, "year": 1959}
    assert {name: facts.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("date", "taken"),
    [
        ("2024-05-02T00:30:00+0200", "2024-05-02T00:30:00+0200"),
        ("2024-05-02 00:30:00", "2024-05-02T00:30:00"),
        ("2024-05-01T22:30:00Z", None),
        ("2024-05-02", None),
        ("1904-01-01 00:00:00", None),
    ],
)
def test_a_date_by_the_clock_of_the_camera_is_when_a_film_was_taken(
    tmp_path: Path, date: str, taken: str | None
) -> None:
    path = clip(tmp_path / "x.mp4", [RED] * 3, tags={"date": date})
    assert DECODER.describe(path).get("taken") == taken


def test_the_title_of_a_track_is_not_that_of_the_film(tmp_path: Path) -> None:
    path = tmp_path / "x.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.metadata["title"] = "Commentary"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    assert "title" not in DECODER.describe(path)


@pytest.mark.parametrize(("count", "video"), [(1, False), (3, True)])
def test_one_picture_beside_a_sound_is_its_cover(tmp_path: Path, count: int, video: bool) -> None:
    path = tmp_path / "x.mkv"
    with av.open(str(path), "w") as container:
        art: Any = container.add_stream("mjpeg", rate=10)
        art.width, art.height, art.pix_fmt = 16, 16, "yuvj420p"
        spoken: Any = container.add_stream("aac", rate=RATE, layout="mono")
        for _ in range(count):
            picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
            container.mux(art.encode(picture.reformat(format="yuvj420p")))
        container.mux(art.encode(None))
        frame = av.AudioFrame.from_ndarray(tone(1, 300).reshape(1, -1), format="fltp", layout="mono")
        frame.sample_rate = RATE
        container.mux(spoken.encode(frame))
        container.mux(spoken.encode(None))
    head = path.read_bytes()[:8192]
    assert DECODER.accepts(path, head) is video
    assert AudioDecoder(Windowing(), Limits()).accepts(path, head) is not video

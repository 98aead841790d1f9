"""Videos give evenly spaced frames and then their sound, on one clock."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mmsearch.errors import Corrupt, LimitExceeded
from mmsearch.media.image import ImageDecoder
from mmsearch.media.video import VideoDecoder, spread, upright_rgb
from mmsearch.types import Limits, Segment, Windowing
from tests.media_files import BLACK, BLUE, GREEN, RED, WHITE, clip, sound

DECODER = VideoDecoder(Windowing(), Limits())


def decode(path: Path, limits: Limits | None = None, **windowing: Any) -> list[Segment]:
    return list(VideoDecoder(Windowing(**windowing), limits or Limits()).decode(path))


def frames(segments: list[Segment]) -> list[Segment]:
    return [segment for segment in segments if segment.modality == "image"]


def colours(segments: list[Segment]) -> list[tuple[int, ...]]:
    """The pure colour nearest to each frame's mean."""
    means = [np.asarray(segment.data).reshape(-1, 3).mean(axis=0) for segment in frames(segments)]
    return [tuple(255 if value > 127 else 0 for value in mean) for mean in means]


def places(segments: list[Segment]) -> list[tuple[float, float]]:
    return [(round(s.span.start or 0.0, 1), round(s.span.end or 0.0, 1)) for s in segments]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov"])
def test_a_span_gives_the_frame_in_its_middle(tmp_path: Path, suffix: str) -> None:
    path = clip(tmp_path / f"x{suffix}", [RED] * 10 + [GREEN] * 10 + [BLUE] * 10)
    segments = decode(path)
    assert colours(segments) == [RED, GREEN, BLUE]
    assert places(segments) == [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]


def test_a_transport_stream_without_an_index_is_read_to_its_end(tmp_path: Path) -> None:
    path = clip(tmp_path / "x.ts", [RED] * 10 + [GREEN] * 10 + [BLUE] * 10, codec="mpeg2video", fps=25)
    segments = decode(path)
    assert colours(segments) == [RED, GREEN, BLUE]
    assert places(segments) == [(0.0, 0.4), (0.4, 0.8), (0.8, 1.2)]


@pytest.mark.parametrize("gop", [1, 12, 600])
def test_long_videos_give_a_bounded_number_a_minute(tmp_path: Path, gop: int) -> None:
    # Two minutes of one frame a second; every fifth second has its own grey.
    shades = [(2 * i, 2 * i, 2 * i) for i in range(120)]
    path = clip(tmp_path / "x.mp4", shades, fps=1, gop=gop)
    segments = decode(path)
    assert len(segments) == 24
    assert places(segments) == [(5.0 * i, 5.0 * i + 5.0) for i in range(24)]
    means = [float(np.asarray(segment.data).mean()) for segment in segments]
    assert means == pytest.approx([2.0 * (5 * i + 2) for i in range(24)], abs=3.0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_clip_of_few_frames_gives_all_of_them(tmp_path: Path, count: int) -> None:
    path = clip(tmp_path / "x.mp4", [RED, GREEN, BLUE][:count])
    assert colours(decode(path)) == [RED, GREEN, BLUE][:count]


def test_a_short_clip_with_odd_times_still_gives_three(tmp_path: Path) -> None:
    path = clip(tmp_path / "x.mkv", [RED, GREEN, BLUE, WHITE], times=[0.0, 0.1, 0.2, 9.0])
    assert len(set(colours(decode(path)))) == 3


def test_frames_are_spread_evenly_over_uneven_times() -> None:
    assert spread([], 3) == set()
    assert spread([0.0, 0.1], 3) == {0, 1}
    assert spread([0.0, 0.1, 0.2, 9.0], 3) == {0, 2, 3}
    assert spread([float(i) for i in range(31)], 3) == {5, 15, 25}


def test_frames_of_a_variable_rate_are_chosen_by_time(tmp_path: Path) -> None:
    path = clip(tmp_path / "x.mkv", [RED] * 20 + [GREEN, BLUE], times=[*(i / 20 for i in range(20)), 2.0, 4.0])
    assert colours(decode(path)) == [RED, RED, GREEN]


def test_a_still_frame_is_taken_once(tmp_path: Path) -> None:
    # 30 s, 6 spans; the frame of second 1 stays for 25 s.
    path = clip(tmp_path / "x.mkv", [RED, GREEN, BLUE, BLUE], times=[0.0, 1.0, 26.0, 30.0], gop=1)
    segments = decode(path)
    assert colours(segments) == [GREEN, BLUE]
    assert segments[0].span.start == 0.0 and 20.0 < (segments[0].span.end or 0.0) <= 26.0


def test_a_black_beginning_is_decoded_like_any_other(tmp_path: Path) -> None:
    assert colours(decode(clip(tmp_path / "x.mp4", [BLACK] * 3 + [RED] * 27))) == [RED, RED, RED]


@pytest.mark.parametrize(("rotation", "top"), [(0, "level"), (90, "turned"), (-90, "turned"), (180, "level")])
def test_the_rotation_of_a_video_is_applied(tmp_path: Path, rotation: int, top: str) -> None:
    path = clip(tmp_path / "x.mp4", [RED] * 5, rotation=rotation)
    first = frames(decode(path))[0]
    assert np.asarray(first.data).shape == ((48, 64, 3) if top == "level" else (64, 48, 3))


def test_rotation_turns_frames_in_the_right_direction() -> None:
    # Red above and blue below, to be turned by a quarter counterclockwise: red ends up left.
    pixels = np.full((48, 64, 3), RED, np.uint8)
    pixels[24:] = BLUE
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    turned = upright_rgb(Turned(frame), 292)
    assert turned.shape == (64, 48, 3)
    assert turned[32, 4].tolist() == list(RED)
    assert turned[32, -4].tolist() == list(BLUE)


class Turned:
    """A frame whose file says: turn it 90 degrees counterclockwise."""

    rotation = 90

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    def __getattr__(self, name: str) -> Any:
        return getattr(self._frame, name)


def test_large_frames_are_reduced_and_small_ones_are_not(tmp_path: Path) -> None:
    large = frames(decode(clip(tmp_path / "x.mp4", [RED] * 3, size=(1280, 720))))[0]
    assert np.asarray(large.data).shape == (292, 519, 3)
    small = frames(decode(clip(tmp_path / "y.mp4", [RED] * 3, size=(64, 48))))[0]
    assert np.asarray(small.data).shape == (48, 64, 3)


def test_the_sound_track_has_times_on_the_clock_of_the_frames(tmp_path: Path) -> None:
    path = clip(tmp_path / "x.mkv", [RED] * 80, sound_s=4.0, sound_at=3.0)
    segments = decode(path)
    heard = [segment for segment in segments if segment.modality == "audio"]
    assert [segment.modality for segment in segments] == ["image"] * 3 + ["audio"]
    assert heard[0].span.start == pytest.approx(3.0, abs=0.1)
    assert heard[0].span.end == pytest.approx(7.0, abs=0.2)


def test_the_sound_of_a_video_without_readable_frames_is_decoded(tmp_path: Path) -> None:
    path = clip(tmp_path / "x.avi", [RED] * 10, sound_s=1.0)
    # Every frame of MPEG-4 part 2 begins with this code.
    path.write_bytes(path.read_bytes().replace(b"\x00\x00\x01\xb6", b"\xff\xff\xff\xff"))
    assert {segment.modality for segment in decode(path)} == {"audio"}


def test_a_video_without_frames_and_sound_is_corrupt(tmp_path: Path) -> None:
    path = clip(tmp_path / "x.avi", [RED] * 10)
    path.write_bytes(path.read_bytes().replace(b"\x00\x00\x01\xb6", b"\xff\xff\xff\xff"))
    with pytest.raises(Corrupt):
        decode(path)


def test_an_mp4_without_its_index_is_corrupt(tmp_path: Path) -> None:
    path = clip(tmp_path / "x.mp4", [RED] * 10)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])
    assert not DECODER.accepts(path, data[:8192])
    with pytest.raises(Corrupt):
        decode(path)


def test_a_truncated_video_gives_its_beginning(tmp_path: Path) -> None:
    path = clip(tmp_path / "x.mkv", [RED] * 100 + [BLUE] * 100, gop=5)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    segments = decode(path)
    assert len(segments) >= 3
    assert max(segment.span.end or 0.0 for segment in segments) <= 20.5


def test_a_video_over_the_duration_or_pixel_limit_is_refused(tmp_path: Path) -> None:
    path = clip(tmp_path / "x.mp4", [RED] * 30)
    with pytest.raises(LimitExceeded, match="3 s long"):
        decode(path, Limits(duration_s=2.0))
    with pytest.raises(LimitExceeded, match="64 x 48"):
        decode(path, Limits(pixels=64 * 48 - 1))
    assert decode(path, Limits(duration_s=3.5, pixels=64 * 48))


def test_a_file_with_sound_only_is_not_a_video(tmp_path: Path) -> None:
    path = sound(tmp_path / "x.mp4", 1.0, "aac")
    assert not DECODER.accepts(path, path.read_bytes()[:8192])


def test_metadata_has_codec_size_rate_and_title(tmp_path: Path) -> None:
    path = clip(tmp_path / "x.mp4", [RED] * 30, sound_s=1.0, tags={"title": "A clip"})
    facts = DECODER.describe(path)
    assert facts.pop("duration") == pytest.approx(3.0, abs=0.1)
    expected = {"codec": "mpeg4", "audio_codec": "aac", "width": 64, "height": 48, "fps": 10.0, "title": "A clip"}
    assert facts == expected


@pytest.mark.parametrize("brand", [b"hevc", b"msf1", b"heis"])
def test_a_heif_sequence_without_a_picture_of_its_own_is_a_video(tmp_path: Path, brand: bytes) -> None:
    data = clip(tmp_path / "x.mp4", [RED] * 10 + [GREEN] * 10 + [BLUE] * 10).read_bytes()
    path = tmp_path / "x.heics"
    # Its track is of kind "pict".
    path.write_bytes(data[:8] + brand + data[12:].replace(b"vide", b"pict"))
    head = path.read_bytes()[:8192]
    assert not ImageDecoder(Windowing(), Limits()).accepts(path, head)
    assert DECODER.accepts(path, head)
    assert colours(decode(path)) == [RED, GREEN, BLUE]

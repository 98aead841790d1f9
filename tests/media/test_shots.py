"""A video is cut where its shots change, and every shot is told by a frame of its own, from its start to its end."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mmsearch.media.cuts import CutFinder
from mmsearch.media.video import VideoDecoder
from mmsearch.types import Limits, Segment, Windowing
from tests.generated import video

SHOTS = Windowing(shots=1)
RATE, SIDE = 24, (96, 64)

Scene = tuple[int, float]
"""Number of a picture, and seconds."""


def scenery(number: int) -> NDArray[np.uint8]:
    """A picture wider than the frame, uint8 (64, 192, 3), smooth, and another one for each number."""
    grid = np.random.default_rng(number).integers(0, 256, (5, 13, 3)).astype(np.float32)
    across = np.linspace(0, 11.999, 192)
    down = np.linspace(0, 3.999, 64)
    x, y = across.astype(int), down.astype(int)
    u, v = (across - x)[None, :, None], (down - y)[:, None, None]
    rows = grid[:, x] * (1 - u) + grid[:, x + 1] * u
    return np.asarray(rows[y] * (1 - v) + rows[y + 1] * v, np.uint8)


def film(path: Path, scenes: Sequence[Scene], dissolve: float = 0.0, move: float = 12.0, **options: Any) -> Path:
    """Scenes that a camera moves over, `move` pixels a second, each dissolving into the next in some seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(options.get("codec", "mpeg4"), rate=options.get("rate", RATE))
        stream.width, stream.height, stream.pix_fmt = *SIDE, "yuv420p"
        stream.gop_size, stream.bit_rate = options.get("gop", 240), 2_000_000
        for pixels in _frames(scenes, dissolve, move, options.get("rate", RATE)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def _frames(scenes: Sequence[Scene], dissolve: float, move: float, rate: int) -> Iterator[NDArray[np.uint8]]:
    before: NDArray[np.float32] | None = None
    for number, seconds in scenes:
        picture, mixed = scenery(number), round(dissolve * rate)
        for at in range(round(seconds * rate)):
            left = min(round(at * move / rate), SIDE[0])
            pixels = picture[:, left : left + SIDE[0]]
            if before is not None and at < mixed:
                share = (at + 1) / (mixed + 1)
                pixels = (before * (1 - share) + pixels * share).astype(np.uint8)
            yield np.ascontiguousarray(pixels)
        before = np.asarray(pixels, np.float32)


def shots(path: Path, windowing: Windowing = SHOTS, **limits: Any) -> list[Segment]:
    return [one for one in VideoDecoder(windowing, Limits(**limits)).decode(path) if one.modality == "image"]


def places(segments: list[Segment]) -> list[tuple[float, float]]:
    return [(round(one.span.start or 0, 2), round(one.span.end or 0, 2)) for one in segments]


def shows(segment: Segment) -> int:
    """The number of the scenery that a frame is of."""
    pixels = np.asarray(segment.data, np.float32)
    likeness = {}
    for number in range(12):
        wide = scenery(number).astype(np.float32)
        likeness[number] = min(np.abs(pixels - wide[:, x : x + SIDE[0]]).mean() for x in range(0, 96, 2))
    return min(likeness, key=lambda number: likeness[number])


@pytest.mark.slow
@pytest.mark.parametrize("gop", [6, 240])
def test_every_shot_of_half_a_second_has_a_frame_and_its_own_times(tmp_path: Path, gop: int) -> None:
    lengths = [3.0, 0.5, 1.0, 4.0, 0.75, 2.0]
    found = shots(film(tmp_path / "film.mp4", list(enumerate(lengths)), gop=gop))
    np.testing.assert_allclose(places(found), list(pairwise(np.cumsum([0.0, *lengths]))), atol=0.07)
    assert [shows(one) for one in found] == [0, 1, 2, 3, 4, 5]


def test_a_flash_is_no_shot(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", [(0, 3.0), (1, 0.25), (2, 3.0), (3, 2.0)])
    assert [shows(one) for one in shots(path)] == [0, 2, 3]


def test_a_dissolve_is_cut_in_its_middle(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", [(0, 3.0), (1, 4.0), (2, 3.0)], dissolve=0.6, move=4.0)
    found = shots(path)
    np.testing.assert_allclose(places(found), [(0, 3.3), (3.3, 7.3), (7.3, 10.0)], atol=0.25)
    assert [shows(one) for one in found] == [0, 1, 2]


def test_a_moving_camera_cuts_nothing(tmp_path: Path) -> None:
    """One take: as many frames as ever, each with its part of the time."""
    found = shots(film(tmp_path / "film.mp4", [(0, 12.0)], move=40.0))
    np.testing.assert_allclose(places(found), [(0, 3), (3, 6), (6, 12)], atol=0.1)


def test_a_long_shot_has_several_frames_and_tells_its_parts(tmp_path: Path) -> None:
    found = shots(film(tmp_path / "film.mp4", [(0, 8.0), (1, 24.0), (2, 3.0)], rate=12))
    assert [shows(one) for one in found] == [0, 0, 1, 1, 1, 1, 1, 2]
    # Of 8 seconds both frames tell the whole shot.
    expected = [(0, 8), (0, 8), (8, 13), (13, 18), (18, 23), (23, 27.5), (27.5, 32), (32, 35)]
    np.testing.assert_allclose(places(found), expected, atol=0.3)


def test_a_limit_holds_the_frames_of_a_minute(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", [(number % 12, 0.6) for number in range(20)])
    assert len(shots(path)) == 20
    assert len(shots(path, frames_per_minute=5)) == 6


def test_clips_are_cut_at_shots_too(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", [(0, 2.0), (1, 3.0), (2, 2.0)])
    windowing = Windowing(shots=1, clip_s=4.0, clip_frames=4, clip_side=32)
    found = [one for one in VideoDecoder(windowing, Limits()).decode(path) if one.modality == "video"]
    np.testing.assert_allclose(places(found), [(0, 2), (2, 5), (5, 7)], atol=0.07)
    assert [np.asarray(one.data).shape for one in found] == [(4, 32, 48, 3)] * 3


def test_a_slide_show_at_a_changing_rate_is_cut_at_its_slides(tmp_path: Path) -> None:
    times = [0.0, 4.0, 9.0, 9.5, 16.0]
    with av.open(str(tmp_path / "slides.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = *SIDE, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number, moment in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(scenery(number)[:, : SIDE[0]]), format="rgb24")
            frame.pts, frame.time_base = round(moment * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    found = shots(tmp_path / "slides.mkv")
    assert [shows(one) for one in found] == [0, 1, 2, 3]
    # The last slide is seen for a tenth of a second: too short for a shot of its own.
    assert places(found) == [(0.0, 4.0), (4.0, 9.0), (9.0, 9.5), (9.5, pytest.approx(16.1))]


@pytest.mark.parametrize("colours", [("red",), ("red", "green"), ("red", "green", "blue", "red")])
def test_a_short_video_has_three_frames_at_least(tmp_path: Path, colours: tuple[str, ...]) -> None:
    assert len(shots(video(tmp_path / "film.mp4", *colours, seconds=1.0))) == max(3, len(colours))


def test_former_windows_know_no_shots() -> None:
    assert "shots" not in Windowing().cut() and SHOTS.cut()["shots"] == 1


def test_cuts_are_told_once_and_in_order_however_long_a_video_is() -> None:
    finder, told = CutFinder(), []
    pictures = [np.asarray(scenery(number)[::4, :128:4][:18], np.uint8) for number in range(12)]
    padded = [np.pad(one, ((0, 18 - len(one)), (0, 32 - one.shape[1]), (0, 0)), mode="edge") for one in pictures]
    for step in range(60 * 12):
        told += finder.add(step / 12, padded[step // 36 % 12])
    told += finder.rest()
    np.testing.assert_allclose(told, np.arange(3.0, 60.0, 3.0))

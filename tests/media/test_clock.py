"""Files whose time stamps begin anew or jump are read to their end, on one rising clock."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from mmsearch.media import clock
from mmsearch.media.clock import STRAIGHT, Clock, Shift
from mmsearch.media.video import VideoDecoder
from mmsearch.types import Limits, Segment, Windowing
from tests.media.test_tracks import heard
from tests.media_files import BLUE, GREEN, RED, clip
from tests.track_files import film, joined, tone

DECODER = VideoDecoder(Windowing(), Limits())


def decode(path: Path, limits: Limits | None = None) -> tuple[list[Segment], dict[str, Any]]:
    """The segments, and the facts as the catalog gets them."""
    decoder = VideoDecoder(Windowing(), limits or Limits())
    steps = decoder.decode(path)
    segments = []
    while True:
        try:
            segments.append(next(steps))
        except StopIteration as end:
            return segments, {**decoder.describe(path), **end.value}


def seen(segments: list[Segment]) -> list[tuple[float, float, tuple[int, ...]]]:
    """(start, end, colour) of each frame."""
    frames = [one for one in segments if one.modality == "image"]
    means = [np.asarray(one.data).reshape(-1, 3).mean(axis=0) for one in frames]
    colours = [tuple(255 if value > 127 else 0 for value in mean) for mean in means]
    return [
        (round(one.span.start or 0, 1), round(one.span.end or 0, 1), colour)
        for one, colour in zip(frames, colours, strict=True)
    ]


@pytest.mark.parametrize("suffix", [".ts", ".vob", ".mpg"])
def test_a_joined_recording_is_read_to_its_end(tmp_path: Path, suffix: str) -> None:
    parts = [
        film(tmp_path / f"{number}{suffix}", colours=[colour] * count, codec="mpeg2video")
        for number, (colour, count) in enumerate([(RED, 100), (GREEN, 50), (BLUE, 150)])
    ]
    segments, facts = decode(joined(tmp_path / f"whole{suffix}", *parts))
    assert seen(segments) == [(0.0, 4.0, RED), (4.0, 8.0, BLUE), (8.0, 12.0, BLUE)]
    assert facts["duration"] == pytest.approx(12.0, abs=0.1)


def test_the_sound_of_a_joined_recording_goes_with_its_pictures(tmp_path: Path) -> None:
    first = film(tmp_path / "1.ts", [tone(6, 300)], colours=[RED] * 150, codec="mpeg2video", sound_codec="mp2")
    # Of the second part only the beginning has a sound: what follows must not move up.
    second = film(tmp_path / "2.ts", [tone(1, 1000)], colours=[GREEN] * 150, codec="mpeg2video", sound_codec="mp2")
    third = film(tmp_path / "3.ts", [tone(6, 3000)], colours=[BLUE] * 150, codec="mpeg2video", sound_codec="mp2")
    segments, facts = decode(joined(tmp_path / "whole.ts", first, second, third))
    assert [colour for _, _, colour in seen(segments)] == [RED, GREEN, GREEN, BLUE]
    last = heard(segments)[-2:]
    assert [hertz for _, _, hertz in last] == [3000, 3000]
    assert last[0][0] == pytest.approx(12.0, abs=0.3) and last[-1][1] == pytest.approx(18.0, abs=0.4)
    assert facts["duration"] == pytest.approx(18.0, abs=0.4)


def test_a_clock_that_jumped_ahead_leaves_no_hole(tmp_path: Path) -> None:
    first = film(tmp_path / "1.ts", colours=[RED] * 100, codec="mpeg2video")
    later = film(tmp_path / "2.ts", colours=[GREEN] * 50, codec="mpeg2video", at=40_000.0)
    segments, facts = decode(joined(tmp_path / "whole.ts", first, later))
    assert seen(segments) == [(0.0, 2.0, RED), (2.0, 4.0, RED), (4.0, 6.0, GREEN)]
    assert facts["duration"] == pytest.approx(6.0, abs=0.1)


def test_a_joined_matroska_file_is_read_to_its_end(tmp_path: Path) -> None:
    first, second = clip(tmp_path / "1.mkv", [RED] * 40), clip(tmp_path / "2.mkv", [GREEN] * 20)
    segments, facts = decode(joined(tmp_path / "whole.mkv", first, second))
    assert seen(segments) == [(0.0, 2.0, RED), (2.0, 4.0, RED), (4.0, 6.0, GREEN)]
    assert facts["duration"] == pytest.approx(6.0, abs=0.1)


def test_a_video_over_the_limit_by_a_jump_alone_is_taken_in(tmp_path: Path) -> None:
    times = [*(i / 10 for i in range(30)), *(90_000 + i / 10 for i in range(30))]
    path = clip(tmp_path / "x.mkv", [RED] * 30 + [GREEN] * 30, times=times)
    segments, facts = decode(path)
    assert [colour for _, _, colour in seen(segments)] == [RED, GREEN, GREEN]
    assert facts["duration"] == pytest.approx(6.0, abs=0.2)


def test_pictures_that_stand_still_are_no_jump(tmp_path: Path) -> None:
    path = clip(tmp_path / "x.mkv", [RED, GREEN, BLUE, BLUE], times=[0.0, 1.0, 900.0, 901.0], gop=1)
    assert decode(path)[1]["duration"] == pytest.approx(901.0, abs=1.1)


def test_a_hole_in_the_sound_moves_nothing_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "x.mkv"
    film(path, [np.concatenate([tone(2, 300)])], colours=[RED] * 100)
    with av.open(str(path)) as source, av.open(str(tmp_path / "y.mkv"), "w") as target:
        copies = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio" and packet.dts * packet.time_base > 1:
                packet.pts = packet.dts = packet.dts + round(6 / packet.time_base)
            packet.stream = copies[packet.stream.index]
            target.mux(packet)
    places = [place for start, end, _ in heard(decode(tmp_path / "y.mkv")[0]) for place in (start, end)]
    assert places == pytest.approx([0.0, 1.0, 7.0, 8.1], abs=0.2)


def test_a_straight_file_keeps_its_stamps_and_its_duration(tmp_path: Path) -> None:
    path = film(tmp_path / "x.ts", [tone(4, 300)], colours=[RED] * 100, codec="mpeg2video", sound_codec="mp2")
    with av.open(str(path)) as container:
        assert clock.measured_clock(container).straight
    steps = DECODER.decode(path)
    assert sum(1 for _ in steps) > 0


def packet(stream: int, position: int, seconds: float) -> Any:
    source = SimpleNamespace(index=stream, type="video", average_rate=10)
    return SimpleNamespace(
        stream=source, pos=position, pts=round(1000 * seconds), dts=round(1000 * seconds), duration=100, time_base=0.001
    )


def test_one_damaged_stamp_begins_no_part() -> None:
    times = [0.0, 0.1, 0.2, 5000.0, 0.4, 0.5, 0.0, 0.7]
    runs = clock._runs((packet(0, n, at) for n, at in enumerate(times)), clock.GAP_S)
    assert [(run.position, round(run.start, 3), round(run.end, 3)) for run in runs] == [(0, 0.0, 0.8)]


def test_streams_that_begin_anew_at_one_place_are_one_part() -> None:
    times = [(n % 2, n, (n // 2 % 10) / 5) for n in range(40)]
    runs = clock._runs((packet(*one) for one in times), clock.GAP_S)
    assert clock._joints(runs) == [20]
    shifts, ends = clock._shifts(runs, [20])
    assert {n: [one.position for one in some] for n, some in shifts.items()} == {0: [0, 20], 1: [1, 21]}
    assert [one.seconds for n in (0, 1) for one in shifts[n]] == pytest.approx([0.0, 1.9, 0.0, 1.9])
    assert ends == pytest.approx({0: 3.8, 1: 3.8})


def test_a_packet_takes_the_shift_of_its_part() -> None:
    moved = Clock({0: (Shift(0, 0.0), Shift(20, 1.0))})
    early, late, other = packet(0, 19, 0.5), packet(0, 20, 0.5), packet(1, 18, 0.5)
    for one in (early, late, other):
        moved.set(one)
    assert [one.pts for one in (early, late, other)] == [500, 1500, 500]
    assert STRAIGHT.straight and not moved.straight

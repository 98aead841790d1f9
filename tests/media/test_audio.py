"""Sounds become mono windows at fixed places, whatever their header says."""

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mmsearch.errors import Corrupt, LimitExceeded
from mmsearch.media import container
from mmsearch.media.audio import AudioDecoder, windows
from mmsearch.types import Limits, Segment, Windowing
from tests.media_files import sound, wav

DECODER = AudioDecoder(Windowing(), Limits())


def decode(path: Path, limits: Limits | None = None, **windowing: Any) -> list[Segment]:
    return list(AudioDecoder(Windowing(**windowing), limits or Limits()).decode(path))


def places(segments: list[Segment]) -> list[tuple[float | None, float | None]]:
    return [(segment.span.start, segment.span.end) for segment in segments]


def loudest_hz(segment: Segment) -> float:
    spectrum = np.abs(np.fft.rfft(np.asarray(segment.data)))
    assert segment.rate is not None
    return float(np.argmax(spectrum)) * segment.rate / len(segment.data)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.02, [(0.0, 0.02)]),
        (4.0, [(0.0, 4.0)]),
        (5.0, [(0.0, 5.0)]),
        (5.05, [(0.0, 5.0)]),  # a codec's padding is no second window
        (5.5, [(0.0, 5.0), (2.5, 5.5)]),
        (7.5, [(0.0, 5.0), (2.5, 7.5)]),
        (12.0, [(0.0, 5.0), (2.5, 7.5), (5.0, 10.0), (7.5, 12.0)]),
    ],
)
def test_windows_end_with_the_sound(tmp_path: Path, seconds: float, expected: list[tuple[float, float]]) -> None:
    assert places(decode(wav(tmp_path / "x.wav", seconds))) == expected


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(("length", "hop"), [(10, 5), (10, 10), (10, 3), (4, 9)])
def test_windows_do_not_depend_on_the_frames_of_the_decoder(size: int, length: int, hop: int) -> None:
    samples = np.arange(57, dtype=np.float32)
    chunks = (samples[i : i + size] for i in range(0, 57, size))
    found = list(windows(chunks, length, hop))
    assert [start for start, _ in found] == [i * hop for i in range(len(found))]
    for start, held in found:
        assert np.array_equal(held, samples[start : start + length])
    last = found[-1][0]
    assert last + length >= 57 or last + hop >= 57
    assert len(found) == 1 or found[-2][0] + length < 57
    assert list(windows(iter(()), length, hop)) == []


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channels_become_mono_at_the_wanted_rate(tmp_path: Path, rate: int, channels: int) -> None:
    (segment,) = decode(wav(tmp_path / "x.wav", 2.0, rate=rate, channels=channels))
    assert segment.rate == 16_000 and abs(len(segment.data) - 32_000) <= 20
    assert loudest_hz(segment) == pytest.approx(1000, abs=2)
    assert np.abs(np.asarray(segment.data)).max() <= 1.0


def stereo(path: Path, left: Any, right: Any, codec: str = "pcm_s16le") -> Path:
    """Two channels at 44.1 kHz, each float in [-1, 1]."""
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream(codec, rate=44_100, layout="stereo")
        data = np.stack([left, right]).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(data, format="fltp", layout="stereo")
        frame.sample_rate = 44_100
        resampler = av.AudioResampler(
            format=stream.codec_context.format, layout="stereo", rate=44_100, frame_size=stream.frame_size or None
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
    return path


NOISE = 0.3 * np.random.default_rng(3).standard_normal((2, 3 * 44_100)).clip(-3, 3)


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_u8", "pcm_f32le", "pcm_s32le"])
def test_channels_that_are_inverted_to_each_other_sound_as_either_does(tmp_path: Path, codec: str) -> None:
    (plain,) = decode(stereo(tmp_path / "plain.wav", NOISE[0], NOISE[0], codec))
    for weaker in (1.0, 0.9):
        (inverted,) = decode(stereo(tmp_path / "inverted.wav", NOISE[0], -weaker * NOISE[0], codec))
        assert np.abs(np.asarray(inverted.data) - np.asarray(plain.data)).max() < 0.02
    assert np.asarray(plain.data).std() > 0.1


def test_inverted_channels_of_a_lossy_codec_are_heard(tmp_path: Path) -> None:
    (plain,) = decode(stereo(tmp_path / "plain.flac", NOISE[0], NOISE[0], "flac"))
    (inverted,) = decode(stereo(tmp_path / "inverted.m4a", NOISE[0], -NOISE[0], "aac"))
    power = [float(np.mean(np.square(np.asarray(each.data)[8000:32_000]))) for each in (inverted, plain)]
    assert power[0] == pytest.approx(power[1], rel=0.3)


@pytest.mark.parametrize(
    "right", [NOISE[0], NOISE[1], 0 * NOISE[0], -0.3 * NOISE[0]], ids=["both", "two", "left", "weak"]
)
def test_other_stereo_sounds_are_mixed_as_ever(tmp_path: Path, right: Any) -> None:
    (segment,) = decode(stereo(tmp_path / "x.wav", NOISE[0], right, "pcm_f32le"))
    (mixed,) = decode(stereo(tmp_path / "y.wav", (NOISE[0] + right) / 2, (NOISE[0] + right) / 2, "pcm_f32le"))
    assert np.abs(np.asarray(segment.data) - np.asarray(mixed.data)).max() < 1e-5


def test_the_amplitude_is_kept(tmp_path: Path) -> None:
    (segment,) = decode(wav(tmp_path / "x.wav", 1.0))
    assert np.abs(np.asarray(segment.data)).max() == pytest.approx(0.5, abs=0.001)


def test_silence_is_decoded_as_a_sound(tmp_path: Path) -> None:
    (segment,) = decode(wav(tmp_path / "x.wav", 1.0, hz=0.0))
    assert not np.any(np.asarray(segment.data))


@pytest.mark.parametrize("promised", [2**31 - 1, 16])
def test_a_wrong_length_in_the_header_does_not_fail_the_file(tmp_path: Path, promised: int) -> None:
    path = wav(tmp_path / "x.wav", 3.0)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 4, promised + 36)
    struct.pack_into("<I", data, 40, promised)
    path.write_bytes(data)
    segments = decode(path)
    assert len(segments) == 1
    if promised > 3 * 32_000:
        assert places(segments) == [(0.0, 3.0)]


@pytest.mark.parametrize("rate", [7, 771_759_936])
def test_an_impossible_sample_rate_is_corrupt(tmp_path: Path, rate: int) -> None:
    path = wav(tmp_path / "x.wav", 1.0)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 24, rate)
    path.write_bytes(data)
    with pytest.raises(Corrupt, match="sample rate"):
        decode(path)


def test_a_truncated_file_gives_its_beginning(tmp_path: Path) -> None:
    path = wav(tmp_path / "x.wav", 4.0)
    path.write_bytes(path.read_bytes()[: 44 + 2 * 32_000])
    assert places(decode(path)) == [(0.0, 2.0)]


def test_damaged_packets_are_skipped(tmp_path: Path) -> None:
    path = sound(tmp_path / "x.flac", 4.0, "flac")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 100] = b"\x55" * 100
    path.write_bytes(data)
    (segment,) = decode(path)
    assert 3.5 < len(segment.data) / 16_000 <= 4.1


def test_the_duration_limit_counts_decoded_seconds(tmp_path: Path) -> None:
    path = wav(tmp_path / "x.wav", 4.0)
    assert len(decode(path, Limits(duration_s=4.0))) == 1
    with pytest.raises(LimitExceeded, match=r"longer than 3\.9 s"):
        decode(path, Limits(duration_s=3.9))


def promising(path: Path, seconds: float) -> Path:
    """A FLAC file whose header says how long it is; 0: it says nothing."""
    data = bytearray(path.read_bytes())
    samples = round(seconds * 48_000)
    data[21] &= 0xF0
    data[22:26] = struct.pack(">I", samples)
    path.write_bytes(data)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("promised", "most"), [(60.0, 0), (0.0, 0), (2.0, 1), (900.0, 0)])
def test_a_sound_over_the_limit_is_refused_before_it_is_decoded(tmp_path: Path, promised: float, most: int) -> None:
    path = promising(sound(tmp_path / "x.flac", 60.0, "flac"), promised)
    decoded = 0
    with pytest.raises(LimitExceeded, match="longer than 50 s"):
        for _ in AudioDecoder(Windowing(), Limits(duration_s=50.0)).decode(path):
            decoded += 1
    assert decoded <= most


@pytest.mark.parametrize("promised", [900.0, 0.0, 2.0])
def test_a_wrong_length_in_the_header_does_not_refuse_a_short_sound(tmp_path: Path, promised: float) -> None:
    path = promising(sound(tmp_path / "x.flac", 8.0, "flac"), promised)
    assert len(decode(path, Limits(duration_s=50.0))) == len(decode(path)) == 3


@pytest.mark.slow
def test_an_hour_of_sound_needs_little_memory(tmp_path: Path) -> None:
    path = wav(tmp_path / "x.wav", 1.0, rate=8_000)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 40, 3600 * 16_000)
    path.write_bytes(data)
    with open(path, "r+b") as file:
        file.truncate(44 + 3600 * 16_000)
    tracemalloc.start()
    try:
        count = sum(1 for _ in DECODER.decode(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 1439
    assert peak < 8 * 2**20


def test_a_file_without_a_sample_is_corrupt(tmp_path: Path) -> None:
    path = wav(tmp_path / "x.wav", 1.0)
    path.write_bytes(path.read_bytes()[:44])
    with pytest.raises(Corrupt, match="no sound"):
        decode(path)


def test_cover_art_does_not_make_it_a_video(tmp_path: Path) -> None:
    path = sound(tmp_path / "x.mp3", 1.0, "mp3", cover=True)
    assert container.stream_facts(path) == container.Streams(video=False, audio=True)
    assert DECODER.accepts(path, path.read_bytes()[:8192])
    assert [segment.modality for segment in decode(path)] == ["audio"]


def test_metadata_has_tags_and_stream_facts(tmp_path: Path) -> None:
    tags = {"title": "Tîtle", "artist": "Artist", "album": "Album", "date": "1999", "comment": "no"}
    facts = DECODER.describe(sound(tmp_path / "x.flac", 1.0, "flac", tags=tags))
    assert facts.pop("duration") == pytest.approx(1.0, abs=0.05)
    assert facts == {
        "codec": "flac",
        "sample_rate": 48_000,
        "channels": 1,
        "title": "Tîtle",
        "artist": "Artist",
        "album": "Album",
        "date": "1999",
        "year": 1999,
    }


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXTINF:10,\n{path}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{path}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    ],
)
@pytest.mark.parametrize("suffix", [".m3u8", ".mp3", ".ts"])
def test_playlists_and_scripts_are_never_followed(tmp_path: Path, text: str, suffix: str) -> None:
    target = wav(tmp_path / "secret.wav", 1.0)
    path = tmp_path / f"x{suffix}"
    path.write_text(text.format(path=target))
    assert not DECODER.accepts(path, path.read_bytes())
    with pytest.raises(Corrupt):
        decode(path)


def test_a_file_name_that_looks_like_a_url_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a|b.wav", "http:x.wav", "%03d.wav", "-.wav"):
        assert len(decode(wav(Path(name), 1.0))) == 1

"""Sounds, texts, and the bytes that evidence is kept as."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmsearch.media.evidence import EvidenceMaker, band_power
from mmsearch.media.sameness.evidence import Evidence, pack, unpack
from mmsearch.media.sameness.proof import Facts, Proof, Witness, prove
from mmsearch.media.sameness.sounds import may_be_same, outline
from mmsearch.types import Segment, Span
from tests.generated import agreeing_evidence

RATE = 16_000


def heard(samples: NDArray[np.float32], window: int = 5 * RATE, hop: int = 5 * RATE // 2) -> Witness:
    maker = EvidenceMaker("audio")
    for start in range(0, max(1, len(samples) - window + hop), hop):
        span = Span(start=start / RATE, end=(start + window) / RATE)
        maker.add(Segment("audio", samples[start : start + window], span, RATE))
    return Witness(Facts("audio"), unpack(maker.finish()) or Evidence())


def melody(seed: int, seconds: float = 3.0) -> NDArray[np.float32]:
    """Tones of which each has its own length."""
    chance = np.random.default_rng(seed)
    parts: list[NDArray[np.float64]] = []
    while sum(len(part) for part in parts) < seconds * RATE:
        time = np.arange(int(chance.integers(800, 4000))) / RATE
        parts.append(np.sin(2 * np.pi * chance.integers(150, 3500) * time) * chance.uniform(0.1, 0.9))
    return np.concatenate(parts)[: int(seconds * RATE)].astype(np.float32)


def test_a_sound_is_the_same_louder_noisier_or_a_little_later() -> None:
    one = melody(0)
    noise = np.random.default_rng(9).normal(0, 0.001, len(one)).astype(np.float32)
    found = prove(heard(one), heard(one * 0.5 + noise))
    assert found is not None and (found.kind, found.method) == ("transcoded", "spectrogram") and found.figure < 0.4
    later = np.concatenate([np.zeros(RATE // 31, np.float32), one])
    found = prove(heard(one), heard(later))
    assert found is not None and found.kind == "transcoded"


def swelling(seed: int, seconds: float) -> NDArray[np.float32]:
    """Tones that come and go slowly."""
    chance = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    waves = [np.sin(2 * np.pi * hertz * time) for hertz in chance.integers(150, 3500, 12)]
    swells = [1 + np.sin(2 * np.pi * chance.uniform(1, 6) * time + chance.uniform(0, 6)) for _ in waves]
    return np.asarray(0.03 * sum(wave * swell for wave, swell in zip(waves, swells, strict=True)), np.float32)


@pytest.mark.parametrize("share", [0.4, 0.5, 0.7])
def test_a_sound_is_the_same_a_share_of_a_frame_later(share: float) -> None:
    one = swelling(3, 6.0)  # of frames of 0.032 s
    later = np.concatenate([np.zeros(round(share * 0.032 * RATE), np.float32), one])
    found = prove(heard(one), heard(later))
    assert found is not None and found.kind == "transcoded"
    assert prove(heard(swelling(4, 6.0)), heard(later)) is None


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000])
def test_the_power_of_a_band_is_what_the_fourier_transform_of_a_frame_says(rate: int) -> None:
    length = 2 * round(0.016 * rate)
    time = np.arange(length) / rate
    tone = (np.sin(2 * np.pi * 1000 * time) + 0.1 * np.sin(2 * np.pi * 3900 * time)).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(tone * np.hanning(length))) ** 2 / length**2
    hertz = np.fft.rfftfreq(length, 1 / rate)
    edges = 700 * (np.exp(np.linspace(np.log1p(80 / 700), np.log1p(3800 / 700), 22)) - 1)
    triangles = [np.interp(hertz, edges[n : n + 3], [0, 1, 0], 0, 0) for n in range(20)]
    expected = [float(triangle @ spectrum / max(triangle.sum(), 1e-9)) for triangle in triangles]
    np.testing.assert_allclose(band_power(tone[np.newaxis], rate)[0], expected, rtol=1e-4, atol=1e-9)


def test_other_sounds_prove_nothing() -> None:
    one = melody(0)
    word = one.copy()
    word[RATE : RATE + 6000] = melody(5, 1.0)[:6000]
    chance = np.random.default_rng(1)
    noises = [heard(chance.normal(0, 0.1, 3 * RATE).astype(np.float32)) for _ in range(2)]
    assert prove(heard(one), heard(melody(1))) is None
    assert prove(heard(one), heard(word)) is None
    assert prove(heard(one), heard(one[: -RATE // 5])) is None
    assert prove(*noises) is None
    silent = [heard(np.zeros(3 * RATE, np.float32)) for _ in range(2)]
    assert prove(*silent) is None


@pytest.mark.parametrize("seconds", [1.0, 3.0, 5.0, 20.0])
def test_an_outline_tells_other_sounds_apart_and_keeps_the_same(seconds: float) -> None:
    one = melody(0, seconds)
    noise = np.random.default_rng(9).normal(0, 0.001, len(one)).astype(np.float32)
    others = [one * 0.5 + noise, np.roll(one, 800), melody(1, seconds), melody(2, seconds)]
    first, *rest = (heard(samples).evidence.sound for samples in (one, *others))
    assert first is not None and all(sound is not None for sound in rest)
    outlines = np.stack([outline(sound) for sound in rest if sound is not None])
    assert outlines.shape == (4, 160) and may_be_same(outline(first), outlines).tolist()[:2] == [True, True]
    if seconds >= 5:
        assert may_be_same(outline(first), outlines).tolist()[2:] == [False, False]


def test_outlines_agree_where_only_one_sound_is_long_enough_for_slices() -> None:
    long = melody(0, 4.02)
    shorter, longer = heard(long[: round(3.98 * RATE)]).evidence.sound, heard(long).evidence.sound
    assert shorter is not None and longer is not None
    for one, other in ((shorter, longer), (longer, shorter)):
        assert may_be_same(outline(one), outline(other)[np.newaxis]).tolist() == [True]


def test_a_long_sound_is_kept_in_few_bytes_whatever_its_windows() -> None:
    long = np.tile(melody(3, 20.0), 6)
    one, other = heard(long), heard(long, 10 * RATE, 10 * RATE)
    assert one.evidence.sound is not None and len(one.evidence.sound.levels) <= 256
    assert len(pack(one.evidence)) < 6000
    found = prove(one, other)
    assert found is not None and found.figure < 0.1


def read(*passages: str) -> Witness:
    maker, start = EvidenceMaker("text"), 0
    for passage in passages:
        maker.add(Segment("text", passage, Span(char_start=start, char_end=start + len(passage), text=passage)))
        start += len(passage) + 1
    return Witness(Facts("text"), unpack(maker.finish()) or Evidence())


def test_texts_are_the_same_by_their_lines_and_revised_by_their_words() -> None:
    text = "\n".join(f"line {n} says that number {n * n} is right" for n in range(60))
    other = text.replace("1600", "1601")
    assert prove(read(text), read(text.replace("\n", "  \r\n"))) == Proof("saved again", "lines", 1.0)
    found = prove(read(text), read(other))
    assert found is not None and found.kind == "revised" and found.figure > 0.8
    assert prove(read(text), read(other), related=False) is None
    assert prove(read(text), read("something else altogether, of no line in common")) is None


def test_passages_that_overlap_are_read_once() -> None:
    maker = EvidenceMaker("text")
    text = "one two three four\nfive six seven eight\nnine ten"
    for start, end in ((0, 30), (19, len(text))):
        maker.add(Segment("text", text[start:end], Span(char_start=start, char_end=end)))
    found = unpack(maker.finish())
    assert found is not None and found.text is not None and read(text).evidence.text is not None
    assert prove(Witness(Facts("text"), found), read(text)) == Proof("saved again", "lines", 1.0)


@given(st.binary(max_size=400))
def test_bytes_of_anything_else_are_no_evidence(data: bytes) -> None:
    unpack(data)
    unpack(b"\x01" + data)


@given(st.integers(0, 10**6), st.integers(0, 255))
def test_a_changed_byte_is_evidence_or_none(at: int, value: int) -> None:
    data = bytearray(agreeing_evidence())
    data[at % len(data)] = value
    unpack(bytes(data))

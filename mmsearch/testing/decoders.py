"""What every decoder promises (`mmsearch.Decoder`), as a suite of tests to inherit.

from mmsearch.testing.decoders import DecoderCase, DecoderContract

class TestMine(DecoderContract):
    cases = (DecoderCase("my-decoder", write_a_file, ".mine"),)
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from mmsearch.core import registry
from mmsearch.errors import MediaError
from mmsearch.media.sniff import HEAD_BYTES, open_decoder
from mmsearch.types.contracts import Decoder, Limits, Segment, Windowing

WINDOWING = Windowing()
LIMITS = Limits()


@dataclass(frozen=True)
class DecoderCase:
    """A kind of file, who decodes it, and how long it lasts."""

    decoder: str
    """The name of the entry point."""
    make: Callable[[Path], object]
    """Writes such a file."""
    suffix: str
    lasts: float | None = None
    """Seconds; None: it has no time."""

    def __str__(self) -> str:
        return f"{self.decoder}{self.suffix}"


class DecoderContract:
    """Tests of decoders; name the subclass Test..., and give it cases."""

    cases: ClassVar[Sequence[Any]] = ()
    """Of each a `DecoderCase`, or a `pytest.param` of one."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Each test once for each case."""
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", self.cases, ids=str)

    @pytest.fixture
    def file(self, case: DecoderCase, tmp_path: Path) -> Path:
        path = tmp_path / f"file{case.suffix}"
        case.make(path)
        return path

    @pytest.fixture
    def decoder(self, case: DecoderCase) -> Decoder:
        return decoders()[case.decoder]

    def test_only_its_own_decoder_accepts_a_file(self, case: DecoderCase, file: Path) -> None:
        accepting = {name for name, decoder in decoders().items() if decoder.accepts(file, head(file))}
        assert accepting == {case.decoder}

    @pytest.mark.parametrize("suffix", [".wav", ".jpg", ".txt", ".mp4", ""])
    def test_the_content_and_not_the_name_decides_on_the_decoder(
        self, case: DecoderCase, file: Path, suffix: str
    ) -> None:
        renamed = file.rename(file.with_name("renamed" + suffix))
        found = open_decoder(renamed, list(decoders().values()), LIMITS)
        assert found.modality == case.decoder
        assert list(found.decode(renamed))

    def test_decoding_twice_gives_equal_segments(self, decoder: Decoder, file: Path) -> None:
        first, second = list(decoder.decode(file)), list(decoder.decode(file))
        assert len(first) == len(second) >= 1
        for one, other in zip(first, second, strict=True):
            assert (one.modality, one.span, one.rate) == (other.modality, other.span, other.rate)
            assert np.array_equal(one.data, other.data)

    def test_segments_have_the_promised_type_shape_and_range(self, decoder: Decoder, file: Path) -> None:
        checks: dict[str, Callable[[Segment], None]] = {"image": _image, "audio": _audio, "text": _text}
        segments = list(decoder.decode(file))
        assert segments
        for segment in segments:
            checks[segment.modality](segment)

    def test_spans_rise_within_the_duration(self, case: DecoderCase, decoder: Decoder, file: Path) -> None:
        found: dict[str, list[Segment]] = {}
        for segment in decoder.decode(file):
            found.setdefault(segment.modality, []).append(segment)
        for of_one_kind in found.values():
            spans: list[Any] = [segment.span for segment in of_one_kind]
            places = [(s.page or 0, s.char_start or 0, s.start or 0.0) for s in spans]
            # Two sound tracks are heard at one time.
            kept = {(place, _bytes(one)) for place, one in zip(places, of_one_kind, strict=True)}
            assert places == sorted(places) and len(kept) == len(places)
            for span in spans:
                if case.lasts is None:
                    assert span.start is None and span.end is None
                else:
                    assert 0 <= span.start <= span.end <= case.lasts

    def test_metadata_survives_a_round_trip_through_json(self, decoder: Decoder, file: Path) -> None:
        facts = decoder.describe(file)
        assert json.loads(json.dumps(facts, allow_nan=False)) == facts

    @pytest.mark.parametrize("kept", [0, 1, 7, 16, 64, 0.1, 0.5, 0.9, 0.99])
    def test_a_cut_file_gives_segments_or_a_media_error(self, decoder: Decoder, file: Path, kept: float) -> None:
        data = file.read_bytes()
        file.write_bytes(data[: kept if isinstance(kept, int) else int(len(data) * kept)])
        _survives(decoder, file)

    @pytest.mark.parametrize("seed", range(6))
    def test_damaged_bytes_give_segments_or_a_media_error(self, decoder: Decoder, file: Path, seed: int) -> None:
        random = np.random.default_rng(seed)
        data = np.frombuffer(file.read_bytes(), np.uint8).copy()
        data[random.integers(0, len(data), max(1, len(data) // 50))] = random.integers(0, 256, max(1, len(data) // 50))
        file.write_bytes(data.tobytes())
        _survives(decoder, file)

    def test_noise_under_its_suffix_is_a_media_error(self, decoder: Decoder, file: Path) -> None:
        file.write_bytes(np.random.default_rng(3).integers(0, 256, 20_000).astype(np.uint8).tobytes())
        assert not decoder.accepts(file, head(file))
        with pytest.raises(MediaError):
            list(decoder.decode(file))
        with pytest.raises(MediaError):
            open_decoder(file, list(decoders().values()), LIMITS)

    def test_an_empty_and_a_missing_file_are_media_errors(self, decoder: Decoder, file: Path) -> None:
        file.write_bytes(b"")
        with pytest.raises(MediaError):
            list(decoder.decode(file))
        file.unlink()
        with pytest.raises(MediaError) as caught:
            list(decoder.decode(file))
        assert caught.value.failure == "transient"
        with pytest.raises(MediaError):
            decoder.describe(file)


def decoders() -> dict[str, Decoder]:
    return {
        name: registry.load_part("decoders", name)(WINDOWING, LIMITS) for name in registry.known_targets("decoders")
    }


def head(path: Path) -> bytes:
    with open(path, "rb") as opened:
        return opened.read(HEAD_BYTES)


def _bytes(segment: Segment) -> bytes:
    return segment.data.encode() if isinstance(segment.data, str) else segment.data.tobytes()


def _image(segment: Segment) -> None:
    assert isinstance(segment.data, np.ndarray)
    assert segment.data.dtype == np.uint8
    assert segment.data.ndim == 3 and segment.data.shape[2] == 3 and segment.data.size > 0


def _audio(segment: Segment) -> None:
    assert isinstance(segment.data, np.ndarray)
    assert segment.data.dtype == np.float32 and segment.data.ndim == 1
    assert 0 < len(segment.data) <= WINDOWING.audio_window_s * WINDOWING.audio_rate
    assert np.isfinite(segment.data).all() and np.abs(segment.data).max() <= 1.0
    assert segment.rate == WINDOWING.audio_rate


def _text(segment: Segment) -> None:
    assert isinstance(segment.data, str) and segment.data.strip()
    assert segment.span.text == segment.data
    assert segment.span.char_start is not None and segment.span.char_end is not None
    assert segment.span.char_end - segment.span.char_start == len(segment.data)


def _survives(decoder: Decoder, file: Path) -> None:
    decoder.accepts(file, head(file))
    for step in (lambda: list(decoder.decode(file)), lambda: decoder.describe(file)):
        try:
            step()
        except MediaError as error:
            assert error.message

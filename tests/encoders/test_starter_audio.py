"""The YAMNet port against the published TFLite model, and its way into the words' space."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mmsearch.core import registry
from mmsearch.encoders.starter.audio import GENERIC, LABELS, WEIGHTS, StarterAudio
from mmsearch.encoders.starter.audioset import FRAME, HOP, RATE
from mmsearch.encoders.starter.text import StarterText
from mmsearch.errors import InvalidInput
from mmsearch.types import Limits, Segment, Windowing

GOLDEN = Path(__file__).parents[1] / "assets" / "starter" / "yamnet.npz"
WORDS = {"dog_bark__1-32318-A": "a dog barking", "rooster__1-34119-A": "a rooster crows", "rain__1-17367-A": "rain"}
TOLERANCE = 0.002
"""Mean absolute difference of scores in [0, 1]: the original rounds its activations to 8 bits, the port doesn't."""


@pytest.fixture(scope="module")
def encoder() -> StarterAudio:
    return StarterAudio("cpu")


@pytest.fixture(scope="module")
def golden() -> dict[str, NDArray[Any]]:
    with np.load(GOLDEN) as file:
        return dict(file)


def prepared(encoder: StarterAudio, wave: NDArray[np.int16]) -> NDArray[np.float32]:
    return encoder.prepare(Segment("audio", wave.astype(np.float32) / 32768, rate=RATE))


def test_scores_equal_the_original_s(encoder: StarterAudio, golden: dict[str, NDArray[Any]]) -> None:
    """Scores the TFLite gave for three clips; see tests/assets/starter/README.md."""
    ours = encoder.scores(encoder._loaded(), [prepared(encoder, golden[name]) for name in WORDS])
    for name, scores in zip(WORDS, ours, strict=True):
        theirs = golden[f"{name}:scores"]
        assert scores.shape == theirs.shape == (4, 521)
        assert np.abs(scores - theirs).mean() < TOLERANCE
        assert np.abs(scores - theirs).max() < 0.1


@pytest.mark.slow
def test_scores_equal_the_original_s_on_esc10(encoder: StarterAudio, shared: Path) -> None:
    """Every third clip of ESC-10, each frame run through the TFLite itself."""
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed here")
    original = litert.Interpreter(str(shared / "models" / "yamnet.tflite"))
    original.allocate_tensors()
    source, result = original.get_input_details()[0]["index"], original.get_output_details()[0]["index"]
    decoder = registry.load_part("decoders", "audio")(Windowing(), Limits())
    waves = [
        encoder.prepare(next(iter(decoder.decode(path))))
        for path in sorted((shared / "data" / "dev" / "esc10").iterdir())[::3]
    ]
    assert len(waves) == 68
    differences = []
    for wave, scores in zip(waves, encoder.scores(encoder._loaded(), waves), strict=True):
        for row, start in zip(scores, range(0, len(wave), HOP), strict=False):
            original.set_tensor(source, wave[start : start + FRAME])
            original.invoke()
            differences.append(np.abs(original.get_tensor(result)[0] - row).mean())
    assert len(differences) > 600
    assert np.mean(differences) <= TOLERANCE


@pytest.mark.slow
def test_the_right_sound_is_nearest_to_each_text(encoder: StarterAudio, golden: dict[str, NDArray[Any]]) -> None:
    text = StarterText("cpu")
    sounds = encoder.encode([prepared(encoder, golden[name]) for name in WORDS])
    words = text.encode([text.prepare(Segment("text", words)) for words in WORDS.values()])
    assert (words @ sounds.T).argmax(1).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("samples", "frames"), [(0, 1), (1, 1), (FRAME, 1), (FRAME + 1, 2), (FRAME + HOP, 2), (80_000, 10)]
)
def test_the_last_frame_is_padded_with_silence(encoder: StarterAudio, samples: int, frames: int) -> None:
    wave = encoder.prepare(Segment("audio", np.full(samples, 0.5, np.float32), rate=RATE))
    assert wave.dtype == np.float32
    assert len(wave) == FRAME + (frames - 1) * HOP
    assert (wave[:samples] == 0.5).all()
    assert not wave[samples:].any()


def test_sounds_of_one_batch_may_differ_in_length(encoder: StarterAudio, golden: dict[str, NDArray[Any]]) -> None:
    waves = [prepared(encoder, golden["rooster__1-34119-A"][:size]) for size in (35_000, 4_000, 20_000)]
    counts = [len(scores) for scores in encoder.scores(encoder._loaded(), waves)]
    assert counts == [4, 1, 2]


def test_another_sample_rate_is_refused(encoder: StarterAudio) -> None:
    with pytest.raises(InvalidInput, match="44100"):
        encoder.prepare(Segment("audio", np.zeros(10, np.float32), rate=44_100))


def test_every_generic_class_is_a_class_of_the_model() -> None:
    import json

    names = json.loads(LABELS.locate().read_text("utf-8"))
    assert len(names) == 521
    assert set(names) >= GENERIC


def test_the_packaged_weights_are_those_the_converter_makes(shared: Path) -> None:
    pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed here")
    from safetensors.numpy import load_file

    from mmsearch.encoders.starter.convert import yamnet

    stored, made = load_file(WEIGHTS.locate()), yamnet(shared / "models" / "yamnet.tflite")
    assert stored.keys() == made.keys()
    for name, tensor in made.items():
        assert tensor.dtype == stored[name].dtype
        np.testing.assert_array_equal(tensor, stored[name])


def test_the_converter_refuses_an_unknown_checkpoint(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed here")
    from mmsearch.encoders.starter.convert import yamnet

    other = tmp_path / "yamnet.tflite"
    other.write_bytes(b"TFL3")
    with pytest.raises(InvalidInput, match="not the published"):
        yamnet(other)

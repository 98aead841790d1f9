"""What is remembered of the speed of encoders, for `mmsearch models`."""

import pytest

from mmsearch.encoders import speed
from mmsearch.encoders.starter.text import StarterText
from mmsearch.models.available import available_models
from mmsearch.types import Segment


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has encoded nothing yet."""
    monkeypatch.setattr(speed, "_runs", {})


def test_the_first_batch_and_too_few_segments_are_not_measured() -> None:
    speed.note_speed("some-image", "cpu", 1000, 50.0)
    assert speed.known_speed("some-image") is None
    speed.note_speed("some-image", "cpu", speed.FEWEST - 1, 1.0)
    assert speed.known_speed("some-image") is None
    speed.note_speed("some-image", "cpu", 1, 1.0)
    assert speed.known_speed("some-image") == (speed.FEWEST / 2.0, "cpu")


def test_a_measured_speed_is_written_again_once_its_sample_has_doubled() -> None:
    for segments, seconds, known in ((9, 9.0, None), (32, 1.0, 32.0), (31, 3.0, 32.0), (1, 0.0, 16.0)):
        speed.note_speed("some-audio", "gpu", segments, seconds)
        found = speed.known_speed("some-audio")
        assert found == (None if known is None else (known, "gpu"))


@pytest.mark.slow
def test_an_encoder_s_measured_speed_is_in_the_list_of_models() -> None:
    encoder = StarterText("cpu")
    some = [encoder.prepare(Segment("text", "a dog"))] * 20
    assert next(model for model in available_models() if model.name == "starter").speed == {}
    for _ in range(2):
        encoder.encode(some, query=True)
    assert speed.known_speed("starter-text") is None, "queries are encoded in another way"
    for _ in range(3):
        encoder.encode(some)
    starter = next(model for model in available_models() if model.name == "starter")
    assert (list(starter.speed), starter.device) == (["text"], "cpu") and starter.speed["text"] > 0

"""The extractors that there are keep the contract: one that reads what a file brings, and both that ship."""

from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from mmsearch.models.speech import prepare_speech
from mmsearch.testing.extractors import ExtractorCase, ExtractorContract
from tests import tiny_extractor
from tests.conftest import SHARED
from tests.generated import picture, sound
from tests.tiny_extractor import with_lines

SPOKEN = SHARED / "data" / "dev" / "fsdd" / "7_lucas_0.wav"


def sign(path: Path) -> None:
    """A picture that says something."""
    image = Image.new("RGB", (400, 120), "white")
    ImageDraw.Draw(image).text((30, 40), "PALAIS DU LOUVRE", font=ImageFont.load_default(28), fill="black")
    image.save(path)


def spoken(path: Path) -> None:
    path.write_bytes(SPOKEN.read_bytes())


CASES = (
    ExtractorCase("tiny-ocr", lambda path: with_lines(picture(path, "red"), "blue letters"), ".png", "blue"),
    ExtractorCase(
        "tiny-speech",
        lambda path: with_lines(sound(path, "low"), {"text": "Good morning", "start": 0.5, "end": 1.0}),
        ".wav",
        "morning",
    ),
)


class TestTinyExtractors(ExtractorContract):
    cases = CASES

    @pytest.fixture(autouse=True)
    def known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        tiny_extractor.register(monkeypatch)


@pytest.mark.extras
@pytest.mark.slow
class TestShippedExtractors(ExtractorContract):
    cases = (
        ExtractorCase("ocr", sign, ".png", "palais"),
        pytest.param(
            ExtractorCase("speech", spoken, ".wav", "7"),
            marks=pytest.mark.skipif(not SPOKEN.is_file(), reason="the shared development data is not here"),
            id="speech.wav",
        ),
    )

    @pytest.fixture(autouse=True)
    def prepared(self) -> None:
        pytest.importorskip("rapidocr")
        pytest.importorskip("faster_whisper")
        prepare_speech("whisper-base")

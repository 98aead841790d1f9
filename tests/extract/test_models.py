"""Both extractors that ship, over real weights: what they read and hear, and that they ask no network."""

import socket
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

import mmsearch
from mmsearch.extract.ocr import OcrExtractor
from mmsearch.extract.speech import SpeechExtractor
from mmsearch.models.speech import prepare_speech
from mmsearch.types import Limits, TextLine

pytestmark = [pytest.mark.extras, pytest.mark.slow]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a socket was asked for")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


def lines(extractor: OcrExtractor | SpeechExtractor, path: Path) -> list[TextLine]:
    return [line for line in extractor.extract(path) if line is not None]


def sign(path: Path, *texts: str, turned: int = 0, height: int = 300) -> Path:
    image = Image.new("RGB", (500, height), "white")
    for place, text in enumerate(texts):
        ImageDraw.Draw(image).text((20, 30 + 70 * place), text, font=ImageFont.load_default(28), fill="black")
    image.rotate(turned, expand=True).save(path, "PDF" if path.suffix == ".pdf" else None)
    return path


@pytest.mark.parametrize("turned", [0, 90, 180])
def test_a_sign_is_read_whichever_way_it_hangs(tmp_path: Path, turned: int) -> None:
    pytest.importorskip("rapidocr")
    found = lines(OcrExtractor(Limits()), sign(tmp_path / "sign.png", "PALAIS DU LOUVRE", turned=turned))
    assert [line.text for line in found] == ["PALAIS DU LOUVRE"]


@pytest.mark.parametrize("turned", [0, 15, 90, 180, 270])
def test_lines_of_a_turned_page_are_all_read_and_in_order(tmp_path: Path, turned: int) -> None:
    pytest.importorskip("rapidocr")
    texts = ["Ouvert tous les jours", "sauf le dimanche", "et les jours ouvrables"]
    found = lines(OcrExtractor(Limits()), sign(tmp_path / "sign.png", *texts, turned=turned))
    assert " ".join(line.text for line in found) == " ".join(texts)


def test_a_long_screenshot_is_read_in_pieces_without_a_line_twice(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr")
    texts = [f"line number {n} of the page" for n in range(40)]
    found = lines(OcrExtractor(Limits()), sign(tmp_path / "long.png", *texts, height=2900))
    assert [line.text for line in found] == texts


def test_a_scanned_page_is_taken_in_and_found(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr")
    (tmp_path / "media").mkdir()
    sign(tmp_path / "media" / "scan.pdf", "invoice 4711", "total 12.50 EUR")
    with mmsearch.open(tmp_path / "library", ocr="on", workers=1) as library:
        library.ingest(tmp_path / "media")
        (hit, *_) = library.search("invoice 4711")
    assert (hit.path.name, hit.page, hit.source, hit.level) == ("scan.pdf", 1, "written", "sure")


def test_spoken_digits_are_told_from_each_other(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper")
    prepare_speech("whisper-base")
    heard = SpeechExtractor(Limits())
    found = lines(heard, shared / "data" / "dev" / "fsdd" / "7_lucas_0.wav")
    assert [line.text.strip(" .").lower() for line in found] in (["7"], ["seven"])
    assert found[0].language == "en" and 0 <= (found[0].start or 0) < 1


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        (tmp_path / name).write_bytes(b"something else")
    with pytest.raises(mmsearch.WeightsError, match="are not those of whisper-base"):
        prepare_speech("whisper-base", tmp_path)

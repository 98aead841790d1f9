"""The decoders that there are keep the contract, on files made here. A new decoder adds its files to `CASES`."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from mmsearch.testing.decoders import DecoderCase, DecoderContract
from tests import media_files
from tests.media.documents import made, ole

WORDS = "The kettle whistles while seven geese cross the frozen lake at dawn. "


def kept(write: Callable[[Path], object], suffix: str) -> DecoderCase:
    """A document that is made once."""

    @cache
    def data() -> bytes:
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"x{suffix}"
            write(path)
            return path.read_bytes()

    return DecoderCase("text", lambda path: path.write_bytes(data()), suffix)


CASES = (
    DecoderCase("image", media_files.photo, ".png"),
    DecoderCase("image", media_files.photo, ".jpg"),
    DecoderCase("image", media_files.photo, ".webp"),
    DecoderCase("image", media_files.photo, ".avif"),
    DecoderCase("image", media_files.photo, ".tif"),
    DecoderCase("image", media_files.photo, ".bmp"),
    DecoderCase("image", media_files.photo, ".gif"),
    DecoderCase("audio", lambda path: media_files.wav(path, 7.0), ".wav", 7.0),
    DecoderCase("audio", lambda path: media_files.wav(path, 0.02), ".wav", 0.02),
    DecoderCase("audio", lambda path: media_files.sound(path, 1.0, "mp3"), ".mp3", 1.2),
    DecoderCase("audio", lambda path: media_files.sound(path, 1.0, "flac"), ".flac", 1.0),
    DecoderCase("audio", lambda path: media_files.sound(path, 1.0, "libopus"), ".ogg", 1.1),
    DecoderCase("audio", lambda path: media_files.sound(path, 1.0, "aac"), ".m4a", 1.1),
    DecoderCase("video", lambda path: media_files.clip(path, [media_files.RED] * 30, sound_s=3.0), ".mp4", 3.2),
    DecoderCase("video", lambda path: media_files.clip(path, [media_files.RED] * 30), ".avi", 3.2),
    DecoderCase("video", lambda path: media_files.clip(path, [media_files.RED] * 30), ".mkv", 3.2),
    DecoderCase("text", lambda path: path.write_text(WORDS * 40, "utf-8"), ".txt"),
    DecoderCase("text", lambda path: path.write_text("# Geese\n\n" + WORDS * 40, "utf-8"), ".md"),
    DecoderCase("text", lambda path: path.write_text(f"<!doctype html><p>{WORDS * 40}", "utf-8"), ".html"),
    DecoderCase("text", lambda path: media_files.pdf(path, [WORDS, WORDS]), ".pdf"),
    DecoderCase("text", lambda path: path.write_text('{"a": "kettle"}', "utf-8"), ".json"),
    kept(lambda path: made.write_docx(path, {"One": [WORDS * 20], "Two": [WORDS]}), ".docx"),
    kept(lambda path: made.write_xlsx(path, {"Sheet": [[WORDS, 1]] * 9}), ".xlsx"),
    kept(lambda path: made.write_epub(path, {"One": f"<p>{WORDS * 20}</p>"}), ".epub"),
    kept(lambda path: made.write_mail(path, made.mail("Kettle", WORDS * 20)), ".eml"),
    kept(lambda path: ole.write_message(path, "Kettle", WORDS * 20), ".msg"),
)


class TestDecoders(DecoderContract):
    cases = CASES

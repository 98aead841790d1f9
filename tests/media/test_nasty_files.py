"""451 corrupt, odd and hostile files: each has an outcome, and none of them is a surprise."""

from collections import Counter
from pathlib import Path

import pytest

from mmsearch.errors import FAILURES
from mmsearch.media.events import DecodeJob, FileDone, FileFailed, PreparedSegment
from mmsearch.media.pool import DecodePool
from mmsearch.types import Limits, Windowing

pytestmark = pytest.mark.slow

NASTY = Path(__file__).resolve().parents[3] / "shared" / "data" / "dev" / "nasty"

KNOWN = {
    "file-type/fixture.apng": "image",
    "file-type/fixture.m4v": "video",
    "file-type/fixture.mkv": "video",
    "file-type/fixture.mp3": "audio",
    "file-type/fixture.opus": "audio",
    "file-type/fixture.pdf": "text",
    "file-type/fixture-utf16-le-bom.xml": "text",
    "file-type/fixture.rtf": "unsupported",
    "file-type/fixture.tar.gz": "unsupported",
    "file-type/fixture.sqlite": "unsupported",
    "file-type/fixture-office365.docx": "text",
    "mutagen/emptyfile.mp3": "corrupt",
    "mutagen/truncated-64bit.mp4": "corrupt",
    "mutagen/apev2-lyricsv2.mp3": "audio",
    "mutagen/silence-44-s.wv": "audio",
    "pillow/bmp/b/reallybig.bmp": "limit",
    "pillow/decompression_bomb.ico": "limit",
    "pillow/truncated_image.png": "image",
    "pillow/broken_data_stream.png": "corrupt",
    "pillow/drawing.wmf": "unsupported",
    "pillow/eps/1.eps": "unsupported",
    "pillow/avif/hopper.avif": "image",
    "pillow/hopper.Lab.tif": "image",
    "pillow/five_channels.psd": "image",
    "pillow/timeout-6646305047838720": "corrupt",
}


@pytest.mark.skipif(not NASTY.exists(), reason="needs the development data in ../shared")
def test_every_hostile_file_is_decoded_or_refused_with_our_error() -> None:
    paths = sorted(path for path in NASTY.rglob("*") if path.is_file())
    outcomes: dict[str, str] = {}
    pieces: Counter[int] = Counter()
    with DecodePool("tests.tiny:space", Windowing(), Limits(), workers=2) as pool:
        for event in pool.run(DecodeJob(path, key) for key, path in enumerate(paths)):
            name = event.job.path.relative_to(NASTY).as_posix()
            if isinstance(event, PreparedSegment):
                pieces[event.job.key] += 1
                continue
            assert name not in outcomes
            assert event.job.key == len(outcomes)
            if isinstance(event, FileDone):
                assert pieces[event.job.key] >= 1
                outcomes[name] = event.modality
            else:
                assert isinstance(event, FileFailed)
                assert event.failure in FAILURES
                assert "\n" not in event.reason and str(NASTY) not in event.reason
                outcomes[name] = event.failure
    assert len(outcomes) == len(paths)
    assert {name: outcomes[name] for name in KNOWN} == KNOWN
    # None crashes, hangs or eats memory with the decoders of today.
    assert set(outcomes.values()) <= {"image", "audio", "video", "text", "corrupt", "unsupported", "limit"}

"""Hostile media stay in the workers: what crashes, hangs or eats memory costs one file, and the parent reads none."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from mmsearch.core import registry
from mmsearch.errors import FAILURES
from mmsearch.extract.process import ExtractionJob, ExtractionPool
from mmsearch.library import Library
from mmsearch.models.speech import prepare_speech
from mmsearch.types import Limits
from tests import tiny_extractor
from tests.conftest import CHECKOUT
from tests.generated import picture
from tests.tiny_extractor import with_lines

pytestmark = [pytest.mark.extras, pytest.mark.slow]


@pytest.fixture(autouse=True)
def tiny_extractors(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_extractor.register(monkeypatch)


def test_a_file_that_hangs_or_takes_all_memory_or_crashes_costs_itself(
    open_tiny: Callable[..., Library], folder: Path
) -> None:
    for name in ("hang", "memory", "crash", "broken"):
        with_lines(picture(folder / f"{name}.png", "red", mark=len(name)), name)
    with_lines(picture(folder / "sign.png", "blue"), "blue letters")
    library = open_tiny(decode_s=2.0, memory_bytes=2**30)
    library.ingest(folder)
    done = library.extract.add("tiny-ocr")
    assert {one.path.stem: one.failure for one in done.problems} == {
        "broken": "corrupt", "crash": "crashed", "hang": "timeout", "memory": "out-of-memory",
    }  # fmt: skip
    assert (done.files, done.with_lines) == (5, 1)
    assert library.search("blue letters", 1)[0].path.name == "sign.png"


@pytest.mark.parametrize(("name", "extra"), [("ocr", "rapidocr"), ("speech", "faster_whisper")])
def test_files_made_to_do_harm_are_looked_at_and_the_next_ones_still_are(
    shared: Path, tmp_path: Path, name: str, extra: str
) -> None:
    pytest.importorskip(extra)
    if name == "speech":
        prepare_speech("whisper-base")
    image = Image.new("RGB", (500, 100), "white")
    ImageDraw.Draw(image).text((20, 30), "PALAIS DU LOUVRE", font=ImageFont.load_default(28), fill="black")
    image.save(tmp_path / "sign.png")
    good = tmp_path / "sign.png" if name == "ocr" else shared / "data" / "dev" / "fsdd" / "7_lucas_0.wav"
    files = sorted(path for path in (shared / "data" / "dev" / "nasty").rglob("*") if path.is_file())
    jobs = [
        ExtractionJob(n, path, path.stat().st_size, path.stat().st_mtime_ns) for n, path in enumerate([*files, good])
    ]
    limits = Limits(decode_s=20.0)
    with ExtractionPool(registry.target_of("extractors", name), limits, 1) as pool:
        found = list(pool.run(jobs))
    assert len(found) == len(files) + 1 > 100
    assert {one.failure for one in found} <= {None, *FAILURES}
    words = " ".join(line.text for line in found[-1].lines).strip(" .").lower()
    assert words in ({"palais du louvre"} if name == "ocr" else {"7", "seven"})


LOADED = """
import sys
import mmsearch
with mmsearch.open(sys.argv[1], space="tests.tiny:space", workers=1) as library:
    from tests import tiny
    for code in tiny.SPACES:
        library._context.trust.name(code)
    library.ingest(sys.argv[2])
    assert library.extract.add("ocr").lines == 1
    assert library.search("louvre", 1, mode="keyword")[0].source == "written"
print(*sorted({"rapidocr", "onnxruntime", "cv2", "faster_whisper", "ctranslate2"}.intersection(sys.modules)))
"""


def test_the_process_of_the_library_loads_no_model_and_no_decoder_of_an_extractor(tmp_path: Path, folder: Path) -> None:
    pytest.importorskip("rapidocr")
    image = Image.new("RGB", (500, 100), "white")
    ImageDraw.Draw(image).text((20, 30), "PALAIS DU LOUVRE", font=ImageFont.load_default(28), fill="black")
    image.save(folder / "sign.png")
    command = [sys.executable, "-c", LOADED, str(tmp_path / "library"), str(folder)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, check=False)
    assert (done.returncode, done.stdout.decode().strip()) == (0, ""), done.stderr.decode()

"""A real browser before a real server over a real library, for the tests of the page."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import CHECKOUT

SAMPLES = CHECKOUT / "mmsearch" / "resources" / "samples"
TOKEN = "a-token-that-only-the-tests-of-the-page-know"
TAKEN = {
    "photos": ["dog-at-a-laptop.jpg", "gull-over-the-beach.jpg", "pizza-and-wine.jpg", "tennis-serve.jpg",
               "buses-on-a-wet-road.jpg", "cat-in-a-banana-tree.jpg"],
    "sounds": ["dog-barking-george.ogg", "dog-barking-sharply.ogg", "rooster-crowing.ogg", "waves-in-corsica.ogg"],
    "videos": ["big-buck-bunny.mp4", "flower-opening.webm"],
    "notes": ["teaching-a-puppy.md", "rye-bread.md", "bilge-pump.txt"],
}  # fmt: skip
HOSTILE = "<img src=x onerror=alert(1)>"
RIGHT_TO_LEFT = "\u05db\u05dc\u05d1 \u05e7\u05d8\u05df.txt"


def browser_path() -> str:
    """The browser that MMSEARCH_TEST_BROWSER names, else one that is installed; a test is skipped without one."""
    named = os.environ.get("MMSEARCH_TEST_BROWSER")
    if named:
        assert Path(named).is_file(), f"MMSEARCH_TEST_BROWSER names {named}, which is not there"
        return named
    found = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)
    if found is None:
        pytest.skip("no browser is installed")
    return found


def fill(folder: Path) -> None:
    """Samples, and files whose names or contents are made to do harm or to be awkward."""
    for kind, names in TAKEN.items():
        (folder / kind).mkdir(parents=True)
        for name in names:
            shutil.copy(SAMPLES / kind / name, folder / kind / name)
    shutil.copy(SAMPLES / "photos" / "dog-at-a-laptop.jpg", folder / "photos" / "the same dog.jpg")
    (folder / "notes" / f"{HOSTILE.replace('/', '')}.txt").write_text(f"{HOSTILE} a script about lighthouses")
    (folder / "notes" / RIGHT_TO_LEFT).write_text("a short note on lighthouses")
    # Of what a dog is sure to find, the surest is the oldest.
    for years, name in enumerate(("dog-barking-george.ogg", "dog-barking-sharply.ogg")):
        os.utime(folder / "sounds" / name, (1e9 + years, 1e9 + years))
    (folder / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 this is no picture")
    unplayable(folder / "videos" / "old camera.avi")


def unplayable(path: Path) -> None:
    """Six seconds that no browser plays: MPEG-4 part 2 in an AVI, red and then green."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for n in range(48):
            pixels = np.zeros((120, 160, 3), np.uint8)
            pixels[..., n // 24] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())


@dataclass(frozen=True, slots=True)
class Served:
    """A server of its own process."""

    url: str
    """Its address, without the slash at the end."""
    media: Path
    library: Path
    log: Path

    @property
    def sign_in(self) -> str:
        return f"{self.url}/?token={TOKEN}"


@contextmanager
def serving(place: Path, *options: str, filled: bool = True) -> Iterator[Served]:
    """Serve a library of the samples, made in a folder, until the end."""
    media, library, token, log = place / "media", place / "library", place / "token", place / "log"
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "MMSEARCH_WORKERS": "1", "HOME": str(place)}
    command = [sys.executable, "-m", "mmsearch"]
    if filled and not library.exists():
        fill(media)
        done = subprocess.run(
            [*command, "ingest", str(media), "--library", str(library)],
            env=environment,
            capture_output=True,
            check=False,
        )
        assert b"broken.jpg" in done.stdout + done.stderr or done.returncode == 0, done.stderr.decode()
    elif not filled:
        media.mkdir(exist_ok=True)
        subprocess.run(
            [*command, "ingest", str(media), "--library", str(library)],
            env=environment,
            capture_output=True,
            check=True,
        )
    token.write_text(TOKEN)
    token.chmod(0o600)
    with log.open("wb") as written:
        process = subprocess.Popen(
            [*command, "serve", "--port", "0", "--library", str(library), "--token-file", str(token), *options],
            env=environment, stdout=written, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            yield Served(address_of(process, log), media, library, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def address_of(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """What the server prints once it listens."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text("utf-8", "replace"))
        if found:
            return found.group()
        assert process.poll() is None, log.read_text("utf-8", "replace")
        time.sleep(0.05)  # another process: there is nothing to wait on but its output
    raise AssertionError(f"the server did not start: {log.read_text('utf-8', 'replace')}")


def picture_bytes(path: Path) -> bytes:
    """A picture like another, of other bytes: half as large."""
    with Image.open(path) as image:
        smaller = image.resize((image.width // 2, image.height // 2))
    target = path.with_suffix(".half.png")
    smaller.save(target)
    data = target.read_bytes()
    target.unlink()
    return data

"""A query's medium as a file, whatever an application hands over: it takes the one guarded way through the decoders."""

import os
import shutil
import tempfile
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mmsearch.core import vault
from mmsearch.core.arguments import checked
from mmsearch.core.memory_files import memory_folder
from mmsearch.core.paths import TEMPORARY
from mmsearch.errors import InvalidInput
from mmsearch.types import Modality, PillowImage, Sound

MAX_RATE, MAX_CHANNELS = 10_000_000, 100
"""Hz and channels of a sound; the head of a WAVE file holds no more."""


@contextmanager
def query_file(modality: Modality, value: Any) -> Iterator[Path]:
    """The query's medium as a file: everything a user hands over takes the one guarded way through the decoders."""
    if isinstance(value, str | os.PathLike):
        path = Path(checked(f"the query's {modality}", value, str | os.PathLike[str]))
        if not path.exists():
            raise InvalidInput(f"no such file: {path}", hint="for words instead of a file use text")
        yield path
        return
    # No TemporaryDirectory: a forked child that ends would take its parent's away.
    within = memory_folder() if vault.any_unlocked() else None
    folder = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=within))
    try:
        path = folder / f"query-{modality}"
        if isinstance(value, bytes | bytearray | memoryview):
            path.write_bytes(value)
        elif isinstance(value, PillowImage):
            _write_picture(path, value)
        else:
            _write_wave(path, *checked("a sound", value, Sound))
        yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_picture(path: Path, picture: PillowImage) -> None:
    try:
        # TIFF takes every mode Pillow has, with its profile and orientation.
        picture.save(path, "TIFF", exif=picture.getexif(), icc_profile=picture.info.get("icc_profile"))
    except Exception as error:  # what a picture's own class raises, which may be anybody's
        raise InvalidInput(f"the picture can't be read: {error}", hint="give a path, or another picture") from error


def _write_wave(path: Path, samples: Any, rate: float) -> None:
    """Samples float (n,) or (n, channels) in [-1, 1] as 32-bit PCM."""
    try:
        array = np.asarray(samples, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"a sound's samples can't be read: {error}", hint="an array of numbers in [-1, 1]"
        ) from error
    array = array[:, np.newaxis] if array.ndim == 1 else array
    if array.ndim != 2 or not array.size or not np.isfinite(array).all() or not 1 <= rate <= MAX_RATE:
        raise InvalidInput("a sound needs finite samples (n,) or (n, channels), n > 0, and a rate in Hz")
    if array.shape[1] > MAX_CHANNELS:
        raise InvalidInput(f"a sound of {array.shape[1]} channels", hint="samples are (n,) or (n, channels)")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(array.shape[1])
        file.setsampwidth(4)
        file.setframerate(int(rate))
        file.writeframes((np.clip(array, -1, 1) * (2**31 - 1)).astype("<i4").tobytes())

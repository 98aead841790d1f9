"""A space of eight axes whose vectors can be computed by hand: for everybody's tests, without torch.

| axis | 0   | 1     | 2    | 3   | 4   | 5    | 6    | 7     |
|------|-----|-------|------|-----|-----|------|------|-------|
| word | red | green | blue | low | mid | high | dark | light |

- text: the axis of the first such word in it ("a RED bus" is axis 0); a text without one gets a fixed mix of the
  axes, drawn from its sha256 (never one of the axes alone).
- image: its mean colour on the axes red, green and blue, so a pure green picture is axis 1; a picture whose mean is
  below 1/16 in every channel is axis 6, dark.
- audio: low below 400 Hz, mid below 2,000 Hz, high above, by its strongest frequency; silence is axis 6, dark.

Load it with `registry.load_part("spaces", "tests.tiny:space")`. `ENCODED` counts the segments (queries not) encoded in
this process, by modality: `reset()`, work, look.
"""

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.errors import InvalidInput
from mmsearch.types import EncoderSpec, Modality, Prepared, Segment, Space, Vectors, Windowing

AXES = ("red", "green", "blue", "low", "mid", "high", "dark", "light")
DIM = len(AXES)
BATCH_SIZE = 4
LOW_BELOW_HZ = 400.0
HIGH_FROM_HZ = 2000.0

ENCODED: Counter[Modality] = Counter()
"""Modality -> segments encoded with query=False."""

BATCHES: list[tuple[Modality, int]] = []
"""(modality, size) of every `encode` call with query=False, in order."""

SPACES = (
    "tests.tiny:space",
    "tests.tiny:other_weights",
    "tests.model_spaces:twin",
    "tests.model_spaces:wide",
    "tests.model_spaces:mute",
    "tests.region_space:space",
)
"""Targets of the spaces that tests switch between."""

_LOCK = threading.Lock()


def reset() -> None:
    """Forget what was counted."""
    with _LOCK:
        ENCODED.clear()
        BATCHES.clear()


def axis(word: str) -> NDArray[np.float32]:
    """The unit vector, float32 (8,), of one of the axis words."""
    vector = np.zeros(DIM, np.float32)
    vector[AXES.index(word)] = 1.0
    return vector


class _TinyEncoder:
    modality: Modality = ""

    def __init__(self, version: str) -> None:
        weights = {f"tiny-{self.modality}": hashlib.sha256(version.encode()).hexdigest()}
        self.spec = EncoderSpec(f"tiny-{self.modality}", self.modality, DIM, weights, "tiny-1", BATCH_SIZE)

    def prepare(self, segment: Segment) -> Prepared:
        if segment.modality != self.modality:
            raise InvalidInput(f"{self.spec.name} takes {self.modality} segments, not {segment.modality}")
        return self._prepared(segment.data, segment.rate)

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        if not query:
            with _LOCK:
                ENCODED[self.modality] += len(batch)
                BATCHES.append((self.modality, len(batch)))
        if not batch:
            return np.zeros((0, DIM), np.float32)
        vectors = np.stack([self._vector(prepared) for prepared in batch])
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)

    def _prepared(self, data: Any, rate: int | None) -> Prepared:
        raise NotImplementedError

    def _vector(self, prepared: Prepared) -> NDArray[np.float32]:
        raise NotImplementedError


class TinyText(_TinyEncoder):
    modality = "text"

    def _prepared(self, data: Any, rate: int | None) -> Prepared:
        return np.frombuffer(data.encode("utf-8", "replace"), np.uint8).copy()

    def _vector(self, prepared: Prepared) -> NDArray[np.float32]:
        text = prepared.tobytes().decode()
        for word in re.findall(r"[a-z]+", text.lower()):
            if word in AXES:
                return axis(word)
        digest = hashlib.sha256(text.encode()).digest()[:DIM]
        return np.frombuffer(digest, np.uint8).astype(np.float32) + 1.0


class TinyImage(_TinyEncoder):
    modality = "image"

    def _prepared(self, data: Any, rate: int | None) -> Prepared:
        return np.asarray(data.reshape(-1, 3).mean(axis=0, dtype=np.float64) / 255, np.float32)

    def _vector(self, prepared: Prepared) -> NDArray[np.float32]:
        if prepared.max() < 1 / 16:
            return axis("dark")
        return np.concatenate([prepared, np.zeros(DIM - 3, np.float32)])


class TinyAudio(_TinyEncoder):
    modality = "audio"

    def _prepared(self, data: Any, rate: int | None) -> Prepared:
        power = np.abs(np.fft.rfft(data)) if len(data) else np.zeros(1)
        strongest = np.fft.rfftfreq(max(len(data), 1), 1 / (rate or 16_000))[power.argmax()]
        return np.array([strongest if power.max() > 1e-3 else -1.0], np.float32)

    def _vector(self, prepared: Prepared) -> NDArray[np.float32]:
        hertz = float(prepared[0])
        if hertz < 0:
            return axis("dark")
        return axis("low" if hertz < LOW_BELOW_HZ else "mid" if hertz < HIGH_FROM_HZ else "high")


def _space(version: str) -> Space:
    encoders = {kind.modality: kind(version) for kind in (TinyText, TinyImage, TinyAudio)}
    return Space("tiny", DIM, Windowing(), encoders)


def space(device: str = "auto", precision: str = "auto") -> Space:
    """The tiny space; device and precision don't matter to it."""
    return _space("1")


def other_weights(device: str = "auto", precision: str = "auto") -> Space:
    """Also named "tiny", with another fingerprint: what a library sees after its encoders changed."""
    return _space("2")

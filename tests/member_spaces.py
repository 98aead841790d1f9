"""Two spaces that share nothing but words: `seen` has pictures too, `heard` sounds; both are made of `tests.tiny`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmsearch.types import EncoderSpec, Prepared, Segment, Space, Vectors, Windowing
from tests.tiny import TinyAudio, TinyImage, TinyText


class _Turned:
    """A tiny encoder whose vectors are turned into a space of 12 dimensions, where the axes lie elsewhere."""

    def __init__(self, tiny: Any) -> None:
        self._tiny = tiny
        self.spec = EncoderSpec(f"turned-{tiny.modality}", tiny.modality, 12, {"turn": "1"}, "turned", 4)

    def prepare(self, segment: Segment) -> Prepared:
        prepared: Prepared = self._tiny.prepare(segment)
        return prepared

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        turn = np.linalg.qr(np.random.default_rng(5).standard_normal((12, 12)))[0][:8]
        return np.asarray(self._tiny.encode(batch, query=query) @ turn, np.float32)


def seen(device: str = "auto", precision: str = "auto") -> Space:
    """Words and pictures."""
    return Space("seen", 8, Windowing(passage_words=9), {"text": TinyText("1"), "image": TinyImage("1")})


def heard(device: str = "auto", precision: str = "auto") -> Space:
    """Words and sounds, nowhere near those of `seen`."""
    encoders: dict[str, Any] = {"text": _Turned(TinyText("1")), "audio": _Turned(TinyAudio("1"))}
    return Space("heard", 12, Windowing(audio_window_s=2.0), encoders)


def mute(device: str = "auto", precision: str = "auto") -> Space:
    return Space("mute", 8, Windowing(), {"image": TinyImage("1")})

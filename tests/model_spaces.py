"""Spaces beside the tiny one, for what happens when a library changes its model: in each, a colour's name finds
pictures of another colour, so that it shows in an answer which space it comes from.

| space | dim | windows   | embeds             | the word "red" finds  |
|-------|-----|-----------|--------------------|-----------------------|
| tiny  | 8   | default   | text, image, audio | red                   |
| twin  | 8   | as tiny's | text, image, audio | green                 |
| wide  | 12  | shorter   | text, image, audio | blue                  |
| mute  | 8   | default   | text, image        | green                 |
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mmsearch.types import Encoder, Modality, Prepared, Segment, Space, Vectors, Windowing
from tests import tiny

SHORT = Windowing(audio_window_s=1.0, audio_hop_s=1.0, passage_words=8, passage_overlap=2, frames_per_minute=30)


class _Turned:
    """One of the tiny encoders, its vectors turned by a matrix of orthonormal rows, float32 (8, dim)."""

    def __init__(self, inner: Encoder, name: str, turn: NDArray[np.float32]) -> None:
        self._inner, self._turn = inner, turn
        self.spec = replace(inner.spec, name=f"{name}-{inner.spec.modality}", dim=turn.shape[1])

    def prepare(self, segment: Segment) -> Prepared:
        return self._inner.prepare(segment)

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        return self._inner.encode(batch, query=query) @ self._turn


def _made(name: str, dim: int, colours: int, windowing: Windowing, kinds: Sequence[Modality]) -> Space:
    """`colours`: by how many places a picture's colour lies beside that of its name."""
    straight = np.eye(tiny.DIM, dim, dtype=np.float32)
    turned = straight.copy()
    turned[:3] = np.roll(straight[:3], -colours, axis=0)
    turns = {"image": turned}
    encoders = {kind: _Turned(tiny.space().encoders[kind], name, turns.get(kind, straight)) for kind in kinds}
    return Space(name, dim, windowing, encoders)


def twin(device: str = "auto", precision: str = "auto") -> Space:
    return _made("twin", tiny.DIM, 2, Windowing(), ("text", "image", "audio"))


def wide(device: str = "auto", precision: str = "auto") -> Space:
    return _made("wide", 12, 1, SHORT, ("text", "image", "audio"))


def mute(device: str = "auto", precision: str = "auto") -> Space:
    return _made("mute", tiny.DIM, 2, Windowing(), ("text", "image"))

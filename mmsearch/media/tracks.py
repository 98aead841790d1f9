"""Which tracks of a file are shown and heard: the main one, and of other sounds what the main one doesn't have."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, repeat
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from mmsearch.media.evidence import band_power
from mmsearch.types import Metadata, Segment, Windowing

MOST = 4
"""Sound tracks of a file that are listened to."""

SILENT = 1e-3
"""The loudest sample of a window that is silent: 60 dB below the loudest there can be."""

COARSE_S, FRAME_S = 0.256, 0.032
"""Tracks of one sound may lie some milliseconds apart: they are compared in means of so many seconds."""

FLOOR_DB, SAME_DB = 40.0, 3.0
"""Decibels below the loudest that count, and how far apart two windows of one sound are on average, at most: what
codecs change, and a mix of another number of channels."""


def sound_streams(container: InputContainer) -> list[Any]:
    """The sound tracks that have a decoder, `MOST` at most, in the order of the file, but the default one first."""
    playable = [stream for stream in container.streams.audio if stream.codec_context is not None]
    return sorted(playable, key=lambda one: not one.disposition & av.stream.Disposition.default)[:MOST]


def distinct_windows(sounds: Sequence[Iterator[Segment]], windowing: Windowing) -> Iterator[Segment]:
    """The windows of several tracks in order of time: of the first track all, of others what isn't silent and doesn't
    sound as that of a track before it at the same time."""
    numbered = [zip(sound, repeat(number), strict=False) for number, sound in enumerate(sounds)]
    merged = heapq.merge(*numbered, key=lambda one: (_slot(one[0], windowing), one[1]))
    for _, together in groupby(merged, key=lambda one: _slot(one[0], windowing)):
        heard: list[NDArray[np.float32]] = []
        kept: list[Segment] = []
        for window, number in together:
            decibels = _spectrum(np.asarray(window.data), window.rate or windowing.audio_rate)
            fresh = float(np.abs(window.data).max()) > SILENT and not any(_same(decibels, one) for one in heard)
            heard.append(decibels)
            kept += [window] if number == 0 else [replace(window, part=True)] if fresh else []
        yield from sorted(kept, key=lambda one: one.span.start or 0.0)


def _slot(window: Segment, windowing: Windowing) -> int:
    """Which of the even steps of time a window begins in."""
    return round((window.span.start or 0.0) / windowing.audio_hop_s)


def _spectrum(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Decibels below the loudest, `FLOOR_DB` at most, float32 (steps, bands)."""
    frame = 2 * round(FRAME_S * rate / 2)
    each = max(1, round(COARSE_S / FRAME_S))
    count = max(1, len(samples) // (frame * each))
    padded = np.zeros(count * each * frame, np.float32)
    padded[: len(samples)] = samples[: len(padded)]
    power = band_power(padded.reshape(-1, frame), rate)
    power = power.reshape(count, each, -1).mean(axis=1)
    return np.asarray(10 * np.log10(np.maximum(power / max(float(power.max()), 1e-12), 10 ** (-FLOOR_DB / 10))))


def _same(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether they are alike where either is heard."""
    steps = min(len(one), len(other))
    both = np.stack([one[:steps], other[:steps]])
    heard = (both > -FLOOR_DB).any(axis=0)
    return not heard.any() or float(np.abs(both[0] - both[1])[heard].mean()) <= SAME_DB


def true_duration(promised: float | None, measured: float) -> Metadata:
    """{"duration": measured} if a header promises nothing or something else, beyond what codecs pad."""
    if promised is not None and abs(promised - measured) <= max(0.5, 0.02 * promised):
        return {}
    return {"duration": round(measured, 3)}

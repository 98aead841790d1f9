"""Where somebody speaks, by Silero's voice detector, and the lines that words make in it.

Two looks at the same detection: what is transcribed is put together from stretches of voice, over pauses of less than
half a second; a line ends at shorter ones, too. Whisper puts no full stop between two speakers who follow each other
closely, and lets a word begin where the one before ended, however long the silence between them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
"""Hz."""

BREAK_S = 0.25
"""Seconds of silence that end a line."""

JOINED_S, PAD_S, SHORTEST_S = 0.5, 0.2, 0.25
"""Of what is transcribed: pauses that stay in it, what is added at both sides, and its length at least, in seconds."""

_ENDS = (".", "?", "!", "…", "\u3002", "\uff1f", "\uff01")
"""Of a sentence, those of Chinese and Japanese too."""

Stretch: TypeAlias = tuple[int, int]
"""From a sample to the one behind the last."""


def utterances(samples: NDArray[np.float32]) -> list[Stretch]:
    """Stretches of voice without a silence of `BREAK_S`."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(min_silence_duration_ms=round(1000 * BREAK_S), speech_pad_ms=0, min_speech_duration_ms=0)
    return [(int(one["start"]), int(one["end"])) for one in get_speech_timestamps(samples, options)]


def voiced(spoken: Sequence[Stretch], size: int) -> list[Stretch]:
    """What is transcribed of so many samples: utterances that follow each other closely, with some silence around."""
    joined: list[Stretch] = []
    for start, end in spoken:
        if joined and start - joined[-1][1] < JOINED_S * RATE:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    joined = [one for one in joined if one[1] - one[0] > SHORTEST_S * RATE]
    pad = round(PAD_S * RATE)
    return [
        (
            max(0, start - (pad if n == 0 else min(pad, (start - joined[n - 1][1]) // 2))),
            min(size, end + (pad if n == len(joined) - 1 else min(pad, (joined[n + 1][0] - end) // 2))),
        )
        for n, (start, end) in enumerate(joined)
    ]


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word with its times in seconds."""

    word: str
    start: float
    end: float


def heard_lines(words: Iterable[Any], spoken: Sequence[Stretch]) -> Iterator[list[HeardWord]]:
    """Words that stand in one utterance, cut behind a full stop and where no word is for a while.

    Args:
        words: With `word`, `start` and `end` in seconds; each belongs to the utterance that it shares most with.
    """
    some: list[HeardWord] = []
    last: int | None = None
    for word in words:
        number, kept = _placed(word, spoken)
        ended = some and (some[-1].word.rstrip().endswith(_ENDS) or kept.start - some[-1].end >= BREAK_S)
        if some and (ended or number != last):
            yield some
            some = []
        some.append(kept)
        last = number
    if some:
        yield some


def _placed(word: Any, spoken: Sequence[Stretch]) -> tuple[int | None, HeardWord]:
    """The utterance that a word is in, and the word without the silence around it; None if it is in none."""
    begin, end = float(word.start), float(word.end)
    shared = [min(end, last / RATE) - max(begin, first / RATE) for first, last in spoken]
    best = max(range(len(spoken)), key=shared.__getitem__, default=None)
    if best is None or shared[best] <= 0:
        return None, HeardWord(word.word, begin, end)
    first, last = spoken[best][0] / RATE, spoken[best][1] / RATE
    return best, HeardWord(word.word, max(begin, first), min(end, last))

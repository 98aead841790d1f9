"""What is said, by Whisper (Radford et al., 2023) in CTranslate2, as faster-whisper runs it: the extra `speech`.

Silero's voice detector goes first, so that what is no voice costs next to nothing. What it leaves is put together and
transcribed without sampling, so that the same file gives the same words, and without the words before, which would
spread a loop. Sentences, and what is said between two pauses, are lines, by the times of their words.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders.model_store import sha256
from mmsearch.errors import NotEmbedded, Unsupported, WeightsError
from mmsearch.extract.voice import RATE, heard_lines, utterances, voiced
from mmsearch.extract.whisper_models import WEIGHTS, speech_folder
from mmsearch.media.audio import AudioDecoder
from mmsearch.media.sniff import open_decoder
from mmsearch.media.video import VideoDecoder
from mmsearch.types import Limits, Modality, Segment, TextLine, Windowing

VERSION = "4"
"""Changed with whatever here changes the lines of a file."""

WINDOW_S, STRETCH_S = 30.0, 600.0
"""Seconds decoded at once, and transcribed at once at most."""

QUIET_S = 20.0
"""A stretch is cut at the quietest moment of so many seconds before its end."""

SHORTEST_S, AFTER_S = 20.0, 2.0
"""Seconds of a window that are encoded at least, and of silence after its sound. A whole one has 30, mostly silence
where a clip is short, and costs as much. Of 50 prompts in French 22.1 % of the words are wrong so, 20.7 with a whole
window; with 10 s at least, of 20 prompts 29.7 for 25.9 (`python -m tests.benchmarks.said`)."""

UNSURE, AGAIN_S = 0.5, 0.5
"""Probability of its language below which a short sound is listened to once more, repeated with pauses of so many
seconds: the model learned from windows that are full. Of 50 short prompts in Spanish 47 are so told to be, 40 by the
first look alone, and of those in other languages as many as before."""

TOKENS_EACH_S, TOKENS_BESIDES, MOST_TOKENS = 20, 10, 440
"""Bound what is written for so much voice: nobody says more in a second, a loop goes on to the end of what fits."""


class SpeechExtractor:
    """Listens to sounds and to the sound of videos."""

    name = "speech"
    source = "said"
    modalities: Sequence[Modality] = ("audio", "video")
    cost: ClassVar[Mapping[Modality, float]] = {"audio": 0.1, "video": 0.1}

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._model: Any = None

    @property
    def fingerprint(self) -> str:
        """Raises: WeightsError without the extra, or without its model."""
        _require()
        return hashlib.sha256(f"{VERSION}|{sha256(speech_folder() / WEIGHTS)}".encode()).hexdigest()

    def extract(self, path: Path) -> Iterator[TextLine | None]:
        windowing = Windowing(audio_window_s=WINDOW_S, audio_hop_s=WINDOW_S, audio_rate=RATE)
        audio, video = AudioDecoder(windowing, self._limits), VideoDecoder(windowing, self._limits)
        try:
            decoder = open_decoder(path, [video, audio], self._limits)
        except Unsupported as error:
            raise NotEmbedded("it has no sound that can be read") from error
        windows = video.sound(path) if decoder is video else audio.decode(path)
        for start, samples in stretches(windows):
            yield None
            yield from self._lines(samples, start)

    def _lines(self, samples: NDArray[np.float32], start: float) -> Iterator[TextLine]:
        """Of a stretch that begins so many seconds into the file."""
        from faster_whisper.transcribe import restore_speech_timestamps

        spoken = utterances(samples)
        voice = voiced(spoken, len(samples))
        if not voice:
            return
        sound = np.concatenate([samples[begin:end] for begin, end in voice])
        found, facts = self._loaded().transcribe(
            sound,
            language=language_of(self._told, sound),
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
            max_new_tokens=min(TOKENS_BESIDES + int(TOKENS_EACH_S * len(sound) / RATE), MOST_TOKENS),
        )
        for segment in restore_speech_timestamps(found, [{"start": begin, "end": end} for begin, end in voice], RATE):
            scores = {
                "logprob": round(float(segment.avg_logprob), 4),
                "compression": round(float(segment.compression_ratio), 4),
                "no_speech": round(float(segment.no_speech_prob), 4),
            }
            for words in heard_lines(segment.words or (), spoken):
                text = "".join(one.word for one in words).strip()
                begin, end = start + words[0].start, start + words[-1].end
                yield TextLine(text, round(begin, 3), round(end, 3), scores=scores, language=facts.language)

    def _told(self, samples: NDArray[np.float32]) -> tuple[str | None, float]:
        """The language of a sound, and how probable it is."""
        model = self._loaded()
        if not model.model.is_multilingual:
            return None, 1.0
        language, probability, _ = model.detect_language(features=model.feature_extractor(samples))
        return str(language), float(probability)

    def _loaded(self) -> Any:
        if self._model is None:
            _require()
            from faster_whisper import WhisperModel

            folder = str(speech_folder())
            self._model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)
            self._model.encode = ShortEncoder(self._model.encode)
        return self._model


Told = Callable[[NDArray[np.float32]], tuple[str | None, float]]


def language_of(told: Told, samples: NDArray[np.float32]) -> str | None:
    """The language of a sound, float32 of `RATE`; None if the model knows but one.

    Args:
        told: Gives language and probability of a sound, by its first window.
    """
    language, probability = told(samples)
    full = round(SHORTEST_S * RATE)
    if probability >= UNSURE or len(samples) >= full:
        return language
    once = np.concatenate([samples, np.zeros(round(AGAIN_S * RATE), np.float32)])
    return told(np.resize(once, full))[0]


class ShortEncoder:
    """Encodes as much of a window as there is sound in it, and the same window once: first it tells the language, then
    the words."""

    def __init__(self, encode: Callable[[NDArray[np.float32]], Any]) -> None:
        self._encode = encode
        self._features: NDArray[np.float32] | None = None
        self._encoded: Any = None

    def __call__(self, features: NDArray[np.float32]) -> Any:
        """float32 (bands, frames) of 10 ms, zeros behind the sound -> what the encoder makes of it."""
        short = features[:, : _frames(features)]
        if self._features is None or not np.array_equal(self._features, short):
            self._features, self._encoded = short, self._encode(short)
        return self._encoded


def _frames(features: NDArray[np.float32]) -> int:
    """How many frames of a window are encoded: an even number, since the encoder halves them."""
    sound = np.flatnonzero(features.any(axis=0))
    used = int(sound[-1]) + 1 if len(sound) else 0
    wanted = max(round(SHORTEST_S * 100), 2 * -(-(used + round(AFTER_S * 100)) // 2))
    return min(wanted, int(features.shape[1]))


def stretches(windows: Iterable[Segment]) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """(start in seconds, samples): windows of sound that follow each other, put together up to `STRETCH_S`."""
    parts: list[NDArray[np.float32]] = []
    start = end = 0.0
    for window in windows:
        if window.modality != "audio" or not isinstance(window.data, np.ndarray):
            continue
        begins = window.span.start or 0.0
        if parts and abs(begins - end) > _SAME_S:
            yield start, np.concatenate(parts)
            parts = []
        if not parts:
            start = begins
        parts.append(window.data)
        end = begins + len(window.data) / RATE
        if end - start >= STRETCH_S:
            whole = np.concatenate(parts)
            cut = _quiet(whole)
            yield start, whole[:cut]
            parts, start = [whole[cut:]], start + cut / RATE
    if parts and sum(map(len, parts)):
        yield start, np.concatenate(parts)


_SAME_S = 0.1
"""Seconds by which the end of one window may miss the next."""


def _quiet(samples: NDArray[np.float32]) -> int:
    """Where to cut a stretch: in the middle of the quietest half second near its end."""
    step = RATE // 2
    last = samples[-round(QUIET_S * RATE) :]
    loud = np.square(last[: len(last) // step * step].reshape(-1, step)).mean(axis=1)
    return len(samples) - len(last) + int(loud.argmin()) * step + step // 2


def _require() -> None:
    if find_spec("faster_whisper") is None:
        raise WeightsError("listening to speech needs faster-whisper", hint="pip install 'mmsearch[speech]'")

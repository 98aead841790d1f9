"""How well speech is heard: `python -m tests.benchmarks.said --shared ../shared --prompts DIR [--only NAME ...]`.

| measure | what is asked |
|---|---|
| prompts | word error rate and language of Asterisk's prompts, in five languages |
| noise | of ESC-10, silence and noise: how many have text, and the CPU a second of sound |
| long | CPU a second of long speech: prompts one after another |
| moments | 20 recordings of prompts: whether the words of one lead to its moment, through ingest and search |

DIR is where Debian's packages asterisk-core-sounds-{en,it,fr,es,ru} and -wav are unpacked (`dpkg -x PACKAGE DIR`).
Prompts of five words or more are taken, without digits or remarks, in a shuffled order that stays the same. Italian
texts that lost a letter to their file's encoding ("non pu? essere") are left out: nobody can say them. Numbers match
their words, and what the texts misspell is spelled ("as written" counts it as an error).
"""

import argparse
import gzip
import random
import re
import sys
import tempfile
import time
import unicodedata
import wave
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import mmsearch
from mmsearch.core.spoken_numbers import NUMBERS
from mmsearch.extract.cuts import passes
from mmsearch.extract.speech import SpeechExtractor
from mmsearch.types import Limits, TextLine

VOICES = {
    "en": "en_US_f_Allison",
    "it": "it_IT_m_Carlo",
    "fr": "fr_CA_f_June",
    "es": "es_MX_f_Allison",
    "ru": "ru_RU_f_IvrvoiceRU",
}
MISSPELLED = {"perpiacere": "per piacere", "represenatives": "representatives"}
"""Words that the prompts' texts have, and what they are."""

RATE = 8000
"""Hz, of the prompts."""

RECORDINGS, EACH = 20, 5
"""Recordings put together, and prompts in each."""

_LEFT_OUT = re.compile(r"[\[(<]|\d|\w\?\s|\s\?|^\?")


def prompts_of(folder: Path, language: str) -> list[tuple[Path, str]]:
    """(file, what it says) of the prompts of a language."""
    share, found = folder / "usr" / "share", []
    table = share / "doc" / f"asterisk-core-sounds-{language}" / f"core-sounds-{language}.txt.gz"
    with gzip.open(table, "rt", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, mark, text = line.partition(":")
            path = share / "asterisk" / "sounds" / VOICES[language] / f"{name.strip()}.wav"
            if not line.startswith(";") and mark and len(text.split()) >= 5 and path.is_file():
                found += [] if _LEFT_OUT.search(text.strip()) else [(path, text.strip())]
    random.Random(1).shuffle(found)
    return found


def words_of(text: str, language: str) -> list[str]:
    """Lower case without accents and signs; small numbers as words."""
    plain = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    names = [words_of(name, "")[0] for name in NUMBERS.get(language, "").split()]
    words = re.sub(r"[^\w ]+", " ", plain).split()
    return [names[int(word)] if word.isdecimal() and int(word) < len(names) else word for word in words]


def errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Words to insert, drop or change."""
    row = list(range(len(heard) + 1))
    for place, word in enumerate(said, 1):
        before, row[0] = row[0], place
        for other, name in enumerate(heard, 1):
            before, row[other] = row[other], min(row[other] + 1, row[other - 1] + 1, before + (word != name))
    return row[-1]


def heard_in(extractor: SpeechExtractor, path: Path) -> list[TextLine]:
    return [line for line in extractor.extract(path) if line is not None and passes(line)]


def measure_prompts(options: argparse.Namespace) -> Iterator[str]:
    extractor = SpeechExtractor(Limits())
    right = total = 0
    for language in options.languages:
        wrong = plain = words = told = 0
        some = prompts_of(options.prompts, language)[: options.most]
        for path, text in some:
            lines = heard_in(extractor, path)
            written, heard = (words_of(one, language) for one in (text, " ".join(line.text for line in lines)))
            said = " ".join(MISSPELLED.get(word, word) for word in written).split()
            wrong, plain, words = wrong + errors(said, heard), plain + errors(written, heard), words + len(said)
            told += bool(lines) and lines[0].language == language
        right, total = right + told, total + len(some)
        rates = f"WER {100 * wrong / words:.1f} % of {words} words ({100 * plain / words:.1f} as written)"
        yield f"{language} {rates}, language right {told} of {len(some)}"
    yield f"language right {right} of {total}: {100 * right / total:.1f} %"


def measure_noise(options: argparse.Namespace) -> Iterator[str]:
    extractor, random_ = SpeechExtractor(Limits()), np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as made:
        still = {
            "silence": np.zeros(30 * RATE),
            "white": random_.normal(0, 0.1, 30 * RATE),
            "hum": 0.2 * np.sin(2 * np.pi * 50 * np.arange(30 * RATE) / RATE),
            "brown": np.clip(np.cumsum(random_.normal(0, 0.005, 30 * RATE)), -1, 1),
        }
        paths = {"silence and noise": [write(Path(made) / f"{name}.wav", one) for name, one in still.items()]}
        paths["ESC-10"] = sorted((options.shared / "data" / "dev" / "esc10").iterdir())
        heard_in(extractor, prompts_of(options.prompts, "en")[0][0])  # the model loads
        for name, files in paths.items():
            start = time.process_time()
            with_text = sum(bool(heard_in(extractor, path)) for path in files)
            cost = (time.process_time() - start) / (len(files) * (5 if name == "ESC-10" else 30))
            yield f"{name}: text in {with_text} of {len(files)}, {cost:.4f} CPU-s a second"


def measure_long(options: argparse.Namespace) -> Iterator[str]:
    extractor = SpeechExtractor(Limits())
    for language in ("en", "ru"):
        parts = [part for path, _ in prompts_of(options.prompts, language)[:60] for part in (read(path), pause(0.5))]
        with tempfile.TemporaryDirectory() as made:
            path, seconds = write(Path(made) / "long.wav", np.concatenate(parts)), sum(map(len, parts)) / RATE
            heard_in(extractor, prompts_of(options.prompts, language)[0][0])
            start = time.process_time()
            lines = heard_in(extractor, path)
            cost = (time.process_time() - start) / seconds
        yield f"{language}: {seconds:.0f} s of speech, {len(lines)} lines, {cost:.3f} CPU-s a second"


def measure_moments(options: argparse.Namespace) -> Iterator[str]:
    chosen: list[tuple[Path, str]] = []
    for path, text in prompts_of(options.prompts, "en"):
        mine = set(words_of(text, "en"))
        if len(mine) < 20 and all(len(mine & other) < 0.5 * len(mine | other) for other in _sets(chosen)):
            chosen.append((path, text))
    chosen = chosen[: RECORDINGS * EACH]
    for shortest, longest in ((0.3, 0.8), (1.2, 2.5)):
        told = asked_of_recordings(chosen, shortest, longest)
        first, near = sum(right for right, _ in told), sum(right and off <= 1 for right, off in told)
        shares = f"right moment first {100 * first / len(told):.1f} %, and within 1 s {100 * near / len(told):.1f} %"
        yield f"pauses of {shortest} to {longest} s: {len(told)} questions, {shares}"


def _sets(chosen: Sequence[tuple[Path, str]]) -> list[set[str]]:
    return [set(words_of(text, "en")) for _, text in chosen]


def asked_of_recordings(
    chosen: Sequence[tuple[Path, str]], shortest: float, longest: float
) -> list[tuple[bool, float]]:
    """Of each prompt, whether its words' first hit is its recording and a moment that holds it, and how many seconds
    its start is off."""
    answers, random_ = [], random.Random(2)
    with tempfile.TemporaryDirectory() as made:
        media = Path(made) / "media"
        media.mkdir()
        places: list[tuple[str, Path, float, float]] = []
        for number in range(len(chosen) // EACH):
            path, parts, at = media / f"recording{number}.wav", [], 0
            for prompt, text in chosen[number * EACH : (number + 1) * EACH]:
                parts += [pause(random_.uniform(shortest, longest)), sound := trimmed(read(prompt))]
                at += len(parts[-2])
                places.append((text, path, at / RATE, (at + len(sound)) / RATE))
                at += len(sound)
            write(path, np.concatenate(parts))
        with mmsearch.open(Path(made) / "library", speech="on", workers=1) as library:
            library.ingest(media)
            for text, path, start, end in places:
                hits = library.search(mmsearch.Query(text=text), 1)
                hit = hits[0] if hits else None
                right = hit is not None and hit.path == path and hit.start is not None and hit.end is not None
                if right and hit is not None:
                    right = min(hit.end or 0, end) - max(hit.start or 0, start) > 0.5 * (end - start)
                off = abs((hit.start or 0.0) - start) if hit is not None else float("inf")
                answers.append((right, off))
                if not right or off > 1:
                    sys.stderr.write(f"{path.name} {start:.1f}-{end:.1f} {text!r}: {_told(hit)}\n")
    return answers


def _told(hit: mmsearch.Hit | None) -> str:
    return "nothing" if hit is None else f"{hit.path.name} {hit.start}-{hit.end} {hit.source} {hit.passage!r}"


def trimmed(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the silence around what is said."""
    loud = np.flatnonzero(np.abs(samples) > 0.02)
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples


def pause(seconds: float) -> NDArray[np.float64]:
    return np.zeros(round(seconds * RATE))


def read(path: Path) -> NDArray[np.float64]:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768


def write(path: Path, samples: NDArray[np.float64]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes())
    return path


MEASURES: dict[str, Callable[[argparse.Namespace], Iterator[str]]] = {
    "prompts": measure_prompts,
    "noise": measure_noise,
    "long": measure_long,
    "moments": measure_moments,
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--most", type=int, default=100, help="prompts of each language")
    parser.add_argument("--languages", nargs="+", choices=list(VOICES), default=list(VOICES))
    parser.add_argument("--only", nargs="+", choices=list(MEASURES), default=list(MEASURES))
    options = parser.parse_args(arguments)
    for name in options.only:
        for line in MEASURES[name](options):
            sys.stdout.write(f"{name:<8} {line}\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

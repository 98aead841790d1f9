"""A second space of words and sounds, for `tests.benchmarks.connection`: wordllama's words (256 dimensions, from the
package of that name, MIT) and YAMNet's classes by their names in these words, as starter does it in its own.

wordllama's own loader looks for its tokenizer in the wrong folder and then asks the hub, so its two files are read
here; a text is the mean of its tokens' vectors, as in its `embed`.
"""

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import as_file, files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders.starter.audio import LABELS, PROMPTS, TOP, StarterAudio
from mmsearch.encoders.starter.conse import CENTRE, combine
from mmsearch.types import EncoderSpec, Prepared, Segment, Space, Vectors, Windowing

DIM = 256
WEIGHTS = {"wordllama": "0.4.0.post1"}


@cache
def _parts() -> tuple[Any, NDArray[np.float32]]:
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    package = files("wordllama")
    with as_file(package.joinpath("tokenizers", "l2_supercat_tokenizer_config.json")) as path:
        tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    with as_file(package.joinpath("weights", "l2_supercat_256.safetensors")) as path:
        (vectors,) = load_file(path).values()
    return tokenizer, vectors.astype(np.float32)


class Words:
    spec = EncoderSpec("wordllama-text", "text", DIM, WEIGHTS, "mean", 64)

    def prepare(self, segment: Segment) -> Prepared:
        return np.array(_parts()[0].encode(str(segment.data), add_special_tokens=False).ids or [0], np.int64)

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        if not len(batch):
            return np.zeros((0, DIM), np.float32)
        return _unit(np.stack([_parts()[1][ids].mean(axis=0) for ids in batch]))


class Sounds(StarterAudio):
    @property
    def spec(self) -> EncoderSpec:
        return EncoderSpec("wordllama-audio", "audio", DIM, {**WEIGHTS, **super().spec.weights}, "conse", 32)

    def _forward(self, model: Any, batch: Sequence[Prepared]) -> NDArray[np.float32]:
        best = np.stack([scores.max(0) for scores in self.scores(model, batch)])
        return combine(best * model.scale, _classes(), TOP)


@cache
def _classes() -> NDArray[np.float32]:
    """The centred vectors of AudioSet's class names, float32 (521, 256)."""
    names, words = json.loads(LABELS.verified().read_text("utf-8")), Words()
    spoken = [[words.prepare(Segment("text", prompt.format(name))) for name in names] for prompt in PROMPTS]
    vectors = _unit(np.sum([words.encode(prompted) for prompted in spoken], axis=0))
    return np.asarray(vectors - CENTRE * vectors.mean(axis=0), np.float32)


def _unit(rows: NDArray[np.floating]) -> Vectors:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def space(device: str = "auto", precision: str = "auto") -> Space:
    return Space("heard", DIM, Windowing(), {"text": Words(), "audio": Sounds(device, precision)})

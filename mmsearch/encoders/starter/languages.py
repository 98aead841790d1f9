"""Queries in other languages than English: from the space of `universal` into that of all-MiniLM-L6-v2.

all-MiniLM-L6-v2 reads English. Another encoder, which reads sixteen languages, is taken into its space by a linear map
that was learned from English captions. Where both agree on a query it is English, and stays as it was; where they do
not, the other one knows better. Of a query whose
words are English it is not even asked: single and rare words say little, and the other encoder takes a quarter of a
second to load. Only queries are read so: no vector of a library changes. How it
was made: `mmsearch/training/starter/languages.py`; how good it is: LANGUAGES.md.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders.artefact import ArtefactFormat, dump_artefact, read_artefact
from mmsearch.encoders.starter import universal
from mmsearch.encoders.weights import WeightFile
from mmsearch.types import Vectors

FORMAT = ArtefactFormat("language map", "mmsearch-language-map-1", "pip install --force-reinstall mmsearch")
MAP = WeightFile(
    "mmsearch",
    "encoders/starter/languages.safetensors",
    "7b2910591625e0f1741c02b4d5efadc30d711869989db18e0425d373223e72c3",
    "mmsearch",
)
DIM = 384
OWN = 0.5
"""What a query's own MiniLM vector counts for where it is not English, next to the mapped one: passages of a library
were read as if they were English, and a German question still looks like a German passage there."""
LEVELS = 127
"""Steps either way from 0 that a stored value has."""

OTHER_WORDS = frozenset(
    re.findall(
        r"\w+",
        "al am das dem den der des die du een ein eine einem einen einer eines el em en et ett gli het il im la las le "
        "les lo los mit na nel o os sur um uma un una und une uno van von w z zum zur",
    )
)
"""Words that other languages begin with, though an English text may have them."""

ENGLISH_WORDS = frozenset(
    re.findall(
        r"\w+",
        "and are does for from how its of our that the their these this those what when where which who whose why "
        "with you your",
    )
)
"""Words that mark a text as English, whatever rare words it has."""

ARTICLES = frozenset(re.findall(r"\w+", "das der ein eine einen een ett gli het il les los um uma un una une uno"))
"""Words that no English name of a thing begins with."""

NAME_WORDS = 3
"""Of a name with an article, at most: "un train" and "ein Ball" mean so much the same in English that agreement tells
nothing, and yet the English reading of the article leads astray."""

# Not what stands in a file's name: IMG_2041.jpg is of no language.
_WORD = re.compile(r"(?<![\w.])[a-z]+(?!\w)")


@dataclass(frozen=True, slots=True, eq=False)
class LanguageMap:
    """A linear map with a constant, and when it is used."""

    weights: NDArray[np.float32]
    """(512, 384)"""
    constant: NDArray[np.float32]
    """(384,)"""
    threshold: float
    """Cosine of a query's two vectors below which it is not English. In (-1, 1)."""

    def __call__(self, vectors: Vectors) -> Vectors:
        """float32 (n, 384), unit rows, of those of `universal`, (n, 512)."""
        made = vectors @ self.weights + self.constant
        return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


def dump_map(made: LanguageMap, facts: Mapping[str, Any]) -> bytes:
    """The content of a file: the weights in eight bits, each column scaled to the whole range."""
    scale = np.maximum(np.abs(made.weights).max(0), 1e-12) / LEVELS
    steps = np.rint(made.weights / scale).astype(np.int8)
    tensors = {"weights": steps.view(np.uint8).ravel(), "scale": scale.astype(np.float32), "constant": made.constant}
    return dump_artefact(FORMAT, {**facts, "threshold": made.threshold}, tensors)


def read_map(content: bytes) -> LanguageMap:
    """The inverse. Raises: WeightsError."""
    stored = read_artefact(FORMAT, content)
    steps = np.frombuffer(stored.bytes_of("weights"), np.int8)
    if len(steps) != universal.DIM * DIM:
        raise FORMAT.damaged(f"its weights are {len(steps)} bytes")
    weights = steps.reshape(universal.DIM, DIM) * stored.tensor("scale", (DIM,))
    return LanguageMap(weights.astype(np.float32), stored.tensor("constant", (DIM,)), stored.number("threshold", -1.0))


def is_english(words: str, known: Callable[[str], object]) -> bool:
    """Whether the words of a query show that it is English, so that nothing has to be loaded to tell.

    Args:
        known: Whether all-MiniLM-L6-v2 has a lower-case word in its vocabulary: not None.
    """
    if not words.isascii() and any(sign.isalpha() and not sign.isascii() for sign in words):
        return False
    found = _WORD.findall(words.lower())
    if not OTHER_WORDS.isdisjoint(found):
        return False
    return not ENGLISH_WORDS.isdisjoint(found) or all(known(word) is not None for word in found)


def is_name(words: str) -> bool:
    """Whether words are the name of a thing with an article of another language: not English, whatever they mean."""
    first, *others = words.split() or [""]
    return first in (first.lower(), first.title()) and first.lower() in ARTICLES and 0 < len(others) < NAME_WORDS


@lru_cache(maxsize=16)
def mapped(words: str) -> Vectors:
    """float32 (384,), of length 1, read-only: what words of any of the languages mean. Raises: WeightsError."""
    made: Vectors = _shipped()(universal.encode(words)[np.newaxis])[0]
    made.flags.writeable = False
    return made


def differ(english: Vectors, other: Vectors, names: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """(n,), whether a query's vector as English is not what `mapped` says, so that it is of another language.

    Args:
        names: (n,) `is_name` of each.
    """
    apart = np.asarray((english * other).sum(1) < _shipped().threshold)
    return apart if names is None else apart | names


def both(english: Vectors, other: Vectors) -> Vectors:
    """float32 (n, 384), unit rows: what queries of another language than English are searched by."""
    made = other + OWN * english
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


@cache
def _shipped() -> LanguageMap:
    return read_map(MAP.verified().read_bytes())

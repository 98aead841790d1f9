"""Queries about nothing in particular: words written for this project, and the pictures and sounds of the demo.

    python -m mmsearch.calibration.neutral

writes their vectors in the starter spaces beside this file, so that an ingest need not encode them. Each modality's
are tied to its encoder: of another encoder, or one that has changed since, they are not used.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from typing import Any

import numpy as np

from mmsearch.calibration.neutral_cache import cached_vectors, keep_vectors
from mmsearch.core import registry
from mmsearch.types import Encoder, Limits, Modality, Segment, Space, Vectors

VECTORS = "neutral.npz"
"""Under "<modality>.<identity of its encoder>" float16 (n, dim)."""

MEDIA = {"image": "photos", "audio": "sounds"}
"""Modality -> folder of the samples."""


def neutral_words() -> list[str]:
    """A few hundred things that one may look for."""
    return files("mmsearch.calibration").joinpath("neutral.txt").read_text("utf-8").splitlines()


def neutral_vectors(space: Space) -> dict[Modality, Vectors]:
    """float32 (n, dim), unit rows, per modality: the packaged ones of encoders that made them. There are always
    words: for another encoder they are encoded now, once on this machine."""
    with as_file(files("mmsearch.calibration").joinpath(VECTORS)) as path, np.load(path) as stored:
        known = {
            modality: _unit(stored[_key(modality, encoder)])
            for modality, encoder in space.encoders.items()
            if _key(modality, encoder) in stored
        }
    if "text" in space.encoders and "text" not in known:
        known["text"] = _words_encoded_once(space.encoders["text"])
    return known


def _words_encoded_once(encoder: Encoder) -> Vectors:
    words = neutral_words()
    if not encoder.spec.weights:
        # Nothing would tell it from the next version of itself.
        return _encode(encoder, map(_text, words))
    key = hashlib.sha256("\n".join((identity(encoder), *words)).encode()).hexdigest()
    known = cached_vectors(key, len(words), encoder.spec.dim)
    if known is None:
        known = _encode(encoder, map(_text, words))
        keep_vectors(key, known)
    return known


@dataclass(frozen=True, slots=True, eq=False)
class EncoderIdentities:
    """What tells whether something packaged is of a space's encoders."""

    by_modality: Mapping[Modality, str]
    neutral_words: Vectors | None
    """float32 (n, dim), unit rows, if they are packaged."""
    translated: bool = False
    """Whether the query is read by way of another model, being of another language."""

    @classmethod
    def of_space(cls, space: Space) -> "EncoderIdentities":
        known = {modality: identity(encoder) for modality, encoder in space.encoders.items()}
        return cls(known, _packaged_words(known["text"]) if "text" in known else None)

    def of(self, modality: Modality) -> str:
        """A video is told by its pictures."""
        return self.by_modality.get("image" if modality == "video" else modality, "")

    def of_query(self, modality: Modality) -> str:
        """As `of`, of what reads the query."""
        return self.of(modality) + (TRANSLATED if self.translated and modality == "text" else "")


TRANSLATED = ":translated"
"""What the identity of an encoder of words ends with where it reads another language."""


UNKNOWN = EncoderIdentities({}, None)


@lru_cache(maxsize=4)
def _packaged_words(text_encoder: str) -> Vectors | None:
    with as_file(files("mmsearch.calibration").joinpath(VECTORS)) as path, np.load(path) as stored:
        name = f"text.{text_encoder}"
        return _unit(stored[name]) if name in stored else None


def identity(encoder: Encoder) -> str:
    """sha256 over what a query's vector depends on."""
    spec = encoder.spec
    facts = [spec.name, spec.dim, dict(spec.weights), spec.preprocessing]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _key(modality: Modality, encoder: Encoder) -> str:
    return f"{modality}.{identity(encoder)}"


def write(*spaces: Space) -> None:
    """Encode everything and write it beside this file; what two spaces share is encoded once."""
    arrays: dict[str, Any] = {}
    for space in spaces:
        for modality, encoder in space.encoders.items():
            if (key := _key(modality, encoder)) not in arrays:
                arrays[key] = _encode(encoder, _neutral(space, modality)).astype(np.float16)
    with as_file(files("mmsearch.calibration").joinpath(VECTORS)) as path:
        np.savez_compressed(path, **arrays)


def _neutral(space: Space, modality: Modality) -> Iterator[Segment]:
    return map(_text, neutral_words()) if modality == "text" else _samples(space, modality, MEDIA[modality])


def _samples(space: Space, modality: Modality, folder: str) -> Iterator[Segment]:
    decoder = registry.load_part("decoders", modality)(space.windowing, Limits())
    with as_file(files("mmsearch.resources").joinpath("samples", folder)) as place:
        for path in sorted(place.iterdir()):
            yield next(iter(decoder.decode(path)))


def _text(line: str) -> Segment:
    return Segment("text", line)


def _encode(encoder: Encoder, segments: Iterator[Segment]) -> Vectors:
    prepared = [encoder.prepare(segment) for segment in segments]
    size = encoder.spec.batch_size
    parts = [encoder.encode(prepared[start : start + size], query=True) for start in range(0, len(prepared), size)]
    return np.concatenate(parts)


def _unit(rounded: Any) -> Vectors:
    rows = rounded.astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


if __name__ == "__main__":
    # A library of a former version has a background, too. Its words come first, since they are both versions': the
    # second moves queries that describe photos, and these are no descriptions.
    write(*(registry.load_part("spaces", name)("cpu") for name in (*registry.FORMER, "starter", "starter-open")))

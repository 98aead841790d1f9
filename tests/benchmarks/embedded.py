"""Data sets as vectors, embedded once: what the training benchmarks learn from. Kept as float16 in a cache folder."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.types import Modality, Space, Vectors
from tests.benchmarks.quality import Items, embed, embed_words, rows

AT_ONCE = 512


@dataclass(frozen=True)
class Embedder:
    """A space, and where its vectors are kept; they are found again for the same encoder and the same values."""

    space: Space
    cache: Path

    def files(self, modality: Modality, paths: Sequence[Path]) -> Items:
        """Segments of files, owners ascending."""
        return self._kept(modality, paths, [f"{path.parent.name}/{path.name}" for path in paths])

    def words(self, texts: Sequence[str]) -> Vectors:
        """float32 (texts, dim), as queries."""
        return self._kept("text", texts, texts).vectors

    def means(self, modality: Modality, paths: Sequence[Path]) -> Vectors:
        """float32 (paths, dim), unit rows: the mean direction of each file's segments."""
        found = self.files(modality, paths)
        sums = np.zeros((len(paths), self.space.dim), np.float32)
        np.add.at(sums, found.owners, found.vectors)
        return unit(sums)

    def _kept(self, modality: Modality, values: Sequence[Any], names: Sequence[str]) -> Items:
        spec = self.space.encoders[modality].spec
        told = json.dumps([spec.name, dict(spec.weights), spec.preprocessing, list(names)], sort_keys=True)
        path = self.cache / f"{modality}-{hashlib.sha256(told.encode()).hexdigest()[:16]}.npz"
        if not path.exists():
            parts = []
            for start in range(0, len(values), AT_ONCE):
                some = values[start : start + AT_ONCE]
                made = embed_words(self.space, some) if modality == "text" else embed(self.space, modality, some)
                parts.append(Items(made.vectors, made.owners + start))
            self.cache.mkdir(parents=True, exist_ok=True)
            vectors = np.concatenate([part.vectors for part in parts]).astype(np.float16)
            np.savez(path, vectors=vectors, owners=np.concatenate([part.owners for part in parts]))
        with np.load(path) as kept:
            return Items(unit(kept["vectors"].astype(np.float32)), kept["owners"])


def unit(rows: NDArray[np.float32]) -> Vectors:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12), np.float32)


@dataclass(frozen=True)
class Photos:
    """A split of Flickr8k."""

    images: Vectors
    """(n, dim)."""
    captions: NDArray[np.float32]
    """(n, 5, dim)."""


def flickr8k(embedder: Embedder, shared: Path, split: str) -> Photos:
    folder = shared / "data" / "flickr8k"
    captions: dict[str, list[str]] = defaultdict(list)
    for row in rows(folder / "captions.tsv"):
        if row["split"] == split:
            captions[row["filename"]].append(row["caption"])
    names = sorted(captions)
    texts = embedder.words([caption for name in names for caption in captions[name]])
    images = embedder.means("image", [folder / "images" / name for name in names])
    return Photos(images, texts.reshape(len(names), -1, texts.shape[1]))


def manifest(shared: Path) -> list[dict[str, Any]]:
    lines = (shared / "data" / "dev" / "manifest.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]

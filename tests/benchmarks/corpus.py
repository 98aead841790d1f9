"""A million vectors as a library would have them, queries, their exact answers, and libraries filled with them.

Vectors: starter vectors of Flickr8k's 6,000 training pictures, each moved along the difference of two of its own
neighbours, with noise. So they lie where pictures lie, in clusters, and spread the way pictures spread there.
Queries: pictures and captions of the dev split, half and half, none of which took part in making the vectors.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmsearch.catalog import Batch, Catalog, NewContent, Placement, layouts
from mmsearch.core import registry
from mmsearch.core.version import VERSION
from mmsearch.types import Ids, Span, Vectors
from tests.benchmarks.embedded import Embedder, flickr8k, unit

NEAR = 16
"""Neighbours of a picture whose differences it is moved along."""

ALONG = (0.5, 1.5)
"""How far, in differences."""

NOISE = 0.3
"""Length of the noise, next to vectors of length 1. With this, the median nearest neighbour among 200,000 has a cosine
of 0.8, and one in a hundred 0.95: hardly any passes for a near-duplicate."""

AT_ONCE = 50_000
BATCH = 1000
TARGET = registry.target_of("spaces", "starter")


@dataclass(frozen=True)
class Corpus:
    vectors: Vectors
    """(n, dim), mapped from disk."""
    queries: Vectors
    """(q, dim): pictures and captions in turn."""
    places: NDArray[np.int64]
    """(n,), a permutation: a filter that takes the first hundredth of all places takes any vectors."""

    def first(self, count: int) -> "Corpus":
        """Of a corpus of that many."""
        return Corpus(self.vectors[:count], self.queries, order(count))

    @property
    def ids(self) -> Ids:
        """(n,), what a library filled with them calls them."""
        return np.arange(1, len(self.vectors) + 1, dtype=np.int64)


def order(count: int) -> NDArray[np.int64]:
    return np.random.default_rng(1).permutation(count)


def load(shared: Path, cache: Path, count: int, queries: int) -> Corpus:
    """The first `count` vectors; made once and kept in `cache`."""
    path = cache / "vectors.npy"
    asked = cache / "queries.npy"
    if not path.exists() or len(np.load(path, mmap_mode="r")) < count:
        _make(shared, cache, count)
    return Corpus(np.load(path, mmap_mode="r")[:count], np.load(asked)[:queries], order(count))


def _make(shared: Path, cache: Path, count: int) -> None:
    embedder = Embedder(registry.load_part("spaces", "starter")(), cache)
    base = flickr8k(embedder, shared, "train").images
    dev = flickr8k(embedder, shared, "dev")
    np.save(cache / "queries.npy", np.stack([dev.images, dev.captions[:, 0]], axis=1).reshape(-1, base.shape[1]))
    cosines = base @ base.T
    np.fill_diagonal(cosines, -1)
    near = np.argsort(-cosines, axis=1)[:, :NEAR]
    temporary = cache / "vectors.part.npy"
    kept = np.lib.format.open_memmap(temporary, "w+", np.float32, (count, base.shape[1]))
    for start in range(0, count, AT_ONCE):
        size = min(AT_ONCE, count - start)
        kept[start : start + size] = _moved(base, near, size, np.random.default_rng([0, start]))
    kept.flush()
    temporary.replace(cache / "vectors.npy")


def _moved(base: Vectors, near: NDArray[np.int64], count: int, chance: np.random.Generator) -> Vectors:
    own = chance.integers(len(base), size=count)
    to = chance.integers(NEAR, size=count)
    away = (to + chance.integers(1, NEAR, size=count)) % NEAR
    far = chance.uniform(*ALONG, size=(count, 1)).astype(np.float32)
    noise = chance.standard_normal((count, base.shape[1]), dtype=np.float32) * (NOISE / base.shape[1] ** 0.5)
    return unit(base[own] + far * (base[near[own, to]] - base[near[own, away]]) + noise)


def exact(vectors: Vectors, queries: Vectors, k: int, among: NDArray[np.int64] | None = None) -> Ids:
    """(q, k) row numbers of the nearest, best first; `among` are the only rows that count."""
    best = np.full((len(queries), k), -np.inf, np.float32)
    rows = np.zeros((len(queries), k), np.int64)
    allowed = np.arange(len(vectors)) if among is None else among
    for start in range(0, len(allowed), AT_ONCE):
        part = allowed[start : start + AT_ONCE]
        scores = np.concatenate([best, queries @ vectors[part].T], axis=1)
        known = np.concatenate([rows, np.broadcast_to(part, (len(queries), len(part)))], axis=1)
        top = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        best, rows = np.take_along_axis(scores, top, 1), np.take_along_axis(known, top, 1)
    return rows


def fill(folder: Path, corpus: Corpus) -> None:
    """A library of one-picture items: item and segment n + 1 is vector n; its file's size is its place."""
    space = registry.load_part("spaces", "starter")()
    catalog = Catalog.open(folder, VERSION, create=True)
    record = catalog.add_space(space.name, TARGET, space.dim, space.fingerprint, layouts.layout_of(space))
    for batch in batches(corpus, 0):
        catalog.commit(batch, record.id)
    catalog.close()


def batches(corpus: Corpus, first: int) -> Iterator[Batch]:
    """Commits of a thousand files each, as a camera names them; the first file is number `first`."""
    for start in range(0, len(corpus.vectors), BATCH):
        batch = Batch()
        for n, vector in enumerate(np.asarray(corpus.vectors[start : start + BATCH]), start):
            number = first + n
            facts = {"width": 4000, "height": 3000, "format": "JPEG", "make": "NIKON", "model": f"D{number % 90}"}
            batch.contents.append(NewContent(f"{number:064x}", "image", facts, ["image"], [Span()], vector[np.newaxis]))
            size = int(corpus.places[n])
            name, root = os.fsencode(path(number)), b"/home/someone/Pictures"
            batch.placements.append(Placement(name, root, f"{number:064x}", size, 1))
        yield batch


def path(number: int) -> Path:
    """Of a file that is not there."""
    return Path(f"/home/someone/Pictures/{number // BATCH:05d}/IMG_{number:07d}.jpg")

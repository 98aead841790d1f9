"""Measuring backgrounds: neutral queries of each modality against every list of a library."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmsearch.calibration.fit import Fitted, fit
from mmsearch.catalog import Catalog, ListKey, background
from mmsearch.indexing import IndexSet
from mmsearch.types import Modality, Segment, Space, Vectors

SAMPLE = 1024
"""Segments of a list that are compared with each query."""

OWN_QUERIES = 128
"""Contents of the library that stand for queries of their modality."""

FEWEST = 8
"""Below this many own queries a modality has no background of its own."""

GROWN = 1.3
"""A list is measured again when it has grown (or shrunk) by this factor."""

Backgrounds: TypeAlias = dict[tuple[Modality, ListKey], Fitted]
"""(query modality, list) -> what was measured."""


@dataclass(frozen=True, slots=True, eq=False)
class _Queries:
    vectors: Vectors
    contents: NDArray[np.int64]
    """(n,) the content each was taken from; -1 for those that come from outside."""


def stale(known: Backgrounds, sizes: Mapping[ListKey, int]) -> bool:
    """Whether any list has no background for words, or has grown out of it."""
    for key, size in sizes.items():
        fitted = known.get(("text", key))
        if size and (fitted is None or not 1 / GROWN <= size / max(fitted.segments, 1) <= GROWN):
            return True
    return False


def measure(catalog: Catalog, indexes: IndexSet, space: Space) -> Backgrounds:
    """Backgrounds of every query modality and list, from packaged neutral words and the library's own vectors."""
    keys = indexes.refresh()
    made: Backgrounds = {}
    for modality, queries in _neutral(catalog, keys, space).items():
        found, sizes = indexes.search(queries.vectors, 16)
        for key in keys:
            with catalog.reading() as snapshot:
                sample = background.sample(snapshot, key, space.dim, SAMPLE)
                owners = background.contents_of(snapshot, np.unique(found[key].ids))
            if not len(sample.vectors):
                continue
            pairs = queries.vectors @ sample.vectors.T  # (queries, sample)
            pairs[queries.contents[:, np.newaxis] == sample.contents[np.newaxis]] = np.nan
            if np.isnan(pairs).all():
                continue
            tops = [
                _best(row_ids, row_scores, own, owners)
                for row_ids, row_scores, own in zip(
                    found[key].ids.tolist(), found[key].scores.tolist(), queries.contents.tolist(), strict=True
                )
            ]
            made[modality, key] = fit(pairs, tops, sizes[key])
    return made


def _best(ids: list[int], scores: list[float], own: int, owners: Mapping[int, int]) -> float:
    """The best score of another content; the last one seen if all are the query's own."""
    return next((s for i, s in zip(ids, scores, strict=True) if owners.get(i) != own), scores[-1] if scores else 0.0)


def _neutral(catalog: Catalog, keys: list[ListKey], space: Space) -> dict[Modality, _Queries]:
    made: dict[Modality, _Queries] = {}
    if "text" in space.encoders:
        words = files("mmsearch.calibration").joinpath("neutral.txt").read_text("utf-8").splitlines()
        encoder = space.encoders["text"]
        vectors = encoder.encode([encoder.prepare(Segment("text", line)) for line in words], query=True)
        made["text"] = _Queries(vectors, np.full(len(words), -1, np.int64))
    for modality in sorted({key.segment for key in keys} - {"text"}):
        with catalog.reading() as snapshot:
            own = [background.sample(snapshot, key, space.dim, OWN_QUERIES) for key in keys if key.segment == modality]
        # One segment of each content: the windows of one long sound would all say the same.
        contents, first = np.unique(np.concatenate([s.contents for s in own]), return_index=True)
        if len(contents) >= FEWEST:
            made[modality] = _Queries(np.concatenate([s.vectors for s in own])[first], contents)
    return made

"""Measuring backgrounds: neutral queries of each modality against every list of a library."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmsearch.calibration import neutral
from mmsearch.calibration.fit import ListCalibration, fit_null
from mmsearch.catalog import Catalog, ListKey
from mmsearch.catalog.lists import ListSample, sample_list
from mmsearch.catalog.segments import contents_of_segments
from mmsearch.types import Ids, Modality, Neighbours, Space, Vectors

SAMPLE_SIZE = 1024
"""Segments of a list that are compared with each query."""

OWN_QUERIES = 128
"""Contents of the library that stand for queries of their modality."""

MIN_OWN_CONTENTS = 8
"""Below this many own contents a modality is stood for by the packaged ones."""

DEPTH = 16
"""Neighbours among which a query's best unrelated one is looked for."""

REMEASURE_FACTOR = 1.3
"""A list is measured again when it has grown (or shrunk) by this factor."""

Backgrounds: TypeAlias = dict[tuple[Modality, ListKey], ListCalibration]
"""(query modality, list) -> what was measured."""


class SearchableLists(Protocol):
    """A space's lists of vectors, as `mmsearch.indexing.lists.Lists` has them: calibration stands below it."""

    def refresh(self) -> list[ListKey]:
        """The keys of all lists, at the catalog's present generation."""
        ...

    def search(self, queries: Vectors, k: int) -> tuple[dict[ListKey, Neighbours], dict[ListKey, int]]:
        """The k nearest of each query, float32 (q, dim), in every list; and how long each list is."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Queries:
    vectors: Vectors
    contents: NDArray[np.int64]
    """(n,) the content each was taken from; -1 for those that come from outside."""


def backgrounds_stale(known: Backgrounds, sizes: Mapping[ListKey, int]) -> bool:
    """Whether any list has no background for words, or has grown out of it."""
    for key, size in sizes.items():
        calibration = known.get(("text", key))
        if size and (
            calibration is None or not 1 / REMEASURE_FACTOR <= size / max(calibration.segments, 1) <= REMEASURE_FACTOR
        ):
            return True
    return False


def measure_backgrounds(catalog: Catalog, lists: SearchableLists, space: Space) -> Backgrounds:
    """Backgrounds of every query modality and list, from packaged neutral queries and the library's own vectors."""
    keys = lists.refresh()
    with catalog.reading() as snapshot:
        samples = {key: sample_list(snapshot, key, space.dim, SAMPLE_SIZE) for key in keys}
    samples = {key: sample for key, sample in samples.items() if len(sample.vectors)}
    made: Backgrounds = {}
    for modality, queries in _neutral_queries(samples, space).items():
        found, sizes = lists.search(queries.vectors, DEPTH)
        for key, sample in samples.items():
            if not found[key].ids.shape[1]:
                continue  # an index that finds nothing: there is nothing to measure
            with catalog.reading() as snapshot:
                owners = contents_of_segments(snapshot, np.unique(found[key].ids))
            related = queries.contents[:, np.newaxis] == sample.contents[np.newaxis]
            best = _best_unrelated(found[key], queries.contents, owners)
            if (calibration := fit_null(queries.vectors, sample.vectors, related, best, sizes[key])) is not None:
                made[modality, key] = calibration
    return made


def _best_unrelated(found: Neighbours, own: NDArray[np.int64], owners: Mapping[int, int]) -> NDArray[np.float32]:
    """(n,) each query's best score of another content; the last one seen if all are its own."""
    contents = _contents_found(found.ids, owners)
    other = contents != own[:, np.newaxis]
    at = np.where(other.any(axis=1), other.argmax(axis=1), found.ids.shape[1] - 1)
    return np.take_along_axis(found.scores, at[:, np.newaxis], axis=1)[:, 0]


def _contents_found(ids: Ids, owners: Mapping[int, int]) -> NDArray[np.int64]:
    """Content ids in the shape of the segment ids; -2 for segments that have gone since."""
    return np.array([[owners.get(segment, -2) for segment in row] for row in ids.tolist()], np.int64).reshape(ids.shape)


def _neutral_queries(samples: Mapping[ListKey, ListSample], space: Space) -> dict[Modality, _Queries]:
    made: dict[Modality, _Queries] = {}
    outside = neutral.neutral_vectors(space)
    for modality in sorted({key.segment for key in samples} | outside.keys()):
        own = _own_queries([sample for key, sample in samples.items() if key.segment == modality])
        if modality != "text" and len(own.contents) >= MIN_OWN_CONTENTS:
            made[modality] = own
        elif modality in outside:
            made[modality] = _Queries(outside[modality], np.full(len(outside[modality]), -1, np.int64))
    return made


def _own_queries(samples: list[ListSample]) -> _Queries:
    """Some contents that the samples hold, evenly spaced, each with its first segment: the windows of one long sound
    would all say the same."""
    if not samples:
        return _Queries(np.zeros((0, 0), np.float32), np.zeros(0, np.int64))
    contents, first = np.unique(np.concatenate([sample.contents for sample in samples]), return_index=True)
    some = np.unique(np.linspace(0, len(contents) - 1, min(OWN_QUERIES, len(contents))).astype(int))
    return _Queries(np.concatenate([sample.vectors for sample in samples])[first[some]], contents[some])

"""Copies and near-duplicates of a whole library, as groups; nothing is ever deleted.

Greedy by leader: contents are taken in the order in which one would keep them (more pixels, then more bytes, then
older), and each that is in no group yet takes all that are alike to it (`search.similarity`) and in no group either. So
every file of a group is alike to its first one; a chain of slow change, whose ends have nothing in common, is not one
group, as connected components would have it.

Whoever is alike to a content has a segment that meets its middle one. So that one alone is looked up in the index,
by blocks, ever deeper until nothing near enough is left; what comes back is then compared as a whole. Memory is
bounded by a block and by the largest group, time by one search for each content.
"""

import math
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

import numpy as np

from mmsearch.catalog import Catalog, ListKey, Snapshot, SpaceRecord
from mmsearch.catalog.contents import contents_to_keep_first, copied_contents
from mmsearch.catalog.embeddings import vectors_by_content, vectors_of_segments
from mmsearch.catalog.items import present_files
from mmsearch.catalog.segments import contents_of_segments, segment_ids_of
from mmsearch.errors import InvalidInput
from mmsearch.filters.ast import Filter
from mmsearch.indexing.lists import Lists
from mmsearch.search.similarity import SLACK, ContentProfile, similarity
from mmsearch.types import Modality, Vectors

BLOCK = 1024
"""Contents looked up at once."""

NEAR = 16
"""Neighbours asked for at first, and how many times more while all of them are near enough."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A file of a group."""

    path: Path
    size: int
    """Bytes."""
    similarity: float
    """The smallest cosine of two segments that meet, its own and the first file's, in [-1, 1]; 1 for a copy."""
    copy: bool
    """Whether it is the first file byte for byte; the first one is not its own copy."""
    width: int | None
    height: int | None
    item_id: int


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Two or more files that are alike to the first, the one to keep: copies first, then the most similar."""

    modality: Modality
    files: tuple[Duplicate, ...]

    @property
    def freed(self) -> int:
        """Bytes that all but the first take."""
        return sum(file.size for file in self.files[1:])


def thresholds(threshold: float | None, settings: Mapping[Modality, float]) -> Mapping[Modality, float]:
    """Segment modality -> cosine from which two are alike. Raises: InvalidInput for what is no cosine above 0."""
    if threshold is None:
        return settings
    if not (math.isfinite(threshold) and 0 < threshold <= 1):
        raise InvalidInput(
            f"the threshold must be a cosine above 0 and at most 1, not {threshold}",
            hint="such as 0.98; without it, the setting similarity has one for each kind",
        )
    return dict.fromkeys(settings, threshold)


def find_duplicates(
    catalog: Catalog,
    lists: Lists,
    space: SpaceRecord,
    thresholds: Mapping[Modality, float],
    modalities: Collection[Modality] | None = None,
    filter: Filter | None = None,
) -> list[DuplicateGroup]:
    """All groups, those that take most space first; then by path."""
    with catalog.reading() as snapshot:
        ordered = contents_to_keep_first(snapshot, modalities, filter)
        search = _Search(snapshot, lists, space, thresholds, {content for _, content in ordered})
        groups = search.groups(ordered)
        copied = copied_contents(snapshot, modalities, filter)
        kinds = dict((content, modality) for modality, content in ordered)
        alone = copied - {content for members in groups.values() for content in members} - groups.keys()
        groups |= {content: {} for content in alone}
        made = [_group(snapshot, kinds[first], first, members, filter) for first, members in groups.items()]
    return sorted(made, key=lambda group: (-group.freed, os.fsencode(group.files[0].path)))


def _group(
    snapshot: Snapshot, modality: Modality, first: int, members: Mapping[int, float], filter: Filter | None
) -> DuplicateGroup:
    found = present_files(snapshot, [first, *members], filter)
    ranked = [(first, 1.0), *sorted(members.items(), key=lambda one: (-one[1], one[0]))]
    return DuplicateGroup(
        modality,
        tuple(
            Duplicate(
                Path(os.fsdecode(file.path)), file.size, similar, content == first and place > 0,
                file.width, file.height, file.item_id,
            )
            for content, similar in ranked
            for place, file in enumerate(found.get(content, ()))
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Probe:
    """A segment to look up on behalf of a content."""

    content: int
    key: ListKey
    vector: Vectors


class _Search:
    """One pass over the contents of a library."""

    def __init__(
        self,
        snapshot: Snapshot,
        lists: Lists,
        space: SpaceRecord,
        thresholds: Mapping[Modality, float],
        wanted: set[int],
    ) -> None:
        self._snapshot, self._lists, self._space, self._thresholds = snapshot, lists, space, thresholds
        self._free = wanted
        """Contents that may yet join a group."""

    def groups(self, ordered: Sequence[tuple[Modality, int]]) -> dict[int, dict[int, float]]:
        """First content -> content -> similarity; every group has at least two."""
        found: dict[int, dict[int, float]] = {}
        for block in _blocks(ordered):
            probes = self._probes([(modality, content) for modality, content in block if content in self._free])
            for probe, near, more in self._near(probes):
                if probe.content in self._free:
                    self._free.discard(probe.content)
                    members = self._similar_to(probe.content, self._candidates(probe, near, more))
                    self._free -= members.keys()
                    if members:
                        found[probe.content] = members
        return found

    def _probes(self, block: Sequence[tuple[Modality, int]]) -> list[_Probe]:
        """The middle segment of each content."""
        outlines = segment_ids_of(self._snapshot, self._space, [content for _, content in block])
        chosen: list[tuple[int, ListKey, int]] = []
        for item, content in block:
            by_modality = outlines.get(content, {})
            if by_modality and by_modality.keys() <= self._thresholds.keys():
                main = max(by_modality)
                segments = by_modality[main]
                chosen.append((content, ListKey(self._space.name, item, main), segments[len(segments) // 2]))
        vectors = vectors_of_segments(self._snapshot, self._space, [segment for _, _, segment in chosen])
        return [_Probe(content, key, vectors[one]) for content, key, one in chosen if one in vectors]

    def _near(self, probes: Sequence[_Probe]) -> Iterator[tuple[_Probe, list[int], bool]]:
        """Each probe in turn, with the segments near it and whether there may be more."""
        for key, group in groupby(probes, lambda probe: probe.key):
            of_key = list(group)
            for probe, (near, more) in zip(of_key, self._looked_up(key, of_key, NEAR), strict=True):
                yield probe, near, more

    def _looked_up(self, key: ListKey, probes: Sequence[_Probe], k: int) -> list[tuple[list[int], bool]]:
        queries = np.stack([probe.vector for probe in probes])
        neighbours = self._lists.search(queries, k, [key.item])[0][key]
        close = neighbours.scores >= self._thresholds[key.segment] - SLACK
        full = neighbours.ids.shape[1] == k
        return [(ids[row].tolist(), bool(full and row[-1])) for ids, row in zip(neighbours.ids, close, strict=True)]

    def _candidates(self, probe: _Probe, near: list[int], more: bool) -> list[int]:
        """Contents in no group yet of which some segment is near a probe."""
        k = NEAR
        while more:
            k *= NEAR
            ((near, more),) = self._looked_up(probe.key, [probe], k)
        if len(near) < 2:
            return []  # nothing but itself
        contents = contents_of_segments(self._snapshot, np.array(near, np.int64))
        return sorted({other for other in contents.values() if other in self._free})

    def _similar_to(self, content: int, candidates: Sequence[int]) -> dict[int, float]:
        """Those of the candidates that are alike to a content, with their similarity."""
        if not candidates:
            return {}
        own = ContentProfile(content, vectors_by_content(self._snapshot, self._space, [content]).get(content, {}))
        found: dict[int, float] = {}
        for start in range(0, len(candidates), BLOCK):
            held = vectors_by_content(self._snapshot, self._space, candidates[start : start + BLOCK])
            for other, vectors in held.items():
                similar = similarity(own, ContentProfile(other, vectors), self._thresholds)
                if similar is not None:
                    found[other] = min(similar, 1.0)
        return found


def _blocks(ordered: Sequence[tuple[Modality, int]]) -> Iterator[list[tuple[Modality, int]]]:
    rest = iter(ordered)
    while block := list(islice(rest, BLOCK)):
        yield block

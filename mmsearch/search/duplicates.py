"""Copies and near-duplicates of a whole library, as groups; nothing is ever deleted.

Greedy by leader: contents are taken in the order in which one would keep them (more pixels, then more bytes, then
older), and each that is in no group yet takes all that are proved to be the same (`media.sameness`) and in no group
either. So every file of a group is proved against its first one; a chain of slow change, whose ends have nothing in
common, is not one group, as connected components would have it. Then those that are left, and the first ones, are
grouped once more, by what only resembles: crops, other colours, bursts.

A cosine proposes (`search.similarity`). Whoever is alike to a content has a segment that meets its middle one. So that
one alone is looked up in the index, by blocks, ever deeper until nothing near enough is left; what comes back, and may
be the same by an outline of it (`search.witnesses`), is then compared as a whole. Memory is bounded by a block, the
largest group and an outline of each content, time by one search for each content.
"""

import math
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmsearch.catalog import Catalog, ListKey, Snapshot, SpaceRecord
from mmsearch.catalog.blobs import MEND
from mmsearch.catalog.contents import contents_to_keep_first, copied_contents
from mmsearch.catalog.embeddings import vectors_by_content, vectors_of_segments
from mmsearch.catalog.evidence import first_files
from mmsearch.catalog.items import present_files
from mmsearch.catalog.segments import contents_of_segments, segment_ids_of
from mmsearch.core.filters.ast import Filter
from mmsearch.core.media_paths import is_media_path, item_path
from mmsearch.errors import CatalogDamaged, InvalidInput
from mmsearch.indexing.lists import Lists
from mmsearch.media.detail import is_finer
from mmsearch.media.sameness.proof import COPY, KINDS, SAME, Kind, Proof
from mmsearch.search.similarity import SLACK, ContentProfile, similarity
from mmsearch.search.standing import StandingFile, standing_files
from mmsearch.search.witnesses import MediaFiles, Witnesses
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
    kind: Kind | None
    """What it is of the first file (`mmsearch.media.sameness.proof`); None for the first one."""
    method: str | None
    """What proves it."""
    figure: float | None
    """The method's figure."""
    width: int | None
    height: int | None
    item_id: int
    there: bool
    """Whether the file is as it was when it was taken in; of a medium from memory, whether its bytes are kept."""


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Two or more files: the first, the one to keep, then its copies, then the most similar. A file and links to it
    are one."""

    modality: Modality
    files: tuple[Duplicate, ...]

    @property
    def freed(self) -> int:
        """Bytes that the files take which are the same thing as the first."""
        return sum(file.size for file in self.files if file.kind in SAME)

    @property
    def spare(self) -> tuple[Path, ...]:
        """Files to do without while the first one stays: all others that are as they were when they were taken in; none
        if the first one is not, or is no file but a medium from memory."""
        first, *others = self.files
        if not first.there or _is_medium(first):
            return ()
        return tuple(one.path for one in others if one.there and not _is_medium(one))


def thresholds(threshold: float | None, settings: Mapping[Modality, float]) -> Mapping[Modality, float]:
    """Segment modality -> cosine from which two are compared. Raises: InvalidInput for what is no cosine above 0."""
    if threshold is None:
        return settings
    if not (math.isfinite(threshold) and 0 < threshold <= 1):
        raise InvalidInput(
            f"the threshold must be a cosine above 0 and at most 1, not {threshold}",
            hint="such as 0.98; without it, the setting similarity has one for each kind",
        )
    return dict.fromkeys(settings, threshold)


def checked_kinds(kinds: Collection[str] | None) -> frozenset[str]:
    """All kinds for None. Raises: InvalidInput for what is none."""
    for kind in kinds or ():
        if kind not in KINDS:
            raise InvalidInput(f"there is no kind of duplicate {kind!r}", hint=f"known: {', '.join(KINDS)}")
    return frozenset(KINDS if kinds is None else kinds)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which duplicates are asked for."""

    thresholds: Mapping[Modality, float]
    """Segment modality -> cosine from which two are compared."""
    kinds: frozenset[str]
    survey: bool = False
    """Whether to compare what is alike by its evidence too, whatever the cosine."""
    modalities: Collection[Modality] | None = None
    filter: Filter | None = None


def find_duplicates(
    catalog: Catalog,
    lists: Lists,
    space: SpaceRecord,
    wanted: Wanted,
    files: MediaFiles,
) -> list[DuplicateGroup]:
    """All groups, those that take most space first; then by path."""
    with catalog.reading() as snapshot:
        ordered = contents_to_keep_first(snapshot, wanted.modalities, wanted.filter)
        modality_of = {content: modality for modality, content in ordered}
        witnesses = Witnesses(snapshot, files)
        if wanted.survey:
            witnesses.survey(ordered)
        search = _Search(snapshot, lists, space, wanted, witnesses)
        found = search.finer_first(search.groups(ordered, related=False), [content for _, content in ordered], files)
        groups = [(first, members) for first, members in found.items()]
        members_of_any = {content for members in found.values() for content in members}
        copied = copied_contents(snapshot, wanted.modalities, wanted.filter)
        groups += [(content, {}) for content in copied - members_of_any - found.keys()]
        # Of sounds and videos nothing is told but what is the same.
        left = [one for one in ordered if one[1] not in members_of_any and one[0] in ("image", "text")]
        if not wanted.kinds <= SAME:
            groups += search.groups(left, related=True).items()
        made = [_group(snapshot, modality_of[first], first, members, wanted) for first, members in groups]
    return sorted(
        (group for group in made if len(group.files) > 1),
        key=lambda group: (-group.freed, os.fsencode(group.files[0].path)),
    )


@dataclass(frozen=True, slots=True)
class _Member:
    """A content of a group."""

    similarity: float
    proof: Proof


def _group(
    snapshot: Snapshot, modality: Modality, first: int, members: Mapping[int, _Member], wanted: Wanted
) -> DuplicateGroup:
    known = present_files(snapshot, [first, *members], wanted.filter)
    present = {content: standing_files(files) for content, files in known.items()}
    kept, *copies = present[first]
    files = [_duplicate(kept, 1.0, None)]
    related = any(member.proof.kind not in SAME for member in members.values())
    # The copies of what has crops or shots beside it are in a group of their own.
    files += [_duplicate(file, 1.0, COPY) for file in copies if not related]
    for content, member in sorted(members.items(), key=lambda one: (-one[1].similarity, one[0])):
        files += [_duplicate(file, member.similarity, member.proof) for file in present.get(content, ())]
    return DuplicateGroup(modality, tuple(one for one in files if one.kind is None or one.kind in wanted.kinds))


def _is_medium(file: Duplicate) -> bool:
    return is_media_path(item_path(file.path))


def _duplicate(standing: StandingFile, similar: float, proof: Proof | None) -> Duplicate:
    file = standing.file
    return Duplicate(
        Path(os.fsdecode(file.path)),
        file.size,
        similar,
        None if proof is None else proof.kind,
        None if proof is None else proof.method,
        None if proof is None else round(proof.figure, 3),
        file.width,
        file.height,
        file.item_id,
        standing.there,
    )


def _resized(members: Mapping[int, _Member]) -> set[int]:
    return {content for content, member in members.items() if member.proof.kind == "resized"}


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
        wanted: Wanted,
        witnesses: Witnesses,
    ) -> None:
        self._snapshot, self._lists, self._space, self._thresholds = snapshot, lists, space, wanted.thresholds
        self._survey = wanted.survey
        self._any = dict.fromkeys(wanted.thresholds, -1.0)
        self._witnesses = witnesses
        self._free: set[int] = set()
        """Contents that may yet join a group."""
        self._related = False

    def groups(self, ordered: Sequence[tuple[Modality, int]], *, related: bool) -> dict[int, dict[int, _Member]]:
        """First content -> content -> how it belongs to it; every group has at least two.

        Args:
            related: What only resembles, instead of what is the same.
        """
        self._free, self._related = {content for _, content in ordered}, related
        found: dict[int, dict[int, _Member]] = {}
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

    def finer_first(
        self,
        found: Mapping[int, Mapping[int, _Member]],
        ordered: Sequence[int],
        files: MediaFiles,
    ) -> dict[int, dict[int, _Member]]:
        """The groups, each led by a picture that shows finer detail than those that are smaller. One that doesn't may
        be blown up: it leaves the group, with what is of its size."""
        kept: dict[int, dict[int, _Member]] = {}
        rank = {content: n for n, content in enumerate(ordered)}
        groups = {first: dict(members) for first, members in found.items()}
        while groups:
            details = files.detail(first_files(self._snapshot, [one for one in groups if _resized(groups[one])]))
            again: dict[int, dict[int, _Member]] = {}
            for first, members in groups.items():
                resized = _resized(members)
                if not resized or self._is_finer(first, resized, details.get(first)):
                    kept[first] = members
                    continue
                if members.keys() - resized:
                    kept[first] = {one: members[one] for one in members if one not in resized}
                lead, *rest = sorted(resized, key=rank.__getitem__)
                again[lead] = self._similar_to(lead, rest)
            groups = {lead: members for lead, members in again.items() if members}
        return kept

    def _is_finer(self, first: int, smaller: set[int], lost: NDArray[np.float32] | None) -> bool:
        if lost is None:
            return False
        shorter = self._witnesses.shorter_sides([first, *smaller])
        return all(is_finer(lost, shorter[one] / shorter[first]) for one in smaller)

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
        neighbours = self._lists.search(queries, k, [key.item])[0].get(key)
        if neighbours is None:
            raise CatalogDamaged(f"the catalog has files of the kind {key.item!r}, and no list of them", hint=MEND)
        close = neighbours.scores >= self._thresholds[key.segment] - SLACK
        full = neighbours.ids.shape[1] == k
        return [(ids[row].tolist(), bool(full and row[-1])) for ids, row in zip(neighbours.ids, close, strict=True)]

    def _candidates(self, probe: _Probe, near: list[int], more: bool) -> list[int]:
        """Contents in no group yet of which some segment is near a probe."""
        k = NEAR
        while more:
            k *= NEAR
            ((near, more),) = self._looked_up(probe.key, [probe], k)
        surveyed = self._witnesses.near(probe.content, related=self._related) if self._survey else set()
        if len(near) < 2 and not surveyed:
            return []  # nothing but itself
        contents = contents_of_segments(self._snapshot, np.array(near, np.int64)) if len(near) > 1 else {}
        return sorted((surveyed | set(contents.values())) & self._free)

    def _similar_to(self, content: int, candidates: Sequence[int]) -> dict[int, _Member]:
        """Those of the candidates that are proved to belong to a content."""
        candidates = self._witnesses.plausible(content, candidates, related=self._related)
        if not candidates:
            return {}
        own = ContentProfile(content, vectors_by_content(self._snapshot, self._space, [content]).get(content, {}))
        alike: dict[int, float] = {}
        for start in range(0, len(candidates), BLOCK):
            held = vectors_by_content(self._snapshot, self._space, candidates[start : start + BLOCK])
            for other, vectors in held.items():
                profile = ContentProfile(other, vectors)
                similar = similarity(own, profile, self._any if self._survey else self._thresholds)
                if similar is not None or self._survey:
                    alike[other] = min(similar or 0.0, 1.0)
        proofs = self._witnesses.prove(content, list(alike), related=self._related)
        return {other: _Member(alike[other], proof) for other, proof in proofs.items()}


def _blocks(ordered: Sequence[tuple[Modality, int]]) -> Iterator[list[tuple[Modality, int]]]:
    rest = iter(ordered)
    while block := list(islice(rest, BLOCK)):
        yield block

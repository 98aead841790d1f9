"""Files that belong together are one result: a picture, its caption and its sound; a live photo; a sidecar.

Present files of one folder that share a stem (`catalog.stem`) are a bundle if there are two to `MOST` of them and one
is no text: main.c and main.h, or twenty files called image, are not about one thing. A bundle stands where its best
file does ("best"), or where all its files do on average ("mean", "weighted").

Averages are taken of what calibration says of each file, never of raw scores, which lie on different scales: the
weighted geometric mean of the tails (the chance that an unrelated segment scores as high), each of the file's best
segment. Its logarithm is the statistic of Fisher (1925), with weights that of Good (1955). Confidence comes from the
mean as it does from a single tail; that is cautious where files err independently, since then their mean is seldom
small by accident.
"""

import math
import sys
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mmsearch.catalog import Catalog, GroupFile, ListKey
from mmsearch.catalog.file_groups import group_members, group_segments
from mmsearch.catalog.group_rules import ordered_group
from mmsearch.filters.ast import Filter
from mmsearch.search.ranking import RankedItem, Ranking
from mmsearch.search.vector import VectorSearch
from mmsearch.types import Modality
from mmsearch.vectors.rank import exact_scores

_ROUNDING = 1e-9

_LEAST = sys.float_info.min
"""A tail that has become zero still has a logarithm so."""


@dataclass(frozen=True, slots=True)
class FileGroups:
    """The bundles of a catalog, as a search meets them.

    A file matches for itself: `modalities` and `filter` hold of the file that was found and of the one that is shown.
    """

    catalog: Catalog
    modalities: Collection[Modality] | None = None
    filter: Filter | None = None

    def of(self, hits: Sequence[RankedItem]) -> dict[int, tuple[GroupFile, ...]]:
        """Item id -> all files of its bundle, the lead first; items that are alone are left out."""
        with self.catalog.reading() as snapshot:
            known = group_members(snapshot, [hit.item_id for hit in hits], self.modalities, self.filter)
        return {file.item_id: files for found in known.values() if (files := ordered_group(found)) for file in files}

    def gathered(self, ranked: Ranking) -> Ranking:
        """A ranking in which each bundle stands once, at the place of its best file."""

        def first(n: int) -> list[RankedItem]:
            depth = n
            while True:
                hits = ranked(depth)
                found = self.one_each(hits)
                if len(found) >= n or len(hits) < depth:
                    return found[:n]
                depth *= 2

        return first

    def one_each(self, hits: Sequence[RankedItem]) -> list[RankedItem]:
        """The hits without those whose bundle was found before."""
        files, seen, kept = self.of(hits), set[int](), list[RankedItem]()
        if not files:
            return list(hits)
        for hit in hits:
            if hit.item_id not in seen:
                members = files.get(hit.item_id, ())
                seen.update(member.item_id for member in members)
                kept.append(_shown(hit, members) if members else hit)
        return kept


def _shown(hit: RankedItem, files: tuple[GroupFile, ...]) -> RankedItem:
    """A hit of one file as a hit of its bundle: the lead's path and kind, and what matched in the file."""
    lead = next((file for file in files if file.wanted), files[0])
    paths = (lead.path, *(file.path for file in files if file is not lead))
    return hit._replace(path=lead.path, modality=lead.modality, item_id=lead.item_id, part=hit.path, members=paths)


@dataclass(frozen=True, slots=True)
class _Scored:
    """What a bundle is ranked by."""

    order: float
    hit: RankedItem
    """Of its best file."""

    @property
    def place(self) -> tuple[float, float, bytes]:
        return self.order, -self.hit.score, self.hit.path


@dataclass(frozen=True, slots=True, eq=False)
class GroupAverages:
    """The ranking of a query vector by the averages of bundles."""

    files: VectorSearch
    """What finds single files by that vector."""
    space: str
    bundles: FileGroups
    weights: Mapping[Modality, float]
    """Item modality -> what its files count for, above 0; 1 if it isn't named."""

    def ranked(self, n: int) -> list[RankedItem]:
        """The n best: of a bundle, the hit of its best file. Exact, by the threshold algorithm (Fagin et al., 2003).

        Files are looked at best first; a bundle that was met is averaged over all its files, whether they were met or
        not. No file to come is better than the last one, so no bundle to come has a better average.
        """
        depth = n
        while True:
            hits = self.files.ranked(depth)
            if hits and hits[0].confidence is None:
                return hits[:n]  # no background yet: nothing to average
            made = sorted(self._averaged(hits), key=lambda one: one.place)
            whole = len(hits) < depth
            # A mean of logarithms is rounded: what is nearer than that may yet be a tie.
            if whole or (len(made) >= n and made[n - 1].order < (1 - _ROUNDING) * self._tail(hits[-1])):
                return self._sure(made[:n])
            depth *= 4

    def _tail(self, hit: RankedItem) -> float:
        return self.files.judge.tail(ListKey(self.space, hit.modality, hit.matched or hit.modality), hit.score)

    def _averaged(self, hits: Sequence[RankedItem]) -> list[_Scored]:
        """Every bundle that the hits belong to, and every hit that is alone."""
        files = self.bundles.of(hits)
        tails = {hit.item_id: self._tail(hit) for hit in hits}
        tails |= self._unmet([file for found in files.values() for file in found if file.item_id not in tails])
        best: dict[int, _Scored] = {}
        for hit in hits:
            members = [file for file in files.get(hit.item_id, ()) if file.wanted and file.item_id in tails]
            first = members[0].item_id if members else hit.item_id
            if first not in best:
                weighed = [(self.weights.get(file.modality, 1.0), tails[file.item_id]) for file in members]
                best[first] = _Scored(_mean(weighed) if weighed else tails[hit.item_id], hit)
        return list(best.values())

    def _unmet(self, files: Sequence[GroupFile]) -> dict[int, float]:
        """Item id -> the tail of its best segment, for files that no list was asked deep enough to bring."""
        wanted = list({file.item_id: file for file in files if file.wanted}.values())
        with self.bundles.catalog.reading() as snapshot:
            found, vectors = group_segments(snapshot, self.space, self.files.vector.shape[1], wanted)
        tails: dict[int, list[float]] = defaultdict(list)
        for segment, score in zip(found, exact_scores(self.files.vector[0], vectors).tolist(), strict=True):
            tails[segment.item_id].append(
                self.files.judge.tail(ListKey(self.space, segment.modality, segment.matched), score)
            )
        return {item: min(those) for item, those in tails.items()}

    def _sure(self, made: Sequence[_Scored]) -> list[RankedItem]:
        """The hits with the confidence that their averages give."""
        judge, sizes = self.files.judge, self.files.indexes.sizes(self.bundles.modalities)
        searched = sum(sizes.values())
        if not made:
            return []
        null = judge.null_distribution([key for key, size in sizes.items() if size])
        sure = [null.confidence(one.order, searched) for one in made]
        return [
            one.hit._replace(confidence=confidence, weak=confidence < judge.min_confidence)
            for one, confidence in zip(made, sure, strict=True)
        ]


def _mean(weighed: Sequence[tuple[float, float]]) -> float:
    """The weighted geometric mean of (weight, tail) pairs."""
    total = sum(weight for weight, _ in weighed)
    return math.exp(sum(weight * math.log(max(tail, _LEAST)) for weight, tail in weighed) / total)

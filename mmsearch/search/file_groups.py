"""The group stage: files that belong together are one result: a picture, its caption and its sound; a live photo.

Present files of one folder that share a group key (`catalog.group_key`) are a file group if there are two to `MOST` of
them and one is no text: main.c and main.h, or twenty files called image, are not about one thing. A group stands where
its best file does ("best"), or where all its files do on average ("mean", "weighted").

Averages are taken of the evidence that each file is (`search.word_evidence`), that of its best segment, never of raw
scores, which lie on different scales: 1 minus the group's confidence is the weighted geometric mean of 1 minus theirs.
That is cautious where files err independently, since then their mean is seldom small by accident.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mmsearch.catalog import Catalog, GroupFile
from mmsearch.catalog.file_groups import group_members
from mmsearch.catalog.group_rules import ordered_group
from mmsearch.core.filters.ast import Filter
from mmsearch.search.ranking import RankedItem, Ranking
from mmsearch.search.vector import VectorSearch
from mmsearch.types import Modality

_ROUNDING = 1e-9
"""What a mean may be off by, as a share."""


@dataclass(frozen=True, slots=True)
class FileGroups:
    """The file groups of a catalog, as a search meets them.

    A file matches for itself: `modalities` and `filter` hold of the file that was found and of the one that is shown.
    """

    catalog: Catalog
    modalities: Collection[Modality] | None = None
    filter: Filter | None = None

    def of(self, items: Sequence[RankedItem]) -> dict[int, tuple[GroupFile, ...]]:
        """Item id -> all files of its group, the lead first; items that are alone are left out."""
        asked = [one.item_id for one in items if not one.alone]
        if not asked:
            return {}
        with self.catalog.reading() as snapshot:
            known = group_members(snapshot, asked, self.modalities, self.filter)
        return {file.item_id: files for found in known.values() if (files := ordered_group(found)) for file in files}

    def group(self, ranking: Ranking) -> Ranking:
        """The ranking in which each group stands once, at the place of its best file."""
        groups = self.of(ranking.items)
        if not groups:
            return ranking
        return Ranking(
            [
                _group_item(item, groups[item.item_id]) if item.item_id in groups else item
                for item in first_of_groups(ranking.items, groups)
            ],
            ranking.complete,
        )


def first_of_groups(items: Sequence[RankedItem], groups: Mapping[int, Sequence[GroupFile]]) -> list[RankedItem]:
    """The items without those whose group has a better one.

    Args:
        items: Best first.
        groups: Item id -> the files of its group.
    """
    seen, kept = set[int](), list[RankedItem]()
    for item in items:
        if item.item_id not in seen:
            seen.update(file.item_id for file in groups.get(item.item_id, ()))
            kept.append(item)
    return kept


def _group_item(item: RankedItem, files: tuple[GroupFile, ...]) -> RankedItem:
    """An item of one file as one of its group: the lead's path and kind, and what matched in the file."""
    lead = next((file for file in files if file.wanted), files[0])
    paths = (lead.path, *(file.path for file in files if file is not lead))
    made = item._replace(path=lead.path, modality=lead.modality, item_id=lead.item_id, part=item.path, members=paths)
    # Of the lead nothing is known.
    return made._replace(content_id=-1, single=False, alone=False)


class GroupReranker(Protocol):
    """Ranks file groups by more than their best file."""

    @property
    def min_items(self) -> int:
        """Items that it must see before it can say anything, unless there are fewer."""

    def rerank(self, ranking: Ranking) -> Ranking:
        """Of each group the item of its best file, in a new order; only items whose place no deeper ranking changes.

        Args:
            ranking: Of files, as the retrieve stage gives it.
        """


@dataclass(frozen=True, slots=True, eq=False)
class GroupAverages:
    """Ranks file groups by the averages of their files."""

    search: VectorSearch
    """What finds single files by the query's vector."""
    groups: FileGroups
    weights: Mapping[Modality, float]
    """Item modality -> what its files count for, above 0; 1 if it isn't named."""

    @property
    def min_items(self) -> int:
        """One is enough."""
        return 1

    def rerank(self, ranking: Ranking) -> Ranking:
        """Of each group the item of its best file, by the averages. Exact, by the threshold algorithm (Fagin et al.,
        2003): a group that was met is averaged over all its files, whether they were met or not; no file to come is
        better than the last one, so no group to come has a better average.

        Args:
            ranking: Of files, as the retrieve stage gives it.
        """
        items = ranking.items
        if not items or items[0].evidence is None:
            return ranking  # nothing to average
        averages = sorted(self._averages(items), key=lambda one: one.place)
        if not ranking.complete:
            # A mean is rounded: what is nearer than that may yet be a tie.
            threshold = (1 + _ROUNDING) * (items[-1].evidence or 0.0)
            averages = [one for one in averages if (one.evidence or 0.0) > threshold]
        return Ranking(averages, ranking.complete)

    def _averages(self, items: Sequence[RankedItem]) -> list[RankedItem]:
        """Of every group that the items belong to the item of its best file, with the average; and what is alone."""
        groups = self.groups.of(items)
        evidence = {item.item_id: item.evidence or 0.0 for item in items}
        missing = {file.item_id for files in groups.values() for file in files if file.wanted} - evidence.keys()
        evidence |= {item_id: one.evidence or 0.0 for item_id, one in self.search.score_items(missing).items()}
        averages: dict[int, RankedItem] = {}
        for item in items:
            files = [file for file in groups.get(item.item_id, ()) if file.wanted and file.item_id in evidence]
            first = files[0].item_id if files else item.item_id
            if first not in averages:
                weighted = [(self.weights.get(file.modality, 1.0), evidence[file.item_id]) for file in files]
                averages[first] = item._replace(evidence=_mean(weighted)) if weighted else item
        return list(averages.values())


def _mean(weighted: Sequence[tuple[float, float]]) -> float:
    """The mean of (weight, value) pairs."""
    return sum(weight * value for weight, value in weighted) / sum(weight for weight, _ in weighted)

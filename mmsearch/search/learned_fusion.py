"""Ranking file groups by a vector that a trained fusion makes of their files.

The groups that the search finds by their best files change places among each other: the one whose fused vector is
nearest to the query takes the first place that a group had, with the confidence that stands there: so the list stays
in the order of the number it shows. Files that are alone stay where they are, since cosines to fused vectors lie on a
scale of their own.
"""

from dataclasses import dataclass

import numpy as np

from mmsearch.catalog import GroupFile, SpaceRecord
from mmsearch.catalog.file_groups import group_segments
from mmsearch.catalog.group_rules import vectors_by_modality
from mmsearch.context.context import LibraryContext
from mmsearch.encoders.fusion import FusionItems, Module, fused_vectors, fusion_items, restore_fusion
from mmsearch.search.file_groups import FileGroups, first_of_groups
from mmsearch.search.ranking import RankedItem, Ranking
from mmsearch.search.vector import VectorSearch
from mmsearch.training.serving import fusions
from mmsearch.types import Modality
from mmsearch.vectors.rank import exact_scores

REORDERED = 100
"""Places among which groups are moved: always the same, so that a page doesn't depend on how deep one looks."""


@dataclass(frozen=True, slots=True)
class TrainedFusion:
    """A trained fusion of this library."""

    module: Module
    modalities: tuple[Modality, ...]


def load_fusion(context: LibraryContext, name: str, space: SpaceRecord) -> TrainedFusion:
    """Raises: InvalidInput if there is none, SpaceChanged if it is of another space than searches use, WeightsError."""
    module, facts = restore_fusion(fusions.read_fusion(context.trained_path, name, space))
    return TrainedFusion(module, facts.modalities)


@dataclass(frozen=True, slots=True, eq=False)
class LearnedFusion:
    """Ranks file groups by their fused vectors."""

    search: VectorSearch
    """What finds single files by the query's vector."""
    space: str
    groups: FileGroups
    fusion: TrainedFusion

    @property
    def min_items(self) -> int:
        """As many as change places."""
        return REORDERED

    def rerank(self, ranking: Ranking) -> Ranking:
        """Of each group the item of its best file; nothing while there are fewer than `REORDERED` and more may come.

        Args:
            ranking: Of files, as the retrieve stage gives it.
        """
        groups = self.groups.of(ranking.items)
        items = first_of_groups(ranking.items, groups)
        if len(items) < REORDERED and not ranking.complete:
            return Ranking()
        return Ranking([*self._by_fused_vectors(items[:REORDERED], groups), *items[REORDERED:]], ranking.complete)

    def _by_fused_vectors(self, items: list[RankedItem], groups: dict[int, tuple[GroupFile, ...]]) -> list[RankedItem]:
        places = [place for place, item in enumerate(items) if item.item_id in groups]
        if len(places) < 2:
            return items
        fused = fused_vectors(self.fusion.module, self._inputs([groups[items[place].item_id] for place in places]))
        scores = exact_scores(self.search.vector[0], fused)
        reordered = list(items)
        # Equals stay in their order.
        for place, other in zip(places, np.argsort(-scores, kind="stable").tolist(), strict=True):
            reordered[place] = items[places[other]]._replace(evidence=items[place].evidence)
        return reordered

    def _inputs(self, groups: list[tuple[GroupFile, ...]]) -> FusionItems:
        wanted = list({file.item_id: file for files in groups for file in files if file.wanted}.values())
        with self.groups.catalog.reading() as snapshot:
            found, vectors = group_segments(snapshot, self.space, self.search.vector.shape[1], wanted)
        return fusion_items(vectors_by_modality(groups, found, vectors), self.fusion.modalities)

"""Ranking bundles by a vector that a trained fusion makes of their files.

The bundles that the search finds by their best files change places among each other: the one whose fused vector is
nearest to the query takes the first place that a bundle had. Files that are alone stay where they are, since cosines
to fused vectors lie on a scale of their own; and so does every hit's confidence, which is its best file's.
"""

from dataclasses import dataclass

import numpy as np

from mmsearch.catalog import GroupFile, SpaceRecord, file_groups
from mmsearch.catalog.group_rules import vectors_by_modality
from mmsearch.context.context import LibraryContext
from mmsearch.encoders.fusion import FusionItems, Module, fused_vectors, fusion_items, restore_fusion
from mmsearch.search.file_groups import FileGroups
from mmsearch.search.ranking import RankedItem
from mmsearch.search.vector import VectorSearch
from mmsearch.training.serving import fusions
from mmsearch.types import Modality
from mmsearch.vectors.rank import exact_scores

FIRST = 100
"""Places among which bundles are moved: always the same, so that a page doesn't depend on how deep one looks."""


@dataclass(frozen=True, slots=True)
class TrainedFusion:
    """A trained fusion of this library."""

    module: Module
    modalities: tuple[Modality, ...]


def load_fusion(context: LibraryContext, name: str, space: SpaceRecord) -> TrainedFusion:
    """Raises: InvalidInput if there is none, SpaceChanged if it is of another space than searches use, WeightsError."""
    module, facts = restore_fusion(fusions.read_fusion(context.path, name, space))
    return TrainedFusion(module, facts.modalities)


@dataclass(frozen=True, slots=True, eq=False)
class LearnedFusion:
    """The ranking of a query vector."""

    files: VectorSearch
    """What finds single files by that vector."""
    space: str
    bundles: FileGroups
    fusion: TrainedFusion

    def ranked(self, n: int) -> list[RankedItem]:
        """The n best: of a bundle, the hit of its best file."""
        size = depth = max(n, FIRST)
        while True:
            hits = self.files.ranked(depth)
            files = self.bundles.of(hits)
            seen, best = set[int](), list[RankedItem]()
            for hit in hits:
                if hit.item_id not in seen:
                    best.append(hit)
                    seen.update(member.item_id for member in files.get(hit.item_id, ()))
            if len(best) >= size or len(hits) < depth:
                break
            depth *= 2
        return (self._moved(best[:FIRST], files) + best[FIRST:])[:n]

    def _moved(self, hits: list[RankedItem], files: dict[int, tuple[GroupFile, ...]]) -> list[RankedItem]:
        places = [place for place, hit in enumerate(hits) if hit.item_id in files]
        if len(places) < 2:
            return hits
        vectors = fused_vectors(self.fusion.module, self._items([files[hits[place].item_id] for place in places]))
        scores = exact_scores(self.files.vector[0], vectors)
        moved = list(hits)
        # Equals stay in their order.
        for place, at in zip(places, np.argsort(-scores, kind="stable").tolist(), strict=True):
            moved[place] = hits[places[at]]
        return moved

    def _items(self, groups: list[tuple[GroupFile, ...]]) -> FusionItems:
        wanted = list({file.item_id: file for files in groups for file in files if file.wanted}.values())
        with self.bundles.catalog.reading() as snapshot:
            found, vectors = file_groups.group_segments(snapshot, self.space, self.files.vector.shape[1], wanted)
        return fusion_items(vectors_by_modality(groups, found, vectors), self.fusion.modalities)

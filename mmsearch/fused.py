"""Ranking bundles by a vector that a trained fusion makes of their files.

The bundles that the search finds by their best files change places among each other: the one whose fused vector is
nearest to the query takes the first place that a bundle had. Files that are alone stay where they are, since cosines
to fused vectors lie on a scale of their own; and so does every hit's confidence, which is its best file's.
"""

from dataclasses import dataclass

import numpy as np

from mmsearch.bundles import Bundles, by_kind
from mmsearch.catalog import Member, SpaceRecord, bundle
from mmsearch.encoders.fusion import Items, Module, fused, items, restore
from mmsearch.parts import Parts
from mmsearch.rankings import Ranked
from mmsearch.search import Search
from mmsearch.training import fusions
from mmsearch.types import Modality
from mmsearch.vectors.rank import exact_scores

FIRST = 100
"""Places among which bundles are moved: always the same, so that a page doesn't depend on how deep one looks."""


@dataclass(frozen=True, slots=True)
class Fusion:
    """A trained fusion of this library."""

    module: Module
    modalities: tuple[Modality, ...]


def load(parts: Parts, name: str, space: SpaceRecord) -> Fusion:
    """Raises: InvalidInput if there is none, SpaceChanged if it is of another space than searches use, WeightsError."""
    module, facts = restore(fusions.read(parts.path, name, space))
    return Fusion(module, facts.modalities)


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """The ranking of a query vector."""

    files: Search
    """What finds single files by that vector."""
    space: str
    bundles: Bundles
    fusion: Fusion

    def ranked(self, n: int) -> list[Ranked]:
        """The n best: of a bundle, the hit of its best file."""
        size = depth = max(n, FIRST)
        while True:
            hits = self.files.ranked(depth)
            files = self.bundles.of(hits)
            seen, best = set[int](), list[Ranked]()
            for hit in hits:
                if hit.item_id not in seen:
                    best.append(hit)
                    seen.update(member.item_id for member in files.get(hit.item_id, ()))
            if len(best) >= size or len(hits) < depth:
                break
            depth *= 2
        return (self._moved(best[:FIRST], files) + best[FIRST:])[:n]

    def _moved(self, hits: list[Ranked], files: dict[int, tuple[Member, ...]]) -> list[Ranked]:
        places = [place for place, hit in enumerate(hits) if hit.item_id in files]
        if len(places) < 2:
            return hits
        vectors = fused(self.fusion.module, self._items([files[hits[place].item_id] for place in places]))
        scores = exact_scores(self.files.vector[0], vectors)
        moved = list(hits)
        # Equals stay in their order.
        for place, at in zip(places, np.argsort(-scores, kind="stable").tolist(), strict=True):
            moved[place] = hits[places[at]]
        return moved

    def _items(self, groups: list[tuple[Member, ...]]) -> Items:
        wanted = list({file.item_id: file for files in groups for file in files if file.wanted}.values())
        with self.bundles.catalog.reading() as snapshot:
            found, vectors = bundle.segments(snapshot, self.space, self.files.vector.shape[1], wanted)
        return items(by_kind(groups, found, vectors), self.fusion.modalities)

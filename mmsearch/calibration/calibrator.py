"""Turns the raw scores of one query into tail probabilities and confidences."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mmsearch.calibration.fit import ListCalibration, NullDistribution, null_distribution
from mmsearch.calibration.measure import Backgrounds
from mmsearch.catalog import ListKey
from mmsearch.errors import CatalogDamaged
from mmsearch.types import Level, Modality, Vectors


@dataclass(frozen=True, slots=True, eq=False)
class ScoreCalibrator:
    """The calibrations of all lists for one query."""

    calibrations: Mapping[ListKey, ListCalibration]
    vector: Vectors
    """float32 (1, dim), the query's."""
    min_confidence: float
    """The confidence, in [0, 1], below which a hit is called weak."""

    @classmethod
    def of(
        cls, backgrounds: Backgrounds, modality: Modality, vector: Vectors, false_accepts: float
    ) -> "ScoreCalibrator":
        """For a modality too rare here to have backgrounds of its own, those of words stand in.

        Args:
            vector: float32 (1, dim), the query's.
            false_accepts: Share of queries about something else that may pass for confident.
        """
        words = {key: one for (query, key), one in backgrounds.items() if query == "text"}
        own = {key: one for (query, key), one in backgrounds.items() if query == modality}
        return cls(own if own.keys() == words.keys() else words, vector, 1 - false_accepts)

    def covers(self, keys: Iterable[ListKey]) -> bool:
        """Whether each of these lists has a calibration: otherwise their scores can't be compared."""
        return all(key in self.calibrations for key in keys)

    def tail(self, key: ListKey, score: float) -> float:
        """The chance that an unrelated segment of the list scores at least this: comparable between lists."""
        if key not in self.calibrations:
            raise CatalogDamaged(
                f"the catalog has {key.segment!r} in a file of {key.item!r}, which none of its lists holds",
                hint="restore it from a backup, or move it away and ingest again",
            )
        return self.calibrations[key].tail(score)

    def null_distribution(self, keys: Iterable[ListKey]) -> NullDistribution:
        """What a search of these lists, at least one, finds by accident: it turns tails into confidences."""
        return null_distribution([self.calibrations[key] for key in keys], self.vector[0])

    def logit(self, key: ListKey, score: float) -> float:
        """Interim: replaced by the probability that a hit answers the query."""
        null = self.null_distribution(self.calibrations)
        above = (-math.log(self.tail(key, score)) - null.location) / null.scale
        unlike = math.exp(min(-above, 600.0))
        return -unlike - math.log(-math.expm1(-unlike))

    def confidence(self, key: ListKey, score: float) -> float:
        return 1 / (1 + math.exp(min(-self.logit(key, score), 700.0)))

    def level(self, confidence: float) -> Level:
        return "sure" if confidence >= self.min_confidence else "likely" if confidence >= 0.5 else "unlikely"


def default_level(confidence: float) -> Level:
    """Interim."""
    return "sure" if confidence >= 0.8 else "likely" if confidence >= 0.5 else "unlikely"

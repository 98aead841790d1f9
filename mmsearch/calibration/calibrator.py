"""Turns the raw scores of one query into confidences and tail probabilities."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mmsearch.calibration.answers import (
    COMPANY,
    NOTHING_KNOWN,
    RIVAL,
    SUITING,
    AnswerModel,
    Levels,
    ListFacts,
    discounted,
    fitted_answers,
    fitted_levels,
    probability,
    rival_level,
    sentence_share,
)
from mmsearch.calibration.fit import ListCalibration, NullDistribution, fisher, null_distribution
from mmsearch.calibration.measure import Backgrounds
from mmsearch.calibration.neutral import UNKNOWN, EncoderIdentities
from mmsearch.catalog import ListKey
from mmsearch.errors import CatalogDamaged
from mmsearch.types import Level, Modality, Vectors


@dataclass(frozen=True, slots=True, eq=False)
class ListAnswers:
    """Of one query, what makes a confidence of a score in each list. Thread safety: one thread."""

    modality: Modality
    """The query's."""
    sentence: float
    """How much of a sentence it is, in [0, 1]."""
    encoders: EncoderIdentities
    calibrations: Mapping[ListKey, ListCalibration]
    vector: Vectors
    """float32 (1, dim), the query's."""
    _models: dict[ListKey, AnswerModel] = field(default_factory=dict)
    _facts: dict[ListKey, ListFacts] = field(default_factory=dict)
    _lines: dict[ListKey, tuple[float, float]] = field(default_factory=dict)
    """Log-odds over Fisher's z, as the facts make them."""

    def logit(self, key: ListKey, score: float) -> float:
        (logit,) = self.logits(key, (score,))
        return logit

    def logits(self, key: ListKey, scores: Iterable[float]) -> list[float]:
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = self.model(key).line(self.sentence, self._facts.get(key, NOTHING_KNOWN))
        (intercept, slope) = line
        return [intercept + slope * fisher(score) for score in scores]

    def wants_best(self, key: ListKey) -> bool:
        return self.encoders.neutral_words is not None and self.model(key).uses_best

    def is_noted(self, key: ListKey) -> bool:
        return key in self._facts

    def note_list(
        self, key: ListKey, scores: NDArray[np.float32], best: Vectors | None, regions: Sequence[bool] | None
    ) -> None:
        if key in self._facts or not len(scores):
            return
        self._lines.pop(key, None)
        segments, model = min(len(scores), RIVAL), self.model(key)
        facts = ListFacts(rival_level(float(scores[segments - 1]), segments, model.background))
        words = self.encoders.neutral_words
        if best is not None and words is not None and self.wants_best(key):
            cosines = words @ best
            suiting = np.partition(cosines, -SUITING)[-SUITING:]
            facts = facts._replace(hubness=float(cosines.mean()), words=float(suiting.mean()))
        if regions is not None and model.uses_regions:
            counted = self.counted(key, scores[:segments].tolist(), regions)
            facts = facts._replace(region=regions[counted.index(max(counted))])
            if len(counted) >= COMPANY:
                facts = facts._replace(company=sorted(counted)[-COMPANY])
            if words is not None:
                facts = facts._replace(common=float((words @ self.vector[0]).mean()))
        self._facts[key] = facts

    def counted(self, key: ListKey, cosines: Sequence[float], regions: Sequence[bool]) -> list[float]:
        discount = self.model(key).background.discount
        # A picture asks for all of what it shows.
        sentence = self.sentence if self.modality == "text" else 1.0
        return [
            discounted(one, discount, sentence) if region and discount else one
            for one, region in zip(cosines, regions, strict=False)
        ]

    def model(self, key: ListKey) -> AnswerModel:
        if key not in self._models:
            known = self.calibrations.get(key)
            measured = (known.median, known.spread) if known else (0.0, 1.0)
            query, segment = self.encoders.of_query(self.modality), self.encoders.of(key.segment)
            self._models[key] = fitted_answers().model(query, segment, *measured)
        return self._models[key]


@dataclass(frozen=True, slots=True, eq=False)
class ScoreCalibrator:
    """The calibrations of all lists for one query. Thread safety: one thread."""

    calibrations: Mapping[ListKey, ListCalibration]
    vector: Vectors
    """float32 (1, dim), the query's."""
    min_confidence: float
    """The family-wise confidence, in [0, 1], below which a label doesn't fit."""
    levels: Levels
    answers: ListAnswers

    @classmethod
    def of(
        cls,
        backgrounds: Backgrounds,
        modality: Modality,
        vector: Vectors,
        false_accepts: float,
        words: str = "",
        encoders: EncoderIdentities = UNKNOWN,
    ) -> "ScoreCalibrator":
        """For a modality too rare here to have backgrounds of its own, those of words stand in.

        Args:
            vector: float32 (1, dim), the query's.
            false_accepts: Share of queries about something that isn't there whose first hit may be called sure.
            words: Of a query in words.
        """
        of_words = {key: one for (query, key), one in backgrounds.items() if query == "text"}
        own = {key: one for (query, key), one in backgrounds.items() if query == modality}
        calibrations = own if own.keys() == of_words.keys() else of_words
        answers = ListAnswers(modality, sentence_share(words), encoders, calibrations, vector)
        pair = encoders.of_query(modality), encoders.of("image")
        levels = fitted_levels(false_accepts, pair, answers.sentence)
        return cls(calibrations, vector, 1 - false_accepts, levels, answers)

    def confidence(self, key: ListKey, score: float) -> float:
        """The probability, in [0, 1], that a hit of the list with this cosine answers the query."""
        return probability(self.logit(key, score))

    def logit(self, key: ListKey, score: float) -> float:
        """Its log-odds, strictly increasing in the score: the same order, also where probabilities round to 1."""
        return self.answers.logit(key, score)

    def logits(self, key: ListKey, scores: Iterable[float]) -> list[float]:
        """The same of several scores of one list."""
        return self.answers.logits(key, scores)

    def level(self, confidence: float) -> Level:
        """What a user is told of a confidence."""
        return self.levels.level(confidence)

    def wants_best(self, key: ListKey) -> bool:
        """Whether `note_list` is to be told the vector of the list's best hit."""
        return self.answers.wants_best(key)

    def is_noted(self, key: ListKey) -> bool:
        """Whether `note_list` was told of a list."""
        return self.answers.is_noted(key)

    def wants_regions(self, key: ListKey) -> bool:
        """Whether it makes a difference which of the list's segments are regions."""
        return self.answers.model(key).uses_regions

    def counted(self, key: ListKey, cosine: float, region: bool) -> float:
        """The cosine that a segment counts with: a region's a little less than it is."""
        return self.answers.counted(key, (cosine,), (region,))[0] if region else cosine

    def note_list(
        self,
        key: ListKey,
        scores: NDArray[np.float32],
        best: Vectors | None = None,
        regions: Sequence[bool] | None = None,
    ) -> None:
        """Say what the query found in a list, as soon as it was searched: it is part of the list's confidences. Only
        the first word counts.

        Args:
            scores: (n,) cosines of the best segments, best first, at least `answers.RIVAL` of them if there are.
            best: float32 (dim,), the vector of the one that counts most, where `wants_best`.
            regions: Of the first `answers.RIVAL` of them, which are regions, where `wants_regions`.
        """
        self.answers.note_list(key, scores, best, regions)

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

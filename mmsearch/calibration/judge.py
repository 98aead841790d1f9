"""The backgrounds that apply to one query, ready to judge its scores."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mmsearch.calibration.fit import Fitted, confidence, threshold
from mmsearch.calibration.measure import Backgrounds
from mmsearch.catalog import ListKey
from mmsearch.types import Modality


@dataclass(frozen=True, slots=True)
class Judge:
    """What is known of each list for queries of one modality."""

    fitted: Mapping[ListKey, Fitted]
    false_accepts: float
    """Share of neutral queries that may pass for confident."""

    @classmethod
    def of(cls, backgrounds: Backgrounds, modality: Modality, false_accepts: float) -> "Judge":
        """For a modality too rare here to have backgrounds of its own, those of words stand in."""
        words = {key: fitted for (query, key), fitted in backgrounds.items() if query == "text"}
        own = {key: fitted for (query, key), fitted in backgrounds.items() if query == modality}
        return cls(own if own.keys() == words.keys() else words, false_accepts)

    def knows(self, keys: Iterable[ListKey]) -> bool:
        """Whether every one of these lists has a background: otherwise none of them can be compared."""
        return all(key in self.fitted for key in keys)

    def tail(self, key: ListKey, score: float) -> float:
        """The chance that an unrelated segment of the list scores at least this: comparable between lists."""
        return self.fitted[key].tail(score)

    def confidence(self, key: ListKey, score: float, searched: int) -> float:
        """In [0, 1]: how sure it is that no unrelated segment among `searched` would score this high."""
        return confidence(score, self.fitted[key], searched)

    def threshold(self, keys: Iterable[ListKey], searched: int) -> float:
        """The confidence below which a hit is called weak."""
        return threshold([self.fitted[key] for key in keys], searched, self.false_accepts)

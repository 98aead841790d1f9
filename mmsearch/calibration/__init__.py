"""Calibration: how unusual a score is, so that lists of different modalities can be compared and "nothing" be said."""

from mmsearch.calibration.fit import Accidents, Fitted, accidents, fit, read
from mmsearch.calibration.judge import Judge
from mmsearch.calibration.measure import Backgrounds, measure, stale

__all__ = ["Accidents", "Backgrounds", "Fitted", "Judge", "accidents", "fit", "measure", "read", "stale"]

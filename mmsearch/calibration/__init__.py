"""Calibration: how unusual a score is, so that lists of different modalities can be compared and "nothing" be said."""

from mmsearch.calibration.fit import Fitted, confidence, fit, threshold
from mmsearch.calibration.judge import Judge
from mmsearch.calibration.measure import Backgrounds, measure, stale

__all__ = ["Backgrounds", "Fitted", "Judge", "confidence", "fit", "measure", "stale", "threshold"]

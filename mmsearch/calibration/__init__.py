"""Calibration: how unusual a score is, so that lists of different modalities can be compared and "nothing" be said."""

from mmsearch.calibration.answers import RIVAL, default_level, sentence_share
from mmsearch.calibration.calibrator import ScoreCalibrator
from mmsearch.calibration.fit import ListCalibration, NullDistribution, fit_null, null_distribution, read_calibration
from mmsearch.calibration.measure import Backgrounds, backgrounds_stale, measure_backgrounds
from mmsearch.calibration.neutral import EncoderIdentities

__all__ = [
    "RIVAL",
    "Backgrounds",
    "EncoderIdentities",
    "ListCalibration",
    "NullDistribution",
    "ScoreCalibrator",
    "backgrounds_stale",
    "default_level",
    "fit_null",
    "measure_backgrounds",
    "null_distribution",
    "read_calibration",
    "sentence_share",
]

"""Scan, diff, decode, prepare, encode, commit."""

from mmsearch.ingest.backfill import Backfill, BackfillProblem
from mmsearch.ingest.report import IngestReport
from mmsearch.ingest.run import Ingest, IngestOptions, plan_only
from mmsearch.ingest.watch import Watch, WatchEvent, WatchTimes

__all__ = [
    "Backfill",
    "BackfillProblem",
    "Ingest",
    "IngestOptions",
    "IngestReport",
    "Watch",
    "WatchEvent",
    "WatchTimes",
    "plan_only",
]

"""Scan, diff, decode, prepare, encode, commit."""

from mmsearch.ingest.complete import Completion, Problem
from mmsearch.ingest.report import IngestReport
from mmsearch.ingest.run import Ingest, IngestOptions, plan_only

__all__ = ["Completion", "Ingest", "IngestOptions", "IngestReport", "Problem", "plan_only"]

"""Scan, diff, decode, prepare, encode, commit."""

from mmsearch.ingest.report import IngestReport
from mmsearch.ingest.run import Ingest, IngestOptions, plan_only

__all__ = ["Ingest", "IngestOptions", "IngestReport", "plan_only"]

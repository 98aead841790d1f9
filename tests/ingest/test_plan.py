"""What a failure that is remembered means for the next run."""

from pathlib import Path

import pytest

from mmsearch.catalog import KnownFailure
from mmsearch.ingest.plan import Planner
from mmsearch.ingest.report import IngestReport
from mmsearch.types import SourceFile


@pytest.mark.parametrize(
    ("failure", "attempts", "again"),
    [("timeout", 1, True), ("timeout", 2, True), ("timeout", 3, False), ("transient", 9, True), ("corrupt", 1, False)],
)
def test_a_failure_that_may_pass_is_retried(tmp_path: Path, failure: str, attempts: int, again: bool) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x")
    status, name, root = path.stat(), bytes(path), bytes(tmp_path)
    report = IngestReport()
    before = KnownFailure(name, status.st_size, status.st_mtime_ns, failure, "", attempts, "1", root)
    planner = Planner(None, 0, "1", report, lambda known: False, 2**60)
    steps = list(planner.step(SourceFile(name, status.st_size, status.st_mtime_ns), root, None, before))
    assert ([step.action for step in steps], report.failed_before) == ((["decode"], 0) if again else ([], 1))

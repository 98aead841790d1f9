"""The report of an ingest accounts for every file once, and for the time of each stage."""

from collections import Counter

from mmsearch.ingest.report import IngestReport


def test_every_file_counts_once_whatever_came_of_it() -> None:
    report = IngestReport(
        new=1, changed=2, moved=4, copied=8, unchanged=16, restored=32, completed=64,
        failed=Counter(corrupt=128, limit=256), failed_before=512, not_embedded=1024, other_modality=2048,
        missing=10_000, left_out=20_000, segments=30_000, embedded=40_000,
    )  # fmt: skip
    assert report.files == 4095 == report.as_dict()["files"]


def test_the_time_of_a_stage_is_what_was_spent_inside() -> None:
    report = IngestReport()
    for _ in range(2):
        with report.timed("hash"):
            pass
    assert 0 < report.seconds["hash"] < 60, "not the clock's own reading, which counts from the machine's start"
    assert {stage for stage, spent in report.seconds.items() if spent} == {"hash"}

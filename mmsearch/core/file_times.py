"""What tells whether a file is as it was: its size and its time, as numbers that the catalog can hold."""

import os

INT64 = range(-(2**63), 2**63)
"""What SQLite stores as an integer. Nanoseconds since 1970 leave it in April 2262; file systems don't."""


def size_and_time(status: os.stat_result) -> tuple[int, int]:
    """(size, mtime_ns); a time beyond 1677 or 2262 is the nearest that fits, so that it is the same every time."""
    return status.st_size, min(max(status.st_mtime_ns, INT64[0]), INT64[-1])

"""How fast a job goes, and what is left of it."""

from time import monotonic

from mmsearch.types import Progress

IDLE = frozenset({"scan", "load", "wait"})
"""Stages in which no file can be done."""


class Pace:
    """Files a second, of the count that is under way.

    A job counts several times: its files, then those in which it looks for words. Each count has a pace of its own, in
    which the time of idle stages is left out.
    """

    def __init__(self) -> None:
        self._counts: dict[str, tuple[float, int]] = {}
        self._last = monotonic()

    def of(self, now: Progress, at: float | None = None) -> float:
        """The pace so far.

        Args:
            now: What a job tells of itself.
            at: Seconds of the monotonic clock; None: now.

        Returns:
            Files a second; 0.0 before the first one is done.
        """
        at = monotonic() if at is None else at
        count = "extract" if now.stage == "extract" else "work"
        worked, done = self._counts.get(count, (0.0, 0))
        if now.files_done < done:  # the next model looks for words
            worked = 0.0
        if now.stage not in IDLE and now.stage != "done":
            worked += at - self._last
        self._last = at
        self._counts[count] = worked, now.files_done
        return now.files_done / worked if worked else 0.0


def seconds_left(now: Progress, speed: float) -> float | None:
    """What the files that are left take at this pace. None: no file is done yet."""
    return (now.files_total - now.files_done) / speed if speed else None

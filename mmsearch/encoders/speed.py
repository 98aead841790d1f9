"""How quickly encoders went on this machine, remembered for `mmsearch models`."""

from dataclasses import dataclass

from mmsearch.core import forks
from mmsearch.encoders.model_store import Memory

FEWEST = 32
"""Segments that say something; the first batch, which loads weights and warms up, doesn't count."""

_LOCK = forks.ForkSafeLock()
_MEMORY = "speed.json"


@dataclass(slots=True)
class _Run:
    """Of one encoder on one device in this process."""

    segments: int = 0
    seconds: float = 0.0
    next: int = FEWEST
    """How many segments there must be until it is written down again."""


_runs: dict[tuple[str, str], _Run] = {}


def note_speed(encoder: str, device: str, segments: int, seconds: float) -> None:
    """A batch took that long. What is known is written down each time it has doubled."""
    with _LOCK:
        if (encoder, device) not in _runs:
            _runs[encoder, device] = _Run()
            return
        run = _runs[encoder, device]
        run.segments, run.seconds = run.segments + segments, run.seconds + seconds
        if run.segments < run.next or run.seconds <= 0:
            return
        run.next = 2 * run.segments
        Memory(_MEMORY).note(encoder, [round(run.segments / run.seconds, 1), device])


def known_speed(encoder: str) -> tuple[float, str] | None:
    """Segments a second of an encoder, and the device, as last measured here; None if never."""
    entry = Memory(_MEMORY).read().get(encoder)
    return (float(entry[0]), str(entry[1])) if isinstance(entry, list) and len(entry) == 2 else None

"""The sound of clips: the windows that a space embeds of it, put together again for as long as each clip lasts."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mmsearch.errors import LimitExceeded, MediaError, OutOfMemory, Transient, Unreadable
from mmsearch.types import Segment


class ClipSounds:
    """Reads a video's sound beside its pictures, so that it is decoded once, and hours of it need little memory."""

    def __init__(self, windows: Iterator[Segment], rate: int) -> None:
        """`windows`: of sound, in order of time; taken no sooner than a clip needs them. `rate`: of all, in Hz."""
        self._windows = windows
        self._rate = rate
        self._held: list[Segment] = []
        """Those that the next clip may need."""
        self._passed: list[Segment] = []
        """Those to hand on."""
        self._trouble: MediaError | None = None

    def added(self, segments: Iterator[Segment]) -> Iterator[Segment]:
        """The segments, clips with the sound of their time, and behind each clip the windows that were read for it."""
        for one in segments:
            if one.modality != "video":
                yield one
                continue
            sound = self._between(one.span.start or 0.0, one.span.end or 0.0)
            yield one if sound is None else replace(one, sound=sound, rate=self._rate)
            passed, self._passed = self._passed, []
            yield from passed

    def rest(self) -> Iterator[Segment]:
        """The windows that no clip needed. Raises: MediaError, as the windows did."""
        yield from self._passed
        if self._trouble is not None:
            raise self._trouble
        yield from self._windows

    def _between(self, start: float, end: float) -> NDArray[np.float32] | None:
        """float32 (samples,): silent where there is no sound; None if there is none at all."""
        self._read(end)
        self._held = [one for one in self._held if (one.span.end or 0.0) > start]
        made = np.zeros(max(0, round((end - start) * self._rate)), np.float32)
        heard = False
        # Another track's windows are parts: what is heard first of all is the main one.
        for one in self._held:
            at = round(((one.span.start or 0.0) - start) * self._rate)
            samples = np.asarray(one.data)[max(0, -at) : max(0, len(made) - at)]
            if one.part or not len(samples):
                continue
            made[max(0, at) : max(0, at) + len(samples)] = samples
            heard = True
        return made if heard else None

    def _read(self, end: float) -> None:
        """Take windows until one begins where a clip ends. What can't be decoded is told once the pictures are."""
        while self._trouble is None and (not self._held or (self._held[-1].span.start or 0.0) < end):
            try:
                window = next(self._windows, None)
            except (LimitExceeded, OutOfMemory, Transient, Unreadable):
                raise
            except MediaError as error:
                self._trouble = error
                return
            if window is None:
                return
            self._held.append(window)
            self._passed.append(window)

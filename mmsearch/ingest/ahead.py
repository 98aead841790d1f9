"""Planning ahead: the steps of an ingest are made in a thread of their own, before they are needed."""

import queue
import threading
from collections.abc import Iterator
from typing import TypeAlias

from mmsearch.ingest.plan import FileStep

AHEAD = 256
"""Steps planned (scanned, compared, hashed) before they are needed."""

_Planned: TypeAlias = FileStep | BaseException | None


class StepsAhead:
    """Runs the planner in a thread of its own, a bounded number of steps ahead."""

    def __init__(self, steps: Iterator[FileStep], cancel: threading.Event) -> None:
        self._steps = steps
        self._cancel = cancel
        self._closed = threading.Event()
        self._queue: queue.Queue[_Planned] = queue.Queue(AHEAD)
        self._thread = threading.Thread(target=self._fill, name="mmsearch-planner", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[FileStep]:
        while (step := self._queue.get()) is not None:
            if isinstance(step, BaseException):
                raise step
            if self._cancel.is_set():
                return
            yield step

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _fill(self) -> None:
        try:
            for step in self._steps:
                if not self._put(step):
                    return
            self._put(None)
        except BaseException as error:  # raised again where the steps are taken
            self._put(error)

    def _put(self, step: _Planned) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(step, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

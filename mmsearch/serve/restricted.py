"""The library of whoever asks: of a restricted caller, one that holds nothing else."""

import threading

from mmsearch import Library
from mmsearch.serve.access import Caller


class RestrictedLibraries:
    """Those of one library, each made when it is first asked for. Thread safety: all methods may be called from any
    thread."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._known: dict[str, Library] = {}

    def of(self, caller: Caller) -> Library:
        """The caller's."""
        if caller.within is None:
            return self._library
        with self._lock:
            if caller.within not in self._known:
                self._known[caller.within] = self._library.only(caller.within)
            return self._known[caller.within]

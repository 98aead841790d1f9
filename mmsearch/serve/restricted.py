"""The library of whoever asks: of a restricted caller, one that holds nothing else."""

import threading
from contextvars import ContextVar

from starlette.types import ASGIApp, Receive, Scope, Send

from mmsearch import Library
from mmsearch.serve.access import Caller
from mmsearch.serve.guard import CALLER

_caller: ContextVar[Caller] = ContextVar("caller")
"""Who asks, in whatever is done for their request."""


def current_caller() -> Caller:
    """Who asks, behind `with_caller`; where nobody is known, it raises, and nothing is answered."""
    return _caller.get()


def with_caller(application: ASGIApp) -> ASGIApp:
    """An application that finds out by `current_caller` who asks: one that is handed no request."""

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        if CALLER not in scope:
            await application(scope, receive, send)
            return
        before = _caller.set(scope[CALLER])
        try:
            await application(scope, receive, send)
        finally:
            _caller.reset(before)

    return told


def shared_by(caller: Caller) -> tuple[str, bool]:
    """What callers have in common who may have one library: what they see, and whether they may tag it."""
    return caller.within or "", "tag" in caller.rights


class RestrictedLibraries:
    """Those of one library, each made when it is first asked for. Thread safety: all methods may be called from any
    thread."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._known: dict[tuple[str, bool], Library] = {}

    def of(self, caller: Caller) -> Library:
        """The caller's."""
        if caller.within is None:
            return self._library
        asked = shared_by(caller)
        with self._lock:
            if asked not in self._known:
                self._known[asked] = self._library.only(caller.within, tagging=asked[1])
            return self._known[asked]

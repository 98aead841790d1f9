"""What the routes of one server share."""

import logging
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, TypeAlias

from anyio import to_thread
from fastapi import Depends, Request

from mmsearch import DuplicateGroup, Library
from mmsearch.errors import LibraryEmpty, LibraryNotFound, MmsearchError, RequestRefused
from mmsearch.serve.access import OWNER, Access, Caller, Right
from mmsearch.serve.guard import caller_of
from mmsearch.serve.jobs import Jobs
from mmsearch.serve.metrics import Metrics
from mmsearch.serve.options import ServeOptions
from mmsearch.serve.restricted import RestrictedLibraries, shared_by
from mmsearch.serve.slots import Slots
from mmsearch.serve.uploads import Uploads

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Service:
    """A library, and what serves it."""

    library: Library
    options: ServeOptions
    access: Access
    uploads: Uploads
    searches: Slots
    """Searches, and whatever else a person waits for."""
    previews: Slots
    surveys: Slots
    """What goes through the whole library."""
    ready: "Readiness"
    jobs: Jobs
    metrics: Metrics
    libraries: RestrictedLibraries
    streams: int = 0
    """Open streams of events; the event loop alone counts them."""
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set as the server ends: streams that would go on end, too."""
    _restricted: dict[tuple[str, bool], "Service"] = field(default_factory=dict)
    """What callers share -> what serves whoever sees no more than what matches."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _duplicates: tuple[Hashable, int, list[DuplicateGroup]] | None = None

    @classmethod
    def of(cls, library: Library, options: ServeOptions) -> "Service":
        limits = options.limits
        made = cls(
            library, options, Access(options, library.tokens.holder), Uploads(library, limits),
            Slots(limits.searches, limits.waiting), Slots(limits.previews, limits.waiting_previews), Slots(1, 4),
            Readiness(library), Jobs(library), Metrics(), RestrictedLibraries(library),
        )  # fmt: skip
        made.metrics.watch(made)
        return made

    def of_caller(self, caller: Caller) -> "Service":
        """What serves a caller: of a restricted one all that is about items is of their own library, and their own."""
        if caller.within is None:
            return self
        shared = shared_by(caller)
        with self._lock:
            made = self._restricted.get(shared)
            if made is None:
                library = self.libraries.of(caller)
                made = replace(
                    self, library=library, uploads=Uploads(library, self.options.limits), jobs=Jobs(library),
                    metrics=Metrics(), streams=0, _restricted={}, _lock=threading.Lock(), _duplicates=None,
                )  # fmt: skip
                made.metrics.watch(made)
                self._restricted[shared] = made
            return made

    def known_duplicates(self, asked: Hashable, find: Callable[[], list[DuplicateGroup]]) -> list[DuplicateGroup]:
        """What was found last for the same question, unless the library has changed. One thread at a time."""
        generation = self.library.generation
        if self._duplicates is None or self._duplicates[:2] != (asked, generation):
            self._duplicates = (asked, generation, find())
        return self._duplicates[2]

    def close(self) -> None:
        """End what goes on."""
        self.stopping.set()
        for restricted in self._restricted.values():
            restricted.close()
            restricted.library.close()
        self.jobs.close()
        self.uploads.close()


class Readiness:
    """Loads, in the background, what queries of every kind need. Words are answered meanwhile."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._thread: threading.Thread | None = None
        self.ready = False
        self.problem: str | None = None

    def begin(self) -> None:
        """Load, unless that goes on."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._load, name="mmsearch-ready", daemon=True)
            self._thread.start()

    def _load(self) -> None:
        try:
            self._library.load_encoders()
        except (LibraryNotFound, LibraryEmpty):
            self.problem = "the library is empty"
        except MmsearchError as error:
            _log.warning("not ready: %s", type(error).__name__)
            self.problem = error.message
        else:
            self.ready, self.problem = True, None


async def service_of(request: Request) -> Service:
    """What the application of a request shares, whoever asks."""
    found = request.app.state.service
    assert isinstance(found, Service)
    return found


async def service_of_caller(request: Request) -> Service:
    """What serves whoever asks: of a library, what is there for them."""
    service, caller = await service_of(request), caller_of(request)
    return service if caller.within is None else await to_thread.run_sync(service.of_caller, caller)


def require(right: Right) -> Any:
    """A route's dependency: who asks has this right. Raises: RequestRefused."""

    async def check(request: Request) -> Caller:
        caller = caller_of(request)
        if right not in caller.rights and caller.name != OWNER:
            raise RequestRefused("your token does not let you do that", hint="the library's owner can give you another")
        if right not in caller.rights:
            way = "mmsearch serve --manage" if right == "manage" else "mmsearch serve without --read-only"
            raise RequestRefused("this server lets nobody do that", hint=f"it does if it is started so: {way}")
        return caller

    return Depends(check)


Shared: TypeAlias = Annotated[Service, Depends(service_of_caller)]
"""What every route takes that asks for a token."""

Anybodys: TypeAlias = Annotated[Service, Depends(service_of)]
"""For what needs none (`guard.OPEN`): it says nothing of items."""

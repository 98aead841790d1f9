"""One job, in a process of its own: it can be ended at any moment, and what serves stays quick.

It reads what to do as a line of JSON, and answers in lines of JSON: {"progress": ...}, and in the end {"done": ...} or
{"error": ...}. When its standard input ends, so does the job, after the files in hand: the server asks so, or is dead.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from mmsearch.core import vault
from mmsearch.core.config import Settings, own_process
from mmsearch.core.manners import bound_process
from mmsearch.errors import MmsearchError
from mmsearch.library import Library
from mmsearch.types import Progress

EVERY_S = 0.2
"""Seconds between two lines about progress."""

Told: TypeAlias = dict[str, Any]
Tell: TypeAlias = Callable[[Told], None]


def main() -> None:
    """Do what standard input says."""
    own_process()
    asked = json.loads(sys.stdin.readline())
    # What a library beneath prints is no message.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)

    cancel = threading.Event()

    def tell(message: Told) -> None:
        try:
            out.write(json.dumps(message, default=str) + "\n")
        except OSError:  # nobody listens any more
            cancel.set()

    threading.Thread(target=_cancel_at_end, args=(cancel,), daemon=True).start()
    try:
        with _opened(**asked["library"]) as library:
            tell({"done": JOBS[asked["kind"]](library, asked, _Reporter(tell), cancel)})
    except MmsearchError as error:
        tell({"error": {"code": type(error).__name__, "message": error.message, "hint": error.hint}})


def as_opened(library: Library) -> Told:
    """What opens the same library in another process, with the same settings and the same trust."""
    return {
        "path": os.fspath(library.path), "settings": asdict(library.settings), "space": library._space,
        "trusted": sorted(library._context.trust.named), "key": vault.handed_over(library.path),
    }  # fmt: skip


def _opened(
    path: str, settings: dict[str, Any], space: str | None, trusted: list[str], key: str | None = None
) -> Library:
    vault.take_over(Path(path), key)
    library = Library(Path(path), Settings(**settings), space, trusted)
    # As an ingest in a shell: behind what serves, and in no more cores than it may have.
    bound_process(library.settings.jobs, library.settings.nice)
    return library


def _cancel_at_end(cancel: threading.Event) -> None:
    sys.stdin.read()
    cancel.set()


class _Reporter:
    """Tells progress now and then."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._last = 0.0

    def __call__(self, now: Progress) -> None:
        if time.monotonic() - self._last >= EVERY_S or now.files_done == now.files_total:
            self._last = time.monotonic()
            facts = {name: value for name, value in asdict(now).items() if name != "path"}
            self._tell({"progress": facts})


def _ingest(library: Library, asked: Told, reporter: _Reporter, cancel: threading.Event) -> Any:
    return library.ingest(*asked["roots"], on_progress=reporter, cancel=cancel).as_dict()


def _retry(library: Library, asked: Told, reporter: _Reporter, cancel: threading.Event) -> Any:
    return library.retry(asked["failure"], reporter, cancel).as_dict()


def _prune(library: Library, _asked: Told, _reporter: _Reporter, _cancel: threading.Event) -> Any:
    return library.prune()._asdict()


def _model(library: Library, asked: Told, reporter: _Reporter, cancel: threading.Event) -> Any:
    added = library.model.add(asked["model"], on_progress=reporter, cancel=cancel)
    if not added.interrupted:
        library.model.switch(added.name)
    return asdict(added)


JOBS: dict[str, Callable[[Library, Told, _Reporter, threading.Event], Any]] = {
    "ingest": _ingest, "retry": _retry, "prune": _prune, "model": _model,
}  # fmt: skip
"""Kind -> what does it."""

"""A running server: the application behind its socket, its beginning and its end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import urlencode

from mmsearch import Library
from mmsearch.serve.app import application
from mmsearch.serve.listening import Listening, bound_socket, bounded_server, running
from mmsearch.serve.options import ServeOptions
from mmsearch.serve.service import Service


@dataclass(slots=True, eq=False)
class RunningServer(Listening):
    """A server that listens, with its page."""

    service: Service

    @property
    def sign_in(self) -> str:
        """The address that begins a session in a browser."""
        token = self.options.token
        return f"{self.address}/" if token is None else f"{self.address}/?{urlencode({'token': token})}"

    def opening_page(self) -> Path:
        """A file, only its owner's, that leads a browser to `sign_in`: the arguments of a process are everybody's."""
        path = self.service.uploads.folder / "open.html"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(f'<!doctype html><meta http-equiv="refresh" content="0;url={escape(self.sign_in)}">\n')
        return path

    def stop(self) -> None:
        """Let `run` end, from any thread."""
        self.service.stopping.set()
        self.uvicorn.should_exit = True


def start(library: Library, options: ServeOptions) -> RunningServer:
    """Listen; nothing is answered before `run`. Raises: InvalidInput if the address can't be had."""
    listener = bound_socket(options)
    service = Service.of(library, options)
    return RunningServer(options, bounded_server(application(service), options), listener, service)


@contextmanager
def served(library: Library, options: ServeOptions) -> Iterator[RunningServer]:
    """A server in a thread of this process, for as long as the block runs."""
    server = start(library, options)
    with running(server):
        yield server

"""A running server: its socket, uvicorn, its beginning and its end."""

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import urlencode

import uvicorn

from mmsearch import Library
from mmsearch.errors import InvalidInput
from mmsearch.serve.app import application
from mmsearch.serve.connections import bounded_protocol
from mmsearch.serve.options import ServeOptions
from mmsearch.serve.service import Service

GRACE_S = 5
"""Seconds that answers may still take when the server is told to end."""


@dataclass(slots=True, eq=False)
class RunningServer:
    """A server that listens."""

    options: ServeOptions
    service: Service
    uvicorn: uvicorn.Server
    listener: socket.socket

    @property
    def address(self) -> str:
        """Such as http://127.0.0.1:8765."""
        host, port = self.listener.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

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

    def run(self) -> None:
        """Serve until a signal, or `stop`. A signal to end is no error."""
        self.uvicorn.run([self.listener])

    def stop(self) -> None:
        """Let `run` end, from any thread."""
        self.service.stopping.set()
        self.uvicorn.should_exit = True


def start(library: Library, options: ServeOptions) -> RunningServer:
    """Listen; nothing is answered before `run`. Raises: InvalidInput if the address can't be had."""
    listener = _listener(options)
    service = Service.of(library, options)
    config = uvicorn.Config(
        application(service),
        http=bounded_protocol(options.limits),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(options.proxies),
        forwarded_allow_ips=list(options.proxies),
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=32_768,
    )
    # What it says of odd requests, and of errors that `answers` has told already, may hold what was asked.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    return RunningServer(options, service, _Server(config), listener)


class _Server(uvicorn.Server):
    """Ends with a signal as it does without one, so that whoever runs it can close what is open."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals():
            yield
            getattr(self, "_captured_signals", []).clear()


@contextmanager
def served(library: Library, options: ServeOptions) -> Iterator[RunningServer]:
    """A server in a thread of this process, for as long as the block runs."""
    server = start(library, options)
    thread = threading.Thread(target=server.run, name="mmsearch-serve", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


def _listener(options: ServeOptions) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(512)
        except BaseException:
            listener.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        raise InvalidInput(
            f"can't listen on {options.host}, port {options.port}: {error}", hint="another --port, or --port 0 for any"
        ) from error
    return listener

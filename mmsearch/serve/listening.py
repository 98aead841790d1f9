"""An application behind a socket: uvicorn with bounds, its beginning and its end."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from mmsearch.errors import InvalidInput
from mmsearch.serve.connections import bounded_protocol
from mmsearch.serve.options import ServeOptions

GRACE_S = 5
"""Seconds that answers may still take when the server is told to end."""


@dataclass(slots=True, eq=False)
class Listening:
    """A server that listens."""

    options: ServeOptions
    uvicorn: uvicorn.Server
    listener: socket.socket

    @property
    def address(self) -> str:
        """Such as http://127.0.0.1:8765."""
        host, port = self.listener.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def run(self) -> None:
        """Serve until a signal, or `stop`. A signal to end is no error."""
        self.uvicorn.run([self.listener])

    def stop(self) -> None:
        """Let `run` end, from any thread."""
        self.uvicorn.should_exit = True


def listening(application: ASGIApp, options: ServeOptions) -> Listening:
    """Listen; nothing is answered before `run`. Raises: InvalidInput if the address can't be had."""
    listener = bound_socket(options)
    return Listening(options, bounded_server(application, options), listener)


def bounded_server(application: ASGIApp, options: ServeOptions) -> uvicorn.Server:
    """Uvicorn with the options' bounds; it says nothing of requests."""
    config = uvicorn.Config(
        application,
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
    return _Server(config)


@contextmanager
def running(server: Listening) -> Iterator[None]:
    """Let a server answer in a thread of this process, for as long as the block runs."""
    thread = threading.Thread(target=server.run, name="mmsearch-serve", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.stop()
        thread.join()


class _Server(uvicorn.Server):
    """Ends with a signal as it does without one, so that whoever runs it can close what is open."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals():
            yield
            getattr(self, "_captured_signals", []).clear()


def bound_socket(options: ServeOptions) -> socket.socket:
    """A socket that listens. Raises: InvalidInput if the address can't be had."""
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

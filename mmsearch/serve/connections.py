"""Connections: no more than so many, and none that never says what it wants."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from mmsearch.serve.options import ServeLimits

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def bounded_protocol(limits: ServeLimits) -> type[H11Protocol]:
    """Uvicorn's HTTP/1.1, whose connections end after so many seconds without the whole head of a request; where there
    are as many as may be, the oldest that has said nothing gives way to a new one."""

    class BoundedProtocol(H11Protocol):
        head_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            waiting = [one for one in self.connections if getattr(one, "head_timer", None) is not None]
            if len(self.connections) >= limits.connections and waiting:
                min(waiting, key=lambda one: one.head_timer.when()).end_unheard()  # type: ignore[union-attr]
            elif len(self.connections) >= limits.connections:
                transport.write(_FULL)
                transport.close()
                return
            super().connection_made(transport)
            self._await_head()

        def data_received(self, data: bytes) -> None:
            if self.transport is None:
                return
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop_waiting()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            # The next head may trickle in, too.
            if not self.transport.is_closing() and self.head_timer is None:
                self._await_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            if self.transport is not None:
                super().connection_lost(exc)

        def end_unheard(self) -> None:
            """Close a connection that has not said what it wants."""
            self.head_timer = None
            self.connections.discard(self)
            if self.cycle is None or self.cycle.response_complete:
                self.transport.abort()

        def _await_head(self) -> None:
            self.head_timer = self.loop.call_later(limits.head_s, self.end_unheard)

        def _stop_waiting(self) -> None:
            timer: Any = self.head_timer
            if timer is not None:
                timer.cancel()
                self.head_timer = None

    return BoundedProtocol

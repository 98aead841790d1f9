"""How much is done at once: so many searches run, so many wait, and more are turned away at once."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import anyio
from anyio import to_thread
from starlette.requests import Request

from mmsearch.errors import RequestRefused, TooManyRequests

P = ParamSpec("P")
T = TypeVar("T")

LOOK_S = 0.25
"""Seconds between two looks whether who waits is still there."""


class Slots:
    """Threads for one kind of work, of one event loop."""

    def __init__(self, running: int, waiting: int) -> None:
        self._limiter = anyio.CapacityLimiter(running)
        self._threads = anyio.CapacityLimiter(running)
        self._waiting = waiting

    @property
    def waiting(self) -> int:
        return self._limiter.statistics().tasks_waiting

    @property
    def running(self) -> int:
        return self._limiter.borrowed_tokens

    async def run(self, request: Request, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a function gives, called in a thread. Whoever goes away while they wait is forgotten.

        Raises: TooManyRequests at once if too many wait already.
        """
        try:
            self._limiter.acquire_on_behalf_of_nowait(request)
        except anyio.WouldBlock:
            if self.waiting >= self._waiting:
                raise TooManyRequests("the server has enough to do") from None
            await self._acquired(request)
        try:
            # This thread has a token of this limiter, and needs none of the loop's own.
            return await to_thread.run_sync(lambda: work(*args, **kwargs), limiter=self._threads)
        finally:
            self._limiter.release_on_behalf_of(request)

    async def _acquired(self, request: Request) -> None:
        waits = asyncio.ensure_future(self._limiter.acquire_on_behalf_of(request))
        try:
            while not (await asyncio.wait([waits], timeout=LOOK_S))[0]:
                if await request.is_disconnected():
                    raise RequestRefused("the client went away")
        except BaseException:
            waits.cancel()
            raise
        await waits

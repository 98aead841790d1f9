"""What every request passes before anything of the application sees it. A route that forgot to ask is closed all the
same.

1. The path and the Host header make sense, and the server goes by that name: a page of a name that was rebound to this
   address is turned away.
2. A browser says which site asked (Sec-Fetch-Site, or the Origin): only the server's own pages may use the API.
3. Who asks is known, but for the page's own files, for signing in, and for the question whether the server lives.
4. The body comes in time and is no larger than it may be, whatever its headers say.

Every answer gets the headers that keep a page to itself.
"""

import asyncio
import ipaddress
import time
from collections.abc import Callable, Mapping
from typing import Any

from anyio import to_thread
from starlette._utils import parse_host_header
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmsearch.errors import BodyTooLarge, InvalidInput, MmsearchError, RequestRefused, RequestTimeout, UnknownHost
from mmsearch.serve.access import Access, Caller
from mmsearch.serve.answers import error_answer
from mmsearch.serve.options import ServeOptions, is_loopback

API = "/api/v1"
OPEN = {f"{API}/health": ("GET", "HEAD"), f"{API}/ready": ("GET", "HEAD"), f"{API}/session": ("POST",)}
"""Of the API, what needs no token."""

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HEADERS: Mapping[str, str] = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
    "permissions-policy": "microphone=(self), camera=(), geolocation=(), payment=(), usb=()",
}
"""Of every answer, unless it has one of its own."""

CALLER = "mmsearch.caller"
"""Where a request's scope says who asks."""

Observed = Callable[[Scope, int, float], None]
"""Told of every answer: the scope, the status, and the seconds until its head."""


Noted = Callable[[Scope, int], None]
"""The same, without the seconds."""


class Guard:
    """Stands around an application."""

    def __init__(
        self, app: ASGIApp, options: ServeOptions, access: Access, observed: Observed, noted: Noted | None = None
    ) -> None:
        """`noted`: is told of every answer before its head is sent; where it fails, nothing is answered."""
        self._app = app
        self._options = options
        self._access = access
        self._observed = observed
        self._noted = noted
        self._names = {name.lower() for name in (options.host, *options.allow_hosts)}
        if options.on_loopback:
            self._names.add("localhost")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        begun, unnoted = time.perf_counter(), False

        async def out(message: Message) -> None:
            nonlocal unnoted
            if unnoted:
                return
            if message["type"] == "http.response.start":
                if self._noted is not None:
                    try:
                        await to_thread.run_sync(self._noted, scope, message["status"])
                    except MmsearchError as error:
                        unnoted = True
                        await error_answer(error)(scope, receive, send)
                        return
                own = {name for name, _ in message["headers"]}
                added = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in own]
                message = {**message, "headers": [*message["headers"], *added]}
                self._observed(scope, message["status"], time.perf_counter() - begun)
            await send(message)

        try:
            self.admit(scope)
        except MmsearchError as error:
            await error_answer(error)(scope, receive, out)
            return
        await self._app(scope, _Body(scope, receive, self._options).receive, out)

    def admit(self, scope: Scope) -> None:
        """Write into the scope who asks. Raises: RequestRefused, InvalidInput."""
        path = scope["path"]
        if not path.startswith("/") or "\0" in path:
            raise InvalidInput("the address makes no sense", hint="it begins with /")
        headers = Headers(scope=scope)
        host = self._checked_host(scope, headers)
        is_api = path.startswith("/api/")
        if is_api or scope["method"] not in ("GET", "HEAD"):
            check_origin(scope, headers, host)
        if is_api and scope["method"] not in OPEN.get(path, ()):
            scope[CALLER] = self.caller(scope)

    def caller(self, scope: Scope) -> Caller:
        """Who asks. Raises: SignInNeeded, TooManyRequests."""
        connection = HTTPConnection(scope)
        scheme, _, bearer = connection.headers.get("authorization", "").partition(" ")
        session = connection.cookies.get(cookie_name(scope))
        return self._access.caller(bearer.strip() if scheme.lower() == "bearer" else None, session, address_of(scope))

    def _checked_host(self, scope: Scope, headers: Headers) -> str:
        """The Host header. Raises: UnknownHost."""
        given = headers.getlist("host")
        parsed = parse_host_header(given[0]) if len(given) == 1 else None
        if parsed is None or not self._is_ours(parsed.host.lower(), scope):
            raise UnknownHost("the server does not go by this name", hint="start it with --allow-host NAME")
        return given[0].lower()

    def _is_ours(self, name: str, scope: Scope) -> bool:
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        # An address can't be rebound; it is ours if the connection came in by it.
        if self._options.on_loopback:
            return address.is_loopback
        server = scope.get("server")
        return server is not None and is_same_address(str(address), str(server[0]))


def is_same_address(one: str, other: str) -> bool:
    """Whether two addresses are one, however they are written."""
    try:
        return ipaddress.ip_address(one) == ipaddress.ip_address(other.partition("%")[0])
    except ValueError:
        return False


def check_origin(scope: Scope, headers: Headers, host: str) -> None:
    """Raises: RequestRefused if another site's page asks. What is no browser says nothing of sites."""
    site = headers.get("sec-fetch-site")
    allowed = ("same-origin", "none") if scope["method"] in ("GET", "HEAD") else ("same-origin",)
    origin = headers.get("origin")
    if site is not None:
        refused = site.lower() not in allowed
    else:
        refused = origin is not None and origin.lower() != f"{scope['scheme']}://{host}"
    if refused:
        raise RequestRefused("another site's page may not use this server", hint="open the server's own page")


def address_of(scope: Scope) -> str:
    """Where a request comes from."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def is_on_this_machine(scope: Scope) -> bool:
    """Whether the caller sits at the machine that serves."""
    return is_loopback(address_of(scope))


def cookie_name(scope: Scope) -> str:
    """Of the session. Browsers tell no ports apart, so the name does."""
    server = scope.get("server")
    return f"mmsearch-{server[1] if server else 0}"


class _Body:
    """The body of one request, counted and timed as it comes."""

    def __init__(self, scope: Scope, receive: Receive, options: ServeOptions) -> None:
        headers = Headers(scope=scope)
        limits = options.limits
        with_file = headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data"
        self._receive = receive
        self._most = limits.body_bytes if with_file else limits.json_bytes
        self._seconds = limits.body_s
        self._told = _length(headers)
        self._got = 0
        self._complete = False

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()
        if self._told > self._most:
            raise Refusal(self._too_large())
        try:
            message: Message = await asyncio.wait_for(self._receive(), self._seconds)
        except TimeoutError:
            raise Refusal(RequestTimeout("the rest of the request did not come", hint="send it again")) from None
        if message["type"] == "http.request":
            self._got += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            if self._got > self._most:
                raise Refusal(self._too_large())
        return message

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"the request is larger than {self._most:,} bytes", hint="send a smaller file")


class Refusal(HTTPException):
    """An error of ours that FastAPI lets pass in the midst of reading a body; the connection ends with it."""

    def __init__(self, error: MmsearchError) -> None:
        super().__init__(error.http_status, error.message, {"connection": "close"})
        self.error = error


def _length(headers: Headers) -> int:
    try:
        return int(headers.get("content-length", "0"))
    except ValueError:
        return 0


def caller_of(connection: Any) -> Caller:
    """Who asks, as `Guard` found it."""
    caller = connection.scope.get(CALLER)
    assert isinstance(caller, Caller), "every route of the API stands behind the guard"
    return caller

"""The server over HTTP: behind the guard of `mmsearch serve`, so that whoever asks has a token, goes by the server's
name, and is no other site's page."""

from contextvars import ContextVar

from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp, Receive, Scope, Send

from mmsearch import Library
from mmsearch.core.filters.ast import Filter
from mmsearch.integrations.mcp.server import load_meanwhile, mcp_server
from mmsearch.serve.access import Access, Caller
from mmsearch.serve.guard import API, CALLER, Guard
from mmsearch.serve.listening import Listening, listening
from mmsearch.serve.options import ServeOptions
from mmsearch.serve.restricted import RestrictedLibraries

PATH = f"{API}/mcp"
"""Where it answers: the guard asks for a token below the API."""

_caller: ContextVar[Caller] = ContextVar("caller")
"""Who asks, in whatever is done for their request; where nobody is known, nothing is answered."""


def mcp_over_http(library: Library, options: ServeOptions, within: str | Filter | None = None) -> Listening:
    """Listen; nothing is answered before `run`. Raises: InvalidInput if the address can't be had."""
    # The guard looks at hosts and origins, and knows the names that were allowed.
    passed = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    libraries = RestrictedLibraries(library if within is None else library.only(within))

    def noted(tool: str, items: tuple[int, ...], words: str | None) -> None:
        library.audit.record(_caller.get().name, f"mcp {tool}", items, query=words)

    made = mcp_server(lambda: libraries.of(_caller.get()), noted=noted)
    application = made.streamable_http_app(
        streamable_http_path=PATH, stateless_http=True, json_response=True, transport_security=passed,
        max_request_body_size=options.limits.json_bytes,
    )  # fmt: skip
    access = Access(options, library.tokens.holder)
    server = listening(Guard(_told_who(application), options, access, lambda *_: None), options)
    load_meanwhile(library)
    return server


def _told_who(application: ASGIApp) -> ASGIApp:
    """The application, whose tools know who asks."""

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

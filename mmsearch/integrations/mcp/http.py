"""The server over HTTP: behind the guard of `mmsearch serve`, so that whoever asks has a token, goes by the server's
name, and is no other site's page."""

from mcp.server.transport_security import TransportSecuritySettings

from mmsearch import Library
from mmsearch.core.filters.ast import Filter
from mmsearch.integrations.mcp.server import load_meanwhile, mcp_server
from mmsearch.serve.access import Access
from mmsearch.serve.guard import API, Guard
from mmsearch.serve.listening import Listening, listening
from mmsearch.serve.options import ServeOptions
from mmsearch.serve.restricted import RestrictedLibraries, current_caller, with_caller

PATH = f"{API}/mcp"
"""Where it answers: the guard asks for a token below the API."""


def mcp_over_http(library: Library, options: ServeOptions, within: str | Filter | None = None) -> Listening:
    """Listen; nothing is answered before `run`. Raises: InvalidInput if the address can't be had."""
    # The guard looks at hosts and origins, and knows the names that were allowed.
    passed = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    libraries = RestrictedLibraries(library if within is None else library.only(within))

    def noted(tool: str, items: tuple[int, ...], words: str | None) -> None:
        library.audit.record(current_caller().name, f"mcp {tool}", items, query=words)

    made = mcp_server(lambda: libraries.of(current_caller()), noted=noted)
    application = made.streamable_http_app(
        streamable_http_path=PATH, stateless_http=True, json_response=True, transport_security=passed,
        max_request_body_size=options.limits.json_bytes,
    )  # fmt: skip
    access = Access(options, library.tokens.holder)
    server = listening(Guard(with_caller(application), options, access, lambda *_: None), options)
    load_meanwhile(library)
    return server

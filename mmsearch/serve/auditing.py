"""What a server writes into the audit log of its library."""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from mmsearch import Library
from mmsearch.serve.access import Caller
from mmsearch.serve.guard import API, CALLER

ITEMS, QUERY = "mmsearch.items", "mmsearch.query"
"""Where a request's scope says which items it is about, and what is searched for."""

_QUIET = frozenset(f"{API}/{name}" for name in ("events", "health", "ready", "metrics", "openapi.json"))
"""What is asked again and again, and says nothing of items."""


def noting(library: Library) -> Callable[[Scope, int], None]:
    """What notes an answer of a library: who asked, the route, the items, and how it ended."""

    def note(scope: Scope, status: int) -> None:
        caller, path = scope.get(CALLER), scope["path"]
        if not path.startswith(API) or path in _QUIET or (scope["method"] == "GET" and path == f"{API}/session"):
            return
        tried = "authorization" in Headers(scope=scope) or path == f"{API}/session"
        if not isinstance(caller, Caller) and not (status == 401 and tried):
            return
        route = str(getattr(scope.get("route"), "path", path if isinstance(caller, Caller) else f"{API}/-"))
        items = scope.get(ITEMS, ())
        if "item_id" in scope.get("path_params", {}):
            items = (scope["path_params"]["item_id"],)
        who = caller.name if isinstance(caller, Caller) else "-"
        what = f"{scope['method']} {route.removeprefix(API)}"
        library.audit.record(who, what, _ids(items), status, scope.get(QUERY))

    return note


def about(request: Request, items: object = (), query: str | None = None) -> None:
    """Let the audit log know which items a request is about, and what it searches for."""
    request.scope[ITEMS], request.scope[QUERY] = items, query


def _ids(given: object) -> list[int]:
    found = given if isinstance(given, list | tuple) else ()
    return [int(one) for one in found if str(one).isdecimal() and int(one) < 2**63]

"""The page's own files: those that were there as the server began, and no other. What has no dot
and is not of the API is a place of the page, which finds out by itself which one."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from mmsearch.errors import RequestRefused, UnknownName
from mmsearch.serve.guard import address_of
from mmsearch.serve.routes.session import set_session
from mmsearch.serve.service import service_of

PAGE = Path(__file__).with_name("page")
INDEX = "index.html"

TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8", ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8", ".json": "application/json", ".png": "image/png",
    ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8", ".webmanifest": "application/manifest+json",
    ".webp": "image/webp", ".woff2": "font/woff2",
}  # fmt: skip
"""Suffix of a page's file -> its Content-Type; others are not served."""

TOKEN = "token"


def page_routes() -> APIRouter:
    """`/static/NAME` for each file below `page/`; `/` and every other place, to be added last."""
    router = APIRouter(include_in_schema=False)
    found = (path for path in sorted(PAGE.rglob("*")) if path.is_file() and path.suffix in TYPES)
    for path in found:
        name = path.relative_to(PAGE).as_posix()
        router.add_api_route(f"/static/{name}", _serves(path), methods=["GET"])
    router.add_api_route("/{place:path}", front, methods=["GET"])
    return router


async def front(request: Request, place: str) -> Response:
    """The page; an address with a token begins a session, and goes on without the token."""
    if "." in place or place.startswith(("api/", "static/")):
        raise UnknownName("there is nothing at this address", hint="open the page itself")
    if TOKEN not in request.query_params:
        return page_file(PAGE / INDEX, request)
    service = await service_of(request)
    try:
        service.access.prove(request.query_params[TOKEN], address_of(request.scope))
    except RequestRefused as error:
        return PlainTextResponse(f"{error.message}: {error.hint}\n", error.http_status)
    rest = [pair for pair in parse_qsl(request.url.query) if pair[0] != TOKEN]
    # Its own path alone: what begins with two slashes would be another host.
    where = f"/{quote(place.lstrip('/'))}" + (f"?{urlencode(rest)}" if rest else "")
    made = RedirectResponse(where, 303, {"cache-control": "no-store"})
    set_session(request, service, made, request.query_params[TOKEN])
    return made


def _serves(path: Path) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        return page_file(path, request)

    return serve


def page_file(path: Path, request: Request) -> Response:
    """A file of the page, by its content's hash."""
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"etag": etag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(content, 200, headers, TYPES[path.suffix])

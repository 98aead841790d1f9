"""Signing in and out; whether the server lives and is ready."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from mmsearch import __version__
from mmsearch.serve.access import Caller
from mmsearch.serve.answers import answer
from mmsearch.serve.guard import CALLER, address_of, caller_of, cookie_name, is_on_this_machine
from mmsearch.serve.routes.search import body
from mmsearch.serve.schemas import HealthAnswer, ReadyAnswer, SessionAnswer, SignIn
from mmsearch.serve.service import Anybodys, Service, Shared

router = APIRouter(tags=["session"])


@router.post(
    "/session",
    response_model=SessionAnswer,
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {
        "schema": {"$ref": "#/components/schemas/SignIn"}}}}},
)  # fmt: skip
async def sign_in(request: Request, service: Anybodys) -> Response:
    """Begin a session with the token: a cookie that scripts can't read and other sites can't send."""
    given = await body(request, SignIn)
    request.scope[CALLER] = caller = service.access.prove(given.token, address_of(request.scope))
    made = answer(_told(request, caller))
    set_session(request, service, made, given.token)
    return made


@router.get("/session", response_model=SessionAnswer)
async def session(request: Request) -> Response:
    """Who asks, and what they may."""
    return answer(_told(request, caller_of(request)))


@router.delete("/session", status_code=204)
async def sign_out(request: Request, service: Shared) -> Response:
    """End the session."""
    name = cookie_name(request.scope)
    service.access.sessions.end(request.cookies.get(name, ""))
    made = Response(status_code=204)
    made.delete_cookie(name, httponly=True, samesite="strict")
    return made


@router.get("/health", response_model=HealthAnswer)
async def health() -> Response:
    """That the server runs; it needs no token."""
    return answer({"ok": True, "version": __version__})


@router.get("/ready", response_model=ReadyAnswer)
async def ready(service: Anybodys) -> Response:
    """Whether queries of every kind are answered without a wait: 200, else 503. It needs no token."""
    state = service.ready
    if not state.ready:
        state.begin()
    # Without a token nobody learns why.
    return answer({"ready": state.ready, "problem": None}, 200 if state.ready else 503)


def set_session(request: Request, service: Service, made: Response, token: str) -> None:
    """Let an answer begin a session of whoever gave a token."""
    made.set_cookie(
        cookie_name(request.scope),
        service.access.sessions.begin(token),
        max_age=int(service.options.limits.session_s),
        httponly=True,
        samesite="strict",
        secure=request.scope["scheme"] == "https",
    )


def _told(request: Request, caller: Caller) -> dict[str, object]:
    here = is_on_this_machine(request.scope)
    return {"name": caller.name, "rights": sorted(caller.rights), "on_this_machine": here}

"""JSON out: values as `--json` prints them, and errors as `{code, message, hint}`."""

import json
import logging
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from mmsearch.errors import InvalidInput, MmsearchError, RequestRefused, SignInNeeded, TooManyRequests, UnknownName

_log = logging.getLogger(__name__)


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A value as JSON. All is ASCII: bytes of a name that are no text stay recognisable as lone surrogates, escaped."""
    content = json.dumps(plain(value), allow_nan=False, separators=(",", ":")).encode()
    return Response(content, status, {"cache-control": "no-store", **(headers or {})}, "application/json")


def plain(value: Any) -> Any:
    """What JSON has words for."""
    if value is None or isinstance(value, str | int | float):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    return plain(value.tolist()) if hasattr(value, "tolist") else str(value)


def error_answer(error: MmsearchError) -> Response:
    """What a client is told of an error."""
    headers = {}
    if isinstance(error, TooManyRequests):
        headers["retry-after"] = str(error.wait_s)
    if isinstance(error, SignInNeeded):
        headers["www-authenticate"] = 'Bearer realm="mmsearch"'
    return answer(as_json(error), error.http_status, headers)


def as_json(error: MmsearchError) -> dict[str, str | None]:
    return {"code": type(error).__name__, "message": error.message, "hint": error.hint}


def add_error_answers(app: FastAPI) -> None:
    """Let an application answer every error as `{code, message, hint}`."""

    async def ours(_request: Request, error: Exception) -> Response:
        assert isinstance(error, MmsearchError)
        return error_answer(error)

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return error_answer(as_invalid_input(error.errors()))

    async def http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        made: MmsearchError = RequestRefused(str(error.detail))
        if error.status_code == 404:
            made = UnknownName("there is nothing at this address", hint="see mmsearch help api_http")
        return answer(as_json(made), error.status_code, error.headers)

    async def unexpected(_request: Request, error: Exception) -> Response:
        _log.warning("a request failed: %s", type(error).__name__)
        _log.debug("%s", error, exc_info=error)
        return error_answer(MmsearchError("something went wrong in the server", hint="its log says more"))

    app.add_exception_handler(MmsearchError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unexpected)


def as_invalid_input(problems: Any) -> InvalidInput:
    """What Pydantic found wrong, in a line; no value is repeated."""
    said = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in problems]
    return InvalidInput("; ".join(said[:5])[:500], hint="see mmsearch help api_http")

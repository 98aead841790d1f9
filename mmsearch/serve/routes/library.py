"""The library: what it holds, where that is from, what failed."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from mmsearch import Failure, LibraryRoot, Status
from mmsearch.serve.answers import answer
from mmsearch.serve.service import Shared, require

router = APIRouter(tags=["library"], dependencies=[require("search")])


@router.get("/status", response_model=Status)
async def status(request: Request, service: Shared) -> Response:
    """What the library holds, as `mmsearch status --json` says it."""
    return answer(await service.searches.run(request, service.library.status))


@router.get("/roots", response_model=list[LibraryRoot])
async def roots(request: Request, service: Shared) -> Response:
    """The folders that were handed to ingest."""
    return answer(await service.searches.run(request, service.library.known_roots))


@router.get("/failures", response_model=list[Failure])
async def failures(request: Request, service: Shared, failure: str | None = None) -> Response:
    """Files that could not be read, and why: all, or those of one class."""
    return answer(await service.searches.run(request, service.library.failures, failure))

"""Jobs, what goes on, and the models a library may use."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response, StreamingResponse

from mmsearch import available_models
from mmsearch.errors import InvalidInput, LibraryNotFound, TooManyRequests, UnknownName
from mmsearch.serve.answers import answer, plain
from mmsearch.serve.jobs import Job
from mmsearch.serve.routes.search import body
from mmsearch.serve.schemas import ChosenModel, JobAsked, ModelAnswer
from mmsearch.serve.service import Service, Shared, require

router = APIRouter(tags=["jobs"], dependencies=[require("search")])

LOOK_S, HEARTBEAT_S = 0.5, 15.0
"""Seconds between two looks for news, and between two signs of life."""


@router.get("/jobs", response_model=list[Job])
async def jobs(service: Shared) -> Response:
    """Jobs that run, wait or have ended, the newest first."""
    return answer(service.jobs.list())


@router.post(
    "/jobs",
    dependencies=[require("manage")],
    response_model=Job,
    status_code=202,
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {
        "schema": {"$ref": "#/components/schemas/JobAsked"}}}}},
)  # fmt: skip
async def begin(request: Request, service: Shared) -> Response:
    """Begin a job: `ingest` of roots that the library knows, `retry` of failures, or `prune`. One runs at a time."""
    asked = await body(request, JobAsked)
    if asked.kind != "ingest":
        return answer(service.jobs.begin(asked.kind, failure=asked.failure), 202)
    known = {one.id: one.path for one in await service.searches.run(request, service.library.roots)}
    wanted = list(known) if asked.roots is None else asked.roots
    if unknown := [id for id in wanted if id not in known]:
        raise UnknownName(f"there is no root {unknown[0]}", hint="GET /api/v1/roots lists them")
    if not wanted:
        raise InvalidInput("the library knows no folder yet", hint="on its machine: mmsearch ingest FOLDER")
    return answer(service.jobs.begin("ingest", roots=[str(known[id]) for id in wanted]), 202)


@router.delete("/jobs/{id}", dependencies=[require("manage")], status_code=204)
async def cancel(id: Annotated[int, Path(ge=1, le=2**31)], service: Shared) -> Response:
    """Take a job off the queue, or let it end after the files in hand; what it has done is kept."""
    service.jobs.cancel(id)
    return Response(status_code=204)


@router.get("/models", response_model=list[ModelAnswer])
async def models(request: Request, service: Shared) -> Response:
    """The models there are, which of them the library has vectors of, and what adding one would take here."""
    return answer(await service.surveys.run(request, model_facts, service))


def model_facts(service: Service) -> list[dict[str, Any]]:
    status = service.library.status()
    here = {one.name: one for one in status.models}
    segments = {one.modality: one.segments for one in status.counts}
    found = []
    for one in available_models():
        known = here.pop(one.name, None)
        rates = [(segments.get(kind, 0), one.speed[kind]) for kind in one.modalities if kind in one.speed]
        found.append({
            **plain(one), "folder": None, "here": known is not None, "active": known is not None and known.active,
            "lacking": None if known is None else known.lacking,
            "needs_s": round(sum(count / rate for count, rate in rates), 1) if rates else None,
            "needs_bytes": None if one.dim is None else 4 * one.dim * sum(segments.values()),
        })  # fmt: skip
    return found + [_made_here(one) for one in here.values()]


def _made_here(one: Any) -> dict[str, Any]:
    """A model that only this library knows, such as a projection that was trained."""
    return {
        "name": one.name, "modalities": [], "dim": one.dim, "bytes": None, "languages": None, "licence": None,
        "non_commercial": False, "installed": True, "problem": None, "speed": {}, "device": None, "folder": None,
        "here": True, "active": one.active, "lacking": one.lacking, "needs_s": None, "needs_bytes": None,
    }  # fmt: skip


@router.put(
    "/models/active",
    dependencies=[require("manage")],
    response_model=Job,
    status_code=202,
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {
        "schema": {"$ref": "#/components/schemas/ChosenModel"}}}}},
)  # fmt: skip
async def choose(request: Request, service: Shared) -> Response:
    """Use another model that is installed: a job that makes what vectors are lacking, then switches. Searches go on."""
    asked = await body(request, ChosenModel)
    known = await service.surveys.run(request, model_facts, service)
    chosen = next((one for one in known if one["name"] == asked.name), None)
    if chosen is None or not chosen["installed"]:
        raise UnknownName("no such model is installed", hint="on the server's machine: mmsearch prepare NAME")
    return answer(service.jobs.begin("model", model=asked.name), 202)


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "progress, generation, heartbeat"}},
)
async def events(service: Shared) -> Response:
    """What goes on, as server-sent events: `progress` (a job), `generation` (the library changed), `heartbeat`."""
    if service.streams >= service.options.limits.streams:
        raise TooManyRequests("as many listen as may", wait_s=30)
    service.streams += 1
    return _Stream(_news(service), service)


class _Stream(StreamingResponse):
    """Gives its place back, however it ends."""

    def __init__(self, content: AsyncIterator[str], service: Service) -> None:
        super().__init__(content, media_type="text/event-stream", headers={"cache-control": "no-store"})
        self._service = service

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._service.streams -= 1


async def _news(service: Service) -> AsyncIterator[str]:
    told: dict[int, str] = {}
    version, generation, quiet = -1, -1, 0.0
    while not service.stopping.is_set():
        lines = []
        if (now := service.jobs.version) != version:
            version = now
            for job in reversed(service.jobs.list()):
                said = json.dumps(plain(job))
                if told.get(job.id) != said and (told or job.ended is None):
                    lines.append(f"event: progress\ndata: {said}\n\n")
                told[job.id] = said
        if (commit := await asyncio.to_thread(_generation, service)) != generation:
            generation = commit
            lines.append(f'event: generation\ndata: {{"generation": {commit}}}\n\n')
        if quiet >= HEARTBEAT_S and not lines:
            lines.append("event: heartbeat\ndata: {}\n\n")
        quiet = 0.0 if lines else quiet + LOOK_S
        if lines:
            yield "".join(lines)
        await asyncio.sleep(LOOK_S)


def _generation(service: Service) -> int:
    try:
        return service.library.generation
    except LibraryNotFound:
        return 0

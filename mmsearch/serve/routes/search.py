"""Search: by an address, by weighted parts, by a file."""

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

import anyio
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from mmsearch.errors import InvalidInput, UnknownName
from mmsearch.serve.answers import answer, as_invalid_input
from mmsearch.serve.auditing import about
from mmsearch.serve.schemas import (
    AskedOptions,
    ExplainedSearch,
    MixedSearch,
    QueryPartGiven,
    QuickSearch,
    SearchPage,
    UploadAnswer,
)
from mmsearch.serve.served import served_hits
from mmsearch.serve.service import Service, Shared, require
from mmsearch.serve.uploads import Upload
from mmsearch.types import Query as SearchQuery
from mmsearch.types import QueryPart

router = APIRouter(tags=["search"], dependencies=[require("search")])
Model = TypeVar("Model", bound=BaseModel)

FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/MixedSearch"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "description": "A file to search with, and as fields what GET /search takes; text is added to it.",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "additionalProperties": {"type": "string"},
                }
            },
        },
    }
}


@router.get("/search", response_model=SearchPage)
async def search(request: Request, asked: Annotated[QuickSearch, Query()], service: Shared) -> Response:
    """Search with words, or for more like an item. GET and nothing kept: an address is a search."""
    parts = []
    if asked.text is not None:
        parts.append(QueryPart("text", asked.text))
    if asked.like is not None:
        parts.append(QueryPart("like", asked.like))
    return await found(request, service, parts, asked)


@router.post("/search", response_model=SearchPage, openapi_extra=FORM)
async def search_mixed(request: Request, service: Shared) -> Response:
    """Search with several weighted parts (JSON), or with one file and words (a form)."""
    if not is_form(request):
        mixed = await body(request, MixedSearch)
        return await found(request, service, query_parts(service, mixed.parts), mixed)
    async with request.form(**form_bounds(service)) as form:
        fields = form_fields(form)
        asked = checked(QuickSearch, fields)
        upload = await received(request, service, form)
        try:
            parts = [service.uploads.part(upload.id, 1.0)]
            if asked.text:
                parts.append(QueryPart("text", asked.text))
            return await found(request, service, parts, asked)
        finally:
            service.uploads.discard(upload)


@router.post(
    "/uploads",
    response_model=UploadAnswer,
    status_code=201,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {"file": {"type": "string", "format": "binary"}},
                    }
                }
            },
        }
    },
)
async def upload(request: Request, service: Shared) -> Response:
    """Send a file to search with, once; `POST /search` takes its id. It must be a medium."""
    if not is_form(request):
        raise InvalidInput("a file is sent as a form", hint="curl -F file=@photo.jpg")
    async with request.form(**form_bounds(service)) as form:
        form_fields(form)
        kept = await received(request, service, form)
    told = {"id": kept.id, "modality": kept.modality, "name": kept.name, "expires": service.uploads.expires(kept)}
    return answer(told, 201)


@router.post("/explain", openapi_extra={"requestBody": {"required": True, "content": {"application/json": {
    "schema": {"$ref": "#/components/schemas/ExplainedSearch"}}}}})  # fmt: skip
async def explain(request: Request, service: Shared) -> Response:
    """Why a hit was found: what `mmsearch query --explain --json` says of it. `heat` has no picture with it."""
    asked = await body(request, ExplainedSearch)
    query = SearchQuery(mixed=tuple(query_parts(service, asked.parts, decoded=False)))
    about(request, [asked.item_id], in_words(query.parts))

    def why() -> Any:
        hits = service.library.search(query, asked.k, **search_arguments(asked))
        hit = next((one for one in hits if one.item_id == asked.item_id), None)
        if hit is None:
            raise UnknownName(f"item {asked.item_id} is no hit of this search", hint="ask with the page it is on")
        return service.library.explain(query, hit)

    told = await service.searches.run(request, why)
    return answer({name: getattr(told, name) for name in told.__dataclass_fields__ if name != "picture"})


async def found(request: Request, service: Service, parts: list[QueryPart], asked: AskedOptions) -> Response:
    """A page of hits."""
    if not parts:
        raise InvalidInput("the query is empty", hint="give text, or like")
    query = SearchQuery(mixed=tuple(parts))
    about(request, [part.value for part in parts if part.modality == "like"], in_words(parts))

    def work() -> tuple[int, list[dict[str, Any]], bool, float]:
        # Read before: a change meanwhile makes the next page's another one.
        generation, begun = service.library.generation, time.perf_counter()
        hits = service.library.search(query, asked.k + 1, **search_arguments(asked))
        took, least = (time.perf_counter() - begun) * 1e3, asked.min_confidence
        if least is not None:
            hits = [hit for hit in hits if hit.confidence is None or hit.confidence >= least]
        return generation, served_hits(service.library, hits[: asked.k]), len(hits) > asked.k, took

    generation, hits, more, took = await service.searches.run(request, work)
    told = {
        "hits": hits, "generation": generation, "level": hits[0]["level"] if hits else None, "more": more,
        "offset": asked.offset, "k": asked.k, "took_ms": round(took, 1),
    }  # fmt: skip
    return answer(told)


def in_words(parts: Sequence[QueryPart]) -> str:
    """What is searched for, in words: those, and what else there is."""
    return " + ".join(one.value if isinstance(one.value, str) else f"({one.modality})" for one in parts)


def search_arguments(asked: AskedOptions) -> dict[str, Any]:
    """What `Library.search` takes besides the query and k."""
    return asked.model_dump(include={"offset", "modalities", "mode", "filter", "dedup", "moments"})


def query_parts(service: Service, given: list[QueryPartGiven], *, decoded: bool = True) -> list[QueryPart]:
    """Raises: UnknownName for an upload that is not there."""
    parts = []
    for one in given:
        if one.upload is not None:
            parts.append(service.uploads.part(one.upload, one.weight, decoded=decoded))
        elif one.like is not None:
            parts.append(QueryPart("like", one.like, one.weight))
        else:
            parts.append(QueryPart("text", one.text or "", one.weight))
    return parts


def is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data"


def form_bounds(service: Service) -> Mapping[str, Any]:
    limits = service.options.limits
    return {"max_files": 1, "max_fields": limits.form_fields, "max_part_size": limits.field_bytes}


def form_fields(form: FormData) -> dict[str, Any]:
    """The fields that are no file; of one that is given more than once the values in a list."""
    names = [name for name, value in form.multi_items() if isinstance(value, str)]
    values = {name: [one for one in form.getlist(name) if isinstance(one, str)] for name in names}
    return {name: given[0] if len(given) == 1 else given for name, given in values.items()}


async def received(request: Request, service: Service, form: FormData) -> Upload:
    """The file of a form, kept. Raises: InvalidInput if there is none, MediaError."""
    files = [value for value in form.values() if isinstance(value, UploadFile)]
    if not files:
        raise InvalidInput("the form has no file", hint="curl -F file=@photo.jpg")
    name = (files[0].filename or "").rpartition("/")[2].rpartition("\\")[2][:255]
    return await service.searches.run(request, service.uploads.receive, files[0].file, name)


async def body(request: Request, model: type[Model]) -> Model:
    """The JSON of a request. Raises: InvalidInput."""
    content = await request.body()
    try:
        return await anyio.to_thread.run_sync(model.model_validate_json, content)
    except ValidationError as error:
        raise as_invalid_input(error.errors()) from error


def checked(model: type[Model], fields: dict[str, Any]) -> Model:
    """The fields of a form. Raises: InvalidInput."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise as_invalid_input(error.errors()) from error

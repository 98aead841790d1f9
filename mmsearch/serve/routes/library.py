"""The library: what it holds, where that is from, what failed, what is twice there, what people said of it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from mmsearch import DuplicateGroup, Failure, Library, LibraryRoot, SavedSearch, Status
from mmsearch.errors import LibraryNotFound, UnknownName
from mmsearch.serve.answers import answer, plain
from mmsearch.serve.auditing import about
from mmsearch.serve.guard import caller_of
from mmsearch.serve.routes.search import body
from mmsearch.serve.schemas import DEEPEST, MOST_HITS, FolderAnswer, Kind, SearchSaved, TagCount, Tagging, Words
from mmsearch.serve.served import item_facts, links
from mmsearch.serve.service import Service, Shared, require

router = APIRouter(tags=["library"], dependencies=[require("search")])

Offset = Annotated[int, Query(ge=0, le=DEEPEST)]
Count = Annotated[int, Query(ge=1, le=MOST_HITS)]
Names = Annotated[list[str] | None, Query(max_length=10)]
Kinds = Annotated[list[Kind] | None, Query(max_length=4)]


@router.get("/status", response_model=Status)
async def status(request: Request, service: Shared) -> Response:
    """What the library holds, as `mmsearch status --json` says it; whether it is `empty`, and what the caller `may`."""
    known = await service.searches.run(request, status_of, service.library)
    more = {"empty": not any(one.items for one in known.counts), "may": sorted(caller_of(request).rights)}
    return answer({**plain(known), **more})


def status_of(library: Library) -> Status:
    """Its status; of one that is not made yet, that it holds nothing."""
    try:
        return library.status()
    except LibraryNotFound:
        return Status(library.path, library.settings.space, 0, "", 0, (), 0, {}, 0, 0, 0, 0, None, (), None)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(service: Shared) -> Response:
    """What the server counts, in the text format of Prometheus."""
    return service.metrics.answer()


@router.get("/roots", response_model=list[LibraryRoot])
async def roots(request: Request, service: Shared) -> Response:
    """The folders that were handed to ingest."""
    return answer(await service.searches.run(request, service.library.roots))


@router.get("/failures", response_model=list[Failure])
async def failures(request: Request, service: Shared, failure: str | None = None) -> Response:
    """Files that could not be read, and why: all, or those of one class."""
    return answer(await service.searches.run(request, service.library.failures, failure))


@router.get("/folders", response_model=FolderAnswer)
async def folders(request: Request, service: Shared, path: Words = "", k: Count = 100, offset: Offset = 0) -> Response:
    """A folder as the catalog has it: what lies right in it. Without a path, the roots. No folder is looked at."""
    return answer(await service.searches.run(request, folder_facts, service, path, k, offset))


def folder_facts(service: Service, path: str, k: int, offset: int) -> dict[str, Any]:
    """Raises: UnknownName for a folder outside of every root."""
    known = service.library.roots()
    if not path:
        found = [{"path": one.path, "name": one.path.name or str(one.path), "count": one.items} for one in known]
        return {"path": "", "name": "", "parents": [], "folders": found, "items": []}
    folder = service.library.folder(path, k=k, offset=offset)
    root = next((one.path for one in known if folder.path.is_relative_to(one.path)), None)
    if root is None:
        raise UnknownName("the library has no such folder", hint="without a path its roots are listed")
    parents = [one for one in reversed(folder.path.parents) if one.is_relative_to(root)]
    return {
        "path": folder.path,
        "name": folder.path.name,
        "parents": [{"path": one, "name": one.name or str(one)} for one in parents],
        "folders": [{"path": one, "name": one.name, "count": n} for one, n in folder.folders.items()],
        "items": [{**item_facts(service.library, item), "item_id": item.id} for item in folder.items],
    }


@router.get("/duplicates", response_model=list[DuplicateGroup])
async def duplicates(
    request: Request,
    service: Shared,
    kinds: Names = None,
    modalities: Kinds = None,
    filter: Words | None = None,
    k: Count = 50,
    offset: Offset = 0,
) -> Response:
    """Copies, other versions and what resembles, as `mmsearch duplicates --json` says it; of each file its links, too.
    It may take minutes in a large library, and is kept until the library changes."""
    asked = (tuple(sorted(kinds or ())), tuple(sorted(modalities or ())), filter)

    def page() -> list[dict[str, Any]]:
        groups = service.known_duplicates(
            asked, lambda: service.library.duplicates(kinds=kinds, modalities=modalities, filter=filter)
        )
        return [group_facts(service, group) for group in groups[offset : offset + k]]

    return answer(await service.surveys.run(request, page))


def group_facts(service: Service, group: DuplicateGroup) -> dict[str, Any]:
    known = service.library.get_many([file.item_id for file in group.files])
    files = []
    for file in group.files:
        metadata = known[file.item_id].metadata if file.item_id in known else {}
        more = {
            "name": file.path.name,
            "links": links(service.library, file.item_id, group.modality, file.path.name, metadata),
        }
        files.append({**plain(file), **more})
    return {"modality": group.modality, "freed": group.freed, "spare": group.spare, "files": files}


@router.get("/tags", response_model=list[TagCount])
async def tags(request: Request, service: Shared) -> Response:
    """Every tag that a person gave, the most frequent first."""
    known = await service.searches.run(request, service.library.tags)
    return answer([{"name": name, "count": count} for name, count in known.items()])


@router.post(
    "/tags",
    dependencies=[require("tag")],
    status_code=204,
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {
        "schema": {"$ref": "#/components/schemas/Tagging"}}}}},
)  # fmt: skip
async def tag(request: Request, service: Shared) -> Response:
    """Give items tags, and take tags away. Copies of a file have the same."""
    asked = await body(request, Tagging)
    about(request, asked.items)

    def work() -> None:
        known = service.library.get_many(asked.items)
        if unknown := [id for id in asked.items if id not in known]:
            raise UnknownName(f"there is no item {unknown[0]}", hint="ids are in the answers to a search, as item_id")
        service.library.tag([known[id].path for id in asked.items], asked.add, asked.remove)

    await service.searches.run(request, work)
    return Response(status_code=204)


@router.get("/searches", response_model=list[SavedSearch])
async def searches(request: Request, service: Shared) -> Response:
    """The searches that were saved, by name."""
    return answer(await service.searches.run(request, service.library.saved_searches))


@router.post(
    "/searches",
    dependencies=[require("tag")],
    status_code=204,
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {
        "schema": {"$ref": "#/components/schemas/SearchSaved"}}}}},
)  # fmt: skip
async def save_search(request: Request, service: Shared) -> Response:
    """Save a search, in the place of another of its name."""
    asked = await body(request, SearchSaved)
    await service.searches.run(request, service.library.save_search, asked.name, asked.address)
    return Response(status_code=204)


@router.delete("/searches/{name:path}", dependencies=[require("tag")], status_code=204)
async def forget_search(request: Request, name: Words, service: Shared) -> Response:
    """Forget a saved search."""
    await service.searches.run(request, service.library.forget_search, name)
    return Response(status_code=204)

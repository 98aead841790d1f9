"""Items: what is known of one, and its media."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from mmsearch import Item
from mmsearch.errors import UnknownName
from mmsearch.serve.answers import answer, plain
from mmsearch.serve.media import FileAnswer, media_type
from mmsearch.serve.routes.search import links
from mmsearch.serve.service import Shared, require

router = APIRouter(prefix="/items", tags=["items"], dependencies=[require("search")])

Id = Annotated[int, Path(ge=0, le=2**63 - 1)]


@router.get("/{item_id}", response_model=Item)
async def item(request: Request, item_id: Id, service: Shared) -> Response:
    """All that is known of an item, with `name` and `links` as a hit has them."""
    known = await service.searches.run(request, service.library.get, item_id)
    if known is None:
        raise UnknownName(f"there is no item {item_id}", hint="ids are in the answers to a search, as item_id")
    return answer(plain(known) | {"name": known.path.name, "links": links(known.id, known.modality)})


@router.get("/{item_id}/file", response_class=Response)
@router.head("/{item_id}/file", response_class=Response, include_in_schema=False)
async def file(request: Request, item_id: Id, service: Shared) -> Response:
    """The file itself, whole or a range of it: only if it is the one that was taken in, else 409."""
    opened = await service.searches.run(request, service.library.open_file, item_id)
    kind = media_type(opened.path.name, opened.modality)
    return FileAnswer(opened.file, opened.size, opened.sha256, kind, opened.path.name)

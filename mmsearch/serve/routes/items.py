"""Items: what is known of one, and its media."""

import hashlib
import subprocess
import sys
from pathlib import Path as PathOnDisk
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from mmsearch import Item, PreviewKind
from mmsearch.core import forks
from mmsearch.errors import RequestRefused, UnknownName
from mmsearch.serve.answers import answer
from mmsearch.serve.guard import is_on_this_machine
from mmsearch.serve.media import FileAnswer, media_type
from mmsearch.serve.served import item_facts
from mmsearch.serve.service import Service, Shared, require

router = APIRouter(prefix="/items", tags=["items"], dependencies=[require("search")])

Id = Annotated[int, Path(ge=0, le=2**63 - 1)]
Seconds = Annotated[float, Query(ge=0, le=1e6)]

SIZES = (160, 320, 640, 1280, 2048)
"""Pixels that a still's longer side may have: the next one is taken, so that few of each are kept."""

Size = Annotated[int, Query(ge=16, le=SIZES[-1], description="Pixels of the longer side, about.")]


@router.get("/{item_id}", response_model=Item)
async def item(request: Request, item_id: Id, service: Shared) -> Response:
    """All that is known of an item, with `name`, `folder` and `links` as a hit has them."""
    known = await service.searches.run(request, service.library.get, item_id)
    if known is None:
        raise UnknownName(f"there is no item {item_id}", hint="ids are in the answers to a search, as item_id")
    return answer(item_facts(service.library, known))


@router.get("/{item_id}/file", response_class=Response)
@router.head("/{item_id}/file", response_class=Response, include_in_schema=False)
async def file(request: Request, item_id: Id, service: Shared, download: bool = False) -> Response:
    """The file itself, whole or a range of it: only if it is the one that was taken in, else 409."""
    opened = await service.searches.run(request, service.library.open_file, item_id, as_kept=True)
    kind = media_type(opened.path.name, opened.modality)
    return FileAnswer(opened.file, opened.size, opened.sha256, kind, opened.path.name, download=download)


@router.get("/{item_id}/thumbnail", response_class=Response)
async def thumbnail(request: Request, item_id: Id, service: Shared, size: Size = 320) -> Response:
    """A still of a picture or a video, WebP."""
    return await preview(request, service, item_id, "thumbnail", side=nearest(size))


@router.get("/{item_id}/poster", response_class=Response)
async def poster(request: Request, item_id: Id, service: Shared, t: Seconds = 0, size: Size = 640) -> Response:
    """The frame of a video at a moment, WebP."""
    return await preview(request, service, item_id, "poster", side=nearest(size), start=round(t, 1))


@router.get("/{item_id}/sprite", response_class=Response)
async def sprite(request: Request, item_id: Id, service: Shared) -> Response:
    """20 frames of a video, evenly spaced, in 4 rows of 5; WebP."""
    return await preview(request, service, item_id, "sprite")


@router.get("/{item_id}/waveform", response_class=Response)
async def waveform(request: Request, item_id: Id, service: Shared) -> Response:
    """How loud a sound is along its time: `{"duration", "peaks"}`, 200 numbers in [0, 1]."""
    return await preview(request, service, item_id, "waveform")


@router.get("/{item_id}/clip", response_class=Response)
async def clip(
    request: Request,
    item_id: Id,
    service: Shared,
    start: Seconds = 0,
    end: Seconds | None = None,
    download: bool = False,
) -> Response:
    """A minute at most of a sound or a video as WebM, which every browser plays."""
    until = None if end is None else round(end, 1)
    made = await preview(request, service, item_id, "clip", start=round(start, 1), end=until)
    if download:
        made.headers["content-disposition"] = f'attachment; filename="clip-{item_id}.webm"'
    return made


@router.post("/{item_id}/reveal", status_code=204)
async def reveal(request: Request, item_id: Id, service: Shared) -> Response:
    """Open the folder of an item in the file manager; only for who sits at the machine that serves."""
    if not is_on_this_machine(request.scope) or service.options.proxies:
        raise RequestRefused("folders open only on the machine that serves", hint="copy the path instead")
    opened = await service.searches.run(request, service.library.open_file, item_id)
    with opened:
        show_in_file_manager(opened.place)
    return Response(status_code=204)


def show_in_file_manager(path: PathOnDisk) -> None:
    """Raises: RequestRefused where there is none."""
    commands = {"darwin": ["open", "-R", str(path)], "win32": ["explorer", f"/select,{path}"]}
    command = commands.get(sys.platform, ["xdg-open", str(path.parent)])
    try:
        with forks.no_fork():
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError as error:
        raise RequestRefused("this machine has no file manager", hint="copy the path instead") from error


MADE = {"waveform": "application/json", "clip": "video/webm"}
"""Kind of a preview -> its type, if that is not image/webp."""


async def preview(request: Request, service: Service, item_id: int, kind: PreviewKind, **wanted: Any) -> Response:
    made = await service.previews.run(request, service.library.preview, item_id, kind, **wanted)
    etag = f'"{hashlib.sha256(made).hexdigest()[:32]}"'
    headers = {"etag": etag, "cache-control": "private, max-age=600"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(made, 200, headers, MADE.get(kind, "image/webp"))


def nearest(size: int) -> int:
    return next(one for one in SIZES if one >= size)

"""The chapters of the docs, for the page's help."""

from fastapi import APIRouter
from starlette.responses import Response

from mmsearch.errors import UnknownName
from mmsearch.resources.chapters import chapter_text, chapters
from mmsearch.serve.answers import answer
from mmsearch.serve.schemas import ChapterSummary, ChapterText
from mmsearch.serve.service import require

router = APIRouter(prefix="/help", tags=["help"], dependencies=[require("search")])


@router.get("", response_model=list[ChapterSummary])
async def topics() -> Response:
    """The chapters of the docs."""
    return answer([{"name": one.topic, "title": one.title, "summary": one.summary} for one in chapters().values()])


@router.get("/{name}", response_model=ChapterText)
async def chapter(name: str) -> Response:
    """A chapter, as Markdown."""
    found = chapters().get(name)
    if found is None:
        raise UnknownName("there is no such chapter", hint="GET /api/v1/help lists them")
    return answer({"name": name, "title": found.title, "text": chapter_text(name)})

"""A photo app: a page with a search box, "more like this", and uploads as queries. `python photos.py` serves it."""

import html
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Form, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse, Response

import mmsearch

HERE = Path(__file__).resolve().parent
library = mmsearch.open(HERE / "library")

STYLE = """:root{color-scheme:light dark}body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}
form{margin-bottom:1rem}input,button{font:inherit;padding:.4rem .6rem}a{display:inline-block;margin:0 .5rem .5rem 0}
img{height:180px;border-radius:8px}img:hover{opacity:.85}"""
PAGE = """<!doctype html><title>Photos</title><meta name=viewport content="width=device-width"><style>{style}</style>
<form><input name=words value="{words}" placeholder="a dog on a beach" autofocus> <button>Search</button></form>
<form action=/like method=post enctype=multipart/form-data>
<input name=photo type=file> <button>Like this</button></form>
{photos}"""


@asynccontextmanager
async def lifespan(app: FastAPI):  # type: ignore[no-untyped-def]
    library.ingest(HERE / "media", exclude=["*.md"])
    yield
    library.close()


app = FastAPI(lifespan=lifespan)


def shown(hits: list[mmsearch.Hit]) -> Iterator[str]:
    """A thumbnail for each hit that answers; what is unlikely is left out, unless nothing is likelier."""
    likely = [hit for hit in hits if hit.level != "unlikely"]
    for hit in likely or hits[:3]:
        title = html.escape(f"{hit.path.name}, {hit.level}")
        yield f'<a href="/?like={hit.item_id}"><img src="/photos/{hit.item_id}" title="{title}"></a>'


@app.get("/", response_class=HTMLResponse)
def page(words: str = "", like: int | None = None) -> str:
    query = mmsearch.Query(like=like) if like is not None else mmsearch.Query(text=words) if words.strip() else None
    hits = library.search(query, 12, modalities=["image"]) if query is not None else []
    return PAGE.format(style=STYLE, words=html.escape(words), photos="\n".join(shown(hits)))


@app.post("/like", response_class=HTMLResponse)
def like(photo: Annotated[UploadFile, Form()]) -> str:
    query = mmsearch.Query(image=photo.file.read())
    return PAGE.format(style=STYLE, words="", photos="\n".join(shown(library.search(query, 12, modalities=["image"]))))


@app.get("/search")
def search(words: str, k: int = 5) -> list[dict[str, object]]:
    """The same for programs."""
    hits = library.search(mmsearch.Query(text=words), k, modalities=["image"])
    return [{"name": hit.path.name, "level": hit.level, "confidence": round(hit.confidence or 0, 2)} for hit in hits]


@app.get("/photos/{item_id}")
def photo(item_id: int) -> Response:
    return Response(library.preview(item_id, side=240), media_type="image/webp")


@app.exception_handler(mmsearch.MmsearchError)
def failed(_request: object, error: Exception) -> Response:
    """Every error of mmsearch knows its status, and says what to do."""
    assert isinstance(error, mmsearch.MmsearchError)
    return JSONResponse({"error": error.message, "hint": error.hint}, error.http_status)


if __name__ == "__main__":
    uvicorn.run(app, port=8000)

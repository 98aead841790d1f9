"""The application: routes behind a guard."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp

from mmsearch import __version__
from mmsearch.serve.answers import add_error_answers
from mmsearch.serve.auditing import noting
from mmsearch.serve.description import with_bodies
from mmsearch.serve.guard import API, Guard
from mmsearch.serve.pages import page_routes
from mmsearch.serve.routes import docs, items, jobs, library, search, session
from mmsearch.serve.service import Service

DESCRIPTION = "Search any of your media with any other: type it, show it, or play it."


def application(service: Service) -> ASGIApp:
    """What uvicorn runs."""
    app = described_application(_lifespan(service))
    app.state.service = service
    return Guard(app, service.options, service.access, service.metrics.observe, noting(service.library))


def described_application(
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None,
) -> FastAPI:
    """All routes; of a service only when they are asked, so that their description needs none."""
    # No pages of FastAPI's own: they fetch scripts from elsewhere.
    app = FastAPI(
        title="mmsearch", version=__version__, description=DESCRIPTION, docs_url=None, redoc_url=None,
        openapi_url=f"{API}/openapi.json", lifespan=lifespan, redirect_slashes=False,
    )  # fmt: skip
    for group in (search, items, library, jobs, docs, session):
        app.include_router(group.router, prefix=API)
    app.include_router(page_routes())
    add_error_answers(app)
    app.openapi = with_bodies(app)  # type: ignore[method-assign]
    return app


def _lifespan(service: Service) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lives(_app: FastAPI) -> AsyncIterator[None]:
        service.ready.begin()
        try:
            yield
        finally:
            service.close()

    return lives

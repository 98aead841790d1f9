"""The API's description: what FastAPI says of the routes, with the bodies that they read themselves, and our errors."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from mmsearch.serve.schemas import (
    ChosenModel,
    ErrorAnswer,
    ExplainedSearch,
    JobAsked,
    MixedSearch,
    SearchSaved,
    SignIn,
    Tagging,
)

BODIES = (ChosenModel, ErrorAnswer, ExplainedSearch, JobAsked, MixedSearch, SearchSaved, SignIn, Tagging)
"""Models that routes name without FastAPI's knowledge."""

THEIRS = ("HTTPValidationError", "ValidationError")
"""Schemas of errors that no route answers."""

ERROR = {
    "description": "An error, with the status of its class.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}},
}


def with_bodies(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """What `app.openapi` is to be."""
    made_by_fastapi = app.openapi

    def openapi() -> dict[str, Any]:
        # FastAPI keeps what it made, and so this is done once.
        known = app.openapi_schema is not None
        made = made_by_fastapi()
        if not known:
            _, added = models_json_schema(
                [(model, "validation") for model in BODIES], ref_template="#/components/schemas/{model}"
            )
            schemas = made["components"]["schemas"]
            schemas |= added["$defs"]
            for name in THEIRS:
                schemas.pop(name, None)
            for methods in made["paths"].values():
                for route in methods.values():
                    route["responses"].pop("422", None)
                    route["responses"]["default"] = ERROR
        return made

    return openapi

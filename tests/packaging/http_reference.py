"""The chapter `api_http.md` and `openapi.json`, made from the application's own description."""

import json
import re
from typing import Any

from mmsearch.serve.app import described_application
from mmsearch.serve.guard import API, OPEN

INTRODUCTION = f"""\
# HTTP API

Every address that `mmsearch serve` answers, what it takes and what it needs.

All lie below `{API}`. Send the token as `Authorization: Bearer TOKEN`, or begin a session. Answers are JSON; names are
those of [the table of names](names.md). An error is `{{"code", "message", "hint"}}` with the status of its class
([errors](errors.md)). [openapi.json](openapi.json) describes every field; a running server has it at
`{API}/openapi.json`.

`python -m tests.packaging.reference` writes this chapter from the routes.
"""

EVENTS = """\
## Events

`GET /events` is a stream of server-sent events: `progress` (a job, whenever it changes), `generation`
(`{"generation": N}`, at the beginning and whenever the library changed), `heartbeat` (every 15 s of silence).
"""

KINDS = {"integer": "whole number", "string": "text", "boolean": "true or false"}


def description() -> dict[str, Any]:
    """What OpenAPI says of all routes, of no version."""
    made = described_application().openapi()
    return {**made, "info": {**made["info"], "version": "0"}}


def openapi() -> str:
    """The file."""
    return json.dumps(description(), indent=1, sort_keys=True) + "\n"


def chapter() -> str:
    """A table of all routes, then what their bodies take."""
    made = description()
    rows = ["| | address | takes | what |", "|---|---|---|---|"]
    bodies: dict[str, None] = {}
    for path, methods in made["paths"].items():
        for method, route in methods.items():
            taken = [one["name"] for one in route.get("parameters", ()) if one["in"] == "query"]
            body = body_of(route)
            bodies |= dict.fromkeys(body)
            takes = ", ".join([*(f"`{name}`" for name in taken), *(f"[{name}](#{name.lower()})" for name in body)])
            said = " ".join(route["description"].split()).replace("|", "\\|")
            open_too = " *No token.*" if method.upper() in OPEN.get(path, ()) else ""
            rows.append(f"| {method.upper()} | `{path.removeprefix(API)}` | {takes} | {said}{open_too} |")
    parts = {part: None for name in bodies for part in _named(made["components"]["schemas"].get(name, {}))}
    return "\n".join([INTRODUCTION, *rows, "", *(_fields(name, made) for name in {**bodies, **parts}), EVENTS])


def _named(schema: dict[str, Any]) -> list[str]:
    """Names of the schemas that a schema's fields are made of."""
    return re.findall(r"#/components/schemas/(\w+)", json.dumps(schema.get("properties", {})))


def body_of(route: dict[str, Any]) -> list[str]:
    """Names of the schemas that a route's body may be of."""
    content = route.get("requestBody", {}).get("content", {})
    found = [one["schema"].get("$ref", "").rpartition("/")[2] for one in content.values()]
    return [name or "form" for name in found]


def _fields(name: str, made: dict[str, Any]) -> str:
    if name == "form":
        text = "A form (`multipart/form-data`) with one `file`; for `POST /search` with what `GET /search` takes, too."
        return f"## form\n\n{text}\n"
    schema = made["components"]["schemas"][name]
    lines = [f"## {name}", "", schema.get("description", ""), ""]
    for field, facts in schema["properties"].items():
        needed = " Needed." if field in schema.get("required", ()) else ""
        said = " ".join(facts.get("description", "").split())
        lines.append(f"- `{field}` ({_kind(facts)}).{needed}{f' {said}' if said else ''}")
    return "\n".join([*lines, ""])


def _kind(facts: dict[str, Any]) -> str:
    if "anyOf" in facts:
        return " or ".join(_kind(one) for one in facts["anyOf"] if one.get("type") != "null")
    if "$ref" in facts:
        return f"[{facts['$ref'].rpartition('/')[2]}](#{facts['$ref'].rpartition('/')[2].lower()})"
    if facts.get("type") == "array":
        return f"list of {_kind(facts['items'])}"
    if "enum" in facts:
        return ", ".join(map(str, facts["enum"]))
    return {"integer": "whole number", "string": "text", "boolean": "true or false"}.get(
        facts.get("type", ""), "number"
    )


def http_names() -> dict[str, list[str]]:
    """Name -> routes that take it, in an address or a body."""
    found: dict[str, list[str]] = {}
    made = description()
    for path, methods in made["paths"].items():
        for method, route in methods.items():
            names = {one["name"] for one in route.get("parameters", ()) if one["in"] == "query"}
            for body in body_of(route):
                if body != "form":
                    names |= set(made["components"]["schemas"][body]["properties"])
                    if body in ("MixedSearch", "ExplainedSearch"):
                        names |= set(made["components"]["schemas"]["QueryPartGiven"]["properties"])
            for name in names:
                found.setdefault(name, []).append(f"`{method.upper()} {path.removeprefix(API)}`")
    return found

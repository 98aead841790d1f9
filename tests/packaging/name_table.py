"""The table of names in the shipped docs, made from the code: `python -m tests.packaging.name_table` writes it anew.

One concept has one name in Python, in the shell, in settings, in JSON and over HTTP.
"""

import inspect
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import click

from mmsearch.cli import cli
from mmsearch.core.config import Settings
from mmsearch.library import Library
from mmsearch.types import Hit, Label, Moment, Query
from tests.packaging.http_reference import http_names
from tests.surface.walk import hints

DOCS = Path(__file__).resolve().parents[2] / "mmsearch" / "resources" / "docs" / "names.md"

INTRODUCTION = """\
# Names

What each concept is called in Python, in the shell, in settings, in JSON and over HTTP.

A concept has one name, wherever it is met: as an argument in Python, as an option in the shell (with hyphens), as a
setting in `mmsearch.toml` and in a variable `MMSEARCH_...`, as a key in JSON, and over HTTP. Some options are shorter.

| name | Python | shell | setting | JSON | HTTP |
|---|---|---|---|---|---|
"""

OURS = ("self", "context", "kind", "error", "trace")
"""Parameters that are Python's own business."""


def methods(owner: type, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, member in inspect.getmembers(owner):
        if name.startswith("_"):
            continue
        if isinstance(inspect.getattr_static(owner, name), property):
            offered = hints(inspect.getattr_static(owner, name).fget).get("return")
            if inspect.isclass(offered):
                yield from methods(offered, f"{prefix}{name}.")
        elif inspect.isfunction(member):
            yield f"{prefix}{name}", member


def in_python() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name, method in methods(Library, ""):
        for parameter in inspect.signature(method).parameters:
            if parameter not in OURS:
                found[parameter].append(f"`{name}`")
    for parameter in inspect.signature(Query).parameters:
        found[parameter].append("`Query`")
    return found


def commands(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def in_the_shell() -> dict[str, dict[str, list[str]]]:
    """Name -> option as it is typed -> commands."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for command, made in commands(cli):
        for parameter in made.params:
            if isinstance(parameter, click.Option) and parameter.name and not parameter.hidden:
                typed = "/".join(max(names, key=len) for names in (parameter.opts, parameter.secondary_opts) if names)
                found[parameter.name][typed].append(command)
    return found


def in_json() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for kind in (Hit, Moment, Label):
        assert is_dataclass(kind)
        for field in fields(kind):
            found[field.name].append(f"`{kind.__name__}`")
    return found


def table() -> str:
    """Every name that two of the five know."""
    python, shell, keys, http = in_python(), in_the_shell(), in_json(), http_names()
    settings = {field.name for field in fields(Settings)}
    rows = []
    for name in sorted({*python, *shell, *settings, *keys, *http}):
        places = [name in python, name in shell, name in settings, name in keys, name in http]
        if sum(places) < 2:
            continue
        typed = "; ".join(f"`{option}` ({', '.join(used)})" for option, used in sorted(shell.get(name, {}).items()))
        cells = [
            f"`{name}`", ", ".join(python.get(name, ())), typed, f"`{name}`" if name in settings else "",
            ", ".join(keys.get(name, ())), ", ".join(http.get(name, ())),
        ]  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    return INTRODUCTION + "\n".join(rows) + "\n"


if __name__ == "__main__":
    DOCS.write_text(table(), "utf-8")

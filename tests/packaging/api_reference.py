"""The chapter `api.md`: every name of `mmsearch.__all__`, and every public method of `Library` and its parts."""

import ast
import dataclasses
import inspect
from collections.abc import Iterator
from importlib import import_module
from itertools import chain
from types import ModuleType
from typing import Any

import mmsearch
from mmsearch.library import Library
from mmsearch.types import contracts
from tests.packaging.docstrings import class_fields, doc, doc_of_alias, markdown, node_of, signature
from tests.surface.walk import hints

INTRODUCTION = """\
# API reference

Every class and function that `mmsearch` exports, and every method of a library.

Errors have [a chapter of their own](errors.md), and so do [settings](settings.md).
`python -m tests.packaging.reference` writes this chapter from signatures and docstrings.
"""

EXTENSIONS = "What authors of encoders, decoders and indexes implement and use."


def reference() -> str:
    """The chapter."""
    return "\n".join(part.rstrip() + "\n" for part in _parts())


def parts_of_library() -> dict[str, type]:
    """Property of `Library` -> the class that it hands out: `train` and its like."""
    found: dict[str, type] = {}
    for name in (name for kind in reversed(Library.__mro__) for name in kind.__dict__):
        member = inspect.getattr_static(Library, name)
        if isinstance(member, property) and member.fget is not None and not name.startswith("_"):
            kind: Any = hints(member.fget).get("return")
            if inspect.isclass(kind) and kind.__name__.startswith("Library"):
                found[name] = kind
    return found


def methods(owner: type, prefix: str) -> Iterator[tuple[str, Any]]:
    """(as it is called, function) of every public method, in the order written."""
    parts = [kind for kind in owner.__mro__[:0:-1] if kind.__name__.startswith("Library")]
    for name, member in chain.from_iterable(kind.__dict__.items() for kind in (*parts, owner)):
        if not name.startswith("_") and inspect.isfunction(member):
            yield f"{prefix}{name}", member


def library_methods() -> Iterator[tuple[str, Any]]:
    """The methods of a library, then those of its parts."""
    yield from methods(Library, "library.")
    for name, kind in parts_of_library().items():
        yield from methods(kind, f"library.{name}.")


def _parts() -> Iterator[str]:
    exported = {name: getattr(mmsearch, name) for name in mmsearch.__all__}
    apart = {Library, *parts_of_library().values()}
    ours = {name: thing for name, thing in exported.items() if _is_ours(name, thing) and thing not in apart}
    errors = [name for name, thing in ours.items() if issubclass(thing, mmsearch.MmsearchError)]
    extensions = [name for name, thing in ours.items() if thing.__module__ == contracts.__name__]
    aliases = [name for name in exported if name not in ours and exported[name] not in apart and _alias(name)]
    yield INTRODUCTION
    yield "## Functions"
    for name, thing in exported.items():
        if inspect.isfunction(thing):
            yield from _function(f"mmsearch.{name}", thing)
    yield "## mmsearch.Library"
    yield markdown(doc(Library))
    for name, kind in parts_of_library().items():
        yield f"`library.{name}` is a `mmsearch.{kind.__name__}`. {' '.join(doc(kind).split())}"
    for name, method in library_methods():
        yield from _function(name, method)
    yield "## Classes"
    for name in ours:
        if name not in errors and name not in extensions:
            yield from _class(f"mmsearch.{name}", ours[name])
    yield "## Types"
    yield "\n".join(f"- `mmsearch.{name}`: {_alias(name)}" for name in aliases)
    yield "## Errors"
    yield f"{', '.join(f'`mmsearch.{name}`' for name in errors)}: see [errors](errors.md)."
    yield "`mmsearch.errors` is their module, and `mmsearch.__version__` the release."
    yield "## Extensions"
    yield EXTENSIONS
    for name in extensions:
        yield from _class(f"mmsearch.{name}", ours[name])


def _is_ours(name: str, thing: Any) -> bool:
    """Whether it is a class of mmsearch; an alias may be another's."""
    return inspect.isclass(thing) and thing.__name__ == name and thing.__module__.startswith("mmsearch")


def _alias(name: str) -> str:
    """What is said of a type that has a name but no class, "" where nothing is."""
    home = mmsearch._HOMES[name].partition(":")[0]
    thing = getattr(mmsearch, name)
    if inspect.isfunction(thing) or isinstance(thing, ModuleType) or name.startswith("_"):
        return ""
    return doc_of_alias(import_module(home), name)


def _function(name: str, function: Any) -> Iterator[str]:
    yield f"### {name}"
    yield f"```python\n{signature(function, name)}\n```"
    if text := markdown(doc(function)):
        yield text


def _class(name: str, kind: type) -> Iterator[str]:
    yield f"### {name}"
    if text := markdown(doc(kind)):
        yield text
    if fields := class_fields(kind):
        yield "\n".join(f"- `{f.name}`: `{f.annotation}`{f'. {f.text}' if f.text else ''}" for f in fields)
    for method, member in _members(kind):
        if isinstance(member, property):
            yield f"**`{method}`**: {' '.join(doc(member.fget).split()) or _returned(member)}"
        else:
            said = f"```python\n{signature(member, method)}\n```"
            yield f"{said}\n\n{markdown(doc(member))}" if doc(member) else said


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that a class itself defines; what dataclasses make is not among them."""
    made = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    for name, member in kind.__dict__.items():
        if name.startswith("_") or name in made:
            continue
        function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if isinstance(function, property) or (
            inspect.isfunction(function) and function.__module__.startswith("mmsearch")
        ):
            yield name, function


def _returned(member: property) -> str:
    returns = getattr(node_of(member.fget), "returns", None)
    return f"`{ast.unparse(returns)}`" if returns else ""

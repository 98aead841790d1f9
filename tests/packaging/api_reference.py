"""The chapter `api.md`: every name of `mmsearch.__all__`, every public method of `Library`, and the Protocols."""

import ast
import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

import mmsearch
from mmsearch import types
from mmsearch.library import Library
from tests.packaging.docstrings import class_fields, doc, markdown, node_of, signature

INTRODUCTION = """\
# API reference

Every class and function that `mmsearch` exports, every method of a library, and the Protocols of extensions.

Errors have [a chapter of their own](errors.md), and so do [settings](settings.md).
`python -m tests.packaging.reference` writes this chapter from signatures and docstrings.
"""

EXTENSIONS = (
    types.Encoder, types.EncoderSpec, types.Space, types.Windowing, types.Decoder, types.Segment, types.Span,
    types.Limits, types.VectorIndex, types.Selection, types.Neighbours,
)  # fmt: skip
"""What an author of an encoder, a decoder or an index meets, in `mmsearch.types`."""


def reference() -> str:
    """The chapter."""
    return "\n".join(part.rstrip() + "\n" for part in _parts())


def methods(owner: type, prefix: str) -> Iterator[tuple[str, Any]]:
    """(as it is called, function) of every public method, in the order written; of groups such as `train` too."""
    for name, member in owner.__dict__.items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            kind = _group(member)
            if kind is not None:
                yield from methods(kind, f"{prefix}{name}.")
        elif inspect.isfunction(member):
            yield f"{prefix}{name}", member


def _group(member: property) -> type | None:
    """The class that a property hands out, if its methods are the library's own: `library.train` and its like."""
    from mmsearch.training.training import LibraryTraining

    said = inspect.get_annotations(member.fget).get("return") if member.fget else None
    kind = LibraryTraining if said == LibraryTraining.__name__ else said
    return kind if inspect.isclass(kind) and kind.__name__.startswith("Library") else None


def _parts() -> Iterator[str]:
    yield INTRODUCTION
    exported = {name: getattr(mmsearch, name) for name in mmsearch.__all__}
    functions = {name: thing for name, thing in exported.items() if inspect.isfunction(thing)}
    errors = mmsearch.MmsearchError
    classes = {
        name: thing
        for name, thing in exported.items()
        if inspect.isclass(thing) and not issubclass(thing, errors) and thing is not Library
    }
    yield "## Functions"
    for name, function in functions.items():
        yield from _function(f"mmsearch.{name}", function)
    yield "## mmsearch.Library"
    yield markdown(doc(Library))
    for name, method in methods(Library, "library."):
        yield from _function(name, method)
    yield "## Classes"
    for name, thing in classes.items():
        yield from _class(f"mmsearch.{name}", thing)
    rest = sorted(
        name
        for name, thing in exported.items()
        if name not in functions and name not in classes and thing is not Library and not _is_error(thing)
    )
    if rest:
        yield f"Also exported: {', '.join(f'`mmsearch.{name}`' for name in rest)}."
    caught = sorted(name for name, thing in exported.items() if _is_error(thing))
    yield f"Errors: {', '.join(f'`mmsearch.{name}`' for name in caught)}; see [errors](errors.md)."
    yield "## Extensions"
    yield "What authors of encoders, decoders and indexes implement and use; import them from `mmsearch.types`."
    for kind in EXTENSIONS:
        if kind.__name__ not in classes:
            yield from _class(f"mmsearch.types.{kind.__name__}", kind)


def _is_error(thing: Any) -> bool:
    return inspect.isclass(thing) and issubclass(thing, mmsearch.MmsearchError)


def _function(name: str, function: Any) -> Iterator[str]:
    yield f"### {name}"
    yield f"```python\n{signature(function, name)}\n```"
    if text := markdown(doc(function)):
        yield text


def _class(name: str, kind: type) -> Iterator[str]:
    yield f"### {name}"
    if text := markdown(doc(kind)):
        yield text
    fields = class_fields(kind)
    if fields:
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
        if isinstance(function, property) or inspect.isfunction(function):
            yield name, function


def _returned(member: property) -> str:
    returns = getattr(node_of(member.fget), "returns", None)
    return f"`{ast.unparse(returns)}`" if returns else ""

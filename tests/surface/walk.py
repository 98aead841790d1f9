"""Every class that the annotations of the public surface lead to, from the functions down to the fields of results."""

import inspect
import types
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cached_property
from typing import Any

import mmsearch


def public_types() -> dict[str, type]:
    return {name: one for name in mmsearch.__all__ if inspect.isclass(one := getattr(mmsearch, name))}


def methods(kind: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that a class of ours defines, its own or a base's."""
    for name, member in inspect.getmembers_static(kind):
        if not name.startswith("_") or name in ("__call__", "__add__", "__mul__", "__sub__"):
            if isinstance(member, property):
                yield name, member.fget
            elif isinstance(member, cached_property):
                yield name, member.func
            elif isinstance(member, classmethod | staticmethod):
                yield name, member.__func__
            elif inspect.isfunction(member):
                yield name, member


class Walk:
    """What was met, and from where."""

    def __init__(self) -> None:
        self.annotations = 0
        self.classes: dict[type, str] = {}

    def everything(self) -> "Walk":
        """From all that `mmsearch` offers."""
        for name in mmsearch.__all__:
            found = getattr(mmsearch, name)
            if inspect.isclass(found):
                self.meet(found, name)
            elif inspect.isfunction(found):
                self.function(found, name)
            elif not isinstance(found, str | types.ModuleType):
                self.annotation(found, name)
        return self

    def function(self, function: Any, place: str) -> None:
        for name, annotation in hints(function).items():
            self.annotation(annotation, f"{place}({name})")

    def annotation(self, annotation: Any, place: str) -> None:
        self.annotations += 1
        self.resolve(annotation, place)

    def resolve(self, annotation: Any, place: str) -> None:
        if inspect.isclass(annotation) and not typing.get_args(annotation):
            self.meet(annotation, place)
            return
        assert not isinstance(annotation, str | typing.ForwardRef), f"{place}: {annotation} is not resolved"
        if origin := typing.get_origin(annotation):
            if inspect.isclass(origin):
                self.meet(origin, place)
            if origin is not typing.Literal:
                for inner in typing.get_args(annotation):
                    for one in inner if isinstance(inner, list) else [inner]:
                        self.resolve(one, place)

    def meet(self, kind: type, place: str) -> None:
        if kind in self.classes or not kind.__module__.startswith(("mmsearch", "sqlalchemy")):
            return
        self.classes[kind] = place
        if is_dataclass(kind) or typing.is_typeddict(kind) or hasattr(kind, "_fields"):
            names = {field.name for field in fields(kind)} if is_dataclass(kind) else set(kind.__annotations__)
            for name, annotation in typing.get_type_hints(kind).items():
                if name in names and not name.startswith("_"):
                    self.annotation(annotation, f"{kind.__name__}.{name}")
        for name, method in methods(kind):
            if (getattr(method, "__module__", None) or "").startswith("mmsearch"):
                self.function(method, f"{kind.__name__}.{name}")


def hints(function: Any) -> dict[str, Any]:
    """Annotations of a function; a name that only type checkers import is looked for among the public ones."""
    original = inspect.unwrap(function)
    known = {name: getattr(mmsearch, name) for name in mmsearch.__all__ if name not in ("errors",)}
    local = {name: one for name, one in known.items() if name not in original.__globals__}
    return typing.get_type_hints(original, localns=local)

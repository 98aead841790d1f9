"""What a public function takes: each argument is held against its annotation before anything else is done.

The annotation is the contract that an editor shows and mypy checks; here the same one refuses what a caller without
either hands over, with InvalidInput. A number is finite, a whole number fits into 64 bits, a path can be looked up.
"""

import errno
import inspect
import math
import os
import types
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields
from functools import cache, wraps
from numbers import Integral, Real
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from mmsearch.core.value_ranges import brief_repr
from mmsearch.errors import InvalidInput
from mmsearch.types import PillowImage

P = ParamSpec("P")
R = TypeVar("R")
Kind = TypeVar("Kind", bound=type)
Converter = Callable[[Any], Any]
"""Gives a value as the function takes it. Raises: ValueError."""

LARGEST = 2**63 - 1
TEXTS = (str, bytes, bytearray, memoryview)
"""Sequences to Python that nobody means as a list."""


def checked_methods(kind: Kind) -> Kind:
    """A class whose public methods refuse arguments that are not what they are annotated with."""
    for name, member in list(vars(kind).items()):
        if inspect.isfunction(member) and not name.startswith("_"):
            setattr(kind, name, checked_arguments(member))
    return kind


def checked_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """The same function; it refuses arguments that are not what they are annotated with. Raises: InvalidInput."""
    signature = inspect.signature(function)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs)
        annotations = _annotations(function)
        for name, value in given.arguments.items():
            parameter = signature.parameters[name]
            if parameter.kind is parameter.VAR_POSITIONAL:
                given.arguments[name] = tuple(checked(name, one, annotations[name]) for one in value)
            elif name in annotations and parameter.kind is not parameter.VAR_KEYWORD:
                given.arguments[name] = checked(name, value, annotations[name])
        return function(*given.args, **given.kwargs)

    return call


def check_field_types(value: Any) -> None:
    """Hold the fields of a frozen dataclass against their annotations. Raises: InvalidInput."""
    annotations = _field_types(value.__class__)
    for field in fields(value):
        object.__setattr__(value, field.name, checked(field.name, getattr(value, field.name), annotations[field.name]))


def checked(name: str, value: Any, annotation: Any) -> Any:
    """The value as an annotation has it: a whole number where it says int, whatever type of number it was.

    Raises: InvalidInput.
    """
    try:
        return _converter(annotation)(value)
    except (ValueError, OverflowError) as error:
        wrong = _Part("", value, error)
        raise InvalidInput(
            f"{name}{wrong.where} can't be {brief_repr(wrong.value)}{wrong.why}",
            hint=f"{name} is {described(annotation)}",
        ) from error


def described(annotation: Any) -> str:
    """An annotation in words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(described(one) for one in inner if one is not types.NoneType))
    if origin is Annotated:
        return described(inner[0])
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin is tuple:
        return f"({', '.join(described(one) for one in inner if one is not Ellipsis)})"
    kind = origin or annotation
    if kind in _WORDS:
        return _WORDS[kind]
    if inner and isinstance(kind, type) and (issubclass(kind, Collection) or kind is Iterable):
        return f"a {'mapping' if issubclass(kind, Mapping) else 'list'}, each of it {described(inner[-1])}"
    return f"a {getattr(kind, '__name__', kind)}"


_WORDS: dict[Any, str] = {
    str: "a text", int: "a whole number", float: "a number", bool: "True or False", os.PathLike: "a path",
    np.ndarray: "an array", Any: "anything", Callable: "a function", PillowImage: "a PIL image",
}  # fmt: skip


class _Refused(ValueError):
    """Says why."""


class _Part(ValueError):
    """What of a value is wrong, such as [3] of a list; and why, where that is known."""

    def __init__(self, where: str, value: Any, error: Exception) -> None:
        inner = error if isinstance(error, _Part) else None
        self.where: str = where + (inner.where if inner else "")
        self.value: Any = inner.value if inner else value
        self.why: str = inner.why if inner else f": {error}" if isinstance(error, _Refused) else ""


def _each(converter: Converter, values: Iterable[Any]) -> list[Any]:
    """Raises: _Part."""
    try:
        return [converter(value) for value in values]
    except (ValueError, OverflowError):
        for number, value in enumerate(values):
            # A set has no places.
            _one(converter, f"[{number}]" if isinstance(values, Sequence) else "", value)
        raise


def _one(converter: Converter, where: str, value: Any) -> Any:
    try:
        return converter(value)
    except (ValueError, OverflowError) as error:
        raise _Part(where, value, error) from error


@cache
def _field_types(kind: Hashable) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


@cache
def _annotations(function: Callable[..., Any]) -> dict[str, Any]:
    """Of parameters. What a function returns may be a name that only a type checker imports."""
    original = inspect.unwrap(function)
    named = {name: one for name, one in inspect.get_annotations(original).items() if name != "return"}
    holder = types.SimpleNamespace(__annotations__=named)
    return get_type_hints(holder, globalns=original.__globals__, include_extras=True)


@cache
def _converter(annotation: Any) -> Converter:
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return lambda value: value
    if annotation is None or annotation is types.NoneType:
        return _nothing
    if origin is Annotated:
        return _converter(inner[0])
    if origin is Literal:
        return _one_of(inner)
    if origin in (Union, types.UnionType):
        return _either(inner)
    if origin is tuple:
        return _tuple_of(inner)
    if origin is Callable:
        return _callable
    kind = origin or annotation
    if kind in _SCALARS:
        return _SCALARS[kind]
    if isinstance(kind, type) and issubclass(kind, Mapping) and inner:
        return _mapping_of(kind, *map(_converter, inner))
    if kind is Iterable and inner:
        return _iterable_of(_collection_of(Collection, _converter(inner[0])))
    if isinstance(kind, type) and issubclass(kind, Collection) and inner and kind is not np.ndarray:
        return _collection_of(kind, _converter(inner[0]))
    return _instance_of(kind)


def _nothing(value: Any) -> None:
    if value is not None:
        raise ValueError


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise ValueError
    return bool(value)


def _whole_number(value: Any) -> int:
    # True is an int to Python.
    if isinstance(value, bool) or not isinstance(value, Integral) or not -LARGEST <= int(value) <= LARGEST:
        raise ValueError
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError
    return value if isinstance(value, int | float) else float(value)


def _path(value: Any) -> Any:
    if not isinstance(value, os.PathLike):
        raise ValueError
    try:
        spelled = os.fspath(value)
    except Exception as error:  # a foreign class, of which nothing is known
        raise ValueError from error
    _path_text(spelled)
    return value


def _not_empty(value: Any) -> str:
    text = _text(value)
    if not text:
        # To the system it is the current folder: whoever has an empty variable does not mean all that is in there.
        raise _Refused("it is empty")
    return text


def _path_text(value: Any) -> str:
    path = _not_empty(value)
    try:
        os.lstat(path)
    except ValueError as error:
        raise _Refused(str(error)) from error
    except OSError as error:
        # That there is no such file, or none for this user, is no fault of the argument.
        if error.errno == errno.ENAMETOOLONG:
            raise _Refused("the name is too long") from error
    return path


_SCALARS: dict[Any, Converter] = {
    str: _text, bool: _boolean, int: _whole_number, float: _number, os.PathLike: _path,
}  # fmt: skip


def _one_of(values: tuple[Any, ...]) -> Converter:
    def convert(value: Any) -> Any:
        if not any(type(value) is type(one) and value == one for one in values):
            raise ValueError
        return value

    return convert


def _either(annotations: tuple[Any, ...]) -> Converter:
    # Where nothing but a path is meant, a text is one; where words are meant too, it may be anything.
    kinds = {get_origin(one) or one for one in annotations}
    only_paths = os.PathLike in kinds and kinds <= {str, os.PathLike, int, types.NoneType, Collection}
    # Where a number is an item, a text may be the id of a medium, which no file system has to like.
    text = _text if not only_paths else _not_empty if int in kinds else _path_text
    converters = [text if one is str else _converter(one) for one in annotations]

    def convert(value: Any) -> Any:
        why = ValueError()
        for one in converters:
            try:
                return one(value)
            except (ValueError, OverflowError) as error:
                why = error if isinstance(error, _Refused | _Part) else why
        raise why

    return convert


def _tuple_of(inner: tuple[Any, ...]) -> Converter:
    converters = [_converter(one) for one in inner if one is not Ellipsis]

    def convert(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, tuple):
            raise ValueError
        each = converters * len(value) if Ellipsis in inner else converters
        if len(each) != len(value):
            raise ValueError
        return tuple(one(part) for one, part in zip(each, value, strict=True))

    return convert


def _mapping_of(kind: Any, key: Converter, number: Converter) -> Converter:
    def convert(value: Any) -> Any:
        if not isinstance(value, kind):
            raise ValueError
        return {key(one): _one(number, f"[{one!r}]", other) for one, other in value.items()}

    return convert


def _collection_of(kind: Any, each: Converter) -> Converter:
    def convert(value: Any) -> Any:
        # A text is a collection of letters to Python: nobody means that.
        if not isinstance(value, kind) or isinstance(value, (*TEXTS, Mapping)):
            raise ValueError
        made = _each(each, value)
        if isinstance(value, AbstractSet):
            return frozenset(made)
        return tuple(made) if isinstance(value, tuple) else made

    return convert


def _iterable_of(collection: Converter) -> Converter:
    def convert(value: Any) -> Any:
        # What comes one by one can't be looked at without being used up.
        return value if isinstance(value, Iterator) else collection(value)

    return convert


def _instance_of(kind: Any) -> Converter:
    def convert(value: Any) -> Any:
        if not isinstance(value, kind):
            raise ValueError
        return value

    return convert


def _callable(value: Any) -> Any:
    if not callable(value):
        raise ValueError
    return value

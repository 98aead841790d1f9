"""What of a library is there for whoever opened it for some of its items (`Library.only`)."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from mmsearch.errors import LibraryReadOnly

P = ParamSpec("P")
R = TypeVar("R")
Kind = TypeVar("Kind", bound=type)

OF_THE_SLICE = "it reads the slice alone"
OF_FILES = "it asks the slice which file that is, and opens no other"
OF_THE_QUERY = "it looks at what the caller handed over"
OF_THE_OPEN_LIBRARY = "it is about this object, not about items"

READS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "search", "search_many", "duplicates", "evaluate", "label", "get", "get_many", "items", "count", "folder",
            "tags", "tags_of", "modified_of", "roots", "status", "failures", "saved_searches", "generation", "export",
        ),
        OF_THE_SLICE,
    ),
    **dict.fromkeys(("explain", "stills", "open_file", "preview", "original"), OF_FILES),
    **dict.fromkeys(("embed", "interpret", "load_encoders"), OF_THE_QUERY),
    **dict.fromkeys(("close", "rest", "identity", "only"), OF_THE_OPEN_LIBRARY),
}  # fmt: skip
"""Method or property -> why it may be used. What is not named here may not: a new method is closed until somebody says
why it need not be."""


TAGS = frozenset(("tag", "set_meta"))
"""What may be used where the restricted library was opened to be tagged, too: it reaches the slice's items alone."""


def restrictable(kind: Kind) -> Kind:
    """A class of libraries whose public methods and properties refuse, in a restricted one, unless `READS` has them."""
    for name in dir(kind):
        member = inspect.getattr_static(kind, name)
        if name.startswith("_") or name in READS:
            continue
        if inspect.isfunction(member):
            setattr(kind, name, _closed(member, name))
        elif isinstance(member, property) and member.fget is not None:
            setattr(kind, name, property(_closed(member.fget, name), doc=member.__doc__))
    return kind


def _closed(function: Callable[P, R], name: str) -> Callable[P, R]:
    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        library: Any = args[0]
        context = library._context
        if context.restricted and not (context.tagging and name in TAGS):
            raise LibraryReadOnly(
                f"this library was opened for some of its items, where there is no {name}",
                hint="open the whole of it",
            )
        return function(*args, **kwargs)

    return call

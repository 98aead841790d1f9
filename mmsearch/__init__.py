"""mmsearch: search any of your media with any other.

    import mmsearch

    with mmsearch.open("my.library") as library:
        library.ingest("~/Pictures", "~/Sounds")
        for hit in library.search("a dog barking", k=10):
            print(hit.confidence, hit.path, hit.start)

Importing it loads no heavy library: names arrive when they are first used.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmsearch.core.version import VERSION as __version__
    from mmsearch.errors import MmsearchError
    from mmsearch.ingest import IngestReport
    from mmsearch.library import Library
    from mmsearch.library import open_library as open
    from mmsearch.maintenance.prune import Pruned
    from mmsearch.maintenance.status import Status
    from mmsearch.training.connection import ConnectionResult, connect
    from mmsearch.types import Failure, Hit, Label, Progress, Query, QueryPart

_HOMES = {
    "ConnectionResult": "mmsearch.training.connection:ConnectionResult",
    "Failure": "mmsearch.types:Failure",
    "Hit": "mmsearch.types:Hit",
    "IngestReport": "mmsearch.ingest:IngestReport",
    "Label": "mmsearch.types:Label",
    "Library": "mmsearch.library:Library",
    "MmsearchError": "mmsearch.errors:MmsearchError",
    "QueryPart": "mmsearch.types:QueryPart",
    "Progress": "mmsearch.types:Progress",
    "Pruned": "mmsearch.maintenance.prune:Pruned",
    "Query": "mmsearch.types:Query",
    "Status": "mmsearch.maintenance.status:Status",
    "__version__": "mmsearch.core.version:VERSION",
    "connect": "mmsearch.training.connection:connect",
    "open": "mmsearch.library:open_library",
}

__all__ = [
    "ConnectionResult",
    "Failure",
    "Hit",
    "IngestReport",
    "Label",
    "Library",
    "MmsearchError",
    "Progress",
    "Pruned",
    "Query",
    "QueryPart",
    "Status",
    "__version__",
    "connect",
    "open",
]


# What an application does with our messages is its own affair: nothing is printed unasked, nothing set up for it.
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mmsearch' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Every place that mmsearch uses on this machine, for one library: to see what it takes, and to remove it all.

What makes a file anywhere else gets a line here, a socket or a service's unit too. What a person names by an argument,
such as a backup or a log file, is not listed.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mmsearch.catalog import FILE_NAME
from mmsearch.context.context import SLICES
from mmsearch.context.locks import ADDING_NAME, LOCK_NAME
from mmsearch.context.preview_cache import PREVIEW_FOLDER
from mmsearch.context.resources import INDEX_FOLDER
from mmsearch.core import config
from mmsearch.core.paths import TEMPORARY, cache_folder, data_folder
from mmsearch.core.service_files import service_files
from mmsearch.encoders.model_store import hub_cache
from mmsearch.maintenance.audit import FOLDER as AUDIT
from mmsearch.maintenance.tokens import FILE_NAME as TOKENS
from mmsearch.types import Location
from mmsearch.warm import address


def used_locations(library: Path) -> list[Location]:
    """Of this library and of the user's own folders, whether something is there or not. Reads no file.

    Raises: InvalidInput for a settings file that can't be read.
    """
    return [_sized(name, path, detail) for name, path, detail in _places(library)]


def _places(library: Path) -> Iterator[tuple[str, Path, str]]:
    from mmsearch.training.serving.folder import FOLDER

    package = Path(__file__).resolve().parents[1]
    yield "program", package, "the package, with the weights of the starter spaces; pip uninstall mmsearch removes it"
    yield "library", library, "all that is known of your files; they themselves are elsewhere"
    yield "catalog", library / f"{FILE_NAME}*", "items, vectors, words; copies that end in .bak"
    yield "indexes", library / INDEX_FOLDER, "made from the catalog, and made again if removed"
    yield "previews", library / PREVIEW_FOLDER, "small pictures for the page; made again if removed"
    yield "slices", library / SLICES, "what holders of tokens with a filter read; made again if removed"
    yield "training", library / FOLDER, "models that you trained"
    yield "locks", library / "*.lock", f"{LOCK_NAME} and {ADDING_NAME}; empty"
    yield "tokens", library / TOKENS, "who else may ask a server, as hashes"
    yield "audit", library / AUDIT, "who asked a server for what; kept until you delete it"
    yield "data", data_folder(), "the default library, and models unless the setting `models` says otherwise"
    yield "models", config.models_folder(), "what mmsearch prepare and mmsearch connect got and made"
    yield "settings", config.user_file().parent, f"yours, {config.FILE_NAME}, and the folders that you named"
    yield (
        "cache",
        cache_folder(),
        "checksums and neutral vectors of models, and how fast they were; made again if removed",
    )
    yield "temporary", Path(tempfile.gettempdir()) / f"{TEMPORARY}*", "queries in memory, the demo's library: removed"
    if address.SUPPORTED:
        yield "warm", Path(address.folder()), "sockets of processes that answer a shell's queries: mmsearch warm status"
    yield "services", service_files(), "what mmsearch service installed"
    yield "hub", hub_cache(), "Hugging Face's own cache, other programs' too: models are looked for there"


def _sized(name: str, path: Path, detail: str) -> Location:
    found = list(path.parent.glob(path.name)) if "*" in path.name else [path] if path.exists() else []
    return Location(name, path, detail, sum(map(_size, found)) if found else None)


def _size(path: Path) -> int:
    """In bytes, of a file or of all that lies below a folder; what goes meanwhile counts nothing."""
    if not path.is_dir():
        return _bytes(path)
    return sum(_bytes(Path(folder) / name) for folder, _, names in os.walk(path) for name in names)


def _bytes(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0

"""Names that a shell completes, found in milliseconds: nothing heavy is imported, and nothing that fails is told.

A library's tags are read by SQLite itself, since the catalog's own code takes longer to load than anybody waits for a
name.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

MOST = 200
"""Names that are offered, at most."""

_MILLISECONDS = 200
"""How long another's write is waited for."""


def kinds() -> Iterable[str]:
    from mmsearch.core.registry import known_targets

    return known_targets("decoders")


def models() -> Iterable[str]:
    """Those of `mmsearch models`, and the user's own connections."""
    from mmsearch.core.config import models_folder
    from mmsearch.core.registry import known_targets

    prefix = "connected"
    joined = (f"{prefix}:{name}" for name in _folders(models_folder() / prefix))
    return [*known_targets("spaces"), *joined]


def topics() -> Iterable[str]:
    from mmsearch.resources.chapters import chapters

    return chapters()


def failure_classes() -> Iterable[str]:
    from mmsearch.errors import FAILURES

    return ["all", *FAILURES]


def presets() -> Iterable[str]:
    from mmsearch.core.config import INDEXES

    return INDEXES


def tags(library: Path) -> Iterable[str]:
    return _selected(library, "SELECT tag FROM tags GROUP BY tag ORDER BY count(*) DESC, tag LIMIT ?")


def library_models(library: Path) -> Iterable[str]:
    return _selected(
        library, "SELECT name FROM spaces WHERE id NOT IN (SELECT space_id FROM projections) ORDER BY name LIMIT ?"
    )


def trained(library: Path) -> Iterable[str]:
    return _folders(library / "training")


def _folders(folder: Path) -> list[str]:
    try:
        return sorted(one.name for one in os.scandir(folder) if one.is_dir())
    except OSError:
        return []


def _selected(library: Path, statement: str) -> list[str]:
    # Only a completion needs them, and every command loads this module.
    import sqlite3
    from urllib.parse import quote

    place = f"file:{quote(str(library / 'catalog.sqlite'))}?mode=ro"
    try:
        with closing(sqlite3.connect(place, uri=True, timeout=_MILLISECONDS / 1000)) as catalog:
            return [str(row[0]) for row in catalog.execute(statement, (MOST,))]
    except sqlite3.Error:
        return []


VALUES: Mapping[str, str] = {"device": "auto cpu cuda mps", "precision": "auto fp32 fp16 bf16"}
"""Parameter -> what it may be, where that is the same for every command."""

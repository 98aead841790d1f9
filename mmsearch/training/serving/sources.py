"""Which models in use have learned from a file of pairs: figures measured with it say how well they remember."""

from collections.abc import Iterator
from pathlib import Path

from mmsearch.catalog import SpaceRecord
from mmsearch.context.context import LibraryContext
from mmsearch.core.config import LEARNED
from mmsearch.errors import LibraryError
from mmsearch.training.serving import card
from mmsearch.training.serving.folder import model_folders

ADAPTED = "adapter:"


def models_that_learned(source: Path, record: SpaceRecord, context: LibraryContext) -> list[str]:
    """The names of models that searches use now and whose cards name this very file, or one of the same bytes."""
    try:
        digest = card.sha256(source.read_bytes())
    except OSError:
        return []
    return [
        name
        for name, folder in _used(record, context)
        if any(digest == one.get("sha256") for one in _sources(folder) if isinstance(one, dict))
    ]


def _used(record: SpaceRecord, context: LibraryContext) -> Iterator[tuple[str, Path]]:
    if record.name.startswith(ADAPTED):
        path = Path(record.name.removeprefix(ADAPTED).partition("+")[0])
        yield path.name, path
    for folder in model_folders(context.path):
        used = record.name.endswith(f"+{folder.name}") or context.settings.fusion == f"{LEARNED}{folder.name}"
        if used and folder.finished:
            yield folder.name, folder.path


def _sources(folder: Path) -> list[object]:
    """What a card says that its model learned from; nothing where the card is gone or makes no sense."""
    try:
        sources = card.read_card(folder).get("sources")
    except LibraryError:
        return []
    return sources if isinstance(sources, list) else []

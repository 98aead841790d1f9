"""From stored vectors to a new space, beside the one that serves, and the switch: one transaction."""

import shutil
from urllib.parse import quote

from mmsearch.catalog import Catalog, SpaceRecord
from mmsearch.catalog.spaces import active_space, all_spaces, projection_weights
from mmsearch.context.context import LibraryContext
from mmsearch.context.resources import INDEX_FOLDER
from mmsearch.core import sealed
from mmsearch.encoders.open_clip.adapter import CONFIG_NAME as ADAPTER
from mmsearch.encoders.projected import Projector
from mmsearch.encoders.projected import projected_space as projected_space
from mmsearch.encoders.projection import projection_facts
from mmsearch.errors import InvalidInput, LibraryError, SpaceChanged
from mmsearch.training.serving.folder import PROJECTION, ModelFolder, model_folders

ROWS = 2000
"""Vectors of one transaction: what a kill can lose, and how long another writer's read would wait."""


def apply_model(context: LibraryContext, name: str) -> SpaceRecord:
    """Re-project the library with a trained model and search in the new space from then on; no medium is opened.

    Killed at any moment it has changed nothing that searches see; called again it goes on where it was.

    Raises: InvalidInput if there is no such model, SpaceChanged if it was trained in another space, LibraryLocked.
    """
    content = _content(context, name)
    with context.writing():
        base, record = context.base()
        if projection_facts(content).get("fingerprint") != base.fingerprint:
            raise SpaceChanged(
                f"{name!r} was trained on vectors of another space than this library's {base.name!r}",
                hint="search with that one again: mmsearch model switch NAME; or train it again here: "
                "mmsearch train drop, then mmsearch train projection",
            )
        projector = Projector(content)
        space = projected_space(base, f"{base.name}+{name}", projector)
        catalog = context.catalog()
        known = {one.name: one for one in catalog.read(all_spaces)}.get(space.name)
        if known is not None and known.fingerprint != space.fingerprint:
            # Of an earlier model of this name, or of an earlier release's base.
            catalog.drop_space(known)
            known = None
        target = known or catalog.add_projected(record, space.name, space.fingerprint, content)
        catalog.project(target, ROWS, projector)
        context.calibrate(space, target)
        context.indexes(target).publish()
        catalog.activate(target)
    return target


def return_to_base(context: LibraryContext) -> SpaceRecord:
    """Search in the base space again; what was projected is kept. Raises: LibraryEmpty, LibraryLocked."""
    with context.writing():
        base, record = context.base()
        context.calibrate(base, record)
        context.indexes(record).publish()
        context.catalog().activate(record)
    return record


def drop_model(context: LibraryContext, name: str) -> None:
    """Forget a model: its space, going back to the base if it serves, its vectors, indexes and files.

    Raises: InvalidInput if there is no such model, LibraryLocked.
    """
    folder = ModelFolder.of(context.path, name)
    with context.writing():
        made_space = _made(context.catalog(), name)
        if made_space is None and not folder.path.is_dir():
            raise InvalidInput(f"there is no model {name!r}", hint="see what there is: mmsearch train list")
        if made_space is not None:
            if context.catalog().read(active_space) == made_space:
                base, record = context.base()
                context.calibrate(base, record)
                context.indexes(record).publish()
            context.catalog().drop_space(made_space)
            shutil.rmtree(context.store.cache / INDEX_FOLDER / quote(made_space.name, safe=""), ignore_errors=True)
        with folder.writing():
            pass  # raises if it is being trained
        shutil.rmtree(folder.path, ignore_errors=True)


def _made(catalog: Catalog, name: str) -> SpaceRecord | None:
    """The space that a model of this name made, of whichever base."""
    spaces = catalog.read(all_spaces)
    bases = {one.id: one.name for one in spaces if one.base is None}
    return next((one for one in spaces if one.base and one.name == f"{bases[one.base]}+{name}"), None)


def _content(context: LibraryContext, name: str) -> bytes:
    """The projection of a model: its file, or where that is gone, what the catalog keeps of it."""
    folder = ModelFolder.of(context.path, name).path
    if (folder / ADAPTER).is_file():
        raise InvalidInput(
            f"{name!r} is an adapter: it sees pictures differently, so stored vectors can't be turned into its own",
            hint=f"mmsearch ingest FOLDER --library NEW --space adapter:{folder}",
        )
    path = folder / PROJECTION
    if path.is_file():
        try:
            return sealed.read_bytes(path)
        except OSError as error:
            raise LibraryError(f"{path} can't be read: {error}", hint="check permissions") from error
    catalog = context.catalog()
    kept = _made(catalog, name)
    if kept is not None:
        return catalog.read(projection_weights, kept)
    names = ", ".join(folder.name for folder in model_folders(context.path) if folder.finished) or "none yet"
    raise InvalidInput(f"there is no finished model {name!r}", hint=f"there are: {names}; mmsearch train projection")

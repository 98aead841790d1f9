"""What an exported library takes along besides the space that serves: other models' vectors, and models that were
trained in it.

    spaces/1         contents.jsonl, vectors.npy and refusals.jsonl of another model
    trained/NAME     a trained model's files
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mmsearch.catalog import NewContent, NewUnsupported, SpaceRecord, layouts
from mmsearch.catalog import export as catalog_portable
from mmsearch.context.context import LibraryContext
from mmsearch.core import registry
from mmsearch.core.atomic import appearing
from mmsearch.errors import InvalidInput, LibraryError
from mmsearch.maintenance import import_check, import_records
from mmsearch.maintenance.export_files import CONTENTS, REFUSALS, about, batches, line, rows, vectors, write_contents
from mmsearch.maintenance.import_records import ImportedModel, ImportedSpace
from mmsearch.maintenance.import_values import read_lines
from mmsearch.types import Space

SPACES, TRAINED = "spaces", "trained"


def write_spaces(context: LibraryContext, base: SpaceRecord, folder: Path) -> list[dict[str, Any]]:
    """Write the vectors of all other models; what a manifest says of them."""
    told: list[dict[str, Any]] = []
    for space in context.catalog().spaces():
        if space.base is None and space.id != base.id:
            place = f"{SPACES}/{len(told) + 1}"
            made = folder / place
            made.mkdir(parents=True)
            contents, segments, _ = write_contents(context.catalog(), space, made, known=True)
            _write_refusals(context, space, made)
            told.append(
                {"folder": place, "space": about(space), "counts": {"contents": contents, "segments": segments}}
            )
    return told


def _write_refusals(context: LibraryContext, space: SpaceRecord, folder: Path) -> None:
    after = 0
    with (folder / REFUSALS).open("wb") as file:
        while True:
            with context.catalog().reading() as snapshot:
                page = catalog_portable.unsupported(snapshot, space, after)
            for content_id, sha256, failure, reason in page:
                file.write(line({"sha256": sha256, "failure": failure, "reason": reason}))
                after = content_id
            if not page:
                return


def wanted(context: LibraryContext, told: Sequence[ImportedSpace], names: Sequence[str]) -> list[tuple[str, Space]]:
    """The targets and spaces of models that are asked for by name: which code may run is said by who imports, not by
    the folder. Raises: InvalidInput if the folder has no vectors of one, UnknownName, WeightsError."""
    found = []
    for name in names:
        target = registry.target_of("spaces", name)
        context.trust.name(name)
        space = context.load(target)
        if space.fingerprint not in [one.fingerprint for one in told]:
            there = ", ".join(one.name for one in told) or "none"
            raise InvalidInput(
                f"the folder has no vectors of the model {name!r} as it is on this machine",
                hint=f"other models that it has vectors of: {there}",
            )
        found.append((target, space))
    return found


def take_spaces(
    context: LibraryContext, folder: Path, told: Sequence[ImportedSpace], added: Sequence[tuple[str, Space]]
) -> list[str]:
    """Give contents that are here the vectors that other models made of them there: of models that this library has,
    and of those that are added. What has some already keeps them.

    Returns the names of those models. Raises: LibraryLocked.
    """
    catalog, taken = context.catalog(), []
    with context.adding():
        known = {one.fingerprint: one for one in catalog.spaces() if one.base is None}
        for target, space in added:
            if space.fingerprint not in known:
                known[space.fingerprint] = catalog.add_space(
                    space.name, target, space.dim, space.fingerprint, layouts.layout_of(space), context.settings.storage
                )
        for one in told:
            if (record := known.get(one.fingerprint)) is not None:
                _take_space(context, folder / one.folder, record, one.segments)
                taken.append(record.name)
    return taken


def _take_space(context: LibraryContext, folder: Path, space: SpaceRecord, segments: int) -> None:
    stored, row, catalog = rows(folder, segments, space.dim), 0, context.catalog()
    decoded = import_check.decoded()
    told = read_lines(folder / CONTENTS, lambda line: import_records.content_record(line, decoded, decoded, known=True))
    for some in batches(told, catalog_portable.PAGE):
        found = []
        for one in some:
            place = slice(row, row := row + len(one.spans))
            _, kept = vectors(stored[place], space)
            found.append(NewContent(one.sha256, one.modality, {}, one.modalities, one.spans, kept))
        catalog.complete(space, found, [])
    for refused in batches(read_lines(folder / REFUSALS, import_records.unsupported_record), catalog_portable.PAGE):
        catalog.complete(space, [], [NewUnsupported(one.sha256, one.failure, one.reason) for one in refused])


def write_trained(context: LibraryContext, folder: Path) -> list[dict[str, str]]:
    """Write the finished models; what a manifest says of them."""
    from mmsearch.training.serving import card
    from mmsearch.training.serving.folder import PLAN, model_folders

    told = []
    for model in model_folders(context.path):
        if model.finished:
            facts = card.read_card(model.path)
            made = folder / TRAINED / model.name
            made.mkdir(parents=True)
            try:
                for name in (PLAN, card.JSON_NAME, card.README_NAME, *map(str, facts["files"])):
                    (made / name).write_bytes(_own(model.path, name).read_bytes())
                told.append({name: str(facts[name]) for name in ("name", "kind", "base", "fingerprint")})
            except (KeyError, TypeError, OSError) as error:
                raise LibraryError(
                    f"the trained model {model.name!r} can't be exported: {error!r}",
                    hint=f"mmsearch train drop {model.name}, or train it again",
                ) from error
    return told


def _own(folder: Path, name: str) -> Path:
    """A file right in a model's folder: its card may not name others. Raises: LibraryError."""
    if PurePosixPath(name).name != name or "\\" in name or (folder / name).is_symlink():
        raise LibraryError(
            f"the model in {folder} names a file that is no part of it: {name!r}",
            hint=f"mmsearch train drop {folder.name}",
        )
    return folder / name


def take_trained(
    context: LibraryContext, folder: Path, told: Sequence[ImportedModel], files: Sequence[str]
) -> dict[str, str]:
    """Keep the models of spaces that are here, under names that are free here; `files` are all of the folder's.

    Returns name -> why it was left out, "" for those that were taken.
    """
    if not told:
        return {}
    from mmsearch.training.serving.folder import ModelFolder

    prints = {one.fingerprint for one in context.catalog().spaces() if one.base is None}
    said = {}
    for one in told:
        model = ModelFolder.of(context.path, one.name)
        own = {PurePosixPath(name).name: folder / name for name in files if _of(name, model.name)}
        if one.fingerprint not in prints:
            said[model.name] = f"it belongs to the space {one.base!r}, which this library doesn't have"
        elif model.path.exists():
            said[model.name] = "" if _same(own, model.path) else "another one is called so here"
        else:
            model.path.parent.mkdir(parents=True, exist_ok=True)
            with appearing(model.path) as made:
                for name, file in own.items():
                    (made / name).write_bytes(file.read_bytes())
            said[model.name] = ""
    return said


def _of(name: str, model: str) -> bool:
    return PurePosixPath(name).parts[:-1] == (TRAINED, model)


def _same(there: Mapping[str, Path], here: Path) -> bool:
    return all(
        (here / name).is_file() and (here / name).read_bytes() == one.read_bytes() for name, one in there.items()
    )


def serving(context: LibraryContext, told: Sequence[Mapping[str, str]]) -> str | None:
    """Which of the models that were written makes the space that searches use."""
    _, base = context.base()
    active = context.embedding()[1]
    return next((one["name"] for one in told if active.name == f"{base.name}+{one['name']}"), None)

"""What an exported library takes along besides the space that serves: other models' vectors, and models that were
trained in it.

    spaces/1         contents.jsonl, vectors.npy and refusals.jsonl of another model
    trained/NAME     a trained model's files
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mmsearch.catalog import NewContent, NewUnsupported, SpaceRecord, layouts
from mmsearch.catalog.spaces import all_spaces
from mmsearch.catalog.stored_contents import PAGE
from mmsearch.catalog.unsupported import unsupported_contents
from mmsearch.context.context import LibraryContext
from mmsearch.core import registry, sealed
from mmsearch.core.atomic import appearing
from mmsearch.core.owner_only import make_parents
from mmsearch.errors import InvalidInput, LibraryError
from mmsearch.maintenance import import_check, import_records
from mmsearch.maintenance.export_files import (
    CONTENTS,
    UNSUPPORTED,
    batched,
    describe_space,
    json_line,
    open_rows,
    unit_rows,
    write_contents,
)
from mmsearch.maintenance.import_records import ImportedModel, ImportedSpace
from mmsearch.maintenance.import_values import read_lines
from mmsearch.types import Space

SPACES, TRAINED = "spaces", "trained"


def write_spaces(context: LibraryContext, base: SpaceRecord, folder: Path) -> list[dict[str, Any]]:
    """Write the vectors of all other models; what a manifest says of them."""
    entries: list[dict[str, Any]] = []
    for space in context.catalog().read(all_spaces):
        if space.base is None and space.id != base.id:
            place = f"{SPACES}/{len(entries) + 1}"
            made = folder / place
            made.mkdir(parents=True)
            contents, segments, _ = write_contents(context.catalog(), space, made, known=True)
            _write_unsupported(context, space, made)
            entries.append(
                {
                    "folder": place,
                    "space": describe_space(space),
                    "counts": {"contents": contents, "segments": segments},
                }
            )
    return entries


def _write_unsupported(context: LibraryContext, space: SpaceRecord, folder: Path) -> None:
    after = 0
    with (folder / UNSUPPORTED).open("wb") as file:
        while True:
            page = context.catalog().read(unsupported_contents, space, after)
            for content_id, sha256, failure, reason in page:
                file.write(json_line({"sha256": sha256, "failure": failure, "reason": reason}))
                after = content_id
            if not page:
                return


def wanted(context: LibraryContext, entries: Sequence[ImportedSpace], names: Sequence[str]) -> list[tuple[str, Space]]:
    """The targets and spaces of models that are asked for by name: which code may run is said by who imports, not by
    the folder. Raises: InvalidInput if the folder has no vectors of one, UnknownName, WeightsError."""
    found = []
    for name in names:
        target = registry.target_of("spaces", name)
        context.trust.name(name)
        space = context.load(target)
        if space.fingerprint not in [one.fingerprint for one in entries]:
            there = ", ".join(one.name for one in entries) or "none"
            raise InvalidInput(
                f"the folder has no vectors of the model {name!r} as it is on this machine",
                hint=f"other models that it has vectors of: {there}",
            )
        found.append((target, space))
    return found


def take_spaces(
    context: LibraryContext, folder: Path, entries: Sequence[ImportedSpace], added: Sequence[tuple[str, Space]]
) -> list[str]:
    """Give contents that are here the vectors that other models made of them there: of models that this library has,
    and of those that are added. What has some already keeps them.

    Returns the names of those models. Raises: LibraryLocked.
    """
    catalog, taken = context.catalog(), []
    with context.adding():
        known = {one.fingerprint: one for one in catalog.read(all_spaces) if one.base is None}
        for target, space in added:
            if space.fingerprint not in known:
                known[space.fingerprint] = catalog.add_space(
                    space.name, target, space.dim, space.fingerprint, layouts.layout_of(space), context.settings.storage
                )
        for one in entries:
            if (record := known.get(one.fingerprint)) is not None:
                _take_space(context, folder / one.folder, record, one.segments)
                taken.append(record.name)
    return taken


def _take_space(context: LibraryContext, folder: Path, space: SpaceRecord, segments: int) -> None:
    stored, row, catalog = open_rows(folder, segments, space.dim), 0, context.catalog()
    decoded = import_check.decoded()
    entries = read_lines(
        folder / CONTENTS, lambda line: import_records.content_record(line, decoded, decoded, known=True)
    )
    for some in batched(entries, PAGE):
        found = []
        for one in some:
            place = slice(row, row := row + len(one.spans))
            _, kept = unit_rows(stored[place], space)
            found.append(NewContent(one.sha256, one.modality, {}, one.modalities, one.spans, kept))
        catalog.backfill(space, found, [])
    for refused in batched(read_lines(folder / UNSUPPORTED, import_records.unsupported_record), PAGE):
        catalog.backfill(space, [], [NewUnsupported(one.sha256, one.failure, one.reason) for one in refused])


def write_trained(context: LibraryContext, folder: Path) -> list[dict[str, str]]:
    """Write the finished models; what a manifest says of them."""
    from mmsearch.training.serving import card
    from mmsearch.training.serving.folder import PLAN, model_folders

    entries = []
    for model in model_folders(context.path):
        if model.finished:
            facts = card.read_card(model.path)
            made = folder / TRAINED / model.name
            made.mkdir(parents=True)
            try:
                for name in (PLAN, card.JSON_NAME, card.README_NAME, *map(str, facts["files"])):
                    (made / name).write_bytes(sealed.read_bytes(_own(model.path, name)))
                entries.append({name: str(facts[name]) for name in ("name", "kind", "base", "fingerprint")})
            except (KeyError, TypeError, OSError) as error:
                raise LibraryError(
                    f"the trained model {model.name!r} can't be exported: {error!r}",
                    hint=f"mmsearch train drop {model.name}, or train it again",
                ) from error
    return entries


def _own(folder: Path, name: str) -> Path:
    """A file right in a model's folder: its card may not name others. Raises: LibraryError."""
    if PurePosixPath(name).name != name or "\\" in name or (folder / name).is_symlink():
        raise LibraryError(
            f"the model in {folder} names a file that is not a part of it: {name!r}",
            hint=f"mmsearch train drop {folder.name}",
        )
    return folder / name


def take_trained(
    context: LibraryContext, folder: Path, entries: Sequence[ImportedModel], files: Sequence[str]
) -> dict[str, str]:
    """Keep the models of spaces that are here, under names that are free here; `files` are all of the folder's.

    Returns name -> why it was left out, "" for those that were taken.
    """
    if not entries:
        return {}
    from mmsearch.training.serving.folder import ModelFolder

    prints = {one.fingerprint for one in context.catalog().read(all_spaces) if one.base is None}
    answers = {}
    for one in entries:
        model = ModelFolder.of(context.path, one.name)
        own = {PurePosixPath(name).name: folder / name for name in files if _of(name, model.name)}
        if one.fingerprint not in prints:
            answers[model.name] = f"it belongs to the space {one.base!r}, which this library doesn't have"
        elif model.path.exists():
            answers[model.name] = "" if _same(own, model.path) else "another one is called so here"
        else:
            make_parents(model.path.parent)
            with appearing(model.path) as made:
                for name, file in own.items():
                    (made / name).write_bytes(sealed.as_stored(model.path / name, file.read_bytes()))
            answers[model.name] = ""
    return answers


def _of(name: str, model: str) -> bool:
    return PurePosixPath(name).parts[:-1] == (TRAINED, model)


def _same(there: Mapping[str, Path], here: Path) -> bool:
    return all(
        (here / name).is_file() and sealed.read_bytes(here / name) == one.read_bytes() for name, one in there.items()
    )


def serving(context: LibraryContext, entries: Sequence[Mapping[str, str]]) -> str | None:
    """Which of the models that were written makes the space that searches use."""
    _, base = context.base()
    active = context.embedding()[1]
    return next((one["name"] for one in entries if active.name == f"{base.name}+{one['name']}"), None)

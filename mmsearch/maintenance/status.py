"""What a library holds, in numbers."""

from dataclasses import dataclass
from pathlib import Path

from mmsearch.catalog import FILE_NAME, Catalog, Counts, RunRecord
from mmsearch.catalog.commits import current_commit
from mmsearch.catalog.contents import counts_by_modality
from mmsearch.catalog.embeddings import count_missing_embeddings, vector_counts
from mmsearch.catalog.failures import failure_counts
from mmsearch.catalog.file_groups import count_groups
from mmsearch.catalog.runs import latest_run
from mmsearch.catalog.spaces import active_space, all_spaces
from mmsearch.catalog.unsupported import unsupported_counts
from mmsearch.context.context import LibraryContext
from mmsearch.context.resources import INDEX_FOLDER
from mmsearch.errors import NotEmbedded


@dataclass(frozen=True, slots=True)
class LibraryModel:
    """A model that a library has vectors of, or a projection of one."""

    name: str
    base: str | None
    """Of what it is a projection."""
    active: bool
    """Whether searches use it."""
    dim: int
    fingerprint: str
    vectors: int
    lacking: int
    """Contents without vectors, which `mmsearch model add` gives them; a projection gets its own when it is applied."""
    refused: int
    """Items that it has no vectors for, since it embeds no such kind, or can't take them."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a library holds."""

    path: Path
    space: str
    dim: int
    fingerprint: str
    generation: int
    counts: tuple[Counts, ...]
    bundles: int
    """Stems that several files share."""
    failures: dict[str, int]
    not_embedded: int
    """Files of a modality that the space has no encoder for."""
    catalog_bytes: int
    index_bytes: int
    last_run: RunRecord | None
    models: tuple[LibraryModel, ...]


def library_status(context: LibraryContext) -> Status:
    """Read it from the catalog and the folder. Raises: LibraryNotFound."""
    catalog = context.catalog()
    with catalog.reading() as snapshot:
        record = active_space(snapshot)
        name = record.name if record else context.settings.space
        counts = tuple(counts_by_modality(snapshot, name))
        failures = failure_counts(snapshot)
        not_embedded = failures.pop(NotEmbedded.failure, 0)
        bundles = count_groups(snapshot)
        generation = current_commit(snapshot).generation
        last_run = latest_run(snapshot)
    return Status(
        context.path, name, record.dim if record else 0, record.fingerprint if record else "", generation, counts,
        bundles, failures, not_embedded,
        _size(context.path, f"{FILE_NAME}*"), _size(context.path, f"{INDEX_FOLDER}/*/*"), last_run,
        library_models(catalog),
    )  # fmt: skip


def library_models(catalog: Catalog) -> tuple[LibraryModel, ...]:
    """All that a library has, in the order in which they came."""
    found = []
    with catalog.reading() as snapshot:
        spaces, active = all_spaces(snapshot), active_space(snapshot)
        names = {one.id: one.name for one in spaces}
        # A library's only model lacks nothing: what is ingested gets its vectors at once.
        several = sum(one.base is None for one in spaces) > 1
        vectors = vector_counts(snapshot)
        for one in spaces:
            base = one.base is None
            found.append(
                LibraryModel(
                    one.name, None if one.base is None else names[one.base], one == active, one.dim, one.fingerprint,
                    vectors.get(one.id, 0), count_missing_embeddings(snapshot, one) if several and base else 0,
                    sum(unsupported_counts(snapshot, one).values()) if base else 0,
                )
            )  # fmt: skip
    return tuple(found)


def _size(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern) if path.is_file())

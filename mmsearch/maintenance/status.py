"""What a library holds, in numbers."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from mmsearch.catalog import Catalog, originals
from mmsearch.catalog.commits import current_commit
from mmsearch.catalog.contents import counts_by_modality
from mmsearch.catalog.embeddings import count_missing_embeddings, vector_counts
from mmsearch.catalog.failures import failure_counts
from mmsearch.catalog.file_groups import count_groups
from mmsearch.catalog.jobs import queue_state
from mmsearch.catalog.runs import latest_run
from mmsearch.catalog.spaces import active_space, all_spaces, base_space
from mmsearch.catalog.unsupported import unsupported_counts
from mmsearch.context.context import LibraryContext
from mmsearch.context.resources import INDEX_FOLDER
from mmsearch.core import registry
from mmsearch.errors import NotEmbedded
from mmsearch.types import Metadata, Modality


@dataclass(frozen=True, slots=True)
class ModelStatus:
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
class ModalityCounts:
    """What a library holds of one modality."""

    modality: Modality
    items: int
    missing: int
    """Items whose file was not there at the last ingest."""
    segments: int
    vectors: int


@dataclass(frozen=True, slots=True)
class IngestRun:
    """One ingest as the library recorded it; times are ISO 8601, UTC."""

    id: int
    started_at: str
    finished_at: str | None
    state: str
    """"running", "done", "interrupted" or "failed"."""
    pid: int
    report: Metadata = field(hash=False)
    """`IngestReport.as_dict()`."""


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """Files that an ingest has found and workers take in."""

    waiting: int
    """Files that no worker has claimed, or whose worker died."""
    claimed: int
    """Files that workers are taking in."""
    workers: int
    """Workers that have claimed files."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a library holds."""

    path: Path
    space: str
    dim: int
    fingerprint: str
    generation: int
    counts: tuple[ModalityCounts, ...]
    bundles: int
    """Stems that several files share."""
    failures: dict[str, int] = field(hash=False)
    """Failure class -> files."""
    not_embedded: int
    """Files of a modality that the space has no encoder for."""
    catalog_bytes: int
    index_bytes: int
    original_bytes: int
    """What is kept of media that were handed over in memory."""
    last_run: IngestRun | None
    models: tuple[ModelStatus, ...]
    newer: str | None
    """The command that leads to a newer version of the model in use; None if there is none."""
    queue: QueueStatus | None = None
    """What waits for workers; None where there is no queue, because the library is a folder."""


def library_status(context: LibraryContext) -> Status:
    """Read it from the catalog and the folder. Raises: LibraryNotFound."""
    catalog = context.catalog()
    with catalog.reading() as snapshot:
        record = active_space(snapshot)
        name = record.name if record else context.settings.space
        counts = tuple(ModalityCounts(**asdict(one)) for one in counts_by_modality(snapshot, name))
        failures = failure_counts(snapshot)
        not_embedded = failures.pop(NotEmbedded.failure, 0)
        bundles = count_groups(snapshot)
        generation = current_commit(snapshot).generation
        run = latest_run(snapshot)
        last_run = None if run is None else IngestRun(**asdict(run))
        queue = QueueStatus(*queue_state(snapshot)) if context.store.has_queue else None
    return Status(
        context.path, name, record.dim if record else 0, record.fingerprint if record else "", generation, counts,
        bundles, failures, not_embedded,
        context.store.size(), _size(context.store.cache, f"{INDEX_FOLDER}/*/*"),
        _size(context.path, f"{originals.FOLDER_NAME}/*/*"), last_run, library_models(catalog),
        newer_version(catalog), queue,
    )  # fmt: skip


def library_models(catalog: Catalog) -> tuple[ModelStatus, ...]:
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
                ModelStatus(
                    one.name, None if one.base is None else names[one.base], one == active, one.dim, one.fingerprint,
                    vectors.get(one.id, 0), count_missing_embeddings(snapshot, one) if several and base else 0,
                    sum(unsupported_counts(snapshot, one).values()) if base else 0,
                )
            )  # fmt: skip
    return tuple(found)


def newer_version(catalog: Catalog) -> str | None:
    """The command that a library's next step towards a newer version of its model takes; None if it needs none."""
    with catalog.reading() as snapshot:
        base = base_space(snapshot)
        name = None if base is None else registry.FORMER.get(base.target)
        if name is None:
            return None
        target = registry.target_of("spaces", name)
        added = next((one for one in all_spaces(snapshot) if one.target == target), None)
        complete = added is not None and not count_missing_embeddings(snapshot, added)
    return f"mmsearch model {'switch' if complete else 'add'} {name}"


def _size(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern) if path.is_file())

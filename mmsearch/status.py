"""What a library holds, in numbers."""

from dataclasses import dataclass
from pathlib import Path

from mmsearch.catalog import Counts, RunRecord, bundle
from mmsearch.catalog import read as catalog_read
from mmsearch.errors import NotEmbedded
from mmsearch.parts import INDEX_FOLDER, Parts


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


def status(parts: Parts) -> Status:
    """Read it from the catalog and the folder. Raises: LibraryNotFound."""
    catalog = parts.catalog()
    record = catalog.space()
    with catalog.reading() as snapshot:
        name = record.name if record else parts.settings.space
        counts = tuple(catalog_read.counts(snapshot, name))
        failures = catalog_read.failure_counts(snapshot)
        not_embedded = failures.pop(NotEmbedded.failure, 0)
        bundles = bundle.count(snapshot)
        generation, _ = catalog_read.generation(snapshot)
        last_run = catalog_read.last_run(snapshot)
    return Status(
        parts.path, name, record.dim if record else 0, record.fingerprint if record else "", generation, counts,
        bundles, failures, not_embedded,
        _size(parts.path, "catalog.sqlite*"), _size(parts.path, f"{INDEX_FOLDER}/*/*"), last_run,
    )  # fmt: skip


def _size(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern) if path.is_file())

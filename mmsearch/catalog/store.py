"""The catalog of one library: the truth, in one SQLite file."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, delete, insert, select, update

from mmsearch.catalog import schema
from mmsearch.catalog.backgrounds import store_backgrounds
from mmsearch.catalog.batches import apply_backfill, apply_batch
from mmsearch.catalog.commits import current_commit, generations, next_generation
from mmsearch.catalog.contents import collect_orphans, content_ids, orphaned_contents
from mmsearch.catalog.database import Readers, checkpoint, connect, release, writing
from mmsearch.catalog.embeddings import add_derived_vectors, segments_without_vectors
from mmsearch.catalog.items import forget_items, hashes_at, items_under, missing_items
from mmsearch.catalog.lists import copy_lists
from mmsearch.catalog.paths import at_or_below
from mmsearch.catalog.records import Batch, ListKey, NewContent, NewTag, NewUnsupported, SpaceRecord
from mmsearch.catalog.spaces import (
    activate_space,
    active_space,
    add_projection,
    add_space,
    all_spaces,
    base_space,
    drop_spaces,
    mark_backfilled,
    projection_weights,
)
from mmsearch.catalog.tables import FailureRow, LibraryRow, Run, Tombstone
from mmsearch.catalog.tags import replace_model_tags
from mmsearch.catalog.unsupported import forget_unsupported
from mmsearch.catalog.values import utc_now
from mmsearch.errors import CatalogDamaged, LibraryNotFound, NotEmbedded
from mmsearch.types import Metadata, Modality, Vectors

FILE_NAME = "catalog.sqlite"

FORGOTTEN = 2000
"""Items or contents forgotten in one transaction: the log stays small whatever is pruned."""

HINT_DROP = "go back to the base space: mmsearch train apply --base"


class Catalog:
    """Reads and writes of one library's SQLite file.

    Thread safety: any number of threads and processes may read; callers see to it that one process writes.
    """

    def __init__(self, path: Path, version: str) -> None:
        self.path = path
        self.version = version
        self._engine = connect(path)
        self._readers = Readers(self._engine)
        self._closed = False

    @classmethod
    def open(cls, folder: Path, version: str, *, create: bool = False) -> "Catalog":
        """Open a library's catalog, upgrading its schema if need be. Raises: LibraryNotFound, SchemaTooNew."""
        path = folder / FILE_NAME
        if not path.exists() and not create:
            raise LibraryNotFound(f"there is no library at {folder}", hint="make one: mmsearch ingest FOLDER")
        catalog = cls(path, version)
        try:
            schema.prepare(catalog._engine)
            catalog._ensure_library()
        except BaseException:
            catalog.close()
            raise
        return catalog

    def close(self) -> None:
        self._closed = True
        self._readers.close()
        self._engine.dispose()

    def _ensure_library(self) -> None:
        with self.reading() as connection:
            if connection.execute(select(LibraryRow.id)).first():
                return
        with writing(self._engine) as connection:
            row = {"id": 1, "uuid": uuid4().hex, "generation": 0, "floor": 0, "created_at": utc_now()}
            connection.execute(insert(LibraryRow).prefix_with("OR IGNORE"), {**row, "version": self.version})

    def reading(self) -> AbstractContextManager[Connection]:
        """A snapshot for the functions of `catalog.read`."""
        return self._readers.snapshot()

    def generation(self) -> tuple[int, int]:
        """(generation, floor): an index older than the floor can't be replayed, only rebuilt."""
        with self.reading() as connection:
            return generations(connection)

    def moment(self) -> tuple[int, int, int]:
        """(generation, floor, mark) of the last commit: as long as it is the same, nothing has changed."""
        with self.reading() as connection:
            return current_commit(connection)

    def still(self) -> AbstractContextManager[Connection]:
        """Nobody commits meanwhile. Raises: LibraryReadOnly, LibraryLocked."""
        return writing(self._engine)

    def uuid(self) -> str:
        with self.reading() as connection:
            return str(connection.execute(select(LibraryRow.uuid)).scalar_one())

    def knows(self, path: bytes) -> bool:
        """Whether any item lies at or below a path."""
        with self.reading() as connection:
            return bool(items_under(connection, path, None, 1))

    # Spaces

    def space(self) -> SpaceRecord | None:
        """The space that searches use; None before the first ingest."""
        with self.reading() as connection:
            return active_space(connection)

    def add_space(
        self, name: str, target: str, dim: int, fingerprint: str, layout: str = "", storage: str = "float32"
    ) -> SpaceRecord:
        """Record a space that encoders make; the library's first one is active from now on."""
        with writing(self._engine) as connection:
            return add_space(connection, SpaceRecord(0, name, target, dim, fingerprint, layout, storage=storage))

    def base(self) -> SpaceRecord | None:
        """The space whose vectors encoders make for the active one: itself, or what its projection takes."""
        with self.reading() as connection:
            return base_space(connection)

    def spaces(self) -> list[SpaceRecord]:
        """Every space that vectors are kept of, in the order in which they came."""
        with self.reading() as connection:
            return all_spaces(connection)

    def add_projected(self, base: SpaceRecord, name: str, fingerprint: str, weights: bytes) -> SpaceRecord:
        """Record a space that a projection makes of the base's vectors; it is empty, and not active."""
        with writing(self._engine) as connection:
            made = add_space(connection, replace(base, name=name, fingerprint=fingerprint, base=base.id))
            add_projection(connection, made.id, base.id, weights)
        return made

    def projection(self, space: SpaceRecord) -> bytes:
        """The projection of a projected space, a safetensors file. Raises: CatalogDamaged if it isn't there."""
        with self.reading() as connection:
            weights = projection_weights(connection, space.id)
        if weights is None:
            raise CatalogDamaged(f"the projection of the space {space.name!r} is gone", hint=HINT_DROP)
        return weights

    def project(self, space: SpaceRecord, limit: int, project: Callable[[Vectors, Modality], Vectors]) -> None:
        """Give every segment the vector that a projected space lacks, `limit` of them in a transaction."""
        after = 0
        while True:
            with writing(self._engine) as connection:
                found = list(segments_without_vectors(connection, space, after, limit))
                for rows in found:
                    add_derived_vectors(connection, space, rows.ids, project(rows.vectors, rows.modality))
                if not found:
                    copy_lists(connection, space)
                    return
                mark_backfilled(connection, [space.id])
            after = max(int(rows.ids.max()) for rows in found)

    def complete(self, space: SpaceRecord, contents: Sequence[NewContent], refusals: Sequence[NewUnsupported]) -> int:
        """Give contents that are there their vectors in a space; see `catalog.fill`. Needs no writer's lock."""
        with writing(self._engine) as connection:
            return apply_backfill(connection, space, contents, refusals, self.version)

    def forget_refusals(self, space: SpaceRecord) -> None:
        """Let what a space could not take be tried again, but for kinds that it doesn't embed."""
        with writing(self._engine) as connection:
            forget_unsupported(connection, space, NotEmbedded.failure)

    def activate(self, space: SpaceRecord) -> int:
        """Let every search from now on use this space; and files that the last base didn't embed be tried again:
        how many they are."""
        with writing(self._engine) as connection:
            before = base_space(connection)
            next_generation(connection)
            activate_space(connection, space.id)
            if base_space(connection) == before:
                return 0
            return connection.execute(delete(FailureRow).where(FailureRow.failure == NotEmbedded.failure)).rowcount

    def drop_space(self, space: SpaceRecord) -> None:
        """Forget a space with all that projections made of it. Searches go from a projected one back to its base;
        a base that they use must not be dropped."""
        with writing(self._engine) as connection:
            if active_space(connection) == space and space.base is not None:
                next_generation(connection)
                activate_space(connection, space.base)
            projected = [one.id for one in all_spaces(connection) if one.base == space.id]
            drop_spaces(connection, [*projected, space.id])

    # Ingest

    def known(self, hashes: Sequence[str]) -> dict[str, int]:
        """Hash -> id, of the contents that are known."""
        with self.reading() as connection:
            return content_ids(connection, hashes)

    def held(self, paths: Sequence[bytes]) -> dict[bytes, str]:
        """Path -> hash of what it holds, of the paths that are known."""
        with self.reading() as connection:
            return hashes_at(connection, paths)

    def begin_run(self) -> int:
        """Record that an ingest starts; one that never ended was killed, since only one process may write."""
        with writing(self._engine) as connection:
            connection.execute(update(Run).where(Run.state == "running").values(state="killed"))
            row = {"started_at": utc_now(), "state": "running", "pid": os.getpid(), "version": self.version}
            return int(connection.execute(insert(Run).values(**row, report={}).returning(Run.id)).scalar_one())

    def finish_run(self, run_id: int, state: str, report: Metadata) -> None:
        with writing(self._engine) as connection:
            values = {"state": state, "report": report, "finished_at": utc_now()}
            connection.execute(update(Run).where(Run.id == run_id).values(values))
        checkpoint(self._engine)
        if self._closed:
            # In the middle of the run, whose last connection this was.
            self._engine.dispose()

    def commit(self, batch: Batch, space_id: int) -> int:
        """Apply a batch in one transaction; returns the generation that holds it."""
        with writing(self._engine) as connection:
            return apply_batch(connection, batch, space_id, self.version)

    def keep_backgrounds(self, space_id: int, measured: Mapping[tuple[Modality, ListKey], Mapping[str, Any]]) -> None:
        """Put the measured backgrounds in the place of all earlier ones of the space."""
        with writing(self._engine) as connection:
            # A new generation, so that processes that read the old backgrounds notice.
            store_backgrounds(connection, space_id, next_generation(connection), measured)

    def tag(self, names: Sequence[str], given: Sequence[NewTag]) -> int:
        """Write a model's tags in one transaction (see `catalog.tags.replace`). Returns how many there are of it."""
        with writing(self._engine) as connection:
            return replace_model_tags(connection, names, given)

    # Forgetting

    def remove(self, path: bytes) -> tuple[int, int]:
        """Forget every item and failure at or below a path, and what they held that no other path holds.

        Returns (items, failures). One transaction for every few thousand; nothing outside the library is touched.
        """
        with writing(self._engine) as connection:
            there = delete(FailureRow).where(at_or_below(FailureRow.path, path))
            failures = connection.execute(there).rowcount
        removed = 0
        while True:
            with writing(self._engine) as connection:
                items = items_under(connection, path, None, FORGOTTEN)
                forget_items(connection, items)
            removed += len(items)
            if len(items) < FORGOTTEN:
                return removed, failures

    def prune(self) -> tuple[int, int]:
        """Forget missing items and contents that no path holds, a few thousand at a time. Returns (items, contents)."""
        items = contents = last = 0
        while True:
            with writing(self._engine) as connection:
                missing = missing_items(connection, last, FORGOTTEN)
                contents += forget_items(connection, missing)
            items += len(missing)
            if len(missing) < FORGOTTEN:
                break
            last = missing[-1].id
        last = 0
        while True:
            with writing(self._engine) as connection:
                orphans = orphaned_contents(connection, last, FORGOTTEN)
                contents += collect_orphans(connection, orphans)
            if len(orphans) < FORGOTTEN:
                return items, contents
            last = orphans[-1]

    def release(self) -> int:
        """Give what is not needed any more back to the file system, while others search. Returns bytes."""
        return release(self._engine)

    def forget_failures(self, paths: Sequence[bytes]) -> int:
        """Drop rows of the failure ledger; returns how many there were."""
        with writing(self._engine) as connection:
            statements = [delete(FailureRow).where(FailureRow.path == path) for path in paths]
            return sum(connection.execute(statement).rowcount for statement in statements)

    def raise_floor(self, generation: int) -> None:
        """Drop removals that every published index has seen."""
        with writing(self._engine) as connection:
            connection.execute(delete(Tombstone).where(Tombstone.generation <= generation))
            connection.execute(update(LibraryRow).where(LibraryRow.floor < generation).values(floor=generation))

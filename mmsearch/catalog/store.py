"""The catalog of one library: the truth, in one file of SQLite or one schema of PostgreSQL."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from mmsearch.catalog import schema
from mmsearch.catalog.backgrounds import store_backgrounds
from mmsearch.catalog.batches import apply_backfill, apply_batch, apply_batch_beside_others
from mmsearch.catalog.commits import (
    add_library,
    has_library,
    library_uuid,
    next_generation,
    raise_oldest_replayable_generation,
)
from mmsearch.catalog.connections import FILE_NAME as FILE_NAME
from mmsearch.catalog.contents import collect_orphans, existing_contents, orphaned_contents
from mmsearch.catalog.copies import note_copy
from mmsearch.catalog.database import Readers, beside, writing
from mmsearch.catalog.dialect import dialect_of
from mmsearch.catalog.embeddings import add_derived_vectors, segments_without_vectors
from mmsearch.catalog.evidence import add_evidence
from mmsearch.catalog.failures import forget_failures_at, forget_failures_under, forget_not_embedded
from mmsearch.catalog.items import forget_items, items_under
from mmsearch.catalog.jobs import Claim, finish_jobs, is_retried, lock_contents
from mmsearch.catalog.lists import copy_lists
from mmsearch.catalog.meta import set_meta
from mmsearch.catalog.originals import Originals, needed_originals, originals_of
from mmsearch.catalog.records import Batch, KnownItem, ListKey, NewContent, NewTag, NewUnsupported, SpaceRecord
from mmsearch.catalog.roots import keep_excludes, note_scans
from mmsearch.catalog.runs import add_run, end_run
from mmsearch.catalog.saved_searches import forget_search, save_search
from mmsearch.catalog.spaces import (
    activate_space,
    active_space,
    add_projection,
    add_space,
    all_spaces,
    base_space,
    drop_spaces,
    mark_backfilled,
)
from mmsearch.catalog.stores import Store, store_of
from mmsearch.catalog.tags import add_tags, remove_tags, replace_model_tags
from mmsearch.catalog.traces import (
    clear_mark,
    forget_roots,
    forget_warnings,
    mark_traces,
    merge_words,
    traces_left,
)
from mmsearch.catalog.unsupported import forget_unsupported
from mmsearch.errors import LibraryLocked, LibraryNotFound, NotEmbedded
from mmsearch.types import Metadata, MetaValue, Modality, Vectors

P = ParamSpec("P")
R = TypeVar("R")

FORGOTTEN = 2000
"""Items or contents forgotten in one transaction: the log stays small whatever is pruned."""

COMMIT_TRIES = 6
"""Times that a commit beside others is tried, where it met another one."""

WIPED_AT_ONCE = 2**30
"""Bytes of a catalog that is wiped unasked, when files changed: writing a larger one anew waits for `prune`."""


class Catalog:
    """One library's catalog: snapshots of it for the functions of the table modules, and its transactions.

    Thread safety: any number of threads and processes may read; callers see to it that one process writes.
    """

    def __init__(self, store: Store, version: str) -> None:
        self.store = store
        self.version = version
        self._engine = store.engine()
        self._dialect = dialect_of(self._engine)
        self._readers = Readers(self._engine)
        self.is_held = self._readers.is_held
        self._closed = False
        self.originals = Originals(
            store.folder, lambda: self.read(library_uuid), lambda hashes: self.read(needed_originals, hashes)
        )
        """The bytes that are kept, as the items say."""

    @classmethod
    def open(cls, folder: Path, version: str, *, create: bool = False) -> "Catalog":
        """Open a library's catalog, upgrading its schema if need be.

        Raises: LibraryNotFound, SchemaTooNew, CatalogDamaged.
        """
        store = store_of(folder)
        store.recover()
        if not create and not store.exists():
            raise LibraryNotFound(f"there is no library at {store.name}", hint="make one: mmsearch ingest FOLDER")
        store.begin()
        catalog = cls(store, version)
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

    def rest(self) -> None:
        """Close the connections that nobody uses; the next use opens them anew."""
        self._readers.disconnect()

    def _ensure_library(self) -> None:
        if self.read(has_library):
            return
        with writing(self._engine) as connection:
            add_library(connection, self.version)

    # Reading

    @property
    def path(self) -> Path:
        """The file of a library of files."""
        return self.store.folder / FILE_NAME

    def reading(self) -> AbstractContextManager[Connection]:
        """A snapshot, for several functions that must see the same state: the one this thread holds, or a new one."""
        return self._readers.joined()

    def latest(self) -> AbstractContextManager[Connection]:
        """A new snapshot, of what is committed by now, whatever this thread holds."""
        return self._readers.snapshot()

    def hold(self) -> AbstractContextManager[None]:
        """Let all that this thread reads inside be of one snapshot; for milliseconds: it keeps the log from ending."""
        return self._readers.hold()

    def read(self, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What a function says of a snapshot of its own: `catalog.read(active_space)`."""
        with self.reading() as snapshot:
            return function(snapshot, *args, **kwargs)

    def exclusive(self) -> AbstractContextManager[Connection]:
        """A snapshot during which nobody else commits. Raises: LibraryReadOnly, LibraryLocked."""
        return writing(self._engine)

    def beside(self, path: Path, name: str) -> AbstractContextManager[Connection]:
        """A transaction that reads this catalog and writes another one (`database.beside`). Raises: InvalidInput."""
        self.store.check_file(
            "a library on a server can't be opened for some of its items", "that needs one of files: mmsearch move"
        )
        return beside(self._engine, path, name)

    def write(self, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Let a function write in a transaction of its own: `catalog.write(store_extractions, extractor, made)`."""
        with writing(self._engine) as connection:
            return function(connection, *args, **kwargs)

    def write_beside_others(
        self, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """As `write`, while workers commit what they took in: for functions that lock what they change row by row."""
        with writing(self._engine, together=True) as connection:
            return function(connection, *args, **kwargs)

    # Spaces

    def add_space(
        self, name: str, target: str, dim: int, fingerprint: str, layout: str = "", storage: str = "float32"
    ) -> SpaceRecord:
        """Record a space that encoders make; the library's first one is active from now on."""
        with writing(self._engine) as connection:
            return add_space(connection, SpaceRecord(0, name, target, dim, fingerprint, layout, storage=storage))

    def add_projected(self, base: SpaceRecord, name: str, fingerprint: str, weights: bytes) -> SpaceRecord:
        """Record a space that a projection makes of the base's vectors; it is empty, and not active."""
        with writing(self._engine) as connection:
            made = add_space(connection, replace(base, name=name, fingerprint=fingerprint, base=base.id))
            add_projection(connection, made.id, base.id, weights)
        return made

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

    def backfill(
        self, space: SpaceRecord, contents: Sequence[NewContent], unsupported: Sequence[NewUnsupported]
    ) -> int:
        """Give contents that are there their vectors in a space (`batches.apply_backfill`). Needs no writer's lock."""
        with writing(self._engine) as connection:
            return apply_backfill(connection, space, contents, unsupported, self.version)

    def forget_unsupported(self, space: SpaceRecord) -> None:
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
            return 0 if base_space(connection) == before else forget_not_embedded(connection)

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

    def begin_run(self) -> int:
        """Record that an ingest starts. Returns the id of the run."""
        with writing(self._engine) as connection:
            return add_run(connection, self.version)

    def finish_run(self, run_id: int, state: str, report: Metadata, scanned: Sequence[bytes] = ()) -> None:
        """Record how a run ended, and which roots it went through, and move what the log holds into the database."""
        with writing(self._engine) as connection:
            end_run(connection, run_id, state, report)
            note_scans(connection, scanned)
        self._dialect.checkpoint(self._engine)
        if self._closed:  # in the middle of the run, whose last connection this was
            self._engine.dispose()

    def commit(self, batch: Batch, space_id: int) -> int:
        """Apply a batch in one transaction; returns the generation that holds it."""
        with writing(self._engine) as connection:
            return apply_batch(connection, batch, space_id, self.version)

    def commit_claimed(self, batch: Batch, space_id: int, claim: Claim) -> int:
        """Apply a batch beside others who do the same, and give the claim of its files up, in one transaction; again
        where it met another one. Returns the generation. Raises: LibraryLocked if others claimed a file meanwhile."""
        for tries_left in reversed(range(COMMIT_TRIES)):
            try:
                with writing(self._engine, together=True) as connection:
                    # The generation's row comes last: from then until the commit everybody else waits.
                    finish_jobs(connection, claim.token, claim.ids, claim.lease_s)
                    lock_contents(connection, [content.sha256 for content in batch.contents])
                    generation = apply_batch_beside_others(connection, batch, space_id, self.version)
                return generation
            except LibraryLocked as error:
                if not tries_left or error.__cause__ is None or not is_retried(error.__cause__):
                    raise
        raise LibraryLocked("others write the same files", hint="repeat")

    def keep_evidence(self, evidence: Mapping[int, bytes]) -> None:
        """Keep the evidence of contents, by id, that have none; nothing that can be found changes."""
        with writing(self._engine) as connection:
            known = existing_contents(connection, list(evidence))
            add_evidence(connection, {content: data for content, data in evidence.items() if content in known})

    def keep_backgrounds(self, space_id: int, measured: Mapping[tuple[Modality, ListKey], Mapping[str, Any]]) -> None:
        """Put the measured backgrounds in the place of all earlier ones; the new generation tells who read them."""
        with writing(self._engine) as connection:
            store_backgrounds(connection, space_id, next_generation(connection), measured)

    def tag(self, names: Sequence[str], given: Sequence[NewTag]) -> int:
        """Write a model's tags in one transaction (`tags.replace_model_tags`). Returns how many there are of it."""
        with writing(self._engine) as connection:
            return replace_model_tags(connection, names, given)

    def annotate(
        self,
        contents: Sequence[int],
        add: Sequence[str] = (),
        remove: Sequence[str] = (),
        meta: Mapping[str, MetaValue | None] | None = None,
    ) -> None:
        """Write what a person says of contents in one transaction: tags, and own metadata (`meta.set_meta`)."""
        with writing(self._engine) as connection:
            next_generation(connection)
            remove_tags(connection, contents, remove)
            add_tags(connection, contents, add)
            set_meta(connection, contents, meta or {})

    def save_search(self, name: str, address: str) -> None:
        """Save a search under a name; nothing that can be found changes."""
        with writing(self._engine) as connection:
            save_search(connection, name, address)

    def forget_search(self, name: str) -> bool:
        """Whether there was a search of this name; it is gone."""
        with writing(self._engine) as connection:
            return forget_search(connection, name)

    # Roots and copies

    def keep_excludes(self, root: bytes, globs: Sequence[str]) -> None:
        """Let every ingest leave these out below a root, in place of what it left out."""
        with writing(self._engine) as connection:
            keep_excludes(connection, root, globs)

    def note_copy(self, path: bytes, kind: str) -> None:
        """Note where a backup or an export was written."""
        with writing(self._engine) as connection:
            note_copy(connection, path, kind)

    # Forgetting

    def remove(self, path: bytes) -> tuple[int, int]:
        """Forget every item and failure at or below a path, and what they held that no other path holds.

        Returns (items, failures). One transaction for every few thousand; nothing outside the library is touched. What
        is deleted so is still in the file until `wipe`.
        """
        with writing(self._engine) as connection:
            failures = forget_failures_under(connection, path)
            if failures:
                mark_traces(connection)
        removed = 0
        while True:
            with writing(self._engine) as connection:
                items = items_under(connection, path, None, FORGOTTEN)
                unneeded, _ = self._forget(connection, items)
                if len(items) < FORGOTTEN:
                    forget_roots(connection, [path])
            self.forget_originals(unneeded)
            removed += len(items)
            if len(items) < FORGOTTEN:
                return removed, failures

    def forget(self, items: Sequence[KnownItem]) -> int:
        """Forget items, a few thousand at a time, and what they held that no other path holds. Returns how many
        contents that was."""
        contents = 0
        for start in range(0, len(items), FORGOTTEN):
            part = items[start : start + FORGOTTEN]
            with writing(self._engine) as connection:
                unneeded, collected = self._forget(connection, part)
                forget_roots(connection, [item.path for item in part])
            self.forget_originals(unneeded)
            contents += collected
        return contents

    def _forget(self, connection: Connection, items: Sequence[KnownItem]) -> tuple[set[str], int]:
        """Forget items. Returns the hashes of originals that nothing needs any more, and how many contents went."""
        before = originals_of(connection, [item.id for item in items if item.kept])
        contents = forget_items(connection, items)
        if items:
            mark_traces(connection)
        unneeded = before - needed_originals(connection, sorted(before))
        if unneeded:
            # Before the commit: who dies after it leaves what the next one sweeps.
            self.originals.begin()
        return unneeded, contents

    def forget_originals(self, hashes: Collection[str]) -> None:
        """Remove the bytes of items that were forgotten. Raises: LibraryError if they can't be."""
        if hashes:
            self.originals.discard(hashes)
            self.originals.end()

    def sweep_originals(self) -> int:
        """Remove the bytes that no item needs, and what a process that died left behind. Returns how many bytes."""
        return self.originals.sweep()

    def forget_orphans(self) -> int:
        """Forget contents that no path holds: what changed files held before. Returns how many."""
        contents = last = 0
        while True:
            with writing(self._engine) as connection:
                orphans = orphaned_contents(connection, last, FORGOTTEN)
                contents += collect_orphans(connection, orphans)
                if orphans:
                    mark_traces(connection)
            if len(orphans) < FORGOTTEN:
                return contents
            last = orphans[-1]

    @property
    def marked(self) -> bool:
        """Whether the file may still hold what was forgotten."""
        return self.read(traces_left)

    def wipe(self, largest: int | None = None) -> int:
        """Leave nothing in the catalog's files of what was forgotten: FTS5's indexes and then the whole file are
        written anew. Nothing happens to one that isn't `marked`, or beyond `largest` bytes; it stays marked where it
        can't be done, for a reader of an old state or another writer. Returns the bytes that it freed.

        Raises: LibraryError where the disk is full, for example.
        """
        if not self.marked or (largest is not None and self.store.size() > largest):
            return 0
        try:
            with writing(self._engine) as connection:
                forget_warnings(connection)
                merge_words(connection)
            freed, done = self._dialect.rewrite(self._engine)
            if done:
                with writing(self._engine) as connection:
                    clear_mark(connection)
                self._dialect.checkpoint(self._engine)
        except LibraryLocked:
            return 0
        return freed

    def forget_failures(self, paths: Sequence[bytes]) -> int:
        """Drop rows of the failure ledger: how many."""
        with writing(self._engine) as connection:
            return forget_failures_at(connection, paths)

    def raise_oldest_replayable_generation(self, generation: int) -> None:
        """Drop removals that every published index has seen."""
        with writing(self._engine) as connection:
            raise_oldest_replayable_generation(connection, generation)

    def release(self) -> int:
        """Give what is not needed any more back to the file system, while others search. Returns bytes."""
        return self._dialect.release(self._engine)

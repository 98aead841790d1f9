"""Backups of a library: its catalog in one file, with the originals that it keeps. Indexes aren't in it, they are made
from the catalog."""

import logging
import os
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from mmsearch.catalog import FILE_NAME, Catalog, packed_originals, schema
from mmsearch.catalog import copy as catalog_copy
from mmsearch.catalog.originals import Originals
from mmsearch.catalog.stores import Store
from mmsearch.core import vault
from mmsearch.core.atomic import folder_to_disk, replacing, told
from mmsearch.errors import CatalogDamaged, InvalidInput

_log = logging.getLogger(__name__)

_OF_SERVER = "pg_dump, pg_restore and point-in-time recovery; or mmsearch export and import"


def back_up(catalog: Catalog, target: Path, *, overwrite: bool = False) -> int:
    """Write the catalog's present state into a file, while others search and ingest. Returns its size in bytes.

    The file appears when it is complete and on disk; what SQLite's own check finds in it, is an error.

    Raises: InvalidInput if the file is there already (unless it may be overwritten) or can't be a file.
    """
    catalog.store.check_file("a library on a server is backed up there", _OF_SERVER)
    if target.is_dir() or target.absolute() == catalog.path.absolute():
        raise InvalidInput(f"a backup can't be written to {target}", hint="name a new file")
    if target.exists() and not overwrite:
        raise InvalidInput(f"{target} exists already", hint="name another file, or use --force")
    key = vault.key_of_library(catalog.path)
    if key is not None and target.name == FILE_NAME:
        raise InvalidInput(f"an encrypted backup can't be called {FILE_NAME}", hint="name it otherwise")
    with replacing(target) as temporary:
        _copy_privately(catalog, temporary)
        if packed_originals.pack(temporary, catalog.originals, key):
            # Somebody removed items meanwhile, with their originals; or they are lost.
            with catalog.exclusive():
                temporary.unlink()
                _copy_privately(catalog, temporary)
                for sha256 in packed_originals.pack(temporary, catalog.originals, key):
                    _log.warning("the backup lacks a kept original that is missing or damaged: %s", sha256)
        if key is not None:
            with temporary.open("ab") as file:
                file.write(vault.trailer(vault.read_header(catalog.path.parent)))
    return target.stat().st_size


def _copy_privately(catalog: Catalog, target: Path) -> None:
    """Copy the catalog into a new file that only the owner may read, from its first byte on."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    catalog_copy.copy_catalog(catalog.path, target, vault.key_of_library(catalog.path))


def restore_backup(source: Path, store: Store, *, overwrite: bool = False) -> int:
    """Make the library at a place what it was when the backup was made. Returns how many items it has.

    The catalog that was there is kept beside the new one, under a name that ends in `.bak`. Searches that run
    meanwhile see the old state or the new one. The caller holds the writer lock.

    Raises: InvalidInput if there is a library already (unless it may be overwritten) or the file is no backup,
        SchemaTooNew, CatalogDamaged.
    """
    store.check_file("a library on a server is restored there", _OF_SERVER)
    folder = store.folder
    revision, items = catalog_copy.inspect_copy(source)
    schema.check(revision)
    live = folder / FILE_NAME
    if live.exists() and not overwrite:
        raise InvalidInput(f"there is a library at {folder} already", hint="restore into a new one, or use --force")
    staged = folder / f".{FILE_NAME}.restoring"
    _bring_key(source, folder, there=live.exists())
    with told(live):
        staged.unlink(missing_ok=True)
        catalog_copy.copy_catalog(source, staged)
        originals = Originals(folder, lambda: catalog_copy.owner_of(staged), lambda hashes: set(hashes))
        try:
            if originals.folder.is_dir():
                originals.claim(force=live.exists())
            # Before the catalog that needs them. Those of the catalog that was here stay until `prune`.
            packed_originals.unpack(staged, originals)
            _replace(live, staged)
            originals.end()
        finally:
            # What can't be removed now is, by the next restore.
            with suppress(OSError):
                staged.unlink(missing_ok=True)
    return items


def _bring_key(source: Path, folder: Path, *, there: bool) -> None:
    """What a backup is encrypted with, a new library is, too. Raises: InvalidInput, LibraryEncrypted."""
    key = vault.key_of(source)
    if key is None or vault.is_encrypted(folder / FILE_NAME):
        return
    if there:
        raise InvalidInput(
            f"the backup is encrypted, and the library at {folder} is not", hint="restore into a new one, or encrypt it"
        )
    header = vault.header_of(source)
    if header is not None:
        vault.write_header(folder, header)


def _replace(live: Path, staged: Path) -> None:
    kept = live.with_name(f"{FILE_NAME}.{datetime.now(UTC):%Y%m%dT%H%M%S%f}.bak")
    if live.exists():
        try:
            catalog_copy.copy_catalog(live, kept)
            catalog_copy.overwrite(live, staged)
            return
        except CatalogDamaged:
            # There is no state of it that a reader could go on with.
            kept.unlink(missing_ok=True)
    # The log first: what was left of it would be taken for the new catalog's.
    for suffix in ("-wal", "-shm", ""):
        if (there := live.with_name(FILE_NAME + suffix)).exists():
            there.rename(kept.with_name(kept.name + suffix))
    # An index in the folder may be of a later state than the backup, and both reach the same generation one day.
    shutil.rmtree(live.parent / "indexes", ignore_errors=True)
    staged.rename(live)
    folder_to_disk(live.parent)

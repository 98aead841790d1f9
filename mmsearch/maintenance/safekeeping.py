"""What `Library` does for its own safety: it is examined, backed up, exported, and brought back."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mmsearch.context.context import LibraryContext
from mmsearch.core import vault
from mmsearch.core.arguments import checked_methods
from mmsearch.core.atomic import told
from mmsearch.core.later import later
from mmsearch.core.owner_only import keep_to_owner
from mmsearch.core.paths import default_library
from mmsearch.errors import InvalidInput, LibraryError
from mmsearch.types import Finding, Location

if TYPE_CHECKING:
    from mmsearch.maintenance import anonymised, backup, doctor, forgetting, locations, move
    from mmsearch.maintenance import export as exporting
else:
    anonymised, exporting = later("mmsearch.maintenance.anonymised"), later("mmsearch.maintenance.export")
    backup, doctor = later("mmsearch.maintenance.backup"), later("mmsearch.maintenance.doctor")
    forgetting, locations = later("mmsearch.maintenance.forgetting"), later("mmsearch.maintenance.locations")
    move = later("mmsearch.maintenance.move")


@checked_methods
class LibrarySafekeeping:
    """The part of a library that keeps it safe."""

    path: Path
    _context: LibraryContext

    def doctor(self) -> list[Finding]:
        """Check everything that mmsearch needs of this machine and this library.

        It changes nothing and raises nothing for what is wrong.

        Returns:
            One finding for each thing that was checked, with a remedy where something is wrong.
        """
        return list(doctor.examine_library(self._context))

    def mend(self) -> int:
        """Keep all files of the library to their owner, also those of a library that an older release made.

        Returns:
            How many files and folders others could read or write by their own permissions. 0 on Windows, where a folder
            says it for what is in it.

        Raises: LibraryNotFound, LibraryReadOnly if some of it is another user's.
        """
        self._context.catalog()
        with told(self.path):
            return keep_to_owner(self.path) if os.name == "posix" else 0

    def locations(self) -> list[Location]:
        """Every place on this machine that mmsearch uses for this library, with its size. Changes nothing.

        Raises: InvalidInput for a settings file that cannot be read.
        """
        return locations.used_locations(self.path)

    def move_to(
        self, target: str | os.PathLike[str], *, on_table: Callable[[str, int], None] | None = None
    ) -> move.Moved:
        """Copy the library to another place, from files to a server or back; this one is left as it is.

        Ids, generations, vectors and so all answers stay the same. What a killed call copied is gone on from, if this
        library is what it was; else it begins anew.

        Args:
            target: A folder, or an address (postgresql://USER@HOST/DATABASE?schema=NAME), where no library is yet.
            on_table: Called with the name of a table and how many of its rows are there.

        Returns:
            Rows of each table, counted at both ends, and the hash of all vectors, the same at both ends.

        Raises: InvalidInput if another library is there, LibraryLocked, CatalogDamaged if the copy differs.
        """
        place = default_library(target)
        there = LibraryContext(place, self._context.settings)
        with closing(there), self._context.writing(), there.writing(create=True):
            return move.move_library(self._context, there, on_table or (lambda name, rows: None))

    def backup(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> int:
        """Write everything that the library knows into one file, while others search and ingest.

        Args:
            path: The file to write.
            overwrite: Replace the file if it exists.

        Returns:
            Size of the file in bytes.

        Raises: LibraryNotFound, InvalidInput if the file exists and may not be replaced.
        """
        size = backup.back_up(self._context.catalog(), Path(path), overwrite=overwrite)
        self._note_copy(path, "backup")
        return size

    def export(
        self,
        folder: str | os.PathLike[str],
        *,
        anonymise: Collection[anonymised.Identifying] = (),
        vectors: bool = True,
        plain: bool = False,
    ) -> exporting.Exported:
        """Write items and vectors into a new folder that any program can read (JSON Lines, .npy), while others go on.

        Args:
            folder: A folder that does not exist yet.
            anonymise: What to leave out: "paths", "names", "places", "dates", "texts". With any of them, hashes are
                others than the files', and other models' vectors, trained models and kept originals are left out.
            vectors: Whether to write vectors, which tell much of what they were made of.
            plain: Write it though the library is encrypted: an export is not. `backup` stays encrypted.

        Returns:
            What was written, in numbers.

        Raises: LibraryNotFound, InvalidInput if the folder exists, or if the library is encrypted, unless `plain`.
        """
        if not plain and vault.is_encrypted(self._context.path / vault.HEADER):
            raise InvalidInput(
                "an export is not encrypted: whoever gets the folder reads what this library keeps secret",
                hint="mmsearch backup FILE stays encrypted; if it is to be plain: mmsearch export FOLDER --plain",
            )
        done = exporting.export_library(self._context, Path(folder), anonymise, vectors)
        self._note_copy(folder, "export")
        return done

    def _note_copy(self, path: str | os.PathLike[str], kind: str) -> None:
        # Of a library that can't be written, copies are made all the same.
        with suppress(LibraryError):
            self._context.noting_catalog().note_copy(os.fsencode(os.path.abspath(path)), kind)

    def copies(self) -> list[forgetting.Copy]:
        """The backups and exports that this library wrote, as far as they are where they were written, and the catalogs
        of before an upgrade or a restore that lie in its folder.

        They may hold what it forgot since. What other programs copied, and what was moved, is not known.

        Raises: LibraryNotFound.
        """
        return forgetting.copies_there(self._context.catalog())

    def import_(
        self, folder: str | os.PathLike[str], roots: Mapping[str, str] | None = None, models: Sequence[str] = ()
    ) -> exporting.Imported:
        """Merge what `export` wrote into this library. It opens no media file; what the library already knows stays.

        Args:
            folder: What `export` wrote, of this library or another.
            roots: Folder there -> folder here, such as {"/home/ann/Pictures": "/mnt/pictures"}.
            models: Names of other models whose vectors to take, too.

        Returns:
            What was taken, in numbers, and what was left out and why.

        Raises: InvalidInput if the folder was not exported or is damaged, SpaceChanged if its vectors are of another
        space, LibraryLocked.
        """
        return exporting.import_folder(self._context, Path(folder), roots or {}, models)

    def restore(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> int:
        """Bring the library back as it was when `backup` wrote the file.

        Args:
            path: What `backup` wrote.
            overwrite: Replace the library that is here; its catalog is kept as a .bak file.

        Returns:
            Number of items.

        Raises: InvalidInput if the file is not a backup, or if a library is here and may not be replaced;
        LibraryLocked.
        """
        with self._context.writing(create=True):
            items = backup.restore_backup(Path(path), self._context.store, overwrite=overwrite)
            self._context.let_go()
        return items

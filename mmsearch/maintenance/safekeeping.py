"""What `Library` does for its own safety: it is examined, backed up, exported, and brought back."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmsearch.context.context import LibraryContext
from mmsearch.core.arguments import checked_methods
from mmsearch.maintenance import backup, doctor
from mmsearch.maintenance import export as maintenance_export
from mmsearch.maintenance.export import Exported, Imported
from mmsearch.maintenance.locations import used_locations
from mmsearch.types import Finding, Location


@checked_methods
class LibrarySafekeeping:
    """The part of a library that keeps it safe."""

    path: Path
    _context: LibraryContext

    def doctor(self) -> list[Finding]:
        """Look at all that mmsearch needs of this machine and this library. Changes nothing; faults don't raise."""
        return list(doctor.examine_library(self._context))

    def locations(self) -> list[Location]:
        """Every place on this machine that mmsearch uses for this library, with its size. Changes nothing.

        Raises: InvalidInput for a settings file that can't be read.
        """
        return used_locations(self.path)

    def backup(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> int:
        """Write all that the library knows into one file, while others search and ingest. Returns its size in bytes.

        Raises: LibraryNotFound, InvalidInput if the file exists and may not be overwritten.
        """
        return backup.back_up(self._context.catalog(), Path(path), overwrite=overwrite)

    def export(self, folder: str | os.PathLike[str]) -> Exported:
        """Write what is findable, with its vectors, into a new folder that any program can read, while others go on."""
        return maintenance_export.export_library(self._context, Path(folder))

    def import_(
        self, folder: str | os.PathLike[str], roots: Mapping[str, str] | None = None, models: Sequence[str] = ()
    ) -> Imported:
        """Take in what `export` wrote, of this library or another; opens no medium. What is known here stays.

        Args:
            roots: Folder there -> folder here, such as {"/home/ann/Pictures": "/mnt/pictures"}.
            models: Other models, by name, whose vectors are taken too, although this library has none of theirs yet.

        Raises: InvalidInput for what is no such folder, SpaceChanged if it is of another space, LibraryLocked.
        """
        return maintenance_export.import_folder(self._context, Path(folder), roots or {}, models)

    def restore(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> int:
        """Make the library what it was when `backup` wrote the file. Returns how many items it has.

        Raises: InvalidInput for what is no backup, or if a library is here and may not be overwritten; LibraryLocked.
        """
        with self._context.writing(create=True):
            items = backup.restore_backup(Path(path), self.path, overwrite=overwrite)
            self._context.let_go()
        return items

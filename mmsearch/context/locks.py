"""The locks of a library's folder, which end with their process: one writer, and who works beside it."""

from contextlib import AbstractContextManager

from mmsearch.context.resources import Resources
from mmsearch.core.atomic import make_folder

LOCK_NAME = "writer.lock"
ADDING_NAME = "adding.lock"
EXTRACTING_NAME = "extracting.lock"

GRACE_S = 1.0
"""Seconds a writer waits for another: a search that mends an index file must not turn an ingest away."""


class FolderLocks(Resources):
    """Takes the locks of a library's folder. Thread safety: as `Resources`."""

    def writing(self, *, create: bool = False, wait: float = GRACE_S) -> AbstractContextManager[None]:
        """Be the one writer. Raises: LibraryLocked if another process or thread is, for so many seconds."""
        if create:
            make_folder(self.path, private=True)
        return self.locked(LOCK_NAME, "writing to", wait)

    def adding(self) -> AbstractContextManager[None]:
        """Be the one who adds a model, beside a writer. Raises: LibraryLocked at once if somebody else is."""
        return self.locked(ADDING_NAME, "adding a model to", 0.0)

    def extracting(self) -> AbstractContextManager[None]:
        """Be the one who extracts words, beside a writer. Raises: LibraryLocked at once if somebody else is."""
        return self.locked(EXTRACTING_NAME, "extracting words in", 0.0)

    def locked(self, name: str, doing: str, wait: float) -> AbstractContextManager[None]:
        """Hold a lock of this name for as long as the block runs. Raises: LibraryLocked after so many seconds."""
        if not self.path.is_dir():
            self.catalog()  # says that there is none
        return self.store.locked(name, doing, wait)

"""What a library knows of itself, in numbers."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mmsearch.catalog.commits import current_commit
from mmsearch.catalog.failures import failures_to_retry
from mmsearch.context.context import LibraryContext
from mmsearch.core.arguments import checked_methods
from mmsearch.core.later import later
from mmsearch.types import Failure

if TYPE_CHECKING:
    from mmsearch.maintenance import status
else:
    status = later("mmsearch.maintenance.status")


@checked_methods
class LibraryKnowledge:
    """The part of a library that says what it holds."""

    path: Path
    _context: LibraryContext

    @property
    def generation(self) -> int:
        """The number of the last commit that changed what can be found: as long as it stays, so do all answers.

        Raises: LibraryNotFound.
        """
        with self._context.catalog().reading() as snapshot:
            return current_commit(snapshot).generation

    def status(self) -> status.Status:
        """Counts, sizes, models and the last ingest of the library. Raises: LibraryNotFound."""
        return replace(status.library_status(self._context), path=self.path)

    def failures(self, failure: str | None = None) -> list[Failure]:
        """Files that could not be read, by path: those of one class ("not-embedded" too), or every failure."""
        with self._context.catalog().reading() as snapshot:
            known = failures_to_retry(snapshot, failure)
        return [Failure(Path(os.fsdecode(f.path)), f.failure, f.reason, f.attempts) for f in known]

"""Searches that somebody saved, of a library."""

from mmsearch.catalog.saved_searches import checked_search, saved_searches
from mmsearch.context.context import LibraryContext
from mmsearch.core.arguments import checked_methods
from mmsearch.core.value_ranges import brief_repr
from mmsearch.errors import UnknownName
from mmsearch.types import SavedSearch


@checked_methods
class LibrarySearches:
    """The part of a library that remembers searches."""

    _context: LibraryContext

    def saved_searches(self) -> list[SavedSearch]:
        """The searches that were saved, by name. Raises: LibraryNotFound."""
        return self._context.catalog().read(saved_searches)

    def save_search(self, name: str, address: str) -> None:
        """Save a search under a name, in the place of another of that name.

        Args:
            name: A line of up to 200 characters.
            address: What is asked, as the query of an address: "text=dog&modalities=image&filter=tag = dear". The page
                of `mmsearch serve` writes and reads it.

        Raises: InvalidInput, LibraryNotFound, LibraryLocked.
        """
        given = checked_search(name, address)
        with self._context.writing():
            self._context.catalog().save_search(*given)

    def forget_search(self, name: str) -> None:
        """Forget a saved search. Raises: UnknownName, LibraryLocked."""
        with self._context.writing():
            if not self._context.catalog().forget_search(name):
                raise UnknownName(f"no search is saved as {brief_repr(name)}", hint="list them: mmsearch searches")

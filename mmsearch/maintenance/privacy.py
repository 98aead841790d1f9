"""What a library keeps of people and places: shown, chosen, and applied to what is there."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mmsearch.catalog.items import items_under
from mmsearch.catalog.kept_facts import kept_facts, reduce_facts
from mmsearch.context.context import LibraryContext
from mmsearch.core import config
from mmsearch.core.arguments import checked_methods
from mmsearch.core.atomic import make_folder, replacing
from mmsearch.core.config import Settings
from mmsearch.core.keeping import Keeping, KeptFacts, Places, Reduced
from mmsearch.core.media_paths import item_path
from mmsearch.core.paths import checked_roots
from mmsearch.errors import InvalidInput
from mmsearch.ingest.scan import Scan
from mmsearch.media.places import tells_place

LOOKED_AT = 20_000
"""Files whose beginnings are read to tell how many of a folder hold a place."""


@dataclass(frozen=True, slots=True)
class PlacesFound:
    """What a look at a folder found."""

    looked_at: int
    """Pictures whose beginning was read."""
    with_place: int
    """Those that hold where they were taken."""


@checked_methods
class LibraryPrivacy:
    """Says and decides what of people and places a library keeps."""

    def __init__(self, context: LibraryContext, settle: Callable[[Settings], None]) -> None:
        """`settle`: lets a library have other settings."""
        self._context = context
        self._settle = settle

    @property
    def keeping(self) -> Keeping:
        """What is kept of what is ingested from now on: the settings `keep_...`."""
        return self._context.settings.keeping

    def show(self) -> KeptFacts:
        """What is kept now, in numbers. Raises: LibraryNotFound."""
        return self._context.catalog().read(kept_facts)

    def set(
        self,
        *,
        places: Places | None = None,
        camera: bool | None = None,
        people: bool | None = None,
        tags: bool | None = None,
        names: bool | None = None,
    ) -> Keeping:
        """Choose what this library keeps from now on, in its own mmsearch.toml; what is there stays until `apply`.

        Args:
            places: "exact", "rounded" to a tenth of a degree, or "none".
            camera: Make, model and lens.
            people: Names of people that files and sidecars bring.
            tags: Keywords that files and sidecars bring.
            names: Words of names of files and folders, for searches.

        Raises: InvalidInput for a file of settings that can't be read, LibraryReadOnly.
        """
        given = {"places": places, "camera": camera, "people": people, "tags": tags, "names": names}
        chosen = {f"keep_{name}": value for name, value in given.items() if value is not None}
        config.read_configuration(self._context.path)
        make_folder(self._context.path, private=True)
        file = self._context.path / config.FILE_NAME
        text = file.read_text("utf-8") if file.exists() else ""
        for name, value in chosen.items():
            line = f"{name} = " + (f'"{value}"' if isinstance(value, str) else str(value).lower())
            text = re.sub(rf"(?m)^\s*{name}\s*=.*\n?", "", text)
            text = f"{line}\n{text}"
        with replacing(file) as temporary:
            temporary.write_text(text, "utf-8")
        self._settle(replace(self._context.settings, **chosen))  # type: ignore[arg-type]
        return self.keeping

    def apply(self) -> Reduced:
        """Bring what is there in line with what is to be kept, and wipe the rest from the library's files.

        What is forgotten so is told again only by the files: remove them from the library and ingest them anew.
        Backups and exports that were made before still hold it (`Library.copies`).

        Raises: LibraryNotFound, LibraryLocked.
        """
        with self._context.writing():
            catalog = self._context.catalog()
            done = catalog.write(reduce_facts, self.keeping)
            self._context.forget_slices()
            self._context.indexes().publish(every=catalog.marked)
            catalog.wipe()
        return done

    def places_in(self, *paths: str | os.PathLike[str]) -> PlacesFound:
        """How many of the pictures below folders hold where they were taken, by a look at their beginnings; of the
        first 20,000 files.

        Raises: InvalidInput for what was never there.
        """
        looked, found = 0, 0
        for path in _files(checked_roots(paths, self._context.path)):
            tells = tells_place(path)
            looked += tells is not None
            found += tells is True
        return PlacesFound(looked, found)

    def places_unasked(self, *paths: str | os.PathLike[str]) -> PlacesFound | None:
        """The same, before the first ingest of a folder by whoever has not said yet what is to be kept; else None."""
        folder = self._context.path
        if config.read_configuration(folder).origin("keep_places") != "default":
            return None
        if self._context.store.exists():
            catalog = self._context.catalog()
            if any(catalog.read(items_under, item_path(path), None, 1) for path in paths):
                return None
        found = self.places_in(*paths)
        return found if found.with_place else None


def _files(roots: Sequence[Path]) -> Iterator[Path]:
    left = LOOKED_AT
    for root in roots:
        if root.is_file():
            yield root
            continue
        with suppress(InvalidInput, OSError):
            for file in Scan(root, ()).files():
                if left <= 0:
                    return
                left -= 1
                yield Path(os.fsdecode(file.path))

"""What became of the files of a group of duplicates since they were taken in: what somebody deletes by the report must
be there elsewhere."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mmsearch.catalog.items import PresentFile
from mmsearch.core.media_paths import is_media_path


class StandingFile(NamedTuple):
    """A file of the catalog, and whether it still stands for its content."""

    file: PresentFile
    there: bool
    """It has the size and time that it was taken in with; of a medium from memory, the library keeps its bytes."""


@dataclass(frozen=True, slots=True)
class _Looked:
    file: PresentFile
    there: bool
    place: int
    """The lower, the sooner it is the one to keep."""
    identity: tuple[int, int] | None
    """Device and inode of what is there."""


def standing_files(files: Sequence[PresentFile]) -> list[StandingFile]:
    """Files of one content, those first that it is safest to keep: files, then links, then media whose bytes are kept,
    then what is not there as it was; among equals as they came. What has several paths (links, a folder that is mounted
    twice) is one file, which takes its space once: it is told by the best of them."""
    looked = sorted(map(_looked, files), key=lambda one: one.place)
    return [StandingFile(one.file, one.there) for one in _once(looked)]


def _once(looked: Sequence[_Looked]) -> Iterator[_Looked]:
    seen = set[tuple[int, int]]()
    for one in looked:
        if one.identity is None or one.identity not in seen:
            yield one
        if one.identity is not None:
            seen.add(one.identity)


def _looked(file: PresentFile) -> _Looked:
    if is_media_path(file.path):
        return _Looked(file, file.kept, 2 if file.kept else 3, None)
    try:
        found = os.stat(file.path)
        direct = os.path.realpath(file.path) == file.path
    except (OSError, ValueError):  # a damaged catalog may have any bytes as a path
        return _Looked(file, False, 3, None)
    there = (found.st_size, found.st_mtime_ns) == (file.size, file.mtime_ns)
    # File systems without numbers for files say 0.
    identity = (found.st_dev, found.st_ino) if there and found.st_ino else None
    return _Looked(file, there, (0 if direct else 1) if there else 3, identity)

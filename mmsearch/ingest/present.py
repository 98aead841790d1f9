"""Which of the files that hold a content can be read for it now."""

import os
from pathlib import Path
from typing import NamedTuple

from mmsearch.catalog import MissingEmbeddings
from mmsearch.catalog.originals import Originals
from mmsearch.core.file_times import size_and_time
from mmsearch.core.media_paths import is_media_path
from mmsearch.ingest.run import NOT_KEPT

LEFT_OUT = {
    "missing": "it is not there",
    "changed": "it is not what was taken in",
    "not-kept": f"{NOT_KEPT}: hand it over again with keep=True, or remove it",
}
"""Why none can."""


class ReadableFile(NamedTuple):
    """A file that is as it was taken in."""

    path: bytes
    """The item's."""
    size: int
    mtime_ns: int
    source: Path | None
    """What to read, where that is not the path: the kept bytes of a medium that was handed over in memory."""


def present_file(missing: MissingEmbeddings, originals: Originals) -> ReadableFile | str:
    """The first of a content's files that is as it was taken in, or a key of `LEFT_OUT`. Copies hold the same."""
    gone = in_memory = 0
    for path, size, mtime_ns in missing.files:
        if is_media_path(path):
            in_memory += 1
            if originals.is_whole(missing.sha256):
                kept = originals.path(missing.sha256)
                return ReadableFile(path, *size_and_time(kept.stat()), kept)
            continue
        try:
            status = os.stat(path)
        except OSError:
            gone += 1
            continue
        if size_and_time(status) == (size, mtime_ns):
            return ReadableFile(path, size, mtime_ns, None)
    if in_memory == len(missing.files):
        return "not-kept"
    return "missing" if gone + in_memory == len(missing.files) else "changed"

"""What an ingest would take, before anything is opened: files by their names and sizes, and roughly how long."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmsearch.catalog import Catalog
from mmsearch.catalog.failures import failures_under
from mmsearch.catalog.items import items_under
from mmsearch.catalog.roots import kept_excludes
from mmsearch.ingest.plan import PAGE
from mmsearch.ingest.scan import Scan
from mmsearch.media.sniff import named_modality
from mmsearch.types import Modality, SourceFile

START_S = 5.0
"""Loading the model and measuring it against the library."""

COSTS: Mapping[str, tuple[float, float]] = {
    "image": (0.08, 0.01),
    "audio": (0.01, 0.2),
    "video": (0.3, 0.6),
    "text": (0.1, 20.0),
}
"""Modality -> seconds of a file, and of each megabyte of it, by the starter space on two idle cores: measured as CPU
time of 60 photos, 204 sounds, 4 videos and 31 notes. Another model, another machine, or PDFs full of pictures differ
by far."""


@dataclass(frozen=True, slots=True)
class IngestEstimate:
    """What an ingest of some folders would take in: what is there that the library does not know as it is."""

    files: int
    kinds: Mapping[str, int] = field(hash=False)
    """Modality -> files with such a name; those with another name are left out, although some may be media."""
    bytes: int
    seconds: float
    """A rule of thumb, seldom off by more than a factor of three; 0.0 if there is nothing to do."""


def estimate_ingest(catalog: Catalog | None, roots: Sequence[Path]) -> IngestEstimate:
    """Look at names, sizes and times below the roots; nothing is opened.

    Args:
        catalog: None where there is no library yet.
    """
    kinds: Counter[str] = Counter()
    total, seconds = 0, 0.0
    for modality, file in new_files(catalog, roots):
        each, per_megabyte = COSTS[modality]
        kinds[modality] += 1
        total += file.size
        seconds += each + per_megabyte * file.size / 1e6
    return IngestEstimate(kinds.total(), dict(sorted(kinds.items())), total, START_S + seconds if kinds else 0.0)


def new_files(catalog: Catalog | None, roots: Sequence[Path]) -> Iterator[tuple[Modality, SourceFile]]:
    """The files below the roots that a library doesn't know as they are, with the modality that their names tell."""
    kept = {} if catalog is None else catalog.read(kept_excludes)
    for root in roots:
        known = {} if catalog is None else dict(_known(catalog, os.fsencode(root)))
        for file in Scan(root, kept=kept).files():
            modality = named_modality(file.path)
            if modality is not None and known.get(file.path) != (file.size, file.mtime_ns):
                yield modality, file


def _known(catalog: Catalog, root: bytes) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Path -> (size, mtime_ns) of the items and the failures at or below a root; what is missing is not known."""
    after: bytes | None = None
    while items := catalog.read(items_under, root, after, PAGE):
        yield from ((one.path, (one.size, one.mtime_ns)) for one in items if one.status == "present")
        after = items[-1].path
    after = None
    while failures := catalog.read(failures_under, root, after, PAGE):
        yield from ((one.path, (one.size, one.mtime_ns)) for one in failures)
        after = failures[-1].path

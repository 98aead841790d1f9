"""A look at everything that mmsearch needs of this machine and of one library; nothing is changed or downloaded."""

import os
import platform
import shlex
import shutil
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from mmsearch.catalog import health as catalog_health
from mmsearch.catalog.originals import every_original
from mmsearch.catalog.spaces import active_space, base_space
from mmsearch.context.context import LibraryContext
from mmsearch.core.owner_only import open_to_others
from mmsearch.core.version import VERSION
from mmsearch.encoders import health as encoders_health
from mmsearch.errors import MmsearchError
from mmsearch.maintenance.status import newer_version
from mmsearch.media import health as media_health
from mmsearch.media.events import DecodeJob, FileFailed
from mmsearch.media.pool import DecodePool
from mmsearch.types import Finding, Space
from mmsearch.vectors import health as vectors_health

SAMPLE = Path(__file__).parents[1] / "resources/samples/notes/rye-bread.md"
PAGE = 1000
FREE_BYTES = 2**30
"""Less free space than this is worth a warning: SQLite's log and a new index need some."""


def examine_library(context: LibraryContext) -> Iterator[Finding]:
    """All findings, the machine's first, then the library's."""
    yield Finding("mmsearch", "ok", f"{VERSION}, Python {platform.python_version()}, {platform.platform(terse=True)}")
    yield from media_health.findings()
    yield from catalog_health.findings()
    yield from vectors_health.findings(context.settings.index_device)
    yield from _library(context)
    try:
        space = _space(context)
    except MmsearchError as error:
        yield Finding("space", "error", error.message, error.hint)
        return
    yield from encoders_health.findings(space)
    yield from _versions(context)
    yield _worker(context, space)
    if context.store.exists() and context.catalog().read(active_space) is not None:
        try:
            yield _indexes(context)
        except MmsearchError as error:
            yield Finding("indexes", "error", error.message, error.hint)


def _target(context: LibraryContext) -> str:
    """Of the space that the library was made with, or would be."""
    record = context.catalog().read(base_space) if context.store.exists() else None
    return context.asked() if record is None else record.target


def _space(context: LibraryContext) -> Space:
    if context.store.exists() and context.catalog().read(active_space) is not None:
        return context.embedding()[0]
    return context.load(context.asked())


def _versions(context: LibraryContext) -> Iterator[Finding]:
    if context.store.exists() and (command := newer_version(context.catalog())):
        yield Finding("model", "warning", "the library uses a former version of its model", command)


def _worker(context: LibraryContext, space: Space) -> Finding:
    """Decode a packaged file in a process of its own, as an ingest does."""
    with closing(DecodePool(_target(context), space.windowing, context.settings.limits, 1)) as pool:
        events = list(pool.run([DecodeJob(SAMPLE)]))
    if isinstance(events[-1], FileFailed):
        remedy = "check that this Python may start processes, and `memory_bytes`"
        return Finding("decode worker", "error", events[-1].reason, remedy)
    return Finding("decode worker", "ok", f"decodes; {context.settings.decode_workers} at once")


def _library(context: LibraryContext) -> Iterator[Finding]:
    yield _writable(context.path)
    if os.name == "posix" and context.path.is_dir():
        yield _readable_by_others(context.path)
    yield _disk(context.path)
    try:
        there = context.store.exists()
    except MmsearchError as error:
        yield Finding("catalog", "error", error.message, error.hint)
        return
    if not there:
        yield Finding("library", "ok", f"none yet at {context.store.name}; mmsearch ingest FOLDER makes it")
        return
    whole = catalog_health.whole(context.store)
    yield whole
    if whole.state != "ok":
        return
    try:
        if (found := _originals(context)) is not None:
            yield found
    except MmsearchError as error:
        yield Finding("originals", "error", error.message, error.hint)


def _originals(context: LibraryContext) -> Finding | None:
    """Whether all bytes that are kept are what they were; they are read for that. None if none are kept."""
    catalog, after, count, size = context.catalog(), "", 0, 0
    lost: list[str] = []
    while page := catalog.read(every_original, after, PAGE):
        for sha256, length, path in page:
            count, size = count + 1, size + length
            if not catalog.originals.is_whole(sha256):
                lost.append(os.fsdecode(path))
        after = page[-1][0]
    if lost:
        some = ", ".join(lost[:3]) + ("..." if len(lost) > 3 else "")
        remedy = "hand them over again with keep=True, or restore a backup; searching works without"
        return Finding("originals", "error", f"{len(lost)} of {count} are missing or damaged: {some}", remedy)
    if catalog.originals.foreign:
        remedy = "restore a backup of that library, or move the folder originals away"
        return Finding("originals", "error", "those in the folder are of another library", remedy)
    if catalog.originals.unfinished:
        return Finding("originals", "warning", "an ingest is running, or was killed", "the next command repairs it")
    return Finding("originals", "ok", f"{count} kept, {size / 1e6:.1f} MB") if count else None


def _indexes(context: LibraryContext) -> Finding:
    indexes = context.indexes()
    sizes = indexes.sizes()
    total = f"{sum(sizes.values())} vectors in {len(sizes)} lists"
    if indexes.worth_publishing():
        return Finding(
            "indexes", "warning", f"{total}; files damaged or behind", "the next search or ingest repairs them"
        )
    return Finding("indexes", "ok", total)


def _writable(folder: Path) -> Finding:
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if os.access(there, os.W_OK):
        return Finding("write access", "ok", str(there))
    remedy = "check its owner and permissions; searching works without, ingesting doesn't"
    return Finding("write access", "warning", f"none to {there}", remedy)


def _readable_by_others(folder: Path) -> Finding:
    """Whether only the owner may read a library, which holds names, places and words of all its files."""
    remedy = f"keep it to yourself: mmsearch doctor --mend --library {shlex.quote(os.fspath(folder))}"
    others = stat.S_IMODE(folder.stat().st_mode) & 0o077
    if others:
        who = "everybody on this machine" if others & 0o007 else "the folder's group"
        return Finding("privacy", "warning", f"{who} can look into the library", remedy)
    found = list(open_to_others(folder))
    if found:
        some = ", ".join(path.relative_to(folder).as_posix() for path in found[:3]) + ("..." if len(found) > 3 else "")
        told = f"only you can look into the library; a copy of it would show others {len(found)} files: {some}"
        return Finding("privacy", "warning", told, remedy)
    return Finding("privacy", "ok", "only you can read the library")


def _disk(folder: Path) -> Finding:
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < FREE_BYTES:
        return Finding("disk", "warning", f"{free / 1e9:.1f} GB free", "free some, before ingesting more")
    return Finding("disk", "ok", f"{free / 1e9:.1f} GB free")

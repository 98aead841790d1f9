"""What a file costs when the library is small, and when it holds a million.

    python -m tests.benchmarks.growth [--most 1000000] [--dim 32] [--storage float32] [--folder KEEP]

Small files of distinct content are ingested by the product's own ingest (scan, compare, hash, batch, commit) over a
space whose vectors are made up; decode workers, encoders and index files are left out. At each power of ten some
batches of new files are timed in turn with as many that go into a library of a thousand files, so that both see the
machine in the same mood: medians of CPU and wall per file. Then come `status`, reading all vectors as a rebuild of an
index does, and, in the end, a scan of all files unchanged in turn with `find DIR -printf '%s %T@'`.
"""

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, NamedTuple

import numpy as np

import mmsearch
from mmsearch.catalog import Batch, ListKey, NewContent, Placement
from mmsearch.catalog.lists import list_changes, list_keys
from mmsearch.ingest import Ingest, IngestOptions, IngestReport
from mmsearch.library import Library
from mmsearch.media.events import DecodeEvent, DecodeJob, FileDone, PreparedSegment
from mmsearch.types import EncoderSpec, Metadata, Prepared, Segment, Space, Span, Vectors, Windowing

DIM = 32
BATCH = 512
"""New files of one timed batch: what one transaction of an ingest holds."""
BATCHES = 7
IN_FOLDER = 1000
"""Files of one folder."""


class Cost(NamedTuple):
    """Of one file in microseconds, or of a scan in seconds."""

    wall: float
    cpu: float


class MadeUp:
    """Takes a vector for a segment and gives it back."""

    modality = "image"

    def __init__(self, dim: int) -> None:
        self.spec = EncoderSpec("made-up", "image", dim, {}, "1", 64)

    def prepare(self, segment: Segment) -> Prepared:
        return np.asarray(segment.data)

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        return np.stack(list(batch)) if len(batch) else np.empty((0, self.spec.dim), np.float32)


def space(device: str = "auto", precision: str = "auto") -> Space:
    dim = int(os.environ.get("GROWTH_DIM", DIM))
    return Space("made-up", dim, Windowing(), {"image": MadeUp(dim)})


class NoDecoding:
    """Answers like a `DecodePool` whose decoders cost nothing: one segment a file, a vector near one of 64 centres."""

    def __init__(self, dim: int) -> None:
        self._chance = np.random.default_rng(0)
        self._centres = self._chance.normal(size=(64, dim)).astype(np.float32)

    def run(self, jobs: Iterable[DecodeJob]) -> Generator[DecodeEvent, None, None]:
        for number, job in enumerate(jobs):
            vector, facts = self.made(number)
            yield PreparedSegment(job, 0, "image", Span(), vector)
            yield FileDone(job, "image", facts, 0.0, 0.0)

    def made(self, number: int) -> tuple[Vectors, Metadata]:
        """A vector, float32 (dim,), and what a decoder would tell of the file."""
        vector = self._centres[number % 64] + 0.5 * self._chance.standard_normal(self._centres.shape[1], np.float32)
        facts = {"width": 4000, "height": 3000, "format": "JPEG", "make": "NIKON", "model": f"D{number % 90}"}
        return vector / np.linalg.norm(vector), facts


def write(root: Path, numbers: Iterable[int]) -> list[str]:
    """Small files of distinct content, a thousand to a folder. Returns their paths, in order."""
    paths = []
    for number in numbers:
        folder = f"{root}/{number // IN_FOLDER:06d} holidays at the sea"
        if number % IN_FOLDER == 0 or not os.path.isdir(folder):
            os.makedirs(folder, exist_ok=True)
        paths.append(f"{folder}/IMG_{number:08d}.jpg")
        with open(paths[-1], "wb", buffering=0) as file:
            file.write(b"%d" % number)
    return paths


def lay(library: Library, media: Path, numbers: range) -> None:
    """Files and what a library knows of them, by commits as an ingest makes them, without looking for what is there."""
    context = library._context
    library.path.mkdir(parents=True, exist_ok=True)
    catalog = context.catalog(create=True)
    space, record = context.embedding(create=True)
    pool = NoDecoding(space.dim)
    for start in range(numbers.start, numbers.stop, BATCH):
        some = range(start, min(start + BATCH, numbers.stop))
        batch = Batch()
        for number, path in zip(some, write(media, some), strict=True):
            status, sha256 = os.stat(path), hashlib.sha256(b"%d" % number).hexdigest()
            vector, facts = pool.made(number)
            batch.contents.append(NewContent(sha256, "image", facts, ["image"], [Span()], vector[np.newaxis]))
            place = Placement(os.fsencode(path), os.fsencode(media), sha256, status.st_size, status.st_mtime_ns)
            batch.placements.append(place)
        catalog.commit(batch, record.id)


def ingest(library: Library, *roots: Path) -> IngestReport:
    """The product's ingest without decode workers, and without what comes after the last commit."""
    context = library._context
    library.path.mkdir(parents=True, exist_ok=True)
    with context.writing():
        catalog = context.catalog(create=True)
        context.embedding(create=True)
        pool: Any = NoDecoding(context.base()[0].dim)
        return Ingest(catalog, *context.base(), pool, IngestOptions()).run(roots)


class Watch(threading.Thread):
    """The largest size that a file ever had."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.path, self.most, self._done = path, 0, threading.Event()
        self.start()

    def run(self) -> None:
        while not self._done.wait(0.05):
            try:
                self.most = max(self.most, self.path.stat().st_size)
            except FileNotFoundError:
                continue

    def stop(self) -> int:
        self._done.set()
        self.join()
        return self.most


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """(wall, CPU) seconds of this process."""
    wall, cpu = perf_counter(), process_time()
    work()
    return perf_counter() - wall, process_time() - cpu


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def _place(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)


def batches(library: Library, small: Library, media: Path, start: int) -> tuple[Cost, Cost]:
    """Medians of what a new file costs in the library, and in the small one, whose batches are timed between."""
    costs: dict[Library, list[Cost]] = {library: [], small: []}
    for number in range(BATCHES):
        for one, spent in costs.items():
            first = start + (2 * number + (one is small)) * BATCH
            root = media / f"batch-{first}"
            write(root, range(first, first + BATCH))
            wall, cpu = timed(lambda one=one, root=root: ingest(one, root))  # type: ignore[misc]
            spent.append(Cost(1e6 * wall / BATCH, 1e6 * cpu / BATCH))
    mine, other = (Cost(median(c.wall for c in spent), median(c.cpu for c in spent)) for spent in costs.values())
    return mine, other


def rescan(library: Library, media: Path) -> str:
    """A scan that finds nothing new, in turn with find."""
    find = ["find", str(media), "-type", "f", "-printf", "%s %T@\n"]
    finds, scans, count = [], [], 0
    for _ in range(3):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
        count = subprocess.run(find, capture_output=True, check=True).stdout.count(b"\n")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        finds.append(Cost(perf_counter() - start, cpu))
        scans.append(Cost(*timed(lambda: ingest(library, media))))
    scan, found = (Cost(median(c.wall for c in all_), median(c.cpu for c in all_)) for all_ in (scans, finds))
    return (
        f"unchanged: {count} files in {scan.wall:.2f} s, {scan.cpu:.2f} of CPU: {count / scan.wall:.0f}/s; "
        f"find in {found.wall:.2f} s, {found.cpu:.2f} of CPU: {count / found.wall:.0f}/s"
    )


def rebuild(library: Library) -> float:
    """CPU seconds to read every vector of the catalog in chunks, as a rebuild does."""
    catalog, (_, record) = library._context.catalog(), library._context.embedding()

    def read() -> None:
        with catalog.reading() as snapshot:
            for key in list_keys(snapshot, record.name):
                for _ in list_changes(snapshot, ListKey(record.name, key.item, key.segment), record.dim, -1):
                    pass

    return timed(read)[1]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=DIM)
    parser.add_argument("--storage", default="float32")
    parser.add_argument("--folder", type=Path, help="Keep library and files here, and go on with what is here.")
    given = parser.parse_args(arguments)
    os.environ["GROWTH_DIM"] = str(given.dim)
    with _place(given.folder) as place:
        media, chosen = place / "media", {"space": "tests.benchmarks.growth:space", "storage": given.storage}
        library = mmsearch.open(place / "library", **chosen)
        watch = Watch(place / "library" / "catalog.sqlite-wal")
        print("files    us/file wall   CPU  in 1000: wall   CPU   ratio  status s  read s  bytes/file  peak MB  WAL MB")
        size, there = 1000, 0
        while size <= given.most:
            lay(library, media / "laid", range(there, size))
            there = size
            with mmsearch.open(place / f"small-{size}", **chosen) as small:
                lay(small, place / f"laid-{size}", range(1000))
                cost, least = batches(library, small, media / f"at-{size}", 10**8 + 100 * size)
            status = timed(library.status)[1]
            held = library.status().catalog_bytes / (size + BATCH * BATCHES)
            print(
                f"{size:<8} {cost.wall:13.0f} {cost.cpu:5.0f} {least.wall:15.0f} {least.cpu:5.0f}"
                f" {cost.cpu / least.cpu:7.2f} {status:9.2f} {rebuild(library):7.2f} {held:11.0f}"
                f" {peak_mb():8.0f} {watch.most / 2**20:7.1f}",
                flush=True,
            )
            size *= 10
        print(rescan(library, media))
        watch.stop()
        library.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

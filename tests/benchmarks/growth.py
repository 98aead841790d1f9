"""What a file costs when the library is small, and when it holds a million.

    python -m tests.benchmarks.growth [--most 1000000] [--dim 32] [--storage float32] [--folder KEEP] [--rescan]

Small files of distinct content are ingested by the product's own ingest (scan, compare, hash, batch, commit) over a
space whose vectors are made up; only decode workers and encoders are left out. At each power of ten a few batches of
new files are timed: CPU and wall per file, and beside them the same number of files written by the operating system
and hashed, so that the machine's mood is seen. Then come `status`, publishing, a rebuild of the indexes out of the
catalog, and a scan of all files unchanged against `find DIR -printf '%s %T@'`.
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
from typing import Any

import numpy as np

import mmsearch
from mmsearch.catalog import Batch, ListKey, NewContent, Placement
from mmsearch.catalog import read as catalog_read
from mmsearch.ingest import Ingest, IngestOptions, IngestReport
from mmsearch.library import Library
from mmsearch.media.pool import Done, Event, Job, Piece
from mmsearch.types import EncoderSpec, Metadata, Prepared, Segment, Space, Span, Vectors, Windowing

DIM = 32
BATCH = 512
"""New files of one timed batch: what one transaction of an ingest holds."""
BATCHES = 7
IN_FOLDER = 1000
"""Files of one folder."""


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

    def run(self, jobs: Iterable[Job]) -> Generator[Event, None, None]:
        for number, job in enumerate(jobs):
            vector, facts = self.made(number)
            yield Piece(job, 0, "image", Span(), vector)
            yield Done(job, "image", facts, 0.0, 0.0)

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
    parts = library._parts
    library.path.mkdir(parents=True, exist_ok=True)
    catalog = parts.catalog(create=True)
    space, record = parts.embedding(create=True)
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
    parts = library._parts
    library.path.mkdir(parents=True, exist_ok=True)
    with parts.writing():
        catalog = parts.catalog(create=True)
        parts.embedding(create=True)
        pool: Any = NoDecoding(parts.base()[0].dim)
        return Ingest(catalog, *parts.base(), pool, IngestOptions()).run(roots)


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


def batches(library: Library, media: Path, start: int) -> tuple[float, float, float]:
    """Medians over batches of new files, microseconds a file: wall, CPU, and wall of merely writing and hashing."""
    walls, cpus, bare = [], [], []
    for number in range(BATCHES):
        first = start + number * BATCH
        root = media / f"batch-{first:07d}"
        write(root, range(first, first + BATCH))
        wall, cpu = timed(lambda root=root: ingest(library, root))  # type: ignore[misc]
        walls.append(wall)
        cpus.append(cpu)
        bare.append(timed(lambda root=root: _bare(root))[0])  # type: ignore[misc]
    return 1e6 * median(walls) / BATCH, 1e6 * median(cpus) / BATCH, 1e6 * median(bare) / BATCH


def _bare(root: Path) -> None:
    for folder, _, names in os.walk(root):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                hashlib.file_digest(file, "sha256")
    with open(root / ".synced", "wb") as file:
        file.write(bytes(BATCH * 1024))
        os.fsync(file.fileno())


def rescan(library: Library, media: Path) -> tuple[float, float, float, int]:
    """(wall, CPU, seconds of find, files) of a scan that finds nothing new."""
    found = []
    count = 0
    for _ in range(3):
        start = perf_counter()
        done = subprocess.run(
            ["find", str(media), "-type", "f", "-printf", "%s %T@\n"], capture_output=True, check=True
        )
        found.append(perf_counter() - start)
        count = done.stdout.count(b"\n")
    spent = [timed(lambda: ingest(library, media)) for _ in range(3)]
    return median(wall for wall, _ in spent), median(cpu for _, cpu in spent), median(found), count


def rebuild(library: Library) -> float:
    """Seconds to read every vector of the catalog in chunks, as a rebuild does."""
    catalog, (_, record) = library._parts.catalog(), library._parts.embedding()

    def read() -> None:
        with catalog.reading() as snapshot:
            for key in catalog_read.list_keys(snapshot, record.name):
                for _ in catalog_read.changes(snapshot, ListKey(record.name, key.item, key.segment), record.dim, -1):
                    pass

    return timed(read)[0]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=DIM)
    parser.add_argument("--folder", type=Path, help="Keep library and files here, and go on with what is here.")
    given = parser.parse_args(arguments)
    os.environ["GROWTH_DIM"] = str(given.dim)
    with _place(given.folder) as place:
        media = place / "media"
        library = mmsearch.open(place / "library", space="tests.benchmarks.growth:space")
        watch = Watch(place / "library" / "catalog.sqlite-wal")
        print("files     wall us/file  CPU us/file  bare us/file  status s  read s  bytes/file  peak MB  WAL MB")
        size, there = 1000, 0
        while size <= given.most:
            lay(library, media / "laid", range(there, size))
            there = size
            wall, cpu, bare = batches(library, media / f"at-{size}", 10**8 + size)
            status = timed(library.status)[0]
            held = library.status().catalog_bytes / (size + BATCH * BATCHES)
            print(
                f"{size:<9} {wall:12.0f} {cpu:12.0f} {bare:13.0f} {status:9.3f} {rebuild(library):7.2f} {held:11.0f}"
                f" {peak_mb():8.0f} {watch.most / 2**20:7.1f}",
                flush=True,
            )
            size *= 10
        wall, cpu, found, count = rescan(library, media)
        print(f"unchanged: {count} files in {wall:.2f} s ({cpu:.2f} s CPU), {count / wall:.0f}/s; find {found:.2f} s")
        watch.stop()
        library.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

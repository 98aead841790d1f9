"""What `library.search` takes beyond its bare index: folding, file groups and confidence on.

    python -m tests.benchmarks.beyond [--items 100000] [--queries 100] [--folder KEEP] [--old CHECKOUT]
        [--repeats 7] [--profile]

A library of one-segment pictures of structured vectors, a tenth of them in file groups of two, is asked by vectors and
by words that cost next to nothing to encode. Beside each query the same vector is searched in the index alone, as deep
as the search did at first. With `--old`, another commit's code answers from a copy of the library, in turns.
"""

import argparse
import cProfile
import json
import os
import pstats
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, thread_time
from typing import Any

import numpy as np

from tests.benchmarks.speed import clustered

DIM = 384
HERE = Path(__file__).resolve().parents[2]
TARGET = "tests.benchmarks.beyond:space"


class Words:
    """Makes a vector of words at no cost to speak of; pictures have theirs already."""

    def __init__(self, modality: str) -> None:
        from mmsearch.types import EncoderSpec

        self.modality, self.spec = modality, EncoderSpec(f"made-up-{modality}", modality, DIM, {}, "1", 64)

    def prepare(self, segment: Any) -> Any:
        return np.frombuffer(str(segment.data).encode(), np.uint8)

    def encode(self, batch: Sequence[Any], *, query: bool = False) -> Any:
        made = [np.random.default_rng(int(one.astype(np.int64).sum())).normal(size=DIM) for one in batch]
        rows = np.stack(made) if made else np.empty((0, DIM))
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def space(device: str = "auto", precision: str = "auto") -> Any:
    from mmsearch.types import Space, Windowing

    return Space("made-up", DIM, Windowing(), {"text": Words("text"), "image": Words("image")})


def fill(folder: Path, count: int) -> None:
    """A library, its index and its backgrounds."""
    import mmsearch
    from mmsearch.catalog import Batch, Catalog, NewContent, Placement, layouts
    from mmsearch.core.version import VERSION
    from mmsearch.types import Span

    vectors, made = clustered(count, DIM), space()
    catalog = Catalog.open(folder, VERSION, create=True)
    record = catalog.add_space(made.name, TARGET, DIM, made.fingerprint, layouts.layout_of(made))
    for start in range(0, count, 5000):
        batch = Batch()
        for n in range(start, min(start + 5000, count)):
            facts = {"width": n % 4000, "height": 3000, "taken": f"20{n % 24:02}-01-01T00:00:00", "model": f"D{n % 90}"}
            batch.contents.append(NewContent(f"{n:064x}", "image", facts, ["image"], [Span()], vectors[n : n + 1]))
            name = f"IMG_{n // 2}.{'jpg' if n % 2 else 'png'}" if n % 20 < 2 else f"IMG_{n}s.jpg"
            path = f"/media/{n // 1000}/{name}"
            batch.placements.append(Placement(path.encode(), b"/media", f"{n:064x}", n, n * 10**9))
        catalog.commit(batch, record.id)
    catalog.close()
    with mmsearch.open(folder, space=TARGET) as library, library._context.writing():
        context = library._context
        context.indexes().publish(every=True)
        for built in context.builder().build_outgrown():
            print(f"{built.preset} built in {built.seconds:.0f} s", file=sys.stderr)
        context.calibrate(*context.embedding())
        context.indexes().publish(every=True)


def measure(folder: Path, count: int, profile: bool) -> dict[str, float]:
    """Milliseconds: medians."""
    import mmsearch
    from mmsearch.types import Query, QueryPart, StoredVector

    rows = clustered(count, DIM)  # of the same centres
    with mmsearch.open(folder, space=TARGET) as library:
        lists = library._context.indexes()
        stored: list[Any] = [Query(mixed=(QueryPart("image", StoredVector(0, Path("/nothing"), row)),)) for row in rows]
        words = [f"zebra crossing{' at night' * (n % 3)} q{n}" for n in range(count)]
        for each in (*stored[:20], *words[:20]):
            library.search(each)

        def bare(row: Any) -> None:
            # What a search asks of its list: as many segments as one page with folding needs.
            lists.search(row[np.newaxis], 61)

        asked: dict[str, tuple[Callable[[Any], object], Any]] = {
            "index": (bare, rows), "vector": (library.search, stored), "words": (library.search, words),
        }  # fmt: skip
        found = {f"{name} wall": 1e3 * _median(perf_counter, work, given) for name, (work, given) in asked.items()}
        found |= {f"{name} cpu": 1e3 * _median(thread_time, work, given) for name, (work, given) in asked.items()}
        if profile:
            with cProfile.Profile() as held:
                for one in stored:
                    library.search(one)
            pstats.Stats(held, stream=sys.stderr).sort_stats("tottime").print_stats(45)
    return found


def _median(clock: Callable[[], float], work: Callable[[Any], object], given: Any) -> float:
    times = []
    for one in given:
        start = clock()
        work(one)
        times.append(clock() - start)
    return median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="Keep the library here, or use the one that is here.")
    parser.add_argument("--old", type=Path, help="A checkout of the commit to compare with.")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure is not None:
        print(json.dumps(measure(given.measure, given.queries, given.profile)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary) / "library"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "catalog.sqlite").exists():
            start = process_time()
            fill(folder, given.items)
            print(f"filled: {process_time() - start:.0f} s of CPU")
        if given.profile:
            measure(folder, given.queries, True)
            return
        copy = Path(temporary) / "old"
        if given.old is not None:
            shutil.copytree(folder, copy)
        runs: dict[str, list[dict[str, float]]] = {"new": [], "old": []}
        for _ in range(given.repeats if given.old is not None else 1):
            runs["new"].append(_run(HERE, folder, given.queries))
            if given.old is not None:
                runs["old"].append(_run(given.old, copy, given.queries))
        for name, measured in runs.items():
            if measured:
                of = {key: median(one[key] for one in measured) for key in measured[0]}
                line = ", ".join(f"{key} {value:.2f}" for key, value in of.items())
                beyond = [of[f"{kind} cpu"] - of["index cpu"] for kind in ("vector", "words")]
                print(f"{name}: {line}; beyond the index, of CPU: vector {beyond[0]:.2f}, words {beyond[1]:.2f} ms")


def _run(checkout: Path, folder: Path, queries: int) -> dict[str, float]:
    """What this script measures when the code of a checkout runs it."""
    script = checkout / "tests" / "benchmarks" / "beyond.py"
    if checkout != HERE:
        shutil.copy(__file__, script)
    command = [sys.executable, "-m", "tests.benchmarks.beyond", "--measure", str(folder), "--queries", str(queries)]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(command, cwd=checkout, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()

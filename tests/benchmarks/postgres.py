"""A library on PostgreSQL beside one of files: ratios of one run.

    python -m tests.benchmarks.postgres [--items 100000] [--queries 100] [--files 6400]

Both hold the same pictures of structured vectors (`tests.benchmarks.beyond`). The server is a wheel's own, with fsync
as it comes; SQLite's is on, too. Encoders cost nothing.
"""

import argparse
import hashlib
import os
import secrets
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, thread_time
from typing import Any

import numpy as np

from mmsearch.catalog import Batch, Catalog, NewContent, Placement
from mmsearch.catalog.commits import current_commit
from mmsearch.catalog.jobs import Claim, QueuedFile, add_jobs, claim_jobs
from mmsearch.catalog.moving import copy_into
from mmsearch.catalog.tables import Base
from mmsearch.core.filters import filter_of
from mmsearch.core.paths import default_library
from mmsearch.core.version import VERSION
from mmsearch.types import Query, QueryPart, Span, StoredVector
from tests.benchmarks import beyond
from tests.benchmarks.speed import clustered
from tests.postgres_server import PostgresServer, start_server

FILES = 1000
"""Of a commit."""
CLAIM = 64


def commits(folder: Path, repeats: int = 5) -> float:
    """Seconds of a commit of `FILES` new files, median."""
    with closing(Catalog.open(folder, VERSION)) as catalog:
        took = []
        for turn in range(repeats):
            batch = made_batch([f"c{turn}-{n}" for n in range(FILES)])
            start = perf_counter()
            catalog.commit(batch, 1)
            took.append(perf_counter() - start)
    return median(took)


def made_batch(names: list[str]) -> Batch:
    """New files, one segment each."""
    vectors = np.random.default_rng(len(names)).normal(size=(len(names), beyond.DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    batch = Batch()
    for name, row in zip(names, vectors, strict=True):
        sha256 = hashlib.sha256(name.encode()).hexdigest()
        facts = {"width": 4000, "height": 3000}
        batch.contents.append(NewContent(sha256, "image", facts, ["image"], [Span()], row[np.newaxis]))
        batch.placements.append(Placement(f"/new/{name}.jpg".encode(), b"/new", sha256, 1, 1))
    return batch


def searches(folder: Path, count: int, rule: str | None = None, index: str = "auto") -> tuple[float, float, list[Any]]:
    """Milliseconds of wall and of CPU of one search, medians; and what was found."""
    import mmsearch

    rows = clustered(count, beyond.DIM)
    with mmsearch.open(folder, space=beyond.TARGET, index=index) as library:
        asked = [Query(mixed=(QueryPart("image", StoredVector(0, Path("/nothing"), row)),)) for row in rows]
        tree = None if rule is None else filter_of(rule)
        for each in asked[:10]:
            library.search(each, filter=tree)
        wall, cpu, found = [], [], []
        for each in asked:
            start, used = perf_counter(), thread_time()
            hits = library.search(each, filter=tree)
            wall.append(perf_counter() - start)
            cpu.append(thread_time() - used)
            found.append([(str(hit.path), hit.cosine, hit.confidence) for hit in hits])
    return 1e3 * median(wall), 1e3 * median(cpu), found


def work(address: str) -> None:
    """A worker whose encoder costs nothing: claims and commits until nothing waits."""
    with closing(Catalog.open(default_library(address), VERSION)) as catalog:
        token = secrets.randbits(62)
        catalog.read(current_commit)
        print("ready", flush=True)
        sys.stdin.readline()
        while claimed := catalog.write_beside_others(claim_jobs, token, CLAIM, 60.0):
            batch = made_batch([os.fsdecode(one.file.path).rpartition("/")[2].removesuffix(".jpg") for one in claimed])
            catalog.commit_claimed(batch, 1, Claim(token, tuple(one.id for one in claimed), 60.0))


def workers(address: str, count: int, files: int) -> float:
    """Files a second that so many processes take in."""
    with closing(Catalog.open(default_library(address), VERSION)) as catalog:
        names = [f"w{count}-{n}" for n in range(files)]
        catalog.write(add_jobs, [QueuedFile(f"/new/{n}.jpg".encode(), b"/new", 1, 1, "0" * 64, "new") for n in names])
    command = [sys.executable, "-m", "tests.benchmarks.postgres", "--work", address]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, **pipes) for _ in range(count)]
    for one in running:
        assert one.stdout is not None and one.stdout.readline() == "ready\n"
    start = perf_counter()
    for one in running:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    for one in running:
        assert one.wait() == 0
    return files / (perf_counter() - start)


def copied_alone(server: PostgresServer, source: Catalog) -> float:
    """Seconds that COPY alone takes for the same rows, into tables without words or other indexes."""
    with server.connection() as connection:
        connection.execute("DROP SCHEMA IF EXISTS bare CASCADE")
        connection.execute("CREATE SCHEMA bare")
        total = 0.0
        with source.latest() as snapshot:
            for table in Base.metadata.sorted_tables:
                rows = [tuple(row) for row in snapshot.execute(table.select())]
                names = ", ".join(f'"{column.name}"' for column in table.columns)
                where = f"bare.{table.name}"
                connection.execute(f"CREATE TABLE {where} (LIKE {SCHEMA}.{table.name})")
                start = perf_counter()
                with connection.cursor() as cursor, cursor.copy(f"COPY {where} ({names}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row([str(one).replace("'", '"') if isinstance(one, dict) else one for one in row])
                total += perf_counter() - start
    return total


SCHEMA = "benched"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--files", type=int, default=6400, help="Of the workers.")
    parser.add_argument("--index", choices=("auto", "pgvector"), default="auto", help="pgvector: beside FAISS's lists.")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work)
        return
    server = start_server("fsync=on", "shared_buffers=512MB", "max_wal_size=4GB")
    try:
        with tempfile.TemporaryDirectory() as temporary:
            compare(server, Path(temporary), given.items, given.queries, given.files, given.index)
    finally:
        server.remove()


def compare(server: PostgresServer, folder: Path, items: int, queries: int, files: int, index: str) -> None:
    os.environ |= {"XDG_DATA_HOME": str(folder / "data"), "XDG_CACHE_HOME": str(folder / "cache")}
    here, there = folder / "files", default_library(server.address(SCHEMA))
    here.mkdir()
    start = process_time()
    beyond.fill(here, items)
    print(f"filled {items} in {process_time() - start:.0f} s of CPU", flush=True)
    with closing(Catalog.open(here, VERSION)) as source, closing(Catalog.open(there, VERSION, create=True)) as target:
        start = perf_counter()
        copy_into(source, target)
        moved = perf_counter() - start
        alone = copied_alone(server, source)
    print(f"move {moved:.1f} s, COPY alone {alone:.1f} s: {moved / alone:.2f}", flush=True)
    if index == "pgvector":
        compare_lists(there, server.address(SCHEMA), queries)
        return
    for rule in (None, "width < 40", "width = 7"):
        (wall, cpu, found), (own_wall, own_cpu, own) = searches(there, queries, rule), searches(here, queries, rule)
        same = "the same hits and scores" if found == own else "OTHER hits or scores"
        print(
            f"search, filter {rule}: p50 {wall:.2f} / {own_wall:.2f} ms = {wall / own_wall:.2f}, client CPU "
            f"{cpu:.2f} / {own_cpu:.2f} ms = {cpu / own_cpu:.2f}; {same}",
            flush=True,
        )
    theirs, ours = commits(there), commits(here)
    print(f"commit of {FILES} files: {theirs:.2f} / {ours:.2f} s = {theirs / ours:.2f}", flush=True)
    one, four = workers(server.address(SCHEMA), 1, files), workers(server.address(SCHEMA), 4, files)
    print(f"workers: 1 {one:.0f} files/s, 4 {four:.0f} files/s = {four / one:.2f}", flush=True)


def compare_lists(folder: Path, place: str, count: int) -> None:
    """Lists of pgvector beside those of FAISS that compare every vector, over one catalog: time, recall, scores."""
    from mmsearch.catalog.spaces import active_space
    from mmsearch.indexing.lists import Lists
    from mmsearch.indexing.pg_lists import PgLists

    with closing(Catalog.open(folder, VERSION)) as catalog:
        space = catalog.read(active_space)
        assert space is not None
        faiss = Lists(catalog, folder / "a", space, "flat")
        server = PgLists(catalog, folder / "b", space, place)
        (key,) = server.refresh()
        start = perf_counter()
        server.publish()
        filled = perf_counter() - start
        print(f"put in {filled:.0f} s, HNSW {server.build(key):.0f} s", flush=True)
        rows = clustered(count, beyond.DIM)
        for rule in (None, "width = 7", "width < 40", "width < 400", "width < 2000"):
            tree, took, share, same = None if rule is None else filter_of(rule), [], [], True
            for row in rows:
                times = []
                for one in (faiss, server):
                    start = perf_counter()
                    found = one.search(row[np.newaxis], 10, filter=tree)[0][key]
                    times.append(perf_counter() - start)
                    best = dict(zip(found.ids[0].tolist(), found.scores[0].tolist(), strict=True))
                    if one is faiss:
                        wanted = best
                took.append(times)
                share.append(len(best.keys() & wanted.keys()) / max(len(wanted), 1))
                same &= len(best) == len(wanted) and all(wanted[i] == best[i] for i in best.keys() & wanted.keys())
            ours, theirs = (1e3 * float(one) for one in np.median(np.array(took), axis=0))
            print(
                f"lists, filter {rule}: pgvector {theirs:.2f} / FAISS {ours:.2f} ms = {theirs / ours:.2f}, recall "
                f"{np.mean(share):.3f}, {'as many hits, the same scores' if same else 'OTHER hits or scores'}",
                flush=True,
            )


if __name__ == "__main__":
    main()

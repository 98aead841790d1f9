"""Speed against what a user would pick instead: the same vectors, the same filters, the same recall.

    python -m tests.benchmarks.peers --shared ../shared --work DIR --sizes 10000 100000 [--systems faiss mmsearch ...]

Each system is built in a process of its own, then opened by another one; while those of all systems run, they are
asked in turn, round after round, so that all see the machine in the same mood. What was measured is kept in
DIR/SIZE.json and put into PEERS.md beside this file, with a plot. Systems that aren't installed are said to be missing:
pip install 'mmsearch[bench]'.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mmsearch
from mmsearch.core.config import Settings
from tests.benchmarks import corpus, peer_systems, peers_report
from tests.benchmarks.peer_systems import SHARES, SYSTEMS, K, System

FILTERS = {"none": None, "1 %": 0.01, "0.01 %": 0.0001}
QUERIES = 200
ROUNDS = 5
BUDGET_S = 0.7
"""Of one system, filter and round; then what was asked so far counts."""

TUNING_S = 8.0
"""Of one system and filter, about."""

Told = dict[str, Any]


class Worker:
    """One system in its process, which has it open."""

    def __init__(self, name: str, size: int, threads: int, given: argparse.Namespace) -> None:
        self.name = name
        self.process = subprocess.Popen(
            _command("serve", name, size, given), env=_environment(threads), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=_log(given, name),
        )  # fmt: skip

    def ask(self, **asked: object) -> Told | None:
        """None if the process has ended, for whatever reason."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(asked) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        line = self.process.stdout.readline()
        return dict(json.loads(line)) if line else None

    def close(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()


def _command(part: str, name: str, size: int, given: argparse.Namespace) -> list[str]:
    paths = ["--shared", str(given.shared), "--work", str(given.work), "--most", str(max([size, *given.sizes]))]
    return [
        sys.executable,
        "-m",
        "tests.benchmarks.peers",
        "--part",
        part,
        "--system",
        name,
        "--sizes",
        str(size),
        *paths,
    ]


def _environment(threads: int) -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "LANCE_CPU_THREADS", "LANCE_IO_THREADS", "TOKIO_WORKER_THREADS", "RAYON_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, str(threads)), "LANCE_LOG": "error", "RUST_LOG": "error"}


def _log(given: argparse.Namespace, name: str) -> Any:
    return (given.work / f"{name}.log").open("a")


# In the processes of the systems


def _system(given: argparse.Namespace) -> System:
    size = given.sizes[0]
    whole = corpus.load(given.shared, given.work / "corpus", given.most, QUERIES)
    return SYSTEMS[given.system](whole.first(size), _folder(given, given.system, size))


def _folder(given: argparse.Namespace, name: str, size: int) -> Path:
    return Path(given.work) / str(size) / SHARES.get(name, name)


def build(given: argparse.Namespace) -> Told:
    """Wall and CPU seconds, and the most memory in use, in bytes."""
    system = _system(given)
    system.folder.mkdir(parents=True, exist_ok=True)
    wall, spent = perf_counter(), process_time()
    system.build()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    size = sum(path.stat().st_size for path in system.folder.rglob("*") if path.is_file())
    return {"wall": perf_counter() - wall, "cpu": process_time() - spent, "peak": peak, "disk": size}


def serve(given: argparse.Namespace) -> None:
    """Answer what `Worker.ask` asks, a line each."""
    start = perf_counter()
    system = _system(given)
    before = perf_counter()
    system.open()
    system.search(np.asarray(system.corpus.queries[0]), (system.efforts or (0,))[0], None)
    opened, started = perf_counter() - before, before - start
    first = {name: _first(system, name) for name in FILTERS if system.filtered or name == "none"}
    truths = _truths(system)
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["what"] == "open":
            told: Told = {"open": opened, "start": started, "about": system.about, "filtered": system.filtered}
            told |= {"first": first, "own recall": _own_recall(system, truths)}
        elif asked["what"] == "tune":
            told = {"curve": tune(system, asked["filter"], truths[asked["filter"]])}
        else:
            told = measure(system, asked["filter"], asked["effort"], asked["threads"])
        told["memory"] = _memory()
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


def _first(system: System, name: str) -> float:
    """Milliseconds of the first query with a filter."""
    start = perf_counter()
    system.search(np.asarray(system.corpus.queries[0]), (system.efforts or (0,))[0], _bound(system, name))
    return 1e3 * (perf_counter() - start)


def _own_recall(system: System, truths: dict[str, NDArray[np.int64]]) -> dict[str, float]:
    """Filter -> recall@10 with the effort that mmsearch itself chose. Raises: AssertionError below the setting's."""
    if not isinstance(system, peer_systems.Mmsearch) or system.chosen is None:
        return {}
    told = {}
    for name, truth in truths.items():
        most, asked = _most(_bound(system, name)), zip(system.corpus.queries, truth, strict=True)
        hits = [
            len(set(system.search(np.asarray(query), system.chosen, _bound(system, name))) & set(right[:most].tolist()))
            for query, right in asked
        ]
        told[name] = sum(hits) / (most * len(hits))
        assert told[name] >= Settings().recall, f"{system.preset}, {name}: recall {told[name]:.3f}"
    return told


def _truths(system: System) -> dict[str, NDArray[np.int64]]:
    """Filter -> (q, K) places; worked out once for each size."""
    path = system.folder.with_name("truth.npz")
    if not path.exists():
        found = {name: peer_systems.exact(system.corpus, _bound(system, name)) for name in FILTERS}
        np.savez(path.with_suffix(".part.npz"), **found)  # type: ignore[arg-type]
        path.with_suffix(".part.npz").replace(path)
    with np.load(path) as kept:
        return {name: kept[name] for name in FILTERS}


def _bound(system: System, name: str) -> int | None:
    share = FILTERS[name]
    return None if share is None else max(1, round(share * len(system.corpus.vectors)))


def tune(system: System, name: str, truth: NDArray[np.int64]) -> list[tuple[int, float, float]]:
    """(effort, recall@10, queries/s) up to the first effort that finds nearly all."""
    curve: list[tuple[int, float, float]] = []
    end = perf_counter() + TUNING_S
    below = _bound(system, name)
    for effort in system.efforts or (0,):
        hits, asked, start = 0, 0, perf_counter()
        for query, right in zip(system.corpus.queries, truth, strict=True):
            hits += len(set(system.search(np.asarray(query), effort, below)) & set(right[: _most(below)].tolist()))
            asked += 1
            if perf_counter() - start > 3 * BUDGET_S:
                break
        recall = hits / (asked * _most(below))
        curve.append((effort, recall, asked / (perf_counter() - start)))
        if recall >= 0.995 or perf_counter() > end:
            break
    return curve


def _most(below: int | None) -> int:
    return K if below is None else min(K, below)


def measure(system: System, name: str, effort: int, threads: int) -> Told:
    """Milliseconds of a query, by the clock and of the CPU, and queries/s with so many threads asking at once."""
    below = _bound(system, name)
    queries = [np.asarray(query) for query in system.corpus.queries]
    end = perf_counter() + BUDGET_S

    def work(first: int) -> list[float]:
        spent: list[float] = []
        for query in queries[first::threads]:
            start = perf_counter()
            system.search(query, effort, below)
            spent.append(1e3 * (perf_counter() - start))
            if perf_counter() > end:
                break
        return spent

    with ThreadPoolExecutor(threads) as pool:
        start, before = perf_counter(), process_time()
        spent = [one for part in pool.map(work, range(threads)) for one in part]
        whole, cpu = perf_counter() - start, 1e3 * (process_time() - before) / len(spent)
    return {
        "rate": len(spent) / whole,
        "cpu": cpu,
        "p50": float(np.median(spent)),
        "p95": float(np.quantile(spent, 0.95)),
    }


def _memory() -> int:
    """Bytes of this process that are its own, files mapped or cached left out."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def changes(given: argparse.Namespace) -> Told:
    """Seconds that changes of a library take: 1,000 files more, 1,000 fewer, and the first answer after each."""
    whole = corpus.load(given.shared, given.work / "corpus", given.most, QUERIES)
    folder, size = _folder(given, "mmsearch", given.sizes[0]), given.sizes[0]
    query = peer_systems.stored(whole.queries[0])
    told: Told = {}

    def timed(name: str, work: Callable[[], object]) -> None:
        wall, spent = perf_counter(), process_time()
        work()
        told[name] = perf_counter() - wall, process_time() - spent

    start = perf_counter()
    with mmsearch.open(folder, space="starter") as library:
        timed("open and first answer", lambda: library.search(query))
        catalog, record = library._context.catalog(), library._context.embedding()[1]
        fresh = corpus.Corpus(whole.vectors[: corpus.BATCH], whole.queries, whole.places[: corpus.BATCH])
        number = size + int(start) * corpus.BATCH  # new names at each run
        (batch,) = corpus.batches(fresh, number)
        timed("commit 1,000 files", lambda: catalog.commit(batch, record.id))
        timed("first answer after it", lambda: library.search(query))
        with library._context.writing():
            timed("publish", library._context.indexes().publish)
        below = corpus.path(number).parent
        timed("remove them and publish", lambda: library.remove(below))
        timed("first answer after that", lambda: library.search(query))
    return told


# In the process that asks them


def compare(size: int, given: argparse.Namespace) -> None:
    path = given.work / f"{size}.json"
    known: dict[str, Told] = json.loads(path.read_text()) if path.exists() else {}

    def keep() -> None:
        path.write_text(json.dumps(known, indent=1))

    for name in given.systems:
        told = known.setdefault(name, {})
        if name not in SHARES and "build" not in told and "missing" not in told:
            known[name] |= _built(name, size, given)
            keep()
    if "mmsearch" in given.systems:
        done = subprocess.run(
            _command("changes", "mmsearch", size, given), env=_environment(2), text=True,
            stdout=subprocess.PIPE, stderr=_log(given, "mmsearch"), check=False,
        )  # fmt: skip
        known["mmsearch"] |= {} if done.returncode else {"changes": json.loads(done.stdout)}
    names = [name for name in given.systems if "missing" not in known[name]]
    for threads in given.threads:
        _asked_in_turn(names, size, threads, known, given, keep)


def _built(name: str, size: int, given: argparse.Namespace) -> Told:
    done = subprocess.run(
        _command("build", name, size, given), env=_environment(2), text=True,
        stdout=subprocess.PIPE, stderr=_log(given, name), check=False,
    )  # fmt: skip
    if done.returncode:
        shutil.rmtree(_folder(given, name, size), ignore_errors=True)
        return {"missing": f"it can't be built here, see {name}.log"}
    return {"build": json.loads(done.stdout)}


def _asked_in_turn(
    names: Sequence[str], size: int, threads: int, known: dict[str, Told], given: argparse.Namespace,
    keep: Callable[[], None],
) -> None:  # fmt: skip
    workers: list[Worker] = []
    for name in names:
        worker = Worker(name, size, threads, given)
        told = worker.ask(what="open")
        if told is not None:
            known[name] |= {"open": told}
            workers.append(worker)
    keep()
    for name in FILTERS:
        asked = [one for one in workers if name == "none" or known[one.name]["open"]["filtered"]]
        efforts: dict[str, int] = {}
        for worker in asked:
            if threads == 1 and worker.name not in SHARES:
                tuned = worker.ask(what="tune", filter=name) or {}
                known[worker.name].setdefault("curves", {})[name] = tuned.get("curve", [])
            if worker.name in SHARES:
                known[worker.name]["curves"] = known[SHARES[worker.name]]["curves"]
            efforts[worker.name] = peers_report.least(known[worker.name]["curves"][name])[0]
        for _ in range(given.rounds):
            for worker in asked:
                told = worker.ask(what="measure", filter=name, effort=efforts[worker.name], threads=threads)
                known[worker.name].setdefault("rounds", {}).setdefault(f"{name}, {threads}", []).append(told)
        keep()
    for worker in workers:
        worker.close()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--work", type=Path, required=True, help="Corpus, indexes and figures are kept here.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--note", default="", help="A sentence for the report, such as what else was running.")
    parser.add_argument("--only-report", action="store_true", help="Write it of what is known.")
    parser.add_argument("--most", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--part", choices=["build", "serve", "changes"], help=argparse.SUPPRESS)
    parser.add_argument("--system", choices=list(SYSTEMS), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    given.work.mkdir(parents=True, exist_ok=True)
    (given.work / "corpus").mkdir(exist_ok=True)
    if given.part == "serve":
        serve(given)
    elif given.part:
        sys.stdout.write(json.dumps((build if given.part == "build" else changes)(given)))
    elif given.only_report:
        peers_report.write(given.work, given.sizes, given.note)
    else:
        corpus.load(given.shared, given.work / "corpus", max(given.sizes), QUERIES)
        for size in given.sizes:
            (given.work / str(size)).mkdir(exist_ok=True)
            compare(size, given)
        peers_report.write(given.work, given.sizes, given.note)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Memory of several server workers over one library, beside that of one.

    python -m tests.benchmarks.workers LIBRARY [--workers 4] [--queries 200]

Each worker asks by words. Forked: the workers are children of a process that has searched once, as `gunicorn --preload`
makes them; apart: each has started by itself. What is counted is the proportional share (PSS) of all processes
together, the parent included, beside one process that has asked the same: what several share counts once.
Linux only. Prints JSON.
"""

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmsearch


def shares(pids: Sequence[int]) -> float:
    """Megabytes of all these processes together."""
    total = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def ask(library: Any, queries: int) -> None:
    for number in range(queries):
        library.search(f"a photo of thing number {number} near the sea")


def apart(folder: Path, queries: int, pipe: Any) -> None:
    """A worker that started by itself."""
    with mmsearch.open(folder, space="starter") as library:
        serve(library, queries, pipe)


def serve(library: Any, queries: int, pipe: Any) -> None:
    ask(library, queries)
    pipe.send("asked")
    pipe.recv()


def workers(how: str, folder: Path, count: int, queries: int) -> float:
    """Megabytes of so many workers, and of their parent where they are forked."""
    context: Any = multiprocessing.get_context("fork" if how == "forked" else "spawn")
    pairs = [context.Pipe() for _ in range(count)]
    if how == "forked":
        library = mmsearch.open(folder, space="starter")
        ask(library, 1)
        made = [context.Process(target=serve, args=(library, queries, theirs)) for _, theirs in pairs]
    else:
        made = [context.Process(target=apart, args=(folder, queries, theirs)) for _, theirs in pairs]
    for process in made:
        process.start()
    for ours, _ in pairs:
        ours.recv()
    own = [os.getpid()] if how == "forked" else []
    found = shares([*own, *(int(process.pid or 0) for process in made)])
    for (ours, _), process in zip(pairs, made, strict=True):
        ours.send("end")
        process.join()
    return found


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=Path)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--queries", type=int, default=200)
    given = parser.parse_args(arguments)
    one = workers("apart", given.library, 1, given.queries)
    several = {how: workers(how, given.library, given.workers, given.queries) for how in ("apart", "forked")}
    told = {how: {"MB": round(found), "times one": round(found / one, 2)} for how, found in several.items()}
    sys.stdout.write(json.dumps({"one, MB": round(one), **told}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

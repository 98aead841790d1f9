"""Readers in threads and processes while an ingest changes everything at once, again and again.

In turn t of the writer every picture i changes to one whose cosine to "red" tells i and t, in one commit. So an answer
that mixes two commits, or lacks a file, or is older than what had been committed when it was asked for, gives itself
away. `python -m tests.faults.together --seconds 300` is the long run.
"""

import argparse
import json
import math
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from queue import Empty
from typing import Any

from mmsearch.library import Library
from tests.faults.world import QUERY, image, lay, open_library

FILES = 12

_SPAWN = multiprocessing.get_context("spawn")


@dataclass(slots=True)
class Seen:
    """What one reader saw."""

    queries: int = 0
    turns: list[int] = field(default_factory=list)
    """The different states, in the order they were seen in."""
    problems: list[str] = field(default_factory=list)
    slowest: float = 0.0
    """Seconds."""


def media(turn: int) -> dict[str, str]:
    return {f"{i}.img": image(20 * (1 + i), 20 * (1 + turn), 0) for i in range(FILES)}


def turn_of(name: str, score: float) -> int:
    """The turn in which a picture had this score."""
    return round((1 + int(name.removesuffix(".img"))) * math.sqrt(1 / score**2 - 1) - 1)


def read(
    library: Library, done: "Synchronized[int]", begun: "Synchronized[int]", stop: Callable[[], bool], seen: Seen
) -> None:
    """Search until told to stop; `done` is the last turn whose ingest has returned, `begun` counts readers at work."""
    while not stop():
        before, start = done.value, time.perf_counter()
        try:
            hits = library.search(QUERY, 1000, mode="vector")
        except Exception as error:
            seen.problems.append(f"{type(error).__name__}: {error}")
            return
        seen.slowest = max(seen.slowest, time.perf_counter() - start)
        if not seen.queries:
            with begun.get_lock():
                begun.value += 1
        # The turn that is being ingested may be committed without `done` saying so.
        seen.queries += 1
        _judge({hit.path.name: (hit.cosine or 0) for hit in hits}, before, done.value + 1, seen)


def _judge(found: dict[str, float], least: int, most: int, seen: Seen) -> None:
    turns = {turn_of(name, score) for name, score in found.items()}
    if len(found) != FILES or len(turns) != 1:
        seen.problems.append(f"{len(found)} files of the turns {sorted(turns)}, between {least} and {most}")
        return
    (turn,) = turns
    if not least <= turn <= most or (seen.turns and turn < seen.turns[-1]):
        seen.problems.append(f"turn {turn} after {seen.turns[-1:]}, although {least} was done")
    if not seen.turns or turn != seen.turns[-1]:
        seen.turns.append(turn)


def _reader(home: str, done: "Synchronized[int]", begun: "Synchronized[int]", ended: Any, out: Any) -> None:
    """A process that reads."""
    seen = Seen()
    with closing(open_library(Path(home))) as library:
        read(library, done, begun, ended.is_set, seen)
    out.put(asdict(seen))


def run(folder: Path, *, threads: int, processes: int, enough: Callable[[int], bool], **settings: object) -> list[Seen]:
    """Ingest turn after turn until there were enough, with so many readers; what each reader saw."""
    home, root = folder / "library", folder / "media"
    done: Synchronized[int] = _SPAWN.Value("i", 0)
    with closing(open_library(home, commit_segments=10**6, **settings)) as writer:
        lay(root, media(0))
        writer.ingest(root)
        with _readers(home, done, threads, processes) as (seen, at_work):
            turn = 0
            while not (enough(turn) and at_work()):
                turn += 1
                lay(root, media(turn))
                assert writer.ingest(root).changed == FILES
                done.value = turn
    return seen


@contextmanager
def _readers(
    home: Path, done: "Synchronized[int]", threads: int, processes: int
) -> Iterator[tuple[list[Seen], Callable[[], bool]]]:
    """Readers at work; what they saw is in the list when the block is over. The function says whether each of them
    has had its first answer, or one will never have it."""
    ended, out = _SPAWN.Event(), _SPAWN.Queue()
    begun: Synchronized[int] = _SPAWN.Value("i", 0)
    seen = [Seen() for _ in range(threads)]
    with closing(open_library(home)) as shared:
        here = [threading.Thread(target=read, args=(shared, done, begun, ended.is_set, one)) for one in seen]
        there = [_SPAWN.Process(target=_reader, args=(str(home), done, begun, ended, out)) for _ in range(processes)]
        for thread in here:
            thread.start()
        for process in there:
            process.start()
        try:
            yield (
                seen,
                lambda: (
                    begun.value == threads + processes
                    or not all([*(one.is_alive() for one in here), *(one.is_alive() for one in there)])
                ),
            )
        finally:
            ended.set()
            for thread in here:
                thread.join()
            for process in there:
                try:
                    seen.append(Seen(**out.get(timeout=60)))
                except Empty:
                    seen.append(Seen(problems=["a reader's process ended without a word"]))
                process.join()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.together", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--index", default="auto")
    given = parser.parse_args()
    end = time.monotonic() + given.seconds
    with tempfile.TemporaryDirectory() as folder:
        seen = run(
            Path(folder), threads=given.threads, processes=given.processes,
            enough=lambda turn: time.monotonic() > end, index=given.index,
        )  # fmt: skip
    print(json.dumps({
        "seconds": given.seconds,
        "readers": len(seen),
        "queries": sum(one.queries for one in seen),
        "states seen": len({turn for one in seen for turn in one.turns}),
        "changes of state seen": sum(len(one.turns) - 1 for one in seen if one.turns),
        "slowest query s": round(max(one.slowest for one in seen), 3),
        "problems": [problem for one in seen for problem in one.problems][:20],
        "number of problems": sum(len(one.problems) for one in seen),
    }, indent=1))  # fmt: skip
    return any(one.problems for one in seen)


if __name__ == "__main__":
    sys.exit(main())

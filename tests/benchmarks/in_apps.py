"""What a library costs inside a program: `python -m tests.benchmarks.in_apps [--libraries 100]`.

Over the samples, in the starter space; each part in a process of its own. CPU is that of the process and its decode
workers. "Cold" is a new process whose files the system has read before: what a first search loads, not what a disk
takes. Memory is the resident set (Linux).
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mmsearch.cli.demo import SAMPLES

WORDS = ("a dog", "a rooster", "a beach", "bread", "a train", "rain", "people", "something red", "music", "snow")
THREADS = 8
SECONDS = 10.0


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def clocks() -> tuple[float, float]:
    """Milliseconds: of the wall, and of CPU."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return 1e3 * time.perf_counter(), 1e3 * (used.ru_utime + used.ru_stime)


class Stopwatch:
    """Notes wall and CPU between one call and the next."""

    def __init__(self) -> None:
        self.noted: dict[str, list[float]] = {}
        self._last = clocks()

    def note(self, name: str, *more: float) -> None:
        now = clocks()
        self.noted[name] = [now[0] - self._last[0], now[1] - self._last[1], *more]
        self._last = clocks()


def first_search(folder: Path) -> dict[str, list[float]]:
    """From the beginning of the import to the first answers, and the memory after each step."""
    watch = Stopwatch()
    import mmsearch

    library = mmsearch.open(folder)
    library.status()
    watch.note("import, open, status", resident_mb())
    library.search("a dog", k=5)
    watch.note("first search (words)", resident_mb())
    library.search("a rooster", k=5)
    watch.note("second search (words)", resident_mb())
    library.search(SAMPLES / "photos" / "dog-at-a-laptop.jpg", k=5)
    watch.note("first search with a photo", resident_mb())
    library.search(SAMPLES / "photos" / "pizza-and-wine.jpg", k=5)
    watch.note("second search with a photo", resident_mb())
    before = clocks()[1]
    time.sleep(5)
    watch.note("idle for 5 s", resident_mb())
    watch.noted["idle for 5 s"][1] = clocks()[1] - before
    library.close()
    return watch.noted


def many_libraries(folder: Path, count: int) -> dict[str, list[float]]:
    """Copies of one library, open at once in one process."""
    import shutil

    import mmsearch

    places = [folder.parent / f"copy-{number}" for number in range(count)]
    for place in places:
        shutil.copytree(folder, place)
    base = resident_mb()
    watch = Stopwatch()
    opened = [mmsearch.open(place) for place in places]
    for library in opened:
        library.status()
    watch.note(f"open {count} libraries, status of each", resident_mb() - base, files_open())
    opened[0].search("a dog", k=5)
    watch.note("first search in the first", resident_mb() - base, files_open())
    for library in opened[1:]:
        library.search("a dog", k=5)
    watch.note(f"a search in each of the other {count - 1}", resident_mb() - base, files_open())
    for library in opened:
        library.close()
    watch.note("close all", resident_mb() - base, files_open())
    return watch.noted


def files_open() -> float:
    return float(len(os.listdir("/proc/self/fd")))


def threads(folder: Path) -> dict[str, list[float]]:
    """Searches a second of one library, by one thread and by eight."""
    import mmsearch

    with mmsearch.open(folder) as library:
        library.search("a dog", k=5)
        return {f"{count} threads": [searched(library.search, count), float(count)] for count in (1, THREADS)}


def searched(search: Callable[..., object], count: int) -> float:
    done = [0] * count
    end = time.perf_counter() + SECONDS

    def work(number: int) -> None:
        while time.perf_counter() < end:
            search(f"{WORDS[done[number] % len(WORDS)]} {number} {done[number]}", k=5)
            done[number] += 1

    working = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for one in working:
        one.start()
    for one in working:
        one.join()
    return sum(done) / SECONDS


def in_a_process(part: str, folder: Path, *more: str) -> dict[str, list[float]]:
    command = [sys.executable, "-m", "tests.benchmarks.in_apps", "--part", part, str(folder), *more]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, list[float]] = json.loads(said.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--libraries", type=int, default=100)
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        part, folder = given.part[0], Path(given.part[1])
        parts: dict[str, Callable[[Path], dict[str, list[float]]]]
        parts = {"first": first_search, "threads": threads, "many": lambda at: many_libraries(at, given.libraries)}
        print(json.dumps(parts[part](folder)))
        return
    import mmsearch

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "library"
        with mmsearch.open(folder) as library:
            library.ingest(SAMPLES)
        for name, (wall, cpu, memory) in in_a_process("first", folder).items():
            print(f"{name:42} {wall:8.0f} ms {cpu:8.0f} ms of CPU {memory:8.0f} MB")
        for name, (wall, cpu, memory, files) in in_a_process(
            "many", folder, "--libraries", str(given.libraries)
        ).items():
            print(f"{name:42} {wall:8.0f} ms {cpu:8.0f} ms of CPU {memory:8.0f} MB more {files:6.0f} files")
        for name, (rate, _) in in_a_process("threads", folder).items():
            print(f"{name:42} {rate:8.1f} searches a second")


if __name__ == "__main__":
    main()

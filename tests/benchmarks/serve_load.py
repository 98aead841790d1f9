"""Many clients at one server: `python -m tests.benchmarks.serve_load --seconds 300 --clients 64`.

A library of generated pictures and sounds; clients ask mixed queries, ranges of files and previews, and an ingest runs
beside them.
With `--kills N` the server, its job or one of its workers is killed N times at random moments, and started again.
Prints answers by status, wrong answers, searches a second with 1, 4 and 16 clients, and the server's memory; and the
CPU of a search over HTTP, uvicorn and h11 and all, next to that of `library.search`.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]

import mmsearch
from tests.generated import COLOURS, picture, sound

ASKED = {"k": "5", "mode": "vector", "dedup": "false", "modalities": "image"}
"""Of one kind: how sure an answer is of a list of few, as that of the sounds is, changes with what is taken in."""
API, TOKEN = "/api/v1", "a-token-of-the-benchmark"
SERVER = """
import sys
from pathlib import Path
import mmsearch
from mmsearch.serve.options import ServeOptions
from mmsearch.serve.server import start
with mmsearch.open(Path(sys.argv[1]), space="tests.tiny:space", workers=1) as library:
    options = ServeOptions(port=int(sys.argv[2]), token=sys.argv[3], made_token=False, manage=True)
    server = start(library, options)
    print(server.address, flush=True)
    server.run()
"""


class Load:
    """What clients saw."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.lost = 0
        """Requests that a kill left without an answer."""
        self.expected: dict[str, list[int]] = {}
        self.lock = threading.Lock()
        self.process: subprocess.Popen[str] | None = None
        self.address = ""

    def start(self, port: int = 0) -> None:
        command = [sys.executable, "-c", SERVER, str(self.place / "library"), str(port), TOKEN]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def client(self) -> httpx.Client:
        headers = {"authorization": f"Bearer {TOKEN}"}
        return httpx.Client(base_url=self.address, headers=headers, timeout=60)

    def ask(self, client: httpx.Client, chance: random.Random) -> None:
        """One request, its answer compared."""
        what = chance.random()
        word = chance.choice(list(COLOURS))
        try:
            if what < 0.6:
                answer = client.get(f"{API}/search", params={"text": word, **ASKED})
                self.compare(word, answer)
            elif what < 0.8:
                item = chance.choice(self.expected["red"])
                answer = client.get(f"{API}/items/{item}/file", headers={"range": "bytes=1-3"})
                if answer.status_code == 206 and answer.content != b"PNG":
                    self.wrong.append("a range")
            else:
                answer = client.get(f"{API}/items/{chance.choice(self.expected['green'])}/thumbnail")
            with self.lock:
                self.statuses[answer.status_code] += 1
        except httpx.HTTPError:
            self.lost += 1
            time.sleep(0.2)

    def compare(self, word: str, answer: httpx.Response) -> None:
        if answer.status_code == 200:
            found = [hit["item_id"] for hit in answer.json()["hits"]]
            if self.expected.setdefault(word, found) != found:
                self.wrong.append(f"{word}: {found}")

    def run(self, clients: int, seconds: float) -> float:
        """Requests a second."""
        end, before = time.monotonic() + seconds, self.statuses.total()

        def work(seed: int) -> None:
            chance = random.Random(seed)
            with self.client() as client:
                while time.monotonic() < end:
                    self.ask(client, chance)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return (self.statuses.total() - before) / seconds

    def kill(self, chance: random.Random) -> str:
        """One of the server's processes; the server itself is started again on its port."""
        assert self.process is not None
        port = int(self.address.rpartition(":")[2])
        victims = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        victim = chance.choice(victims)
        victim.send_signal(signal.SIGKILL)
        if victim.pid != self.process.pid:
            return "child"
        self.process.wait()
        self.start(port)
        return "server"


def http_cost(load: Load, searches: int = 300) -> dict[str, float]:
    """Milliseconds of CPU: of the server's process for a search, and of `library.search` here. Medians of five."""
    assert load.process is not None
    server, words = psutil.Process(load.process.pid), [list(COLOURS)[number % 3] for number in range(searches)]
    told: dict[str, list[float]] = {"a search over HTTP": [], "library.search": []}
    with mmsearch.open(load.place / "library", space="tests.tiny:space") as library, load.client() as client:
        for turn in range(6):
            before = server.cpu_times()
            for word in words:
                client.get(f"{API}/search", params={"text": word, **ASKED}).raise_for_status()
            after, begun = server.cpu_times(), time.thread_time()
            for word in words:
                library.search(word, 5, modalities=["image"], mode="vector", dedup=False)
            if turn:
                used = after.user + after.system - before.user - before.system
                told["a search over HTTP"].append(1e3 * used / searches)
                told["library.search"].append(1e3 * (time.thread_time() - begun) / searches)
    return {name: round(statistics.median(values), 2) for name, values in told.items()}


def filled(place: Path, files: int) -> None:
    for number in range(files):
        picture(place / "media" / f"{number}.png", list(COLOURS)[number % 3], mark=number)
    sound(place / "media" / "low.wav", "low")
    with mmsearch.open(place / "library", space="tests.tiny:space", workers=1, dedup=False) as library:
        library.ingest(place / "media")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--kills", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = measure(Load(Path(folder)), asked)
    print(json.dumps(told, indent=2))


def measure(load: Load, asked: argparse.Namespace) -> dict[str, Any]:
    filled(load.place, asked.files)
    load.start()
    assert load.process is not None
    with load.client() as client:
        for word in COLOURS:
            load.compare(word, client.get(f"{API}/search", params={"text": word, **ASKED}))
    cost = http_cost(load)
    rates = {clients: round(load.run(clients, min(asked.seconds, 10)), 1) for clients in (1, 4, 16)}
    chance, killed = random.Random(1), Counter[str]()
    stop = threading.Event()

    def disturb() -> None:
        begun, pause = time.monotonic(), asked.seconds / (asked.kills + 1)
        for turn in range(10**6):
            # What is taken in beside is like nothing that is asked for, so that right answers stay the same.
            sound(load.place / "media" / f"beside-{turn}.wav", "high", seconds=0.5 + turn / 1000)
            with load.client() as client, suppress(httpx.HTTPError):
                client.post(f"{API}/jobs", json={"kind": "ingest"})
            # By the clock: a server takes its time to start again, and all kills are to be done.
            if stop.wait(max(begun + (turn + 1) * pause - time.monotonic(), 0)):
                return
            if turn < asked.kills:
                killed[load.kill(chance)] += 1

    thread = threading.Thread(target=disturb)
    thread.start()
    rate = load.run(asked.clients, asked.seconds)
    stop.set()
    thread.join()
    memory = psutil.Process(load.process.pid).memory_info().rss
    load.process.send_signal(signal.SIGTERM)
    code = load.process.wait(60)
    return {
        "answers": dict(load.statuses), "wrong": load.wrong, "without an answer": load.lost, "killed": dict(killed),
        "milliseconds of CPU": cost, "requests a second, by clients": rates, f"with {asked.clients}": round(rate, 1),
        "server's memory, MB": round(memory / 1e6), "exit": code, "cores": os.cpu_count(),
    }  # fmt: skip


if __name__ == "__main__":
    main()

"""What a query costs that a warm process answers: `python -m tests.benchmarks.warm [--rounds 20]`.

Over the samples, in the starter space; modules are compiled beforehand, as pip does it. CPU of the shell's process and
of the warm one are added up, so `python -c pass` is in it; wall time is compared with `python -c pass` in the same
rounds, in turn. Medians.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mmsearch.cli.demo import SAMPLES
from mmsearch.warm import client
from mmsearch.warm.address import name_of
from mmsearch.warm.messages import STATUS, STOP, Request

WORDS = ("dog", "rooster", "beach", "bread", "train", "rain", "people", "red", "music", "snow")
PASS = [sys.executable, "-c", "pass"]
QUERY = [sys.executable, "-m", "mmsearch", "query"]

# As pip installs the command: without the modules that -m loads.
SCRIPT = [sys.executable, "-c", "import sys; from mmsearch.__main__ import main; sys.exit(main())", "query"]


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Milliseconds of wall time and of CPU of a process."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    ended = time.perf_counter()
    process.returncode = os.waitstatus_to_exitcode(status)
    return 1e3 * (ended - begun), 1e3 * (used.ru_utime + used.ru_stime)


def cpu_of(pid: int) -> float:
    """Milliseconds of CPU that a process's threads have used."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((one / "schedstat").read_text("ascii").split()[0]) for one in threads) / 1e6


def status(base: str) -> dict[str, int] | None:
    try:
        answered = client.ask(base, Request([STATUS]))
    except (OSError, ValueError):
        return None
    return None if answered is None else json.loads(answered[1][0][1])


def measure(place: Path, rounds: int) -> dict[str, float]:
    """Medians over all rounds."""
    library, runtime = place / "library", place / "run"
    runtime.mkdir(mode=0o700)
    known = {**os.environ, "MMSEARCH_LIBRARY": str(library), "MMSEARCH_WARM": "on", "XDG_RUNTIME_DIR": str(runtime)}
    known.pop("PYTHONDONTWRITEBYTECODE", None)
    known["PYTHONPYCACHEPREFIX"] = str(place / "compiled")
    ingest = [sys.executable, "-m", "mmsearch", "ingest", str(SAMPLES)]
    subprocess.run(ingest, env=known, check=True, capture_output=True)
    subprocess.run([*QUERY, "a dog", "--no-warm"], env=known, check=True, capture_output=True)
    cold = [timed([*QUERY, "a dog", "--no-warm"], known) for _ in range(3)]
    subprocess.run([*QUERY, "a dog"], env=known, check=True, capture_output=True)
    base = str(runtime / "mmsearch" / name_of(str(library)))
    while (found := status(base)) is None:
        time.sleep(0.1)
    pid = found["pid"]
    idle, warm, daemon = [], [], []
    for number in range(rounds + 2):
        idle.append(timed(PASS, known))
        before = cpu_of(pid)
        warm.append(timed([*SCRIPT, "a", WORDS[number % len(WORDS)], str(number)], known))
        daemon.append(cpu_of(pid) - before)
    found = status(base)
    assert found is not None and found["answered"] == rounds + 2 and found["refused"] == 0, found
    client.ask(base, Request([STOP]))
    del idle[:2], warm[:2], daemon[:2]
    middle = statistics.median
    return {
        "python -c pass, wall": middle(wall for wall, _ in idle),
        "python -c pass, CPU": middle(cpu for _, cpu in idle),
        "warm query, wall": middle(wall for wall, _ in warm),
        "warm query, CPU of the shell's process": middle(cpu for _, cpu in warm),
        "warm query, CPU of the warm process": middle(daemon),
        "warm query, CPU of both": middle(one[1] + other for one, other in zip(warm, daemon, strict=True)),
        "cold query, wall": middle(wall for wall, _ in cold),
        "cold query, CPU": middle(cpu for _, cpu in cold),
        "memory of the warm process, MB": found["memory_bytes"] / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as place:
        found = measure(Path(place), rounds)
    for name, value in found.items():
        print(f"{name:40} {value:8.1f}{'' if name.endswith('MB') else ' ms'}")
    ratio = found["warm query, wall"] / found["python -c pass, wall"]
    print(f"{'wall, in times of python -c pass':40} {ratio:8.2f}")


if __name__ == "__main__":
    main()

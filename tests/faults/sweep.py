"""Every fault at every call of every operation; and every power cut. See `python -m tests.faults --help`."""

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from tests.faults.disk import Disk, entries
from tests.faults.shim import WRITES_ONLY, Fault, Shim
from tests.faults.trial import Outcome, Reference, bring_back, judge, references, tried
from tests.faults.world import Place, lay

CUTS = 4
"""Power cuts tried after each call, in each of two kinds of file systems; the first loses all that was not synced."""


@dataclass(slots=True)
class Totals:
    """What a sweep found."""

    points: int = 0
    """Distinct calls that were harmed."""
    kinds: Counter[str] = field(default_factory=Counter)
    """What these calls were: call and file, numbers taken out."""
    runs: Counter[str] = field(default_factory=Counter)
    """By fault."""
    refused: Counter[str] = field(default_factory=Counter)
    unnoticed: int = 0
    wrong: int = 0
    lost: int = 0
    unclear: int = 0
    stuck: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, label: str, outcome: Outcome) -> None:
        self.wrong += bool(outcome.wrong)
        self.lost += bool(outcome.lost)
        self.unclear += bool(outcome.unclear)
        self.stuck += bool(outcome.stuck)
        self.unnoticed += bool(outcome.unnoticed)
        for one in outcome.refused:
            self.refused[one] += 1
        if outcome.bad:
            self.problems.append(f"{label}: {'; '.join(outcome.bad)[:400]}")
            print(self.problems[-1], file=sys.stderr, flush=True)

    def as_json(self) -> str:
        return json.dumps({
            "points": self.points, "runs": sum(self.runs.values()), "by fault": self.runs, "wrong answers": self.wrong,
            "lost committed items": self.lost, "unclear errors": self.unclear, "not mended by repeating": self.stuck,
            "damaged catalogs refused": self.refused, "unnoticed": self.unnoticed,
            "problems": self.problems, "calls": self.kinds,
            "seconds": round(self.seconds, 1),
        }, indent=1)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chosen:
    """What to try."""

    faults: tuple[Fault, ...]
    cuts: bool
    every: int = 1
    """Each so many'th call of each operation."""
    turn: int | None = None
    """At call n only the fault of number n + turn, counted round: as many turns as there are faults are all trials."""
    only: str | None = None
    """One operation."""

    def at(self, number: int, call: str) -> Iterator[Fault]:
        """The faults for a call."""
        fitting = [fault for fault in self.faults if call.startswith("w") or fault not in WRITES_ONLY]
        if self.turn is None:
            yield from fitting
        elif fitting and self.turn < len(fitting):
            yield fitting[(number + self.turn) % len(fitting)]


def sweep(folder: Path, chosen: Chosen) -> Totals:
    totals, shim, start = Totals(), Shim(), monotonic()
    place = Place(folder / "media", folder / "harmed")
    copies = folder / "copies"
    copies.mkdir()
    for reference in list(references(place, copies, shim)):
        operation = reference.operation
        if chosen.only not in (None, operation.name):
            continue
        lay(place.root, operation.media)
        points = range(1, len(reference.calls) + 1, chosen.every)
        totals.points += len(points)
        totals.kinds.update(_kind(reference.calls[point - 1]) for point in points)
        for label, fault, outcome in _faults(place, reference, points, chosen, shim):
            if outcome.met:
                totals.runs[fault] += 1
                totals.add(label, outcome)
        for label, fault, outcome in _cuts(place, reference, points, copies) if chosen.cuts else ():
            totals.runs[fault] += 1
            totals.add(label, outcome)
        print(f"{operation.name}: {len(reference.calls)} calls, {len(reference.states)} states", file=sys.stderr)
    totals.seconds = monotonic() - start
    return totals


def _kind(call: str) -> str:
    op, _, path = call.partition(" ")
    name = Path(path).name
    return f"{op} {name.split('.writing-')[0]}{'.writing' if '.writing-' in name else ''}"


def _faults(
    place: Place, reference: Reference, points: range, chosen: Chosen, shim: Shim
) -> Iterator[tuple[str, str, Outcome]]:
    for at in points:
        call = reference.calls[at - 1]
        for fault in chosen.at(at, call):
            label = f"{reference.operation.name} {at} ({call}) {fault.name}"
            yield label, fault.name, tried(place, reference, at, fault, shim)


def _cuts(place: Place, reference: Reference, points: range, copies: Path) -> Iterator[tuple[str, str, Outcome]]:
    for journalled in (True, False):
        disk = Disk(reference.before, place.harmed, journalled=journalled)
        name = "CUT_JOURNALLED" if journalled else "CUT_STRICT"
        for entry in entries(reference.log):
            disk.take(entry)
            if entry.number not in points:
                continue
            for number in range(CUTS):
                left = copies / "cut"
                left.mkdir()
                disk.cut(left, random.Random(entry.number * CUTS + number) if number else None)
                bring_back(place, left)
                shutil.rmtree(left)
                outcome = Outcome()
                judge(place, reference, reference.safe(entry.number + 1), outcome, cut=True)
                yield f"{reference.operation.name} {entry.number} {name} {number}", name, outcome


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="try each Nth call only")
    parser.add_argument("--only", help="one operation")
    parser.add_argument("--fault", action="append", choices=[*Fault.__members__, "CUT"], help="only these")
    parser.add_argument(
        "--turn", type=int, help="one fault at each call: the number of the call plus this, counted round"
    )
    given = parser.parse_args(arguments)
    faults = tuple(
        fault for fault in Fault if fault is not Fault.NONE and fault.name in (given.fault or Fault.__members__)
    )
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        cuts = not given.fault or "CUT" in given.fault
        totals = sweep(Path(folder).resolve(), Chosen(faults, cuts, given.every, given.turn, given.only))
    print(totals.as_json())
    return bool(totals.problems)

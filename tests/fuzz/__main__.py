"""`python -m tests.fuzz TARGET... --seconds 600`: for so long each, from a seed of its own for every round."""

import argparse
import secrets
import sys
import time
from importlib import import_module

from tests.fuzz.target import Done, Target, fuzz

TARGETS = {
    "documents": "tests.fuzz.documents:DOCUMENTS",
    "exif": "tests.fuzz.text:EXIF",
    "html": "tests.fuzz.text:HTML",
    "raw": "tests.fuzz.text:RAW",
    "sidecars": "tests.fuzz.text:SIDECARS",
    "sniffing": "tests.fuzz.text:SNIFFING",
    "text": "tests.fuzz.text:TEXT",
    "filters": "tests.fuzz.filters:TARGET",
    "imports": "tests.fuzz.imports:TARGET",
    "settings": "tests.fuzz.settings:TARGET",
}
"""Name -> module:attribute of its `Target`, loaded when it is wanted."""

ROUND = 250
"""Steps from one seed."""


def load(name: str) -> Target:
    module, _, attribute = TARGETS[name].partition(":")
    found: Target = getattr(import_module(module), attribute)
    return found


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="+", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=float, default=600.0, help="for each target (600)")
    parser.add_argument("--seed", type=int, help="do again what a round of this seed did, once")
    asked = parser.parse_args(arguments)
    for name in asked.targets:
        done, target, ends = Done(), load(name), time.monotonic() + asked.seconds
        while time.monotonic() < ends:
            seed = secrets.randbits(32) if asked.seed is None else asked.seed
            try:
                fuzz(target, seed, ROUND, done)
            except BaseException:
                print(f"{name}: found with --seed {seed}, after {done.steps} steps", flush=True)
                raise
            if asked.seed is not None:
                break
        print(f"{name}: {done.steps} steps, {done.refused} refused, slowest {done.slowest_s:.2f} s of CPU", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""How far one words query walks: which functions, modules and rooms of mmsearch it passes, how often it changes them.

    python -m tests.benchmarks.walk [--media FOLDER] [--list]

The search is a repeated one, over the packaged samples in the starter space, so nothing is loaded or published by it.
Measured with `sys.setprofile`; comprehensions and lambdas count as functions, `<module>` doesn't.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import mmsearch

PACKAGE = Path(mmsearch.__file__).resolve().parent

QUERY = "a dog"


@dataclass(frozen=True, slots=True)
class Walk:
    """The calls of one action, in order."""

    calls: tuple[CodeType, ...]

    @property
    def functions(self) -> int:
        """How many distinct functions were called."""
        return len(set(self.calls))

    @property
    def modules(self) -> Counter[str]:
        """Path in the package -> how many distinct functions of it were called."""
        return Counter(module_of(code) for code in set(self.calls))

    @property
    def rooms(self) -> set[str]:
        """The folders and single modules of the package that were passed."""
        return {room_of(code) for code in self.calls}

    def changes(self, place: Callable[[CodeType], str]) -> int:
        """How often a function was called at another place, a module or a room, than the call before."""
        return sum(place(one) != place(other) for one, other in pairwise(self.calls))


def module_of(code: CodeType) -> str:
    """The path of a function's module within the package."""
    return Path(code.co_filename).relative_to(PACKAGE).as_posix()


def room_of(code: CodeType) -> str:
    """The first part of a module's path: a package of mmsearch, or a module beside them."""
    return module_of(code).partition("/")[0]


def walked(action: Callable[[], object]) -> Walk:
    """Carry out an action and note the functions of mmsearch that it calls in this thread."""
    calls: list[CodeType] = []
    prefix = f"{PACKAGE}/"

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(prefix):
            calls.append(frame.f_code)

    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)
    return Walk(tuple(calls))


def main() -> None:
    """Print the figures, and with --list the modules and functions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, default=PACKAGE / "resources" / "samples", help="what is searched")
    parser.add_argument("--list", action="store_true", help="name the modules and their functions")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mmsearch-walk-") as folder, mmsearch.open(folder) as library:
        library.ingest(options.media)
        for _ in range(3):
            library.search(QUERY)
        walk = walked(lambda: library.search(QUERY))
    sys.stdout.write(f"{walk.functions} functions, {len(walk.calls)} calls\n")
    sys.stdout.write(f"{len(walk.modules)} modules, {walk.changes(module_of)} changes of module\n")
    sys.stdout.write(f"{len(walk.rooms)} rooms, {walk.changes(room_of)} changes of room\n")
    if options.list:
        for module, count in sorted(walk.modules.items()):
            names = sorted({code.co_qualname for code in walk.calls if module_of(code) == module})
            sys.stdout.write(f"{module} ({count}): {', '.join(names)}\n")


if __name__ == "__main__":
    main()

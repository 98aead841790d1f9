"""Libraries of thousands of pictures that nobody has to encode: filled once, then copied."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import mmsearch
from mmsearch.catalog import Batch, Catalog, NewContent, Placement
from mmsearch.catalog.spaces import active_space
from mmsearch.core import registry
from mmsearch.core.version import VERSION
from mmsearch.library import Library
from mmsearch.types import Span, Vectors
from tests import tiny
from tests.temporary import kept_folder

SIZE = 3000


def unit(count: int, seed: int) -> Vectors:
    """Rows in clusters."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((40, tiny.DIM))
    rows = centres[rng.integers(0, 40, count)] + 0.4 * rng.standard_normal((count, tiny.DIM))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


ROWS = unit(SIZE + 300, 1)


def batch(first: int, stop: int) -> Batch:
    """Files of one picture each: number n has segment n + 1 and vector n, and n bytes."""
    made = Batch()
    for number in range(first, stop):
        digest, rows = f"{number:064x}", ROWS[number : number + 1]
        made.contents.append(NewContent(digest, "image", {}, ["image"], [Span()], rows))
        made.placements.append(Placement(f"/p/{number % 10}/{number:05d}.png".encode(), b"/p", digest, number, 1))
    return made


def commit(folder: Path, made: Batch, target: str = "tests.tiny:space") -> None:
    """As another process does."""
    space = registry.load_part("spaces", target)()
    folder.mkdir(exist_ok=True)
    catalog = Catalog.open(folder, VERSION, create=True)
    record = catalog.read(active_space) or catalog.add_space(space.name, target, space.dim, space.fingerprint)
    catalog.commit(made, record.id)
    catalog.close()


def fill(folder: Path, count: int, target: str = "tests.tiny:space") -> Path:
    """Make a library of the first pictures in a new folder, which is returned."""
    return shutil.copytree(_filled(count, target), folder)


@cache
def _filled(count: int, target: str) -> Path:
    folder = kept_folder("mmsearch-filled-") / "library"
    commit(folder, batch(0, count), target)
    return folder


@contextmanager
def opening(folder: Path) -> Iterator[Callable[..., Library]]:
    """Opens the library any number of times, as other processes would; closed at the end."""
    with ExitStack() as opened:

        def make(index: str = "ivf-sq8", **chosen: Any) -> Library:
            return opened.enter_context(mmsearch.open(folder, index=index, space="tests.tiny:space", **chosen))

        yield make

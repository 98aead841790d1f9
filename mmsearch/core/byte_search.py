"""A search of all bytes of a folder's files for many texts at once, as a process of its own (`main`).

Every place of a file is looked at by its first bytes in numpy; only where those begin a text, the text is compared.
"""

import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

PREFIX = 6
"""Bytes that a text has at least."""

CHUNK = 2**22


def search_folder(folder: Path, texts: Sequence[str]) -> tuple[dict[str, list[str]], int, int]:
    """File, by its place below the folder with slashes -> the texts that its bytes hold, sorted; how many files were
    read; how many bytes. A text has 6 bytes at least. Raises: OSError for a file that can't be read."""
    needles = {os.fsencode(text): text for text in texts}
    starts: dict[int, list[bytes]] = defaultdict(list)
    for needle in needles:
        starts[int.from_bytes(needle[:PREFIX], "big")].append(needle)
    found: dict[str, list[str]] = {}
    files = size = 0
    for path in _files(folder):
        try:
            held, count = _search_file(path, starts)
        except FileNotFoundError:
            continue
        files, size = files + 1, size + count
        if held:
            found[path.relative_to(folder).as_posix()] = sorted(needles[one] for one in held)
    return found, files, size


def _files(folder: Path) -> Iterator[Path]:
    for inner, _, names in sorted(os.walk(folder)):
        paths = (Path(inner, name) for name in sorted(names))
        yield from (path for path in paths if path.is_file() and not path.is_symlink())


def _search_file(path: Path, starts: Mapping[int, Sequence[bytes]]) -> tuple[set[bytes], int]:
    """The needles that a file holds, and its size."""
    longest = max((len(one) for some in starts.values() for one in some), default=0)
    wanted = np.array(sorted(starts), np.uint64)
    first = np.zeros(2**16, bool)
    first[(wanted >> np.uint64(8 * (PREFIX - 2))).astype(np.intp)] = True
    found: set[bytes] = set()
    size, rest = 0, b""
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            size += len(piece)
            data = rest + piece
            for place in _places(data, wanted, first):
                begun = starts[int.from_bytes(data[place : place + PREFIX], "big")]
                found.update(one for one in begun if data.startswith(one, place))
            rest = data[max(len(data) - longest + 1, 0) :] if longest else b""
    return found, size


def _places(
    data: bytes,
    wanted: "np.ndarray[tuple[int], np.dtype[np.uint64]]",
    first: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
) -> list[int]:
    """Where one of the wanted beginnings stands. `first`: whether one begins with two bytes, by their number."""
    row = np.frombuffer(data, np.uint8)
    if len(row) < PREFIX or not len(wanted):
        return []
    end = len(row) - PREFIX + 1
    pairs = (row[:end].astype(np.uint16) << 8) | row[1 : end + 1]
    places = np.flatnonzero(first[pairs])
    numbers = np.zeros(len(places), np.uint64)
    for offset in range(PREFIX):
        numbers = (numbers << np.uint64(8)) | row[places + offset]
    found: list[int] = places[np.isin(numbers, wanted)].tolist()
    return found


def main() -> None:
    """Answer one question: {"folder", "needles"} in JSON on standard input."""
    asked = json.loads(sys.stdin.buffer.read())
    found, files, size = search_folder(Path(asked["folder"]), asked["needles"])
    sys.stdout.write(json.dumps({"found": found, "files": files, "bytes": size}))

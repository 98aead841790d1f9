"""A decoder that does what its file says: crash, hang, eat memory, talk. For tests of the decode pool.

A file begins with `HOSTILE:` and then holds commands, one a line: `piece N` (N pictures of one colour, white for an odd
index), `sound`, `abort`, `hang`, `spin`, `eat`, `kill`, `raise`, `corrupt`, `print`, `exit`, `touch`, `stop`.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmsearch.errors import Corrupt
from mmsearch.types import Limits, Metadata, Modality, Segment, Space, Span, Windowing
from tests import tiny

MAGIC = b"HOSTILE:\n"
DECODER = "tests.hostile_decoder:HostileDecoder"
SPACE = "tests.tiny:space"
TEXT_ONLY = "tests.hostile_decoder:text_only"


def text_only() -> Space:
    """The tiny space without pictures and sounds."""
    whole = tiny.space()
    return Space("text-only", whole.dim, whole.windowing, {"text": whole.encoders["text"]})


class HostileDecoder:
    modality: Modality = "image"

    def __init__(self, windowing: Windowing, limits: Limits) -> None:
        self._limits = limits

    def accepts(self, path: Path, head: bytes) -> bool:
        return head.startswith(MAGIC)

    def describe(self, path: Path) -> Metadata:
        return {"width": 4, "height": 4, "pid": os.getpid()}

    def decode(self, path: Path) -> Iterator[Segment]:
        for line in path.read_text().splitlines()[1:]:
            verb, _, count = line.partition(" ")
            if verb == "piece":
                for index in range(int(count)):
                    colour = np.full((4, 4, 3), 255 * (index % 2), np.uint8)
                    yield Segment("image", colour, Span(start=float(index), end=float(index + 1)))
            elif verb == "sound":
                yield Segment("audio", np.zeros(160, np.float32), Span(start=0.0, end=0.01), 16_000)
            else:
                self._act(verb, path)

    def _act(self, verb: str, path: Path) -> None:
        match verb:
            case "abort":
                os.abort()
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exit":
                os._exit(3)
            case "hang":
                while True:
                    time.sleep(3600)
            case "spin":
                while True:
                    pass
            case "eat":
                held = []
                while True:
                    held.append(np.ones(2**20))
            case "raise":
                raise ValueError(f"two\nlines about {path}")
            case "corrupt":
                raise Corrupt("half of it is missing")
            case "print":
                os.write(1, b"native library says hello\n" * 1000)
                sys.stdout.write("so does Python\n")
                sys.stdout.flush()
                sys.stderr.write("and here\n")
            case "touch":
                os.utime(path, ns=(1, 1))

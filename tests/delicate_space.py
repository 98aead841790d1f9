"""The tiny space, of whose pictures some are too much: nothing comes of a green one, and of a blue one an encoder
process dies."""

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace

from mmsearch.core import registry
from mmsearch.errors import EncodeError
from mmsearch.types import Prepared, Space, Vectors
from tests import tiny


class Delicate(tiny.TinyImage):
    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        made = super().encode(batch, query=query)
        if not query and any(row[1] == 1 for row in made):
            raise EncodeError("it is green", hint="paint it")
        if any(row[2] == 1 for row in made) and "mmsearch.context.encode_worker" in sys.modules:
            os.kill(os.getpid(), signal.SIGKILL)
        return made


def space(device: str = "auto", precision: str = "auto") -> Space:
    made: Space = registry.load_part("spaces", "tests.tiny:space")(device, precision)
    return replace(made, encoders={**made.encoders, "image": Delicate("tiny-1")})

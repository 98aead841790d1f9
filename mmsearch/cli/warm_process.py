"""The warm process itself: `keeping.start` starts it, and nobody waits for it."""

import faulthandler
import gc
import os
import signal
import sys
import tempfile
import warnings
from types import FrameType

from mmsearch.cli.warm_server import WarmServer, held
from mmsearch.warm.address import LOCK, is_own

HUNG_S = 60.0
"""Seconds after which a process that answers nothing and doesn't end is ended."""


def main(base: str, library: str) -> None:
    """Answer at an address about a library until it is time to end."""
    if not is_own(os.path.dirname(base)):
        return
    with held(base) as ours:
        if ours:
            os.utime(base + LOCK)
            _serve(base, library)


def _serve(base: str, library: str) -> None:
    import mmsearch
    from mmsearch.core.config import own_process

    own_process()
    # A hang anywhere, in C too, ends the process: `alive` puts it off.
    nowhere = open(os.devnull, "w")  # noqa: SIM115  (open as long as the process lives)
    faulthandler.dump_traceback_later(HUNG_S, exit=True, file=nowhere)
    with tempfile.TemporaryFile() as said, mmsearch.open(library) as opened:
        # What a library of C writes to standard error, a shell would show each time.
        os.dup2(said.fileno(), 2)
        warnings.simplefilter("always")
        opened.search("warm", 1)
        gc.collect()
        gc.freeze()
        server = WarmServer(base, opened)

        def alive() -> None:
            faulthandler.dump_traceback_later(HUNG_S, exit=True, file=nowhere)
            if os.fstat(said.fileno()).st_size:
                server.stop()

        def end(_signal: int, _frame: FrameType | None) -> None:
            server.stop()

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        server.run(alive)
        sys.stdout.flush()

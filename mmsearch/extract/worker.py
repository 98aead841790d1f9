"""The extraction worker: a process without torch that may crash, hang or run out of memory, and then costs one file.

Started by `mmsearch.extract.process` as decode workers are; the same messages, one for each line.
"""

import signal
import sys
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from mmsearch.errors import MmsearchError
from mmsearch.media import protocol
from mmsearch.media.worker import Alarm, as_media_error, check_unchanged, limit_memory, one_line, private_pipes
from mmsearch.types import Extractor, Limits


def main() -> None:
    """Serve requests until standard input closes."""
    requests, replies = private_pipes()
    if hasattr(signal, "SIGINT"):
        # Ctrl-C belongs to the parent, which lets the files in hand finish.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    # torch's OpenMP and cuDNN clash with those of CTranslate2; what asks for it does without.
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        setup, _ = protocol.read_message(requests)
        limits = Limits(**setup["limits"])
        try:
            extractor = _load(setup["extractor"])(limits)
        except MmsearchError as error:
            protocol.write_message(replies, {"kind": "broken", "error": type(error).__name__, "reason": error.message})
            return
        limit_memory(limits.memory_bytes)
        protocol.write_message(replies, {"kind": "ready"})
        while True:
            request, _ = protocol.read_message(requests)
            _serve(extractor, request, limits, replies)
    except (protocol.ProtocolError, KeyboardInterrupt):
        return


def _serve(extractor: Extractor, request: Mapping[str, Any], limits: Limits, replies: protocol.Pipe) -> None:
    """Send the lines of one file, then how it ended."""
    path = Path(request["path"])
    try:
        check_unchanged(path, request)
        lines = iter(extractor.extract(path))
        while True:
            with Alarm.of(limits):
                line = next(lines, _END)
            if line is _END:
                break
            fields = None if line is None else asdict(line)  # type: ignore[call-overload]
            protocol.write_message(replies, protocol.without_surrogates({"kind": "line", "line": fields}))
        check_unchanged(path, request)
        protocol.write_message(replies, {"kind": "done"})
    except protocol.ProtocolError:
        raise
    except Exception as error:
        failure = as_media_error(error)
        end = {"kind": "failed", "failure": failure.failure, "reason": one_line(failure.message, path)}
        protocol.write_message(replies, protocol.without_surrogates(end))


_END = object()


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise MmsearchError(f"the extractor {target!r} can't be imported: {error}") from error

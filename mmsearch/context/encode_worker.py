"""An encoder process: the models of one space on one device, for an ingest that has several.

Started by `context.encoding` as decode workers are, with the same messages: a batch comes as one message for each
segment, its vectors go back in one.
"""

import signal
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmsearch.core import registry
from mmsearch.core.config import own_process
from mmsearch.encoders.device import may_keep_memory
from mmsearch.errors import MmsearchError
from mmsearch.media import protocol
from mmsearch.media.worker import private_pipes
from mmsearch.types import Encoder, Prepared, SeesRegions, Vectors


def main() -> None:
    """Serve batches until standard input closes."""
    requests, replies = private_pipes()
    if hasattr(signal, "SIGINT"):
        # Ctrl-C belongs to the parent, which lets the current batch finish.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    own_process()
    try:
        setup, _ = protocol.read_message(requests)
        if setup["keep_memory"]:
            may_keep_memory()
        try:
            encoders = registry.load_part("spaces", setup["space"])(setup["device"], setup["precision"]).encoders
        except MmsearchError as error:
            protocol.write_message(replies, {"kind": "broken", "error": type(error).__name__, "reason": error.message})
            return
        protocol.write_message(replies, {"kind": "ready"})
        while True:
            request, _ = protocol.read_message(requests)
            batch = [_array(requests) for _ in range(request["count"])]
            _serve(encoders[request["modality"]], request, batch, replies)
    except (protocol.ProtocolError, KeyboardInterrupt):
        return


def _array(requests: protocol.Pipe) -> Prepared:
    """Raises: ProtocolError."""
    _, array = protocol.read_message(requests)
    if array is None:
        raise protocol.ProtocolError("a segment without its array")
    return array


def _serve(encoder: Encoder, request: Mapping[str, Any], batch: Sequence[Prepared], replies: protocol.Pipe) -> None:
    """Send the vectors of a batch, those of regions behind them; or what went wrong."""
    try:
        vectors, boxes = _encoded(encoder, batch, request["regions"])
    except Exception as error:
        known = error if isinstance(error, MmsearchError) else MmsearchError(f"{type(error).__name__}: {error}")
        failed = {"kind": "failed", "error": type(known).__name__, "reason": known.message, "hint": known.hint}
        protocol.write_message(replies, protocol.without_surrogates(failed))
        return
    protocol.write_message(replies, {"kind": "vectors", "boxes": boxes}, vectors)


def _encoded(encoder: Encoder, batch: Sequence[Prepared], regions: int) -> tuple[Vectors, list[list[Any]]]:
    """float32 (segments and their regions, dim), and for each segment the boxes of its regions."""
    if not regions or not isinstance(encoder, SeesRegions):
        return encoder.encode(batch), [[] for _ in batch]
    vectors, seen = encoder.encode_regions(batch, regions)
    rows = [one.vector for found in seen for one in found]
    boxes = [[list(one.box) for one in found] for found in seen]
    return np.concatenate([vectors, np.stack(rows)]) if rows else vectors, boxes

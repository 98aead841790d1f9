"""The decode worker: a process that may crash, hang or run out of memory, and then costs one file.

Started by `process.DecodeWorker` with its parent's `sys.path`; needs no `__main__` guard in the embedding application.
It reads requests from standard input and answers on standard output, both as messages of `protocol`.
"""

import os
import signal
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.core import registry
from mmsearch.core.file_times import size_and_time
from mmsearch.core.keeping import keeping_of
from mmsearch.core.kind_names import kind_names
from mmsearch.errors import Corrupt, DecoderCrashed, MediaError, MmsearchError, NotEmbedded, OutOfMemory, Transient
from mmsearch.media import protocol, sniff
from mmsearch.media.dates import time_in_name
from mmsearch.media.events import Preview
from mmsearch.media.evidence import EvidenceMaker
from mmsearch.media.written import Policy
from mmsearch.types import Decoder, Encoder, Limits, Metadata, Modality, Segment, Windowing

_REASON_LENGTH = 200


def main() -> None:
    """Serve requests until standard input closes."""
    requests, replies = private_pipes()
    if hasattr(signal, "SIGINT"):
        # Ctrl-C belongs to the parent, which lets the current batch finish.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    try:
        setup, _ = protocol.read_message(requests)
        try:
            server = _Server.build(setup, replies)
        except MmsearchError as error:
            protocol.write_message(replies, {"kind": "broken", "error": type(error).__name__, "reason": error.message})
            return
        limit_memory(server.limits.memory_bytes)
        protocol.write_message(replies, {"kind": "ready"})
        while True:
            request, _ = protocol.read_message(requests)
            server.serve(request)
    except (protocol.ProtocolError, KeyboardInterrupt):
        return


def private_pipes() -> tuple[protocol.Pipe, protocol.Pipe]:
    """Take fds 0 and 1 for the protocol and leave /dev/null there: native libraries like to print."""
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return open(requests, "rb", buffering=0), open(replies, "wb", buffering=0)


def limit_memory(size: int) -> None:
    """Bound the private memory of this process, in bytes."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        # Private memory, not address space: mapped files and reserved arenas cost nothing.
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    except (ValueError, OSError):  # a lower hard limit is in force already
        return


@dataclass(slots=True)
class _Stopwatch:
    """Seconds spent decoding and preparing one file; waiting for the parent counts for neither."""

    decode_s: float = 0.0
    prepare_s: float = 0.0


@dataclass(slots=True)
class _Server:
    decoders: Mapping[str, Decoder]
    encoders: Mapping[Modality, Encoder]
    limits: Limits
    replies: protocol.Pipe

    @classmethod
    def build(cls, setup: Mapping[str, Any], replies: protocol.Pipe) -> "_Server":
        windowing, limits = Windowing(**setup["windowing"]), Limits(**setup["limits"])
        Policy.keeping = keeping_of(setup["keeping"])
        decoders = {target: _load(target)(windowing, limits) for target in setup["decoders"]}
        space = registry.load_part("spaces", setup["space"])()
        return cls(decoders, space.encoders, limits, replies)

    def serve(self, request: Mapping[str, Any]) -> None:
        """Decode one file and send its segments, then how it ended."""
        watch = _Stopwatch()
        modality: Modality | None = None
        path = Path(request["path"])
        try:
            check_unchanged(path, request)
            decoder = self._timed(watch, lambda: sniff.open_decoder(path, list(self.decoders.values()), self.limits))
            modality = decoder.modality
            modalities = request["modalities"]
            if modalities is not None and modality not in modalities:
                self._end(watch, {"kind": "skipped", "modality": modality})
                return
            if request["preview"] is not None:
                made = self._preview(Preview(**request["preview"]), path, decoder, watch)
                check_unchanged(path, request)
                self._end(watch, {"kind": "done", "modality": modality, "metadata": {}}, np.frombuffer(made, np.uint8))
                return
            if request["headers"]:
                said: Metadata = self._timed(watch, lambda: decoder.describe(path))
                self._end(watch, {"kind": "done", "modality": modality, "metadata": Policy.keeping.kept(said)})
                return
            kept = _Keeper(modality)
            metadata = self._decode(decoder, path, watch, kept)
            check_unchanged(path, request)
            start = time.perf_counter()
            evidence = np.frombuffer(kept.evidence(str(metadata.get("left_out", ""))), np.uint8)
            watch.prepare_s += time.perf_counter() - start
            self._end(watch, {"kind": "done", "modality": modality, "metadata": metadata}, evidence)
        except protocol.ProtocolError:
            raise
        except Exception as error:
            failure = as_media_error(error)
            reason = one_line(failure.message, path)
            end = {"kind": "failed", "failure": failure.failure, "reason": reason, "modality": modality}
            self._end(watch, end)

    def _preview(self, preview: Preview, path: Path, decoder: Decoder, watch: _Stopwatch) -> bytes:
        from mmsearch.media import previews

        made: bytes = self._timed(watch, lambda: previews.make_preview(preview, path, decoder, self.limits))
        return made

    def _decode(self, decoder: Decoder, path: Path, watch: _Stopwatch, kept: "_Keeper") -> Metadata:
        metadata: Metadata = self._timed(watch, lambda: decoder.describe(path))
        seen: set[Modality] = set()
        index = 0
        found: Metadata = {}
        for segment in self._segments(decoder.decode(path), watch, found):
            seen.add(segment.modality)
            if segment.modality == "text":
                segment = replace(segment, title=metadata.get("title"))
            encoder = self.encoders.get(segment.modality)
            if encoder is None:
                if segment.modality == decoder.modality:
                    # A sound is nothing but sound, whereas a video's pictures may be to come.
                    break
                continue
            start = time.perf_counter()
            with self._alarm():
                kept.add(segment)
                array = encoder.prepare(segment)
            watch.prepare_s += time.perf_counter() - start
            span = protocol.pack_span(segment.span)
            protocol.write_message(self.replies, {"kind": "segment", "modality": segment.modality, "span": span}, array)
            index += 1
        if not seen:
            raise Corrupt("nothing in it could be decoded")
        if index == 0:
            raise NotEmbedded(f"the library's model does not know {kind_names(seen, 'or')}")
        # Whatever a decoder tells, of another package too.
        return Policy.keeping.kept(_dated({**metadata, **found}, decoder.modality, path.name))

    def _segments(self, segments: Iterator[Segment], watch: _Stopwatch, found: Metadata) -> Iterator[Segment]:
        """The segments; what the decoder returns at their end comes into `found`."""
        while True:
            try:
                segment = self._timed(watch, lambda: next(segments))
            except StopIteration as end:
                found.update(end.value or {})
                return
            yield _without_surrogates(segment)

    def _timed(self, watch: _Stopwatch, step: Any) -> Any:
        start = time.perf_counter()
        try:
            with self._alarm():
                return step()
        finally:
            watch.decode_s += time.perf_counter() - start

    def _alarm(self) -> "Alarm":
        return Alarm.of(self.limits)

    def _end(self, watch: _Stopwatch, message: protocol.Message, evidence: NDArray[np.uint8] | None = None) -> None:
        timed = {**protocol.without_surrogates(message), "decode_s": watch.decode_s, "prepare_s": watch.prepare_s}
        protocol.write_message(self.replies, timed, evidence)


def _dated(metadata: Metadata, modality: Modality, name: str) -> Metadata:
    """The facts of a medium, with the time in its name where it has none by the camera's clock itself."""
    named = time_in_name(name) if modality != "text" and "taken" not in metadata else None
    if named is None or ("created" in metadata and not _same_evening(named, str(metadata["created"]))):
        return metadata
    return {**metadata, "taken": named}


def _same_evening(local: str, utc: str) -> bool:
    """Whether a time may be another by a clock of some zone."""
    try:
        apart = datetime.fromisoformat(local) - datetime.fromisoformat(utc).replace(tzinfo=None)
    except ValueError:
        return False
    return "T" in local and abs(apart) <= timedelta(hours=14, minutes=1)


class _Keeper:
    """Makes a file's evidence; a fault of that is no fault of the file, which then has none."""

    def __init__(self, modality: Modality) -> None:
        self._maker: EvidenceMaker | None = EvidenceMaker(modality)

    def add(self, segment: Segment) -> None:
        if self._maker is not None:
            try:
                self._maker.add(segment)
            except Exception:
                self._maker = None

    def evidence(self, left_out: str) -> bytes:
        try:
            return b"" if self._maker is None else self._maker.finish(left_out)
        except Exception:
            return b""


def _without_surrogates(segment: Segment) -> Segment:
    """The segment, its text without lone surrogates."""
    if not isinstance(segment.data, str):
        return segment
    span = replace(segment.span, text=protocol.without_surrogates(segment.span.text))
    return replace(segment, data=protocol.without_surrogates(segment.data), span=span)


@dataclass(slots=True)
class Alarm:
    """The kernel ends a worker that hangs after its parent, which would have killed it sooner, is gone."""

    seconds: float

    @classmethod
    def of(cls, limits: Limits) -> "Alarm":
        """For a step of work under these limits."""
        return cls((protocol.STRETCH + 1) * limits.decode_s + 10)

    def __enter__(self) -> None:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, *_: object) -> None:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)


def as_media_error(error: BaseException) -> MediaError:
    """The failure class of whatever a decoder or an encoder's `prepare` raised."""
    if isinstance(error, MediaError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemory("out of memory")
    if isinstance(error, OSError):
        return sniff.from_os_error(error)
    return DecoderCrashed(f"{type(error).__name__}: {error}")


def one_line(reason: str, path: Path) -> str:
    """A reason fit for a ledger: one short line that names no folder."""
    reason = reason.replace(str(path), path.name)
    if len(path.parent.parts) > 1:
        reason = reason.replace(f"{path.parent}{os.sep}", "")
    words = " ".join(reason.split()).strip(" :") or "no reason given"
    return words if len(words) <= _REASON_LENGTH else words[: _REASON_LENGTH - 1] + "…"


def check_unchanged(path: Path, request: Mapping[str, Any]) -> None:
    """Raises: Transient if the file is not of the size and time that were asked for; what reading it raises."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise sniff.from_os_error(error) from error
    for name, now in zip(("size", "mtime_ns"), size_and_time(status), strict=True):
        if request[name] is not None and request[name] != now:
            raise Transient("the file changed while it was read")


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise MmsearchError(f"decoder {target!r} can't be imported: {error}") from error

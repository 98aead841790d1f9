"""Encoders on several devices: a process for each, batches dealt out among them, rows in the order they came."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import numpy as np

from mmsearch import errors
from mmsearch.core.config import Settings
from mmsearch.errors import MmsearchError
from mmsearch.media import protocol
from mmsearch.media.process import DecodeWorker, Watchdog
from mmsearch.types import (
    Encoder,
    EncoderSpec,
    Modality,
    Prepared,
    SeenRegion,
    SeesRegions,
    Segment,
    Space,
    Vectors,
)

WORKER = "mmsearch.context.encode_worker"
LONGEST_S = 3600.0
"""Seconds of a batch, with the loading of its model, from which a process is taken to be stuck."""


class EncoderProcesses:
    """One process for each device. Thread safety: one thread at a time."""

    def __init__(self, target: str, settings: Settings) -> None:
        """Raises: MmsearchError if one can't start."""
        self._watchdog = Watchdog()
        self._workers: list[tuple[str, DecodeWorker]] = []
        self._threads = ThreadPoolExecutor(len(settings.devices), "mmsearch-encoding")
        setup = {"space": target, "precision": settings.precision, "keep_memory": True}
        try:
            for device in settings.devices:
                made = DecodeWorker({**setup, "device": device}, self._watchdog, WORKER)
                self._workers.append((device, made))
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._workers)

    @property
    def pids(self) -> list[int]:
        return [worker.pid for _, worker in self._workers]

    def encode(
        self, modality: Modality, batch: Sequence[Prepared], regions: int = 0
    ) -> tuple[Vectors, list[list[SeenRegion]]]:
        """The vectors of a batch, float32 (len(batch), dim), and the regions of each picture, at most so many.

        Raises: MmsearchError if a process ends, and what its encoder raises.
        """
        bounds = np.linspace(0, len(batch), min(len(self), len(batch)) + 1).round().astype(int)
        parts = [batch[first:last] for first, last in pairwise(bounds)]
        asked = [
            self._threads.submit(self._part, device, worker, modality, part, regions)
            for (device, worker), part in zip(self._workers, parts, strict=False)
        ]
        # All are waited for before one's error is raised: a process that is still at work answers nobody else.
        for one in asked:
            one.exception()
        made = [one.result() for one in asked]
        return np.concatenate([vectors for vectors, _ in made]), [seen for _, found in made for seen in found]

    def close(self) -> None:
        """End the processes."""
        for _, worker in self._workers:
            worker.stop()
        self._threads.shutdown()
        self._watchdog.close()

    def _part(
        self, device: str, worker: DecodeWorker, modality: Modality, batch: Sequence[Prepared], regions: int
    ) -> tuple[Vectors, list[list[SeenRegion]]]:
        try:
            worker.send({"kind": "encode", "modality": modality, "count": len(batch), "regions": regions})
            for prepared in batch:
                worker.send({}, prepared)
            message, rows = worker.receive(LONGEST_S)
            if message["kind"] != "failed":
                return _unpacked(message, rows, len(batch))
        except (protocol.ProtocolError, KeyError, TypeError, ValueError) as error:
            raise MmsearchError(
                f"the encoder process on {device} ended ({worker.end()})",
                hint="do it again: what was committed is kept; if it ends again, take fewer devices, or one: "
                f"--device {device}",
            ) from error
        kind = getattr(errors, str(message["error"]), MmsearchError)
        raise kind(str(message["reason"]), hint=message["hint"])


def _unpacked(message: protocol.Message, rows: Prepared | None, count: int) -> tuple[Vectors, list[list[SeenRegion]]]:
    """Raises: KeyError, TypeError, ValueError for what makes no sense."""
    if rows is None or len(rows) < count or len(message["boxes"]) != count:
        raise ValueError("another number of vectors than was asked for")
    behind = iter(rows[count:])
    seen = [[SeenRegion(tuple(box), next(behind)) for box in boxes] for boxes in message["boxes"]]
    return np.asarray(rows[:count], np.float32), seen


class DealtEncoder:
    """An encoder whose batches go to processes; it prepares segments itself, and queries are its own."""

    def __init__(self, own: Encoder, modality: Modality, processes: EncoderProcesses) -> None:
        self._own = own
        self._modality = modality
        self._processes = processes

    @property
    def spec(self) -> EncoderSpec:
        """Of the encoder, but for the size of a batch, which goes to all processes together."""
        spec = self._own.spec
        return replace(spec, batch_size=spec.batch_size * len(self._processes))

    def prepare(self, segment: Segment) -> Prepared:
        return self._own.prepare(segment)

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        """As `Encoder.encode`. Raises: MmsearchError if a process ends."""
        if query or not batch:
            return self._own.encode(batch, query=query)
        return self._processes.encode(self._modality, batch)[0]


class DealtRegions(DealtEncoder):
    """The same of an encoder that sees regions."""

    def encode_regions(self, batch: Sequence[Prepared], most: int) -> tuple[Vectors, list[list[SeenRegion]]]:
        """As `SeesRegions.encode_regions`. Raises: MmsearchError if a process ends."""
        return self._processes.encode(self._modality, batch, most)


@contextmanager
def dealt_space(space: Space, target: str, settings: Settings) -> Iterator[Space]:
    """The space, whose batches are dealt out to a process for each device of the settings; itself if there is one."""
    if len(settings.devices) == 1:
        yield space
        return
    processes = EncoderProcesses(target, settings)
    try:
        encoders: Mapping[Modality, Encoder] = {
            modality: (DealtRegions if isinstance(own, SeesRegions) else DealtEncoder)(own, modality, processes)
            for modality, own in space.encoders.items()
        }
        yield replace(space, encoders=encoders)
    finally:
        processes.close()

"""The checks, each of which measures one promise and returns a row of the report."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmsearch.core import registry
from mmsearch.testing.encoders import SEGMENTS
from mmsearch.types import Encoder, Modality, Prepared, Space

CLOSE, SHARE, FLAT = 0.999, 0.9, 64 * 2**20
"""Cosine to the CPU's vectors; end to end to the bare forward pass; bytes that memory may grow by."""
BATCHES = 1000
PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report."""

    check: str
    subject: str
    figure: str
    holds: bool


def names() -> Iterator[tuple[str, str]]:
    """(what it is called, name of the space) of each small model, made with random weights."""
    from tests import clip, huggingface, sentence

    yield "starter", "starter"
    yield from ((f"open_clip {kind}", clip.space(kind)) for kind in ("clip", "siglip"))
    yield from ((f"transformers {kind}", huggingface.space(kind)) for kind in ("clap", "pe"))
    for variant in sentence.VARIANTS:
        yield f"sentence-transformers {variant}", sentence.space(variant)


def opened(name: str, device: str, precision: str) -> Space:
    made: Space = registry.load_part("spaces", name)(device, precision)
    return made


def prepared(encoder: Encoder, kind: Modality) -> list[Prepared]:
    return [encoder.prepare(one) for one in SEGMENTS[kind]()]


def same_as_the_cpu() -> Iterator[Row]:
    """Every encoder in every precision that its model takes, against fp32 on the CPU."""
    for called, name in names():
        for kind, reference in opened(name, "cpu", "fp32").encoders.items():
            inputs = prepared(reference, kind)
            expected = reference.encode(inputs)
            for precision in PRECISIONS:
                if precision == "fp16" and "gemma" in called:
                    continue  # refused: it gives NaN
                made = opened(name, "cuda", precision).encoders[kind].encode(inputs)
                least = float((made * expected).sum(1).min())
                yield Row("as on the CPU", f"{called} {kind} {precision}", f"cosine {least:.5f}", least >= CLOSE)


def memory_stays(encode: Callable[[], Any]) -> int:
    """Bytes of GPU memory that many batches leave behind."""
    import torch

    for _ in range(10):
        encode()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    for _ in range(BATCHES):
        encode()
    torch.cuda.synchronize()
    return int(torch.cuda.memory_allocated() - before)


def memory_is_flat() -> Iterator[Row]:
    """Over a thousand batches of each kind of the smallest EmbeddingGemma 2."""
    from tests import sentence

    for kind, encoder in opened(sentence.space("gemma"), "cuda", "bf16").encoders.items():
        inputs = prepared(encoder, kind)[:2]

        def encode(encoder: Encoder = encoder, inputs: Sequence[Prepared] = inputs) -> None:
            encoder.encode(inputs)

        grown = memory_stays(encode)
        yield Row("memory is flat", f"gemma {kind}", f"{grown / 2**20:.1f} MiB more", grown < FLAT)


def more_than_fits() -> Iterator[Row]:
    """A batch for which memory doesn't suffice is halved until it does."""
    import torch

    encoder = opened("starter", "cuda", "fp32").encoders["image"]
    inputs = prepared(encoder, "image") * 40
    expected = encoder.encode(inputs)
    torch.cuda.set_per_process_memory_fraction(min(1.0, 1.2 * torch.cuda.memory_allocated() / _total() + 0.001))
    try:
        made = encoder.encode(inputs)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    least = float((made * expected).sum(1).min())
    yield Row("out of memory", "starter image", f"cosine {least:.5f}", least >= CLOSE)


def _total() -> int:
    import torch

    return int(torch.cuda.mem_get_info()[1])


def as_quick_as_the_library() -> Iterator[Row]:
    """Encoders of the small EmbeddingGemma 2 end to end, against the library's own `encode` of the same inputs."""
    from PIL import Image

    from tests import sentence

    model = sentence.library_model("gemma").to("cuda")
    encoder = opened(sentence.space("gemma"), "cuda", "fp32").encoders["image"]
    pixels = np.random.default_rng(1).integers(0, 256, (32, 300, 400, 3), np.uint8)
    bare = _seconds(lambda: model.encode([Image.fromarray(one) for one in pixels], show_progress_bar=False))
    ours = _seconds(lambda: encoder.encode(list(pixels)))
    yield Row("as quick as the library", "gemma image", f"{bare / ours:.2f} of its speed", bare / ours >= SHARE)


def _seconds(work: Callable[[], Any]) -> float:
    """The least of five, after one that warms up."""
    times = []
    for _ in range(6):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times[1:])


CHECKS = (same_as_the_cpu, memory_is_flat, more_than_fits, as_quick_as_the_library)

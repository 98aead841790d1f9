"""Whether torch.compile pays for pictures: `python -m tests.benchmarks.compiled [--batch 32] [--rounds 9]`.

The starter's picture network and ViT-B-32 with random weights, as they are and compiled, in turn; medians. Where torch
has compiled the same before, its cache makes the first pass shorter.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch

from mmsearch.core import registry
from tests.benchmarks import vit

Pass = Callable[[Any], torch.Tensor]


def network(name: str, batch: int) -> tuple[Pass, torch.Tensor]:
    """The forward pass of a space's picture tower, and some noise for it."""
    encoder: Any = registry.load_part("spaces", name)("auto", "auto").encoders["image"]
    model = encoder._loaded()
    side = 260 if name == "starter" else encoder.pixels.height
    noise = np.random.default_rng(0).standard_normal((batch, 3, side, side), np.float32)
    pixels = torch.from_numpy(noise).to(model.device, model.dtype, memory_format=torch.channels_last)
    return model.module.forward_features if name == "starter" else model.module.encode_image, pixels


def timed(run: Pass, pixels: torch.Tensor) -> tuple[float, float]:
    """Seconds by the clock, and of this process' CPU time."""
    wall, cpu = perf_counter(), process_time()
    run(pixels).sum().item()
    return perf_counter() - wall, process_time() - cpu


def compared(name: str, batch: int, rounds: int) -> str:
    plain, pixels = network(name, batch)
    compiled = torch.compile(plain)
    with torch.inference_mode():
        timed(plain, pixels)
        first, _ = timed(compiled, pixels)
        pairs = [(timed(plain, pixels), timed(compiled, pixels)) for _ in range(rounds)]
    wall, cpu = (median(a[kind] for a, _ in pairs) / median(b[kind] for _, b in pairs) for kind in (0, 1))
    return f"{name}: {wall:.2f} x as quick by the clock, {cpu:.2f} x in CPU time; first pass {first:.0f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("starter", vit.save(Path(folder) / "vit")):
            print(compared(name, given.batch, given.rounds), flush=True)


if __name__ == "__main__":
    main()

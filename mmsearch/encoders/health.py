"""Whether torch and its devices are there, and whether a space's encoders work with the weights they name."""

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import numpy as np

from mmsearch.encoders.device import import_torch
from mmsearch.errors import MmsearchError
from mmsearch.types import Encoder, Finding, Modality, Segment, Space


def findings(space: Space) -> Iterator[Finding]:
    """Looks at the devices, then has every encoder embed something small, which loads and checks its weights."""
    yield from _devices()
    for modality, encoder in space.encoders.items():
        yield _embeds(modality, encoder, space.windowing.audio_rate)


def _devices() -> Iterator[Finding]:
    try:
        import_torch()
        import torch
    except (ImportError, OSError) as error:
        yield Finding("torch", "error", f"can't be loaded: {error}", "pip install --force-reinstall torch torchaudio")
        return
    yield Finding("torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
        yield Finding("device", "ok", f"{len(names)} CUDA: {', '.join(names)}")
    elif torch.backends.mps.is_available():
        yield Finding("device", "ok", "Apple GPU (mps)")
    elif Path("/proc/driver/nvidia").exists():
        remedy = "check the driver with `nvidia-smi`, and torch's build with: python -m torch.utils.collect_env"
        yield Finding("device", "warning", "there is an NVIDIA driver, but torch sees no GPU", remedy)
    else:
        yield Finding("device", "ok", "cpu (no GPU here)")


def _embeds(modality: Modality, encoder: Encoder, rate: int) -> Finding:
    subject = f"{modality} encoder"
    start = perf_counter()
    try:
        vector = encoder.encode([encoder.prepare(_something(modality, rate))])[0]
    except MmsearchError as error:
        return Finding(subject, "error", error.message, error.hint)
    except Exception as error:  # whatever a library at fault raises, the other findings are still wanted
        return Finding(subject, "error", f"{type(error).__name__}: {error}", "pip install --force-reinstall mmsearch")
    seconds = perf_counter() - start
    if vector.shape != (encoder.spec.dim,) or not np.isclose(np.linalg.norm(vector), 1, atol=1e-3):
        return Finding(subject, "error", "gives no unit vectors", "try --device cpu or --precision fp32")
    return Finding(subject, "ok", f"{encoder.spec.name}, weights as recorded, first vector after {seconds:.1f} s")


def _something(modality: Modality, rate: int) -> Segment:
    if modality == "image":
        return Segment("image", np.full((300, 300, 3), (90, 140, 60), np.uint8))
    if modality == "audio":
        noise = np.random.default_rng(0).normal(0, 0.1, rate * 5)
        return Segment("audio", noise.astype(np.float32), rate=rate)
    return Segment("text", "a dog on the beach")

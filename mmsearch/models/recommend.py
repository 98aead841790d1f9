"""Which model suits this machine: by its memory and GPU, without loading anything."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from mmsearch.encoders.presets import MODEL_PRESETS, ModelPreset

BESIDE = 4.0
"""Memory of a machine to the weights of a model, at least: other programs, and what a model computes."""
BEST_FIRST = ("embeddinggemma-2", "embeddinggemma-2-text-image", "siglip2-b-16", "mobileclip2-s2", "starter")
"""For people who search all of their media, by what their publishers report; see the chapter `models`."""
WITHOUT_GPU = 4e9
"""Bytes of weights from which a model is no joy without a GPU."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides which model runs here."""

    memory: int | None
    """Bytes, if the system says so."""
    gpu: bool

    def __str__(self) -> str:
        memory = f"{self.memory / 2**30:.0f} GB of memory" if self.memory else "unknown memory"
        return f"{memory}, {'a GPU' if self.gpu else 'no GPU'}"


def this_machine() -> Machine:
    """By what the system tells; whether torch can use the GPU shows when it does."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        memory = None
    apple = sys.platform == "darwin" and os.uname().machine == "arm64"
    return Machine(memory if memory and memory > 0 else None, apple or Path("/dev/nvidia0").exists())


def recommended(machine: Machine, *, commercial: bool = True) -> ModelPreset:
    """The best model that fits a machine. `commercial`: only such as may be used so."""
    presets = {preset.name: preset for preset in MODEL_PRESETS}
    fitting = [presets[name] for name in BEST_FIRST if not (commercial and presets[name].non_commercial)]
    return next((preset for preset in fitting if _fits(preset, machine)), presets["starter"])


def _fits(preset: ModelPreset, machine: Machine) -> bool:
    if machine.memory is not None and preset.bytes * BESIDE > machine.memory:
        return False
    return machine.gpu or preset.bytes <= WITHOUT_GPU

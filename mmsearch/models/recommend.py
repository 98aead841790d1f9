"""Which model suits this machine: by its memory and GPU, and by what it costs here."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmsearch.context.resources import DEFAULT_SPACE
from mmsearch.core.machine import memory_bytes
from mmsearch.encoders.presets import MODEL_PRESETS, ModelPreset
from mmsearch.errors import WeightsError
from mmsearch.models.cost import measure_cost
from mmsearch.models.download import prepared_folder
from mmsearch.models.holdings import Holdings

BESIDE = 4.0
"""Memory of a machine to the weights of a model, at least: other programs, and what a model computes."""
BEST_FIRST = ("embeddinggemma-2", "embeddinggemma-2-text-image", "siglip2-b-16", "mobileclip2-s2", "starter")
"""For people who search all of their media, by what their publishers report; see the chapter `models`."""
WITHOUT_GPU = 4e9
"""Bytes of weights from which a model is no joy without a GPU."""


UNASKED_S = 3600.0
"""Seconds that a model may take of a library that leaves the choice to us."""


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
    apple = sys.platform == "darwin" and os.uname().machine == "arm64"
    return Machine(memory_bytes() or None, apple or Path("/dev/nvidia0").exists())


def recommended(machine: Machine, *, commercial: bool = True) -> ModelPreset:
    """The best model that fits a machine. `commercial`: only such as may be used so."""
    return next(iter(fitting(machine, commercial=commercial)))


def fitting(machine: Machine, *, commercial: bool = True) -> list[ModelPreset]:
    """The models that fit a machine, best first; `starter` at least. `commercial`: only such as may be used so."""
    presets = {preset.name: preset for preset in MODEL_PRESETS}
    allowed = [presets[name] for name in BEST_FIRST if not (commercial and presets[name].non_commercial)]
    return [preset for preset in allowed if preset.name == DEFAULT_SPACE or _fits(preset, machine)]


def _fits(preset: ModelPreset, machine: Machine) -> bool:
    if machine.memory is not None and preset.bytes * BESIDE > machine.memory:
        return False
    return machine.gpu or preset.bytes <= WITHOUT_GPU


@dataclass(frozen=True, slots=True)
class SpaceChoice:
    """What `space = "auto"` takes, and what it would have liked better."""

    name: str
    """A name of `mmsearch models`."""
    seconds: float | None = None
    """What that takes, about; None where it was not measured."""
    better: str | None = None
    """A better model for this machine that is not taken."""
    better_seconds: float | None = None
    """What that would take; None if it is not here."""

    @property
    def instead(self) -> str:
        """In words, behind the name of what is taken: what suits better, what that costs, and how to have it."""
        if self.better is None:
            return ""
        if self.better_seconds is None:
            return f"; {self.better} suits this machine better: mmsearch prepare {self.better}"
        return (
            f"; {self.better} finds more, but would take {in_words(self.better_seconds)} here: "
            f"--space {self.better} takes it"
        )


def chosen_space(holdings: Callable[[], Holdings], device: str = "auto", precision: str = "auto") -> SpaceChoice:
    """The best model that is here and takes an hour at most. `holdings`: of what is to be embedded; not asked where
    there is nothing to choose."""
    better: tuple[str, float | None] | None = None
    held: Holdings | None = None
    for preset in fitting(this_machine()):
        if preset.name == DEFAULT_SPACE:
            break
        if not _is_here(preset.name):
            better = better or (preset.name, None)
            continue
        held = held or holdings()
        seconds = measure_cost(preset.name, device, precision).of(held)
        if seconds <= UNASKED_S:
            return SpaceChoice(preset.name, seconds, *(better or ()))
        better = better or (preset.name, seconds)
    return SpaceChoice(DEFAULT_SPACE, None, *(better or ()))


def in_words(seconds: float) -> str:
    """About how long: "40 s", "25 min", "about 3 h"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.0f} h"


def _is_here(name: str) -> bool:
    try:
        return prepared_folder(name) is not None
    except WeightsError:  # damaged: `mmsearch models` says so
        return False

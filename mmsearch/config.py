"""Settings: arguments > MMSEARCH_* variables > the library's mmsearch.toml > defaults. One table, below.

`memory_bytes = 2_000_000_000` in mmsearch.toml and MMSEARCH_MEMORY_BYTES=2000000000 say the same.
"""

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mmsearch.errors import InvalidInput
from mmsearch.types import Limits

FILE_NAME = "mmsearch.toml"
FUSIONS = ("best", "mean", "weighted", "off")
LEARNED = "learned:"
"""Begins the fusion that is a trained model's; its name follows."""
_LIMITS = Limits()
_ours = False


def own_process() -> None:
    """Say that this process is mmsearch's own, a command or a worker: nobody else minds what it does to the whole."""
    global _ours
    _ours = True


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its default; zero means "choose for this machine"."""

    space: str = "starter"
    """Space of a new library; an existing one keeps its own."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    precision: str = "auto"
    """auto (fp32 on a CPU, fp16 on a GPU), fp32, fp16 or bf16."""
    index: str = "auto"
    """What vectors are searched with: auto, a preset of `mmsearch index presets`, or numpy."""
    index_device: str = "cpu"
    """Where vectors are searched: cpu, or gpu where FAISS sees one."""
    recall: float = 0.95
    """Share of the ten nearest that an index has to find, to be published."""
    workers: int = 0
    """Decode workers; 0: one per CPU core, at most 8."""
    batch_size: int = 0
    """Segments an encoder takes at once; 0: the encoder's own choice."""
    false_accepts: float = 0.05
    """Share of queries about nothing in the library that may get a confident hit all the same."""
    fusion: str = "best"
    """What files that belong together are ranked by: "best" of them, their "mean", "weighted" mean, "learned:NAME", a
    model that `mmsearch train fusion` made, or "off"."""
    fusion_weights: str = "image=1,video=1,audio=1,text=0.5"
    """What a file of each kind counts for in a weighted mean; 1 if it isn't named."""
    fold: str = "on"
    """Whether near-duplicates among results are shown as one: "on" or "off"."""
    alike: str = "image=0.95,audio=0.999,text=0.98"
    """Cosine from which two segments of a kind count as near-duplicates, in (0, 1]: so high that hardly two different
    files reach it in the starter space (see `tests.benchmarks.duplicates`); another space may need another."""
    storage: str = "float32"
    """What the vectors of a new library are stored as: "float32" or "float16", half as large."""
    commit_segments: int = 512
    """Segments a transaction holds before it is committed, at most one more file than that."""
    commit_s: float = 5.0
    """Seconds after which a transaction is committed even if smaller."""
    keep_memory: str = "auto"
    """Whether the C library keeps freed memory for the next batch, in the whole process: "on", "off", or "auto": on in
    mmsearch's own commands and workers, off where it is part of another program."""
    pixels: int = _LIMITS.pixels
    file_bytes: int = _LIMITS.file_bytes
    text_bytes: int = _LIMITS.text_bytes
    duration_s: float = _LIMITS.duration_s
    decode_s: float = _LIMITS.decode_s
    memory_bytes: int = _LIMITS.memory_bytes

    @property
    def limits(self) -> Limits:
        return Limits(**{f.name: getattr(self, f.name) for f in fields(Limits)})

    @property
    def keeps_memory(self) -> bool:
        """What `keep_memory` means in this process."""
        return self.keep_memory == "on" or (self.keep_memory == "auto" and _ours)

    @property
    def weights(self) -> Mapping[str, float]:
        """Item modality -> what a file counts for in its bundle's mean, 1 if it isn't named. Raises: InvalidInput."""
        if self.fusion != "weighted":
            return {}
        found = _numbers(self.fusion_weights)
        if not all(kind and 0 < weight < math.inf for kind, weight in found.items()):
            raise InvalidInput(
                f"setting fusion_weights makes no sense: {self.fusion_weights!r}",
                hint="numbers above 0, such as image=1,audio=1,text=0.5",
            )
        return found

    @property
    def alike_from(self) -> Mapping[str, float]:
        """Segment modality -> cosine from which two segments are near-duplicates, in (0, 1]. Raises: InvalidInput."""
        found = _numbers(self.alike)
        if not all(kind and 0 < cosine <= 1 for kind, cosine in found.items()):
            raise InvalidInput(
                f"setting alike makes no sense: {self.alike!r}",
                hint="cosines above 0, at most 1, such as image=0.95,audio=0.999,text=0.98",
            )
        return found

    @property
    def decode_workers(self) -> int:
        return self.workers or min(os.cpu_count() or 1, 8)


def settings(folder: Path | None = None, **arguments: Any) -> Settings:
    """Settings for a library folder; an argument that is None counts as not given. Raises: InvalidInput."""
    values: dict[str, Any] = {}
    known = {f.name: f.type for f in fields(Settings)}
    for source, given in (
        (f"{folder}/{FILE_NAME}", _file(folder)),
        ("the environment", _environment(known)),
        ("the arguments", {k: v for k, v in arguments.items() if v is not None}),
    ):
        for name, value in given.items():
            if name not in known:
                raise InvalidInput(f"unknown setting {name!r} in {source}", hint=f"known: {', '.join(sorted(known))}")
            values[name] = _convert(name, value, str(known[name]), source)
    return _checked(Settings(**values))


def _file(folder: Path | None) -> Mapping[str, Any]:
    path = folder / FILE_NAME if folder else None
    if path is None or not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is not valid TOML: {error}") from error


def _environment(known: Mapping[str, Any]) -> Mapping[str, str]:
    # MMSEARCH_LIBRARY chooses the folder itself and is read by library.locate().
    named = {name: os.environ.get(f"MMSEARCH_{name.upper()}") for name in known}
    return {name: value for name, value in named.items() if value}


def _convert(name: str, value: Any, wanted: str, source: str) -> Any:
    kind = {"int": int, "float": float}.get(wanted.removeprefix("<class '").removesuffix("'>"), str)
    try:
        return kind(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"setting {name} = {value!r} in {source} is not a {kind.__name__}") from error


def _numbers(pairs: str) -> dict[str, float]:
    """ "a=1,b=2" as a dictionary; what is no number becomes NaN."""
    found: dict[str, float] = {}
    for pair in pairs.split(","):
        name, _, value = pair.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            found[name.strip()] = float("nan")
    return found


def _checked(made: Settings) -> Settings:
    for f in fields(Settings):
        value = getattr(made, f.name)
        may_be_zero = f.name in ("workers", "batch_size")
        if isinstance(value, int | float) and (value < 0 or (value == 0 and not may_be_zero)):
            raise InvalidInput(f"setting {f.name} must be {'0 or more' if may_be_zero else 'more than 0'}, not {value}")
    if made.false_accepts >= 1:
        raise InvalidInput(f"setting false_accepts must be less than 1, not {made.false_accepts}")
    if made.recall > 1:
        raise InvalidInput(f"setting recall is a share of 1, not {made.recall}")
    if made.fusion not in FUSIONS and not made.fusion.startswith(LEARNED):
        raise InvalidInput(f"unknown fusion {made.fusion!r}", hint=f"known: {', '.join(FUSIONS)}, {LEARNED}NAME")
    _ = made.weights
    if made.fold not in ("on", "off"):
        raise InvalidInput(f"setting fold can't be {made.fold!r}", hint="say on or off")
    _ = made.alike_from
    if made.keep_memory not in ("auto", "on", "off"):
        raise InvalidInput(f"setting keep_memory can't be {made.keep_memory!r}", hint="say auto, on or off")
    if made.precision not in ("auto", "fp32", "fp16", "bf16"):
        raise InvalidInput(f"unknown precision {made.precision!r}", hint="known: auto, fp32, fp16, bf16")
    if made.index_device not in ("cpu", "gpu"):
        raise InvalidInput(f"unknown index_device {made.index_device!r}", hint="known: cpu, gpu")
    if made.storage not in ("float32", "float16"):
        raise InvalidInput(f"unknown storage {made.storage!r}", hint="known: float32, float16")
    return made

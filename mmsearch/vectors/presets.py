"""The kinds of index there are to choose from, in one table; which one a list gets follows from its size.

What each of them takes and gives is measured by `python -m tests.benchmarks.presets`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mmsearch.errors import UnknownName

AUTO = "auto"
"""In the place of a preset's name: whichever suits the size."""

FLAT = "flat"

GRAPH = "hnsw"
"""The fastest, and what takes the most memory: `auto` takes it where it fits."""

MEMORY_SHARE = 0.25
"""Of a machine's memory, what all graphs of a library may take that `auto` chose. A graph is walked from place to
place, so all of it has to stay in memory to be fast."""

SMALLEST = 1000
"""Below so many vectors a list has no ANN index, whatever is asked for: there is nothing to gain."""

SHRUNK = 0.5
"""A list keeps its preset until it has shrunk to this share of the size that the preset begins at."""

_PROBES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048)
_BEAMS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)

_FEW_OF_CELLS, _FEW_OF_GRAPH = (700, 0.0), (2500, 0.01)


@dataclass(frozen=True, slots=True)
class IndexPreset:
    """A kind of index."""

    name: str
    summary: str
    factory: str = ""
    """FAISS's own name of the ANN index; "{cells}" stands for how many those are, "{pairs}" for dimensions by twos.
    Empty: no ANN index, every vector is compared."""
    search_parameter: str = ""
    """FAISS's name of what decides how hard a search tries: "nprobe", cells looked into, or "efSearch", the breadth
    of the walk through the graph."""
    search_efforts: Sequence[int] = ()
    """Ascending: the first with which recall reaches its target is kept."""
    spare: int = 0
    """Candidates beyond k whose scores are computed anew from the catalog's vectors, since codes are inexact."""
    code_bits: float = 32.0
    """Of one dimension, in memory and in the file."""
    more_bytes: int = 8
    """Of one vector besides: its id, its links, its cell."""
    scan: tuple[int, float] = _FEW_OF_CELLS
    """Up to so many vectors that match a filter, or that share of all, the ANN index's rows of them are compared one by
    one: beyond it a search that leaves the others out is faster, below it a walk through a graph misses too many."""
    mapped: bool = True
    """Whether its codes can be searched where they lie in the file; fast scan wants them in memory."""
    from_size: int | None = None
    """Vectors from which on `auto` can choose it; None: it is only chosen by name."""

    @property
    def exact(self) -> bool:
        return not self.factory

    @property
    def coded(self) -> bool:
        """Whether it holds codes in the place of vectors."""
        return self.code_bits < 32

    def bytes_per_vector(self, dim: int) -> int:
        """In memory, and in the file."""
        return round(dim * self.code_bits / 8) + self.more_bytes

    def faiss_factory(self, count: int, dim: int) -> str:
        """The factory's string for so many vectors."""
        return self.factory.format(cells=cells(count), pairs=dim if dim % 2 else dim // 2)


def cells(count: int) -> int:
    """How many cells so many vectors are put in: the power of two next to 4 times the root of their number."""
    return int(2 ** round(math.log2(max(4 * count**0.5, 2))))


PRESETS = (
    IndexPreset(FLAT, "every vector is compared: exact", from_size=0),
    IndexPreset("ivf", "cells of whole vectors", "IVF{cells},Flat", "nprobe", _PROBES, more_bytes=16),
    IndexPreset(
        "ivf-sq8", "cells, 8 bits a dimension", "IVF{cells},SQ8", "nprobe", _PROBES, 16, 8, 16, from_size=20_000
    ),
    IndexPreset(
        "ivf-pq",
        "cells, 2 bits a dimension",
        "IVF{cells},PQ{pairs}x4fs",
        "nprobe",
        _PROBES,
        90,
        2,
        16,
        mapped=False,
        from_size=10_000_000,
    ),
    IndexPreset("ivf-rabitq", "cells, 1 bit a dimension", "IVF{cells},RaBitQ", "nprobe", _PROBES, 190, 1, 24),
    IndexPreset(
        GRAPH,
        "a graph over whole vectors",
        "HNSW32,Flat",
        "efSearch",
        _BEAMS,
        more_bytes=276,
        scan=_FEW_OF_GRAPH,
        from_size=10_000,
    ),
    IndexPreset("hnsw-sq8", "a graph, 8 bits a dimension", "HNSW32,SQ8", "efSearch", _BEAMS, 16, 8, 276, _FEW_OF_GRAPH),
)

NAMES = (AUTO, *(preset.name for preset in PRESETS))


def preset_named(name: str) -> IndexPreset:
    """Raises: UnknownName."""
    for preset in PRESETS:
        if preset.name == name:
            return preset
    known = ", ".join(preset.name for preset in PRESETS)
    raise UnknownName(f"no index preset named {name!r}", hint=f"known: {AUTO}, {known}")


def suited_preset(size: int, kind: str = AUTO, serving: str = FLAT, *, graph_fits: bool = False) -> IndexPreset:
    """The one for a list of so many vectors that has `serving` now, where `kind` is asked for: "auto" or a name.

    Args:
        graph_fits: Whether "auto" may take the graph.
    """
    if kind != AUTO:
        named = preset_named(kind)
        return named if size >= SMALLEST else preset_named(FLAT)
    automatic = [one for one in PRESETS if one.from_size is not None and (graph_fits or one.name != GRAPH)]
    large_enough = [one for one in automatic if size >= (one.from_size or 0)]
    for preset in automatic:
        # A list whose size goes up and down around a limit would be built again and again.
        if preset.name == serving and size < (preset.from_size or 0) <= size / SHRUNK:
            return preset
    return max(large_enough, key=lambda one: (one.name == GRAPH, one.from_size))

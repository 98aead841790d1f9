"""An index of FAISS for approximate nearest neighbours (an ANN index) over the vectors of one moment: it proposes
neighbours and never changes.

The ANN index knows vectors by their place, 0 to n - 1, in ascending order of their ids. What has been added, replaced
or removed since is kept beside it (`mmsearch.vectors.layered`).
"""

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mmsearch.core.atomic import replacing
from mmsearch.core.json_text import parse_json
from mmsearch.errors import IndexDamaged, UnknownName
from mmsearch.types import Ids, Modality, Vectors
from mmsearch.vectors import presets
from mmsearch.vectors.faiss_module import faiss
from mmsearch.vectors.file import payload_end
from mmsearch.vectors.presets import IndexPreset

if TYPE_CHECKING:
    from mmsearch.vectors.gpu import Gpu, GpuCopy

Places = NDArray[np.int64]

TRAINING_VECTORS_PER_CELL = 40
"""Vectors an ANN index is trained on, for each of its cells."""

MIN_TRAINING_VECTORS = 20_000
"""It is trained on so many at least, if there are."""

KMEANS_ITERATIONS = 10
"""Of k-means."""

MAPPED_FILES_ARE_REPLACED = os.name != "nt"
"""Whether the system lets a file be replaced while it is mapped."""


@dataclass(frozen=True, slots=True)
class AnnFacts:
    """What an ANN index was built for and what was measured of it; kept in its file."""

    preset: str
    search_effort: int
    """Value of the preset's `search_parameter`: nprobe or efSearch."""
    target: float
    """Recall it was to reach."""
    recall: Mapping[Modality, float] = field(default_factory=dict)
    """Modality of the query -> recall@10 against an exact search, as measured when it was built or tuned."""
    filtered: Mapping[str, float] = field(default_factory=dict)
    """Share of all vectors that a filter leaves -> recall@10 under such filters, the worst modality of queries. Not
    measured for ANN indexes of earlier releases."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """Random; the file of changes beside it names it."""
    trained: int = 0
    """Vectors it had when it was trained; others may have been put in since."""

    def to_json(self) -> bytes:
        """As files have it, where the search effort is called effort."""
        stored = asdict(self)
        stored["effort"] = stored.pop("search_effort")
        return json.dumps(stored, sort_keys=True).encode()

    @classmethod
    def from_json(cls, content: bytes) -> "AnnFacts":
        """Raises: ValueError, TypeError, KeyError for what `to_json` didn't make."""
        stored = dict(parse_json(content))
        return cls(search_effort=stored.pop("effort"), **stored)


class AnnIndex:
    """See above. Thread safety: nothing changes, so any number of threads may use it."""

    def __init__(self, index: Any, ids: Ids, facts: AnnFacts, absent: Ids | None = None) -> None:
        """`absent`: ids, ascending, that the ANN index has but that had gone by the time it was published."""
        self._index = index
        self.absent = np.empty(0, np.int64) if absent is None else absent
        self._ids = ids
        self.facts = facts
        self.preset = presets.preset_named(facts.preset)
        self._gpu_copy: GpuCopy | None = None
        first, last = (int(ids[0]), int(ids[-1])) if len(ids) else (0, -1)
        self._first_id = first if last - first + 1 == len(ids) else None
        """The first id, where none is left out between it and the last: then places need no looking up."""
        if self.preset.search_parameter == "nprobe":
            # Lets vectors be had by their places.
            faiss.downcast_index(index).make_direct_map()

    @property
    def dim(self) -> int:
        return int(self._index.d)

    @property
    def ids(self) -> Ids:
        """(n,), ascending, by place. Not to be changed."""
        return self._ids

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def max_search_effort(self) -> int:
        """The search effort beyond which a search gets no better."""
        return int(self._index.nlist) if self.preset.search_parameter == "nprobe" else len(self)

    def filtered_recall(self, share: float) -> float:
        """What was measured of filters that leave about this share of all vectors, in [0, 1]; 1 if nothing was."""
        known = sorted((float(one), recall) for one, recall in self.facts.filtered.items())
        below, above = [one for one in known if one[0] <= share][-1:], [one for one in known if one[0] >= share][:1]
        return min((recall for _, recall in below + above), default=1.0)

    def with_facts(self, **changed: Any) -> "AnnIndex":
        """The same ANN index, to be searched in another way."""
        return AnnIndex(self._index, self._ids, replace(self.facts, **changed), self.absent)

    def places(self, ids: Ids) -> Places:
        """The places of those ids, ascending and unique, that are in the ANN index."""
        if self._first_id is not None:
            return (
                ids[np.searchsorted(ids, self._first_id) : np.searchsorted(ids, self._first_id + len(self))]
                - self._first_id
            )
        at = np.searchsorted(self._ids, ids)
        found = at < len(self._ids)
        found[found] = self._ids[at[found]] == ids[found]
        return at[found]

    def rows(self, places: Places) -> Vectors:
        """float32 (m, dim): the vectors at these places, or what their codes say of them."""
        made = np.empty((len(places), self.dim), np.float32)
        if len(places):
            self._index.reconstruct_batch(np.ascontiguousarray(places), made)
        return made

    def use_gpu(self, gpu: "Gpu") -> None:
        """Search on a GPU from now on, where it can."""
        self._gpu_copy = gpu.copy(self._index)

    def propose(self, queries: Vectors, want: int, search_effort: int, selection: Any = None) -> Places:
        """(q, want) places, the most promising first as the codes have it; -1 where fewer were come upon.

        Args:
            selection: What `selector` made: the only places that count.
        """
        if self.preset.search_parameter == "nprobe":
            search_effort = min(search_effort, self.max_search_effort)
            there = (
                self._gpu_copy.search(queries, want, search_effort) if self._gpu_copy and selection is None else None
            )
            options = faiss.SearchParametersIVF(nprobe=search_effort, sel=selection)
        else:
            there = None
            options = faiss.SearchParametersHNSW(efSearch=max(search_effort, want), sel=selection)
        _, found = there or self._index.search(queries, want, params=options)
        propose: Places = np.where((found >= 0) & (found < len(self)), found, -1)
        return propose

    def probed_share(self, queries: Vectors, search_effort: int, selection: Places) -> NDArray[np.float64]:
        """(q,), of the vectors that a search of this effort looks at, the share that is in the selection."""
        if self.preset.search_parameter != "nprobe":
            propose = self.propose(queries, min(search_effort, len(self)), search_effort)
            return np.asarray(np.isin(propose, selection).sum(axis=1) / np.maximum((propose >= 0).sum(axis=1), 1))
        cells = self._cells
        probed = faiss.downcast_index(self._index).quantizer.search(
            queries, min(search_effort, self.max_search_effort)
        )[1]
        match = np.bincount(cells[selection], minlength=self.max_search_effort)[probed].sum(axis=1)
        return np.asarray(
            match / np.maximum(np.bincount(cells, minlength=self.max_search_effort)[probed].sum(axis=1), 1)
        )

    @cached_property
    def _cells(self) -> NDArray[np.int64]:
        """(n,), the cell of every place."""
        # FAISS keeps them in the upper halves of where it finds a vector by its place.
        return np.asarray(faiss.vector_to_array(faiss.downcast_index(self._index).direct_map.array) >> 32)

    def save(self, path: Path) -> None:
        """Write atomically what `write` does."""
        with replacing(path) as temporary, temporary.open("xb") as file:
            self.write(file)

    def write(self, file: BinaryIO) -> None:
        """FAISS's own format, then the ids, the absent ones and the facts, each as an .npy record, then 8 bytes, where
        the first of these begins."""
        facts = np.frombuffer(self.facts.to_json(), np.uint8)
        faiss.write_index(self._index, faiss.PyCallbackIOWriter(file.write))
        length = file.tell()
        for record in (self._ids, self.absent, facts):
            np.save(file, record)
        file.write(length.to_bytes(8, "little"))

    @classmethod
    def load(cls, path: Path, dim: int) -> "AnnIndex":
        """Read what `save` wrote, whether published or bare. Codes stay in the file, mapped: memory is taken, and the
        disk read, as searches come upon them. Raises: IndexDamaged."""
        try:
            with path.open("rb") as file:
                return cls._loaded(file, dim, path)
        except OSError as error:
            raise IndexDamaged(f"{path} can't be read: {error}") from error

    @classmethod
    def read(cls, file: BinaryIO, dim: int) -> "AnnIndex":
        """What `write` wrote, all of it in memory. Raises: IndexDamaged."""
        return cls._loaded(file, dim, None)

    @classmethod
    def _loaded(cls, file: BinaryIO, dim: int, path: Path | None) -> "AnnIndex":
        """Of an open file; that of a path can be mapped."""
        what = "an approximate index" if path is None else path
        try:
            end = payload_end(file)
            file.seek(max(end - 8, 0))
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length < end:
                raise IndexDamaged(f"{what}: not an approximate index")
            file.seek(length)
            ids, absent = np.load(file, allow_pickle=False), np.load(file, allow_pickle=False)
            facts = AnnFacts.from_json(np.load(file, allow_pickle=False).tobytes())
            file.seek(0)
            index = _read(path if presets.preset_named(facts.preset).mapped else None, file)
        except (OSError, RuntimeError, MemoryError, ValueError, EOFError, TypeError, KeyError, UnknownName) as error:
            raise IndexDamaged(f"{what} can't be read: {error}") from error
        lists = getattr(index, "invlists", None)
        if lists is not None and isinstance(faiss.downcast_InvertedLists(lists), faiss.OnDiskInvertedLists):
            # Its lists are in another file, whichever it names: to be read and even written.
            raise IndexDamaged(f"{what} names another file")
        if index.d != dim or index.ntotal != len(ids) or ids.dtype != np.int64:
            raise IndexDamaged(f"{what} holds {index.ntotal} vectors of dimension {index.d} and {len(ids)} ids")
        return cls(index, ids, facts, absent)


def _read(path: Path | None, file: BinaryIO) -> Any:
    """The FAISS index at the beginning of an open file, which is mapped where its path is given and can be."""
    name = None
    # FAISS opens no path that isn't UTF-8.
    with suppress(UnicodeDecodeError):
        name = None if path is None else os.fsencode(path).decode("utf-8")
    if name is not None and MAPPED_FILES_ARE_REPLACED:
        return faiss.read_index(name, faiss.IO_FLAG_MMAP_IFC)
    return faiss.read_index(faiss.PyCallbackIOReader(file.read))


def selector(places: Places, count: int) -> Any:
    """These places, ascending and unique, of `count`, as FAISS asks for them: a range where they are one, or a bitmap,
    either of which answers in constant time."""
    if len(places) and places[-1] - places[0] + 1 == len(places):
        return faiss.IDSelectorRange(int(places[0]), int(places[-1]) + 1)
    mask = np.zeros(count, bool)
    mask[places] = True
    return faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))


def sample_size(preset: IndexPreset, count: int) -> int:
    """How many of so many vectors an ANN index is trained on."""
    in_cells = presets.cells(count) if preset.search_parameter == "nprobe" else 0
    return min(count, max(MIN_TRAINING_VECTORS, TRAINING_VECTORS_PER_CELL * in_cells))


def build_ann(
    preset: IndexPreset, sample: Vectors, count: int, chunks: Iterable[tuple[Ids, Vectors]], target: float
) -> AnnIndex:
    """An ANN index over all chunks: memory for one of them, the sample and the codes.

    Args:
        sample: float32 (m, dim), what it is trained on, see `sample_size`.
        count: How many vectors there will be, about.
        chunks: ids (n,), and vectors (n, dim); ids ascend from each to the next.
    """
    dim = sample.shape[1]
    index = faiss.index_factory(dim, preset.faiss_factory(count, dim), faiss.METRIC_INNER_PRODUCT)
    if preset.search_parameter == "nprobe":
        index.cp.niter, index.cp.min_points_per_centroid, index.cp.seed = KMEANS_ITERATIONS, 1, 1
    index.train(sample)
    taken: list[Ids] = []
    for ids, vectors in chunks:
        index.add(np.ascontiguousarray(vectors))
        taken.append(ids)
    ids = np.concatenate(taken) if taken else np.empty(0, np.int64)
    return AnnIndex(index, ids, AnnFacts(preset.name, preset.search_efforts[-1], target, trained=len(ids)))


def extended_ann(ann: AnnIndex, chunks: Iterable[tuple[Ids, Vectors]], gone: Ids) -> AnnIndex:
    """An ANN index with more in it, without being trained anew; the one that is given stays as it is.

    Args:
        chunks: ids (n,), all greater than those in the ANN index and ascending, and vectors (n, dim).
        gone: Ids of the ANN index that are no more, ascending.
    """
    # A clone of a mapped index would still be mapped, and take nothing more.
    index = faiss.deserialize_index(faiss.serialize_index(ann._index))
    if ann.preset.search_parameter == "nprobe":
        # Some ANN indexes take no more while they know their vectors' places.
        index.set_direct_map_type(faiss.DirectMap.NoMap)
    taken = [ann.ids]
    for ids, vectors in chunks:
        index.add(np.ascontiguousarray(vectors))
        taken.append(ids)
    return AnnIndex(index, np.concatenate(taken), replace(ann.facts, token=secrets.token_hex(8), recall={}), gone)

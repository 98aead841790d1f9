"""A space seen through a projection: the base's encoders, and a small map on their vectors."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch.core import forks
from mmsearch.encoders.check import checked_output
from mmsearch.encoders.device import import_torch, torch_runs
from mmsearch.encoders.explaining import Box, OccludesRegions
from mmsearch.encoders.queries import prepared_query
from mmsearch.errors import WeightsError
from mmsearch.types import Encoder, EncoderSpec, Modality, Prepared, Segment, Space, Vectors

if TYPE_CHECKING:
    from mmsearch.encoders.projection import Projection

ROWS = 4096
"""Vectors mapped at once."""


class Projector:
    """A projection as it is kept, its weights built when first used. Thread safety: any number of threads.

    It runs in float32 on the CPU: a few hundred vectors take less than sending them to a GPU.
    """

    def __init__(self, content: bytes) -> None:
        self.sha256 = hashlib.sha256(content).hexdigest()
        self._content = content
        self._made: Projection | None = None
        self._lock = forks.ForkSafeLock()

    def __call__(self, vectors: Vectors, modality: Modality) -> Vectors:
        """float32 (n, dim), unit rows; those of a modality without a map are returned as they are.

        Raises: WeightsError, Forked.
        """
        projection = self._loaded()
        if modality not in projection.maps or not len(vectors):
            return vectors
        torch_runs()
        import torch

        with torch.inference_mode():
            starts = range(0, len(vectors), ROWS)
            parts = [projection(torch.from_numpy(vectors[i : i + ROWS].copy()), modality).numpy() for i in starts]
        return np.concatenate(parts)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        return tuple(self._loaded().maps)

    def _loaded(self) -> "Projection":
        with self._lock:
            if self._made is None:
                import_torch()
                from mmsearch.encoders.projection import restore_projection

                self._made = restore_projection(self._content)
            return self._made


class ProjectedEncoder:
    """An encoder whose vectors go through a projection's map."""

    def __init__(self, base: Encoder, projector: Projector) -> None:
        self.base = base
        self.projector = projector

    @property
    def spec(self) -> EncoderSpec:
        spec = self.base.spec
        weights = {**spec.weights, "projection.safetensors": self.projector.sha256}
        return replace(spec, name=f"{spec.name}+projection", weights=weights)

    def prepare(self, segment: Segment) -> Prepared:
        return self.base.prepare(segment)

    def prepare_query(self, words: str) -> Prepared:
        return prepared_query(self.base, words)

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        """float32 (len(batch), dim), rows of L2 norm 1. Raises: as the base's encoder, WeightsError."""
        vectors = self.projector(self.base.encode(batch, query=query), self.spec.modality)
        return checked_output(vectors, len(batch), self.spec)


class _Occluding(ProjectedEncoder):
    """One whose base can do without a part of its input."""

    def occluded(self, prepared: Prepared, box: Box) -> Prepared:
        base: Any = self.base
        hidden: Prepared = base.occluded(prepared, box)
        return hidden


def projected_space(base: Space, name: str, projector: Projector) -> Space:
    """The base under another name, with the encoders that the projection has maps for wrapped.

    Raises: WeightsError for a projection that has none for this space.
    """
    if unknown := set(projector.modalities) - set(base.encoders):
        raise WeightsError(f"the projection is for {', '.join(sorted(unknown))}, which {base.name!r} doesn't embed")
    wrapped = {
        modality: _wrapped(encoder, projector) if modality in projector.modalities else encoder
        for modality, encoder in base.encoders.items()
    }
    return Space(name, base.dim, base.windowing, wrapped)


def _wrapped(encoder: Encoder, projector: Projector) -> Encoder:
    return (
        _Occluding(encoder, projector) if isinstance(encoder, OccludesRegions) else ProjectedEncoder(encoder, projector)
    )

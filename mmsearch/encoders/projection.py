"""A map on a space's own vectors, one for each modality, that starts as the identity: what a library learned."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from mmsearch.encoders.artefact import ArtefactFormat, dump_artefact, module_tensors, read_artefact
from mmsearch.types import Modality

FORMAT = ArtefactFormat("projection", "mmsearch-projection-1")


class ResidualMap(nn.Module):
    """Unit vectors to unit vectors of the same dimension: x + up(GELU(down(LayerNorm(x)))), brought to length 1.

    `up` starts at zero, so an untrained map changes nothing (a residual adapter, after Houlsby et al., 2019).
    """

    def __init__(self, dim: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.down = nn.Linear(dim, hidden)
        self.dropout = nn.Dropout(dropout)
        self.up = nn.Linear(hidden, dim)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """(n, dim) to (n, dim), unit rows."""
        change: Tensor = self.up(self.dropout(F.gelu(self.down(self.norm(vectors)))))
        return F.normalize(vectors + change, dim=-1)


class Projection(nn.Module):
    """The maps of some modalities; vectors of others stay as they are."""

    def __init__(self, dim: int, hidden: int, modalities: Sequence[Modality], dropout: float = 0.0) -> None:
        super().__init__()
        self.dim, self.hidden = dim, hidden
        self.maps = nn.ModuleDict({modality: ResidualMap(dim, hidden, dropout) for modality in sorted(modalities)})

    def forward(self, vectors: Tensor, modality: Modality) -> Tensor:
        """(n, dim) to (n, dim), unit rows."""
        return vectors if modality not in self.maps else self.maps[modality](vectors)


def dump_projection(projection: Projection, facts: Mapping[str, str]) -> bytes:
    """The content of a safetensors file, which tells its facts (base, fingerprint, name) in its header.

    The same weights and facts give the same bytes.
    """
    shape = {"dim": projection.dim, "hidden": projection.hidden, "modalities": sorted(projection.maps)}
    return dump_artefact(FORMAT, {**shape, **facts}, module_tensors(projection))


def projection_facts(content: bytes) -> Mapping[str, Any]:
    """What a projection says of itself. Raises: WeightsError for anything else."""
    return read_artefact(FORMAT, content).facts


def restore_projection(content: bytes) -> Projection:
    """The projection in a safetensors file, ready to use. Raises: WeightsError."""
    file = read_artefact(FORMAT, content)
    dim, hidden, modalities = file.dimension("dim"), file.dimension("hidden"), file.texts("modalities")
    return file.module(lambda: Projection(dim, hidden, modalities))

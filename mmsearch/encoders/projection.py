"""A map on a space's own vectors, one for each modality, that starts as the identity: what a library learned."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional as F

from mmsearch.core.json_text import parse_json
from mmsearch.errors import WeightsError
from mmsearch.types import Modality

FORMAT = "mmsearch-projection-1"


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
    # One entry: the library writes several of them in any order.
    header = {"mmsearch": json.dumps({"format": FORMAT, **shape, **facts}, sort_keys=True)}
    return save({name: tensor.contiguous() for name, tensor in projection.state_dict().items()}, header)


def projection_facts(content: bytes) -> dict[str, Any]:
    """What a projection says of itself. Raises: WeightsError for anything else."""
    try:
        length = int.from_bytes(content[:8], "little")
        found = dict(parse_json(parse_json(content[8 : 8 + length])["__metadata__"]["mmsearch"]))
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError("this is no projection that mmsearch made", hint="train it again") from error
    if found.get("format") != FORMAT:
        raise WeightsError(f"unknown projection format {found.get('format')!r}", hint="upgrade mmsearch")
    return found


def restore_projection(content: bytes) -> Projection:
    """The projection in a safetensors file, ready to use. Raises: WeightsError."""
    found = projection_facts(content)
    try:
        made = Projection(found["dim"], found["hidden"], found["modalities"])
        made.load_state_dict(load(content))
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"the projection is damaged: {error}", hint="train it again") from error
    return made.eval()

"""Connecting two spaces: a map of each, learned from words that both embed, so that the one's pictures meet the other's
sounds although no picture and sound were ever seen together.

Wang et al., "Connecting Multi-modal Contrastive Representations" (NeurIPS 2023): the two vectors of a text are a pair;
noise on both makes up for the distance that other kinds of segments keep from words. Their memory of pictures and
sounds, which stands in for that distance too, is left out: a trial on the pairs of `tests.benchmarks.connection`, whose
spaces keep no such distance, gained nothing by it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsearch.calibration import neutral
from mmsearch.core import registry, trust
from mmsearch.core.arguments import checked_arguments
from mmsearch.core.atomic import appearing
from mmsearch.core.version import VERSION
from mmsearch.encoders import connection
from mmsearch.encoders.connection import ConnectionMap
from mmsearch.encoders.starter import audio
from mmsearch.errors import InvalidInput
from mmsearch.evaluate import metrics
from mmsearch.training.loop import OnEpoch, fit_task
from mmsearch.training.losses import InfoNCE
from mmsearch.training.serving import card
from mmsearch.training.serving.recipe import Recipe
from mmsearch.types import Segment, Space, Vectors

RECIPE = Recipe(epochs=36, batch=1024, lr=1e-3, patience=36)
HIDDEN, MEETING = 1024, 512
TEMPERATURE = 0.05
NOISE = 0.004
"""Variance, in each dimension, of what is added to the texts' vectors: the paper's own figure."""
HELD_OUT = 10
"""Every how manieth text is kept from the training, to see how well strange ones meet."""
LEAST = 100
"""Texts."""
PROMPTS = ("{}", "a photo of {}", "the sound of {}")
"""What the packaged names become texts by."""


@dataclass(frozen=True, slots=True)
class ConnectionResult:
    """A finished connection."""

    space: str
    """What `--space` takes."""
    path: Path
    """Its folder."""
    texts: int
    met: float
    """Of the held-out texts' vectors in one space, the share whose nearest in the other is the same text's, [0, 1]."""


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """Vectors of the same texts in both spaces."""

    a: Vectors
    b: Vectors


class ConnectionTask:
    """See `mmsearch.training.loop.TrainingTask`."""

    def __init__(self, trained: Texts, held_out: Texts, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.maps = [_map(rows.shape[1]) for rows in (trained.a, trained.b)]
        self.infonce = InfoNCE(TEMPERATURE, learned=False)
        self._trained = [torch.from_numpy(rows) for rows in (trained.a, trained.b)]
        self._held_out = [torch.from_numpy(rows) for rows in (held_out.a, held_out.b)]

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return dict(zip(("a", "b"), self.maps, strict=True))

    def __len__(self) -> int:
        return len(self._trained[0])

    def loss(self, rows: Tensor, draw: np.random.Generator) -> Tensor:
        met = []
        for module, vectors in zip(self.maps, self._trained, strict=True):
            noise = draw.normal(0, NOISE**0.5, (len(rows), vectors.shape[1])).astype(np.float32)
            met.append(F.normalize(module(F.normalize(vectors[rows] + torch.from_numpy(noise), dim=1)), dim=1))
        loss_value: Tensor = self.infonce(met[0], met[1], torch.zeros((len(rows), len(rows)), dtype=torch.bool))
        return loss_value

    def validate(self) -> dict[str, float]:
        a, b = (F.normalize(m(v), dim=1).detach() for m, v in zip(self.maps, self._held_out, strict=True))
        return {"met": met(a.numpy(), b.numpy())}


def met(a: Vectors, b: Vectors) -> float:
    """Of rows (n, dim) and (n, dim) that belong together, how often the nearest of the other side is the right one,
    both ways, in [0, 1]."""
    own = np.eye(len(a), dtype=np.bool_)
    ranks = [metrics.ranks(row, right) for grid in (a @ b.T, b @ a.T) for row, right in zip(grid, own, strict=True)]
    return float(np.mean([metrics.success_at(one, 1) for one in ranks]))


def packaged() -> list[str]:
    """What there is to learn from where nobody gives texts: class names in some phrases, and neutral words."""
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    names = [*IMAGENET_CLASSNAMES, *json.loads(audio.LABELS.verified().read_text("utf-8"))]
    return [*(prompt.format(name) for name in names for prompt in PROMPTS), *neutral.neutral_words()]


@checked_arguments
def connect(
    a: str, b: str, name: str, texts: Sequence[str] | None = None, *, seed: int = 0, on_epoch: OnEpoch | None = None
) -> ConnectionResult:
    """Join two models in one space, and keep it in the models folder as the space "connected:NAME".

    Pictures are embedded by `a`, sounds by `b`, words by both. What ties pictures to sounds is learned from words
    alone.

    Args:
        a: Name of a space that embeds words and pictures.
        b: Name of a space that embeds words and sounds.
        name: Name of the connection: letters, digits, ".", "_" and "-".
        texts: 100 or more different texts about your media; by default the class names of ImageNet and AudioSet and
            some hundred neutral words.
        seed: Seed of everything random, 0 or more.
        on_epoch: Called after each epoch.

    Returns:
        The new space's name and folder, and how many held-out texts are nearest to themselves in the other space.

    Raises: UnknownName; InvalidInput for too few texts, texts that teach nothing, the same space twice, a name that is
    taken, or a space that embeds no words; WeightsError; LibraryError if the models folder cannot be written.

    >>> mmsearch.connect("siglip2-b-16", "clap-htsat", "both")  # doctest: +SKIP
    """
    folder = connection.connection_folder(name)
    if folder.exists():
        raise InvalidInput(f"there is a connection {name!r} already", hint=f"choose another --name, or delete {folder}")
    lines = list(dict.fromkeys(line.strip() for line in (packaged() if texts is None else texts) if line.strip()))
    if len(lines) < LEAST:
        raise InvalidInput(f"{len(lines)} texts are too few to learn from", hint=f"give {LEAST} or more, one a line")
    targets, spaces = _spaces(a, b)
    vectors = [_embedded(one, lines) for one in spaces]
    held = np.arange(len(lines)) % HELD_OUT == 0
    trained, held_out = (Texts(vectors[0][rows], vectors[1][rows]) for rows in (~held, held))
    task = ConnectionTask(trained, held_out, seed)
    fitted = fit_task(task, replace(RECIPE, seed=seed), on_epoch=on_epoch)
    if not fitted.best:
        raise InvalidInput("nothing could be learned from these texts", hint="give others, as different as can be")
    fingerprints = spaces[0].fingerprint, spaces[1].fingerprint
    content = connection.dump_connection(
        targets, fingerprints, (connection_map(task.maps[0]), connection_map(task.maps[1]))
    )
    facts = {"texts": len(lines), "met": fitted.measures["met"], "epoch": fitted.best, "version": VERSION}
    recipe = {**asdict(replace(RECIPE, seed=seed)), "noise": NOISE, "temperature": TEMPERATURE}
    trust.remember_named([f"sha256:{card.sha256(content)}", *targets])
    _keep(folder, content, {**facts, "members": targets, "recipe": recipe})
    return ConnectionResult(f"{connection.FAMILY}:{name}", folder, len(lines), fitted.measures["met"])


def _spaces(a: str, b: str) -> tuple[tuple[str, str], list[Space]]:
    """What the registry knows the two by, and themselves. Raises: UnknownName, InvalidInput, WeightsError."""
    targets = registry.target_of("spaces", a), registry.target_of("spaces", b)
    if targets[0] == targets[1]:
        raise InvalidInput(f"{a!r} and {b!r} are the same space", hint="name two")
    spaces = [registry.load_part("spaces", target)() for target in targets]
    for one in spaces:
        if "text" not in one.encoders:
            raise InvalidInput(f"{one.name!r} embeds no words, and words are what connects two spaces")
    return targets, spaces


def _embedded(space: Space, texts: Sequence[str]) -> Vectors:
    """float32 (texts, dim)."""
    encoder = space.encoders["text"]
    size = encoder.spec.batch_size
    starts = range(0, len(texts), size)
    words = [[encoder.prepare(Segment("text", text)) for text in texts[i : i + size]] for i in starts]
    return np.concatenate([encoder.encode(batch, query=True) for batch in words])


def _map(dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, MEETING))


def connection_map(module: nn.Sequential) -> ConnectionMap:
    """The trained map as two matrices: what the batch normalisation does is multiplied into the first."""
    inner, norm, _, outer = module
    if not (isinstance(inner, nn.Linear) and isinstance(norm, nn.BatchNorm1d) and isinstance(outer, nn.Linear)):
        raise TypeError("not a map of a connection")
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise TypeError("a batch normalisation without its averages")
    with torch.inference_mode():
        scale = norm.weight / torch.sqrt(variance + norm.eps)  # (hidden,)
        parts = (inner.weight.T * scale, (inner.bias - mean) * scale + norm.bias, outer.weight.T, outer.bias)
        return ConnectionMap(*(part.contiguous().numpy().copy() for part in parts))


def _keep(folder: Path, content: bytes, facts: Mapping[str, Any]) -> None:
    """Write the folder whole or not at all. Raises: LibraryError."""
    with appearing(folder) as made:
        (made / connection.FILE).write_bytes(content)
        (made / card.JSON_NAME).write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", "utf-8")

"""Training adapters of an open_clip space: its towers learn from your pairs of words and pictures.

Unlike a projection, this changes what is seen in a picture. So vectors of the adapted space can't be made from stored
ones: files are embedded anew, into a library of the space `adapter:FOLDER`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmsearch.context.context import LibraryContext
from mmsearch.encoders import model_store
from mmsearch.encoders.device import resolve
from mmsearch.encoders.open_clip.adapter import CONFIG_NAME, WEIGHTS_NAME
from mmsearch.encoders.open_clip.checkpoint import find_open_clip
from mmsearch.encoders.open_clip.towers import OpenClipImage
from mmsearch.errors import InvalidInput
from mmsearch.evaluate import JudgedPairs, Pair, UnusedPair, metrics
from mmsearch.media.events import DecodeJob, FileFailed, FileSkipped, PreparedSegment
from mmsearch.media.pool import DecodePool
from mmsearch.training import splits
from mmsearch.training.loop import FitResult, OnEpoch, fit_task
from mmsearch.training.lora import LoraOptions, Towers
from mmsearch.training.losses import LOSSES
from mmsearch.training.optimisers import OPTIMISERS
from mmsearch.training.serving.folder import CHECKPOINT, ModelFolder
from mmsearch.training.serving.recipe import Recipe
from mmsearch.types import Segment, Space

HELD_BACK = 0.2
"""Share of the pairs that only validate, where no others are given for that."""
K = (1, 5, 10)
RECIPE = {"epochs": 20, "batch": 64, "lr": 3e-4, "patience": 5, "weight_decay": 0.0}
"""What suits towers, unlike small maps on vectors."""
ROWS = 64
"""Inputs of one forward pass while validating."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class WordPicturePairs:
    """Pairs of words and pictures, as the towers take them."""

    tokens: Ints
    """(t, context), each text once."""
    pixels: NDArray[np.uint8]
    """(p, h, w, 3), each picture once."""
    pairs: Ints
    """(n, 2): text and picture."""
    held: NDArray[np.bool_]
    """(n,): the pairs that validate."""

    @property
    def splits(self) -> dict[str, int]:
        return {"training pairs": int((~self.held).sum()), "validation pairs": int(self.held.sum())}

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"tokens": self.tokens, "pixels": self.pixels, "pairs": self.pairs, "held": self.held}


def adapter_settings(chosen: Mapping[str, Any]) -> tuple[Recipe, LoraOptions]:
    """The recipe and the adapter's size, from fields of both. Raises: InvalidInput for anything unknown."""
    of_recipe, of_low = ({one.name for one in fields(kind)} for kind in (Recipe, LoraOptions))
    if unknown := set(chosen) - of_recipe - of_low:
        raise InvalidInput(f"unknown training settings: {', '.join(sorted(unknown))}")
    recipe: dict[str, Any] = {**RECIPE, **{name: value for name, value in chosen.items() if name in of_recipe}}
    if recipe.get("loss", "infonce") not in LOSSES:
        raise InvalidInput(f"unknown loss {recipe['loss']!r}", hint=f"known: {', '.join(LOSSES)}")
    if recipe.get("loss") == "mse":
        raise InvalidInput(
            "with mse alone both towers would learn to make the same vector of everything",
            hint="choose a loss that tells wrong answers apart: infonce, sigmoid or cross-entropy",
        )
    if recipe.get("optimizer", "adamw") not in OPTIMISERS:
        raise InvalidInput(f"unknown optimizer {recipe['optimizer']!r}", hint=f"known: {', '.join(OPTIMISERS)}")
    return Recipe(**recipe), LoraOptions(**{name: value for name, value in chosen.items() if name in of_low})


class AdapterTask:
    """Adapters that learn from some pairs and are judged by others; a `loop.Task`."""

    def __init__(self, towers: Towers, pairs: WordPicturePairs, loss: str, device: torch.device) -> None:
        self.towers, self.data = towers.to(device), pairs
        self.criterion = LOSSES[loss]().to(device)
        self._device = device
        self._pairs = pairs.pairs[~pairs.held]

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"adapter": self.towers, "loss": self.criterion}

    def __len__(self) -> int:
        return len(self._pairs)

    def loss(self, rows: Tensor, draw: np.random.Generator) -> Tensor:
        texts, pictures = self._pairs[rows.numpy()].T
        related = (texts[:, None] == texts) | (pictures[:, None] == pictures)
        made: Tensor = self.criterion(
            self.towers.texts(self._sent(self.data.tokens[texts])),
            self.towers.images(self._sent(self.data.pixels[pictures])),
            torch.from_numpy(related).to(self._device),
        )
        return made

    def validate(self) -> dict[str, float]:
        """ "recall", the mean over recall@1, 5 and 10 of pictures by words, among the pictures that validate; then
        these."""
        validating = self.data.pairs[self.data.held]
        texts, queries = np.unique(validating[:, 0], return_inverse=True)
        pictures, answers = np.unique(validating[:, 1], return_inverse=True)
        scores = self._all("texts", self.data.tokens, texts) @ self._all("images", self.data.pixels, pictures).T
        relevant = np.zeros(scores.shape, np.bool_)
        relevant[queries, answers] = True
        ranks = [metrics.ranks(row, relevant_row) for row, relevant_row in zip(scores, relevant, strict=True)]
        recalls = {f"recall@{k}": float(np.mean([metrics.recall_at(r, k) for r in ranks])) for k in K}
        return {"recall": float(np.mean(list(recalls.values()))), **recalls}

    def _all(self, tower: str, inputs: NDArray[Any], rows: Ints) -> NDArray[np.float32]:
        encode = getattr(self.towers, tower)
        parts = [encode(self._sent(inputs[rows[at : at + ROWS]])) for at in range(0, len(rows), ROWS)]
        vectors: NDArray[np.float32] = torch.cat(parts).cpu().numpy()
        return vectors

    def _sent(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device, non_blocking=True)


def gather_pictures(
    judged: JudgedPairs, valid: JudgedPairs | None, space: Space, pool: DecodePool, seed: int
) -> tuple[WordPicturePairs, list[UnusedPair]]:
    """The pairs of words and pictures in the files, decoded and prepared; what else there is comes back with reasons.

    Raises: InvalidInput if the space isn't one of open_clip, or too few pairs can be used.
    """
    if not isinstance(space.encoders.get("image"), OpenClipImage):
        raise InvalidInput(
            f"the space {space.name!r} has no towers that can be adapted",
            hint="take a library of an open_clip model (--space siglip2-b-16), or train a projection",
        )
    if space.encoders["image"].checkpoint.adapter is not None:  # type: ignore[attr-defined]
        raise InvalidInput(f"the space {space.name!r} is adapted already", hint="train in a library of its base model")
    sources = [(pair, False) for pair in judged.pairs] + [(pair, True) for pair in (valid.pairs if valid else ())]
    unused = [*judged.unused, *(valid.unused if valid else ())]
    links: list[tuple[str, Path, bool, Pair]] = []
    for pair, held in sources:
        if isinstance(pair.query, str):
            links += [(pair.query, path, held, pair) for path in pair.relevant]
        else:
            unused.append(UnusedPair(pair.source, pair.line, "an adapter learns from words and pictures"))
    pixels, reasons = _pictures(sorted({path for _, path, _, _ in links}), pool)
    unused += [UnusedPair(pair.source, pair.line, reasons[path]) for _, path, _, pair in links if path in reasons]
    links = [link for link in links if link[1] in pixels]
    if len(links) < 2:
        why = f": line {unused[0].line}: {unused[0].why}" if unused else ""
        raise InvalidInput(f"too few pairs in {judged.source} can be used{why}", hint="two at least, better hundreds")
    return _assembled(links, pixels, space, valid is not None, seed), unused


def _pictures(paths: Sequence[Path], pool: DecodePool) -> tuple[dict[Path, NDArray[np.uint8]], dict[Path, str]]:
    """Each picture as its tower takes it; and why the others are none."""
    pixels: dict[Path, NDArray[np.uint8]] = {}
    reasons: dict[Path, str] = {}
    for event in pool.run(DecodeJob(path, modalities=frozenset({"image"})) for path in paths):
        if isinstance(event, PreparedSegment):
            # Of an animated picture the first frame.
            pixels.setdefault(event.job.path, event.array)
        elif isinstance(event, FileFailed):
            pixels.pop(event.job.path, None)
            reasons[event.job.path] = f"{event.job.path.name}: {event.reason}"
        elif isinstance(event, FileSkipped):
            reasons[event.job.path] = f"{event.job.path.name} is of modality {event.modality}, not a picture"
    return pixels, reasons


def _assembled(
    links: Sequence[tuple[str, Path, bool, Pair]],
    pixels: Mapping[Path, NDArray[np.uint8]],
    space: Space,
    has_valid: bool,
    seed: int,
) -> WordPicturePairs:
    texts = {text: place for place, text in enumerate(dict.fromkeys(text for text, _, _, _ in links))}
    # The same picture at two paths is one, and on one side.
    contents = {path: pixels[path].tobytes() for _, path, _, _ in links}
    distinct = list({content: path for path, content in reversed(contents.items())}.values())[::-1]
    places = {contents[path]: place for place, path in enumerate(distinct)}
    pairs = np.array([(texts[text], places[contents[path]]) for text, path, _, _ in links], np.int64)
    stacked = np.stack([pixels[path] for path in distinct])
    tokens = np.stack([space.encoders["text"].prepare(Segment("text", text)) for text in texts])
    vectors = space.encoders["image"].encode(list(stacked))
    grouped = splits.split_groups(len(pairs), pairs[:, 1].tolist(), vectors=vectors[pairs[:, 1]])
    if not has_valid:
        return WordPicturePairs(tokens, stacked, pairs, splits.split_held_back(grouped, HELD_BACK, seed))
    held = np.array([held for _, _, held, _ in links])
    kept = ~held | ~np.isin(pairs[:, 1], pairs[~held, 1])
    if held[kept].all() or not held[kept].any():
        raise InvalidInput("nothing is left to train on, or to validate with", hint="give pairs of different pictures")
    return WordPicturePairs(tokens, stacked, pairs[kept], held[kept])


def train_adapter(
    context: LibraryContext, folder: ModelFolder, low: LoraOptions, recipe: Recipe, on_epoch: OnEpoch | None
) -> tuple[FitResult, dict[str, str]]:
    """Train in a folder that was begun, from its last checkpoint if there is one, and write the adapter there.

    Returns what was fitted, and file -> sha256 of the adapter.

    Raises: WeightsError, InvalidInput, LibraryError.
    """
    _, record = context.base()
    base = find_open_clip(record.target)
    device, dtype = resolve(context.settings.devices[0], context.settings.precision)
    task = AdapterTask(Towers(base, low, recipe.seed), WordPicturePairs(**folder.data()), recipe.loss, device)
    half = dtype if device.type == "cuda" and dtype != torch.float32 else None
    fitted = fit_task(task, recipe, keep=folder.path / CHECKPOINT, device=device, half=half, on_epoch=on_epoch)
    weights = base.weights()
    task.towers.write(folder.path, record.target, model_store.sha256(weights))
    return fitted, {name: model_store.sha256(folder.path / name) for name in (WEIGHTS_NAME, CONFIG_NAME)}

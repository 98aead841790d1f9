"""Corrupted files and words through the starter's encoders, once: kept as float16 in a cache folder."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmsearch.core import registry
from mmsearch.encoders.starter.conse import combine, concepts
from mmsearch.encoders.starter.image import TOP, StarterImage, scores
from mmsearch.types import EncoderSpec, Limits, Prepared, Segment, Space, Vectors
from tests.benchmarks.corruptions import Draw, Picture, Wave
from tests.benchmarks.embedded import unit
from tests.benchmarks.quality import Items, embed_words

Arrays = dict[str, NDArray[Any]]
OnPicture = Callable[[Picture, Draw], Picture]
OnSound = Callable[[Wave, Wave, Draw], Wave]


class Pictures(NamedTuple):
    """What the network says of some pictures: the two things the learned part of the starter starts from."""

    features: NDArray[np.float32]
    """(n, 1280)."""
    classes: Vectors
    """(n, 384), ConSE vectors."""

    def rows(self, some: Sequence[int] | NDArray[Any]) -> "Pictures":
        return Pictures(self.features[some], self.classes[some])


@dataclass(frozen=True)
class Corrupted:
    """The starter, and where what it says is kept."""

    space: Space
    cache: Path

    def pictures(self, paths: Sequence[Path], name: str, change: OnPicture | None, seed: int = 0) -> Pictures:
        """Of each file's first segment after the change, whose name and seed it is kept under."""
        encoder = self.space.encoders["image"]
        if not isinstance(encoder, StarterImage):
            raise TypeError("made for the starter's own features")

        def make() -> Arrays:
            model, names = encoder._loaded(), concepts("imagenet")
            features, classes = [], []
            for batch in _batches(self._changed(paths, encoder, change, seed), encoder.spec.batch_size):
                found = encoder.seen(model, batch)
                features.append(found.features.cpu().numpy())
                classes.append(combine(scores(found), names, TOP))
            return {"features": np.concatenate(features), "classes": np.concatenate(classes)}

        kept = self._kept(encoder.spec, [_short(path) for path in paths], [name, seed], make)
        return Pictures(kept["features"], unit(kept["classes"]))

    def _changed(
        self, paths: Sequence[Path], encoder: StarterImage, change: OnPicture | None, seed: int
    ) -> Iterator[Prepared]:
        decoder = registry.load_part("decoders", "image")(self.space.windowing, Limits())
        for number, path in enumerate(paths):
            segment = next(iter(decoder.decode(path)))
            if change is not None:
                segment = Segment("image", change(segment.data, np.random.default_rng([seed, number])))
            yield encoder.prepare(segment)

    def sounds(
        self, paths: Sequence[Path], others: Sequence[Path], name: str, change: OnSound | None, seed: int = 0
    ) -> Items:
        """Of every segment after the change, each file beside another one's first segment."""
        encoder = self.space.encoders["audio"]

        def make() -> Arrays:
            decoder = registry.load_part("decoders", "audio")(self.space.windowing, Limits())
            prepared, owners = [], []
            for owner, (path, other) in enumerate(zip(paths, others, strict=True)):
                beside = next(iter(decoder.decode(other))).data
                draw = np.random.default_rng([seed, owner])
                for segment in decoder.decode(path):
                    wave = segment.data if change is None else change(segment.data, beside, draw)
                    prepared.append(encoder.prepare(Segment("audio", wave, rate=segment.rate)))
                    owners.append(owner)
            parts = [encoder.encode(some) for some in _batches(iter(prepared), encoder.spec.batch_size)]
            return {"vectors": np.concatenate(parts), "owners": np.array(owners)}

        named = [_short(path) for path in (*paths, *others)]
        kept = self._kept(encoder.spec, named, [name, seed], make)
        return Items(unit(kept["vectors"]), kept["owners"])

    def words(self, texts: Sequence[str]) -> Vectors:
        def make() -> Arrays:
            return {"vectors": embed_words(self.space, texts).vectors}

        return unit(self._kept(self.space.encoders["text"].spec, texts, [], make)["vectors"])

    def _kept(
        self, spec: EncoderSpec, names: Sequence[str], more: Sequence[object], make: Callable[[], Arrays]
    ) -> Mapping[str, NDArray[Any]]:
        # What captions taught the picture encoder comes after what is kept here.
        weights = {name: sha for name, sha in spec.weights.items() if "captions" not in name}
        told = json.dumps([spec.name, weights, list(names), list(more)], sort_keys=True)
        path = self.cache / f"{spec.modality}-{hashlib.sha256(told.encode()).hexdigest()[:16]}.npz"
        if not path.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            np.savez(path, **{key: _as(rows, np.float32, np.float16) for key, rows in make().items()})  # type: ignore[arg-type]
        with np.load(path) as kept:
            return {key: _as(kept[key], np.float16, np.float32) for key in kept.files}


def _as(rows: NDArray[Any], given: type, wanted: type) -> NDArray[Any]:
    return rows.astype(wanted) if rows.dtype == given else rows


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _batches(prepared: Iterator[Prepared], size: int) -> Iterator[list[Prepared]]:
    batch: list[Prepared] = []
    for one in prepared:
        batch.append(one)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch

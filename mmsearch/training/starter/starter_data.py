"""What the starter's learned part learns from: captioned photos, words of captions, and pictures that shall stay.

Photos, captions and cut-outs go through the starter's encoders once and are kept in files; words, and what is imagined,
are made anew each time, in seconds. See `mmsearch.training.starter.recipe`.
"""

import csv
import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from safetensors.numpy import save as serialised

from mmsearch.catalog.word_candidates import fold_case
from mmsearch.catalog.words import STOP
from mmsearch.core import registry
from mmsearch.encoders.starter.conse import combine, concepts
from mmsearch.encoders.starter.image import TOP, Seen, efficientnet, scores
from mmsearch.encoders.starter.regions import RegionImage
from mmsearch.encoders.starter.text import StarterText
from mmsearch.errors import InvalidInput
from mmsearch.training.serving import checkpoint
from mmsearch.training.starter.cutouts import cutout
from mmsearch.training.starter.damage import damaged
from mmsearch.training.starter.imagined import imagined
from mmsearch.types import Limits, Prepared, Segment, Vectors, Windowing

_log = logging.getLogger(__name__)

CAPTIONS_EACH = 5
EVERY = 4
"""Of every how many photos one cut-out is made, and one damaged copy, of the second one first."""
ROUNDS = 2
"""How often something is imagined of each photo."""
AT_ONCE = 512
"""Texts and imagined pictures that are encoded together."""
UNSEEN = frozenset(
    re.findall(
        r"\w+",
        "about above across after against all along also another around away back be behind being beside between "
        "beyond both doing down during each five four front get gets getting he her him his inside its left look "
        "looking lot lots made make makes making many may middle might must near nearby next no not nothing "
        "object off one onto other others out outside over past right set several she side someone something "
        "still take takes taking their them themselves there they three through together toward towards tries try "
        "trying two under up upon us very while whilst ",
    )
)
"""Words of captions that no photo shows, beside those that keyword search leaves out too."""
FEWEST, SHORTEST = 3, 3
"""A word that is learned: photos whose captions have it, and its letters. Others are names and misspellings."""


@dataclass(frozen=True, slots=True, eq=False)
class CaptionWords:
    """Single words of captions: what people type who don't type sentences."""

    vectors: Vectors
    """(words, 384)"""
    mentions: NDArray[np.bool_]
    """(photos, words), which of them a photo's captions have."""


@dataclass(frozen=True, slots=True, eq=False)
class CaptionedPhotos:
    """Photos as the training takes them, and their captions."""

    features: NDArray[np.float32]
    """(n, 1280)"""
    classes: Vectors
    """(n, 384), their ConSE vectors."""
    captions: Vectors
    """(n, captions, 384)"""


@dataclass(frozen=True, slots=True, eq=False)
class OtherPictures:
    """Pictures that shall stay where the classes put them."""

    features: NDArray[np.float32]
    """(n, 1280)"""
    classes: Vectors
    """(n, 384)"""


@dataclass(frozen=True, slots=True, eq=False)
class StarterData:
    """All that one training takes."""

    photos: CaptionedPhotos
    words: CaptionWords
    cutouts: OtherPictures
    imagined: OtherPictures
    damaged: OtherPictures
    """Copies of every `EVERY`th photo, of the second one first, with noise or blur."""


def starter_data(data: Path, limit: int | None, folder: Path, *, seed: int | None = None) -> StarterData:
    """Of the split `train`; with a seed the captions are other photos', to see that nothing is learned from them.

    Raises: InvalidInput, LibraryError, MediaError.
    """
    photos = captioned_photos(data, "train", limit, folder / "train.safetensors")
    others = cutout_pictures(data, limit, folder / "cutouts.safetensors"), with_objects(photos.features)
    copies = damaged_copies(data, limit, folder / "damaged.safetensors")
    all_data = StarterData(photos, caption_words(read_captions(data, "train", limit)), *others, copies)
    return all_data if seed is None else shuffled(all_data, seed)


def read_captions(data: Path, split: str, limit: int | None = None) -> dict[str, list[str]]:
    """File name -> captions, in the order of the names. Raises: InvalidInput."""
    try:
        with (data / "captions.tsv").open(encoding="utf-8", newline="") as file:
            rows = [
                row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if row["split"] == split
            ]
    except (OSError, UnicodeDecodeError, KeyError) as error:
        raise InvalidInput(f"{data / 'captions.tsv'} can't be read: {error!r}") from error
    by_photo: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: row["filename"]):
        by_photo.setdefault(row["filename"], []).append(row["caption"])
    photos = {name: captions for name, captions in by_photo.items() if len(captions) == CAPTIONS_EACH}
    if not photos:
        raise InvalidInput(f"no photo of the split {split} has {CAPTIONS_EACH} captions", hint=f"see {data}")
    return dict(list(photos.items())[:limit])


def captioned_photos(data: Path, split: str, limit: int | None, kept: Path) -> CaptionedPhotos:
    """Through the encoders; or out of the file `kept`, which is made if need be. Raises: InvalidInput, LibraryError."""
    captions = read_captions(data, split, limit)
    if not kept.exists():
        _log.info("encoding %d photos of %s", len(captions), split)
        vectors = embedded_words([one for some in captions.values() for one in some])
        features, classes = features_of([data / "images" / name for name in captions])
        arrays: dict[str, NDArray[Any]] = {
            "features": features.astype(np.float16),
            "classes": classes,
            "captions": vectors.reshape(len(captions), CAPTIONS_EACH, -1),
        }
        checkpoint.write_whole(serialised(arrays), kept)
    stored = load_file(kept)
    if len(stored["features"]) != len(captions):
        raise InvalidInput(f"{kept} is of other photos", hint="delete it, or choose another output folder")
    return CaptionedPhotos(stored["features"].astype(np.float32), stored["classes"], stored["captions"])


def caption_words(captions: Mapping[str, Sequence[str]]) -> CaptionWords:
    """Of the captions of photos, by themselves; not those that every photo may have."""
    by_photo = [set(fold_case(" ".join(some))) for some in captions.values()]
    counts = Counter(word for some in by_photo for word in some)
    unseen = STOP | UNSEEN
    known = sorted(
        word
        for word, count in counts.items()
        if FEWEST <= count <= len(by_photo) / 2 and len(word) >= SHORTEST and word.isalpha() and word not in unseen
    )
    columns = {word: column for column, word in enumerate(known)}
    mentions = np.zeros((len(by_photo), len(known)), np.bool_)
    for row, some in enumerate(by_photo):
        mentions[row, [columns[word] for word in some if word in columns]] = True
    return CaptionWords(embedded_words(known), mentions)


def embedded_words(texts: Sequence[str]) -> Vectors:
    """(n, 384)"""
    encoder = StarterText("cpu", "fp32")
    if not texts:
        return np.zeros((0, encoder.spec.dim), np.float32)
    prepared = [encoder.prepare(Segment("text", one)) for one in texts]
    parts = [encoder.encode(prepared[at : at + AT_ONCE], query=True) for at in range(0, len(prepared), AT_ONCE)]
    return np.concatenate(parts)


def cutout_pictures(data: Path, limit: int | None, kept: Path) -> OtherPictures:
    """Of every fourth photo of `train`, kept likewise. Raises: InvalidInput, LibraryError, MediaError."""
    draw = np.random.default_rng(0)
    return _every_fourth(data, limit, kept, lambda encoder, segment: cutout(encoder.prepare(segment), draw))


def damaged_copies(data: Path, limit: int | None, kept: Path) -> OtherPictures:
    """Of every fourth photo of `train` one with noise or blur, kept likewise. Raises: as `cutout_pictures`."""
    draw = np.random.default_rng(1)
    return _every_fourth(
        data,
        limit,
        kept,
        lambda encoder, segment: encoder.prepare(replace(segment, data=damaged(np.asarray(segment.data), draw))),
    )


def _every_fourth(
    data: Path, limit: int | None, kept: Path, prepare: Callable[[RegionImage, Segment], Prepared]
) -> OtherPictures:
    """What `prepare` makes of every `EVERY`th photo, as it is kept, or made and kept."""
    names = list(read_captions(data, "train", limit))[1::EVERY]
    if not kept.exists():
        _log.info("encoding %d pictures for %s", len(names), kept.name)
        features, classes = features_of([data / "images" / name for name in names], prepare)
        arrays: dict[str, NDArray[Any]] = {"features": features.astype(np.float16), "classes": classes}
        checkpoint.write_whole(serialised(arrays), kept)
    stored = load_file(kept)
    if len(stored["features"]) != len(names):
        raise InvalidInput(f"{kept} is of other photos", hint="delete it, or choose another output folder")
    return OtherPictures(stored["features"].astype(np.float32), stored["classes"])


def with_objects(features: NDArray[np.float32]) -> OtherPictures:
    """Photos with something in them that no caption speaks of, see `imagined`; features (n, 1280)."""
    classifier: Any = efficientnet().classifier
    made = np.concatenate([imagined(features, classifier, np.random.default_rng(turn)) for turn in range(ROUNDS)])
    names, classes = concepts("imagenet"), []
    with torch.inference_mode():
        for rows in torch.split(torch.from_numpy(made), AT_ONCE):
            classes.append(combine(scores(Seen(rows, classifier(rows))), names, TOP))
    return OtherPictures(made, np.concatenate(classes))


def features_of(
    paths: Sequence[Path], prepare: Callable[[RegionImage, Segment], Prepared] = RegionImage.prepare
) -> tuple[NDArray[np.float32], Vectors]:
    """Features, (n, 1280), and ConSE vectors, (n, 384), of photos as `prepare` makes them. Raises: MediaError."""
    encoder = RegionImage("cpu", "fp32")
    decoder = registry.load_part("decoders", "image")(Windowing(), Limits())
    model, names = encoder._loaded(), concepts("imagenet")
    size = encoder.spec.batch_size
    features, classes = [], []
    for start in range(0, len(paths), size):
        batch = [prepare(encoder, next(iter(decoder.decode(path)))) for path in paths[start : start + size]]
        seen = encoder.seen(model, batch)
        features.append(seen.features.numpy())
        classes.append(combine(scores(seen), names, TOP))
    return np.concatenate(features), np.concatenate(classes)


def shuffled(original: StarterData, seed: int) -> StarterData:
    """The captions of other photos: what is learned from them must be worth nothing."""
    photos, words = original.photos, original.words
    order = np.random.default_rng([seed, len(photos.captions)]).permutation(len(photos.captions))
    return replace(
        original,
        photos=replace(photos, captions=photos.captions[order]),
        words=replace(words, mentions=words.mentions[order]),
    )

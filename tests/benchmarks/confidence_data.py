"""Labelled media for the confidence benchmark: what is in each photo and sound, and their vectors, embedded once.

- photos: Flickr8k's dev split. An object of `objects.txt` is there if two of the photo's five captions name it; the
  photo is no clear case if one does, or any names what may be the same. COCO's 60 photos, with the labels of the
  manifest and, for 16 that have none there, those of `coco_labels.json`, given after looking at them. The stamps, by
  their texts.
- sounds: `sound_classes.tsv`, 96 classes of Debian's packages of games and desktop sounds and of the stamps, and
  ESC-10. Classes of one group are too near to tell apart. The packages' files are looked for below --sounds, where they
  were unpacked: `apt-get download PACKAGE` and `dpkg -x FILE.deb DIR` for gcompris-qt-data, wesnoth-1.16-data,
  minetest-data, sound-icons, gamine-data, unknown-horizons, simutrans-pak64, sound-theme-freedesktop, tuxpaint-data.
"""

import csv
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders.queries import prepared_query
from mmsearch.types import Modality, Segment, Space, Vectors
from tests.benchmarks.quality import Items, embed

HERE = Path(__file__).parent
Mask = NDArray[np.bool_]

ESC_GROUPS = {
    "dog_bark": "dog", "rooster": "fowl", "sea_waves": "water", "rain": "water", "fire_crackling": "fire",
    "chainsaw": "saw", "clock_tick": "click", "baby_cry": "scream", "helicopter": "plane", "person_sneeze": "sneeze",
}  # fmt: skip


class Thing(NamedTuple):
    """What may be asked for by name."""

    name: str
    phrasings: tuple[str, ...]
    there: Mask
    """(items,) that surely show it, or sound like it."""
    unclear: Mask
    """(items,) that may."""


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """Embedded files, and what is in them."""

    name: str
    modality: Modality
    items: Items
    things: tuple[Thing, ...]
    tags: tuple[frozenset[str], ...]
    """Of each item, what anybody says of it."""
    captions: tuple[tuple[str, int, frozenset[str]], ...] = ()
    """Sentences, the item each describes, and what it says of that."""
    halves: bool = False
    """Whether it is large enough that each fold gets files of its own."""

    @property
    def count(self) -> int:
        return int(self.items.owners[-1]) + 1


class Embedder:
    """Embeds files and words, each once: they are kept in a folder."""

    def __init__(self, space: Space, cache: Path) -> None:
        self._space = space
        self._cache = cache / space.fingerprint[:16]
        self._cache.mkdir(parents=True, exist_ok=True)

    def files(self, name: str, modality: Modality, paths: Sequence[Path]) -> Items:
        def made() -> dict[str, Any]:
            items = embed(self._space, modality, paths)
            return {"vectors": items.vectors, "owners": items.owners}

        stored = self._kept(name, [path.name for path in paths], made)
        return Items(stored["vectors"], stored["owners"])

    def words(self, name: str, lines: Sequence[str], *, query: bool = True) -> Vectors:
        """Of queries, as a search embeds them, or of passages."""
        encoder = self._space.encoders["text"]

        def made() -> dict[str, Any]:
            prepared = [
                prepared_query(encoder, line) if query else encoder.prepare(Segment("text", line)) for line in lines
            ]
            parts = [encoder.encode(prepared[at : at + 32], query=query) for at in range(0, len(prepared), 32)]
            return {"vectors": np.concatenate(parts)}

        return np.asarray(self._kept(name, lines, made)["vectors"])

    def _kept(self, name: str, key: Sequence[str], made: Callable[[], dict[str, Any]]) -> Mapping[str, Any]:
        path = self._cache / f"{name}.npz"
        if path.exists():
            with np.load(path) as stored:
                if stored["key"].tolist() == list(key):
                    return {field: stored[field] for field in stored.files}
        arrays = made()
        np.savez(path, key=np.array(list(key)), **arrays)
        return arrays


def _dev_photos(folder: Path) -> list[str]:
    lines = [line.split("\t") for line in (folder / "captions.tsv").read_text("utf-8").splitlines()]
    return sorted({photo for split, photo, _ in lines if split == "dev"})


def flickr(folder: Path, embedder: Embedder) -> Collection:
    captions: dict[str, list[str]] = {}
    for line in (folder / "captions.tsv").read_text("utf-8").splitlines():
        split, photo, caption = line.split("\t")
        if split == "dev":
            captions.setdefault(photo, []).append(caption)
    photos = sorted(captions)
    words = [[set(re.findall(r"[a-z'-]+", one.lower())) for one in captions[photo]] for photo in photos]
    things, objects = [], list(_objects())
    for name, own, alike in objects:
        named = np.array([sum(bool(one & own) for one in some) for some in words])
        like = np.array([any(one & alike for one in some) for some in words])
        if (named >= 2).any():
            things.append(Thing(name, _phrasings(name), named >= 2, (named == 1) | (like & (named < 2))))
    items = embedder.files("flickr-dev", "image", [folder / "images" / photo for photo in photos])
    said_of = [[frozenset(name for name, own, _ in objects if one & own) for one in some] for some in words]
    tags = tuple(frozenset[str]().union(*some) for some in said_of)
    sentences = tuple(
        (caption, number, said)
        for number, photo in enumerate(photos)
        for caption, said in zip(captions[photo], said_of[number], strict=True)
        if said
    )
    return Collection("photos", "image", items, tuple(things), tags, sentences, halves=True)


def translated(folder: Path, photos: Collection) -> Collection:
    """The photos, asked for by German and French translations of a caption of each; of the photos alone whose captions
    did not teach how other languages are read."""
    said = {item: tags for _, item, tags in photos.captions}
    place = {name: number for number, name in enumerate(_dev_photos(folder))}
    with (folder / "captions_multilingual_dev.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1::2]
    sentences = tuple(
        (row[language], item, said[item])
        for row in rows
        for language in ("de", "fr")
        if (item := place[row["filename"]]) in said
    )
    return replace(photos, name="photos-translated", captions=sentences)


def notes(photos: Collection, embedder: Embedder) -> Collection:
    """Four of each photo's captions as a text; the last one asks for it."""
    said: dict[int, list[tuple[str, int, frozenset[str]]]] = {}
    for one in photos.captions:
        said.setdefault(one[1], []).append(one)
    lines = [" ".join(one[0] for one in said.get(number, [])[:-1]) or "nothing" for number in range(photos.count)]
    items = Items(embedder.words("notes", lines, query=False), np.arange(photos.count))
    asked = tuple(some[-1] for some in said.values() if len(some) > 1)
    return Collection("notes", "text", items, photos.things, photos.tags, asked, halves=True)


def coco(dev: Path, embedder: Embedder) -> Collection:
    looked = json.loads((HERE / "coco_labels.json").read_text("utf-8"))
    labels, captions = dict[str, set[str]](), dict[str, list[str]]()
    for line in (dev / "manifest.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        if row["path"].startswith("coco/"):
            name = row["path"].removeprefix("coco/")
            labels[name], captions[name] = set(row["labels"] or looked[name]), row["captions"]
    photos = sorted(labels)
    things = []
    for label in sorted({one for some in labels.values() for one in some}):
        there = np.array([label in labels[photo] for photo in photos])
        things.append(Thing(label, _phrasings(label), there, np.zeros_like(there)))
    items = embedder.files("coco", "image", [dev / "coco" / photo for photo in photos])
    tags = tuple(frozenset(labels[photo] - {"person"}) or frozenset(labels[photo]) for photo in photos)
    sentences = tuple(
        (caption, number, tags[number])
        for number, photo in enumerate(photos)
        for caption in captions[photo]
        if tags[number]
    )
    return Collection("COCO", "image", items, tuple(things), tags, sentences)


def stamps(dev: Path, embedder: Embedder) -> Collection:
    paths = sorted((dev / "stamps" / "images").iterdir())
    names: dict[str, set[str]] = {}
    with (dev / "queries" / "text_to_image.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["dataset"].startswith("Tux"):
                names.setdefault(row["query"], set()).update(Path(one).name for one in row["relevant"].split(","))
    things = []
    for text, files in sorted(names.items()):
        there = np.array([path.name in files for path in paths])
        things.append(Thing(text, (text,), there, np.zeros_like(there)))
    tags = tuple(frozenset(one.name for one in things if one.there[number]) for number in range(len(paths)))
    return Collection("stamps", "image", embedder.files("stamps", "image", paths), tuple(things), tags)


def objects_translated(photos: Collection) -> Collection:
    """The photos, asked for by German and French names of what they show."""
    with (HERE / "objects_translated.tsv").open(encoding="utf-8", newline="") as file:
        names = {row["name"]: (row["de"], row["fr"]) for row in csv.DictReader(file, delimiter="\t")}
    things = [thing._replace(phrasings=names[thing.name]) for thing in photos.things if thing.name in names]
    return replace(photos, name="photos-objects-translated", things=tuple(things))


LANGUAGES = ("de", "fr", "es", "it", "nl")


def stamps_translated(stamps: Collection, dev: Path) -> Collection:
    """The stamps, asked for by their texts in other languages."""
    paths = sorted((dev / "stamps" / "images").iterdir())
    things = []
    with (dev / "queries" / "text_to_image_i18n.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            files = {Path(one).name for one in row["relevant"].split(",")}
            there = np.array([path.name in files for path in paths])
            if row["lang"] in LANGUAGES:
                things.append(Thing(row["query"], (row["query"],), there, np.zeros_like(there)))
    # All names of one stamp lie in one fold: folds go by every other thing.
    halves = [[one for one in things if int(one.there.argmax()) % 2 == fold] for fold in (0, 1)]
    return replace(stamps, name="stamps-translated", things=tuple(chain.from_iterable(zip(*halves, strict=False))))


def sounds(dev: Path, folder: Path, embedder: Embedder) -> Collection:
    """Without `folder`, the stamps' sounds and ESC-10 alone."""
    for activity in ("explore_farm_animals", "instruments", "memory-sound"):
        _unpack(folder / "usr/share/gcompris-qt/rcc" / f"{activity}.rcc", folder / "gcompris" / activity)
    files: dict[str, list[Path]] = {}
    groups, events = dict[str, str](), dict[str, str]()
    with (HERE / "sound_classes.tsv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            places = [_sound(one, dev, folder) for one in row["files"].split(" ")]
            if found := [place for place in places if place.exists()]:
                files[row["class"]], groups[row["class"]], events[row["class"]] = found, row["near"], row["event"]
    for name, group in ESC_GROUPS.items():
        own = sorted((dev / "esc10").glob(f"{name}__*"))
        words = name.replace("_", " ")
        files[words], groups[words], events[words] = own, group, f"a {words}"
    paths = sorted({path for some in files.values() for path in some})
    things = []
    for name, some in files.items():
        alike = {path for other, group in groups.items() if group == groups[name] for path in files[other]}
        there = np.array([path in some for path in paths])
        unclear = np.array([path in alike for path in paths]) & ~there
        things.append(Thing(name, (name, events[name], f"the sound of {name}"), there, unclear))
    tags = tuple(frozenset(one.name for one in things if one.there[number]) for number in range(len(paths)))
    return Collection("sounds", "audio", embedder.files("sounds", "audio", paths), tuple(things), tags)


def _sound(place: str, dev: Path, folder: Path) -> Path:
    return dev / "stamps" / "sounds" / place.removeprefix("stamps/") if place.startswith("stamps/") else folder / place


def _objects() -> Iterator[tuple[str, set[str], set[str]]]:
    """Name, words that name it, words for what may be the same."""
    for line in (HERE / "objects.txt").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            name, _, words = line.partition(": ")
            own, _, alike = words.partition("|")
            yield name, set(own.split()), set(alike.split())


def _phrasings(name: str) -> tuple[str, ...]:
    article = "an" if name[0] in "aeiou" else "a"
    return name, f"{article} {name}", f"a photo of {article} {name}"


def _unpack(archive: Path, target: Path) -> None:
    """The sounds of one of Qt's resource files, once."""
    if target.exists() or not archive.exists():
        return
    target.mkdir(parents=True)
    data = archive.read_bytes()
    version, tree, start, names = struct.unpack(">4I", data[4:20])
    size = 14 if version == 1 else 22

    def walk(number: int) -> None:
        at = tree + number * size
        name_at, flags = struct.unpack(">IH", data[at : at + 6])
        if flags & 2:
            count, child = struct.unpack(">II", data[at + 6 : at + 14])
            for one in range(child, child + count):
                walk(one)
            return
        place = names + name_at
        length = struct.unpack(">H", data[place : place + 2])[0]
        name = data[place + 6 : place + 6 + 2 * length].decode("utf-16-be")
        if name.endswith((".ogg", ".wav")):
            at = start + struct.unpack(">I", data[at + 10 : at + 14])[0]
            body = data[at + 4 : at + 4 + struct.unpack(">I", data[at : at + 4])[0]]
            (target / name).write_bytes(zlib.decompress(body[4:]) if flags & 1 else body)

    walk(0)

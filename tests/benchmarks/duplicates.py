"""Near-duplicates: how many altered copies are found, at which threshold, with how many wrong pairs; and how fast.

    python -m tests.benchmarks.duplicates --shared ../shared [--photos 200] [--others 800] [--segments 20000]

Photos of Flickr8k are altered in four ways and hidden among others; two files of one photo are a right pair, all others
wrong ones, although Flickr8k holds a few near-duplicate shots itself. Sounds are ESC-10 clips and the same as 64 kbit/s
MP3s. The time is that of `Library.duplicates` over clustered random vectors, of which one in ten is nearly another one.
"""

import argparse
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter

import av
import numpy as np
from PIL import Image

import mmsearch
from mmsearch.catalog import Batch, Catalog, NewContent, Placement
from mmsearch.core import registry
from mmsearch.core.version import VERSION
from mmsearch.library import Library
from mmsearch.types import Span, Vectors
from tests.benchmarks.speed import TARGET, clustered

PHOTO_THRESHOLDS = (0.75, 0.8, 0.85, 0.88, 0.9, 0.92, 0.95, 0.98)
SOUND_THRESHOLDS = (0.97, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995)


def _quality(image: Image.Image) -> Image.Image:
    return image


def _half(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


def _cropped(image: Image.Image) -> Image.Image:
    across, down = round(image.width * 0.05), round(image.height * 0.05)
    return image.crop((across, down, image.width - across, image.height - down))


def _grey(image: Image.Image) -> Image.Image:
    return image.convert("L").convert("RGB")


ALTERED: dict[str, tuple[Callable[[Image.Image], Image.Image], int]] = {
    "quality 60": (_quality, 60), "half size": (_half, 90), "cropped 5 %": (_cropped, 90), "greyscale": (_grey, 90),
}  # fmt: skip
"""Name -> what is done to a photo, and the JPEG quality it is saved with."""


def photos(originals: Sequence[Path], folder: Path) -> None:
    for path in originals:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        for name, (change, quality) in ALTERED.items():
            change(image).save(folder / f"{path.stem}~{name}.jpg", quality=quality)


def sounds(originals: Sequence[Path], folder: Path) -> None:
    for path in originals:
        with av.open(str(path)) as source, av.open(str(folder / f"{path.stem}~mp3.mp3"), "w") as target:
            stream = target.add_stream("libmp3lame", rate=source.streams.audio[0].rate)
            stream.bit_rate = 64_000
            for frame in source.decode(audio=0):
                frame.pts = None
                target.mux(stream.encode(frame))
            target.mux(stream.encode(None))


def pairs(library: Library, threshold: float, kind: str) -> Iterator[tuple[str, str]]:
    """The names of each group's first file and of every other one."""
    for group in library.duplicates(threshold, modalities=[kind]):
        yield from ((group.files[0].path.stem, file.path.stem) for file in group.files[1:])


def table(library: Library, kind: str, thresholds: Sequence[float], count: int, names: Sequence[str]) -> None:
    """What is found of `count` originals' altered copies, by the way they were altered."""
    print(f"\n| {kind}: cosine | wrong pairs | right of all | {' | '.join(names)} |")
    print("|---" * (len(names) + 3) + "|")
    for threshold in thresholds:
        found = list(pairs(library, threshold, kind))
        right = [(a, b) for a, b in found if a.split("~")[0] == b.split("~")[0]]
        grouped = {stem for pair in right for stem in pair}
        shares = [sum(stem.endswith(f"~{name}") for stem in grouped) / count for name in names]
        share = f"{len(right) / len(found):.3f}" if found else "-"
        print(f"| {threshold} | {len(found) - len(right)} | {share} | {' | '.join(f'{s:.2f}' for s in shares)} |")


def real(shared: Path, count: int, others: int, folder: Path) -> None:
    taken = sorted((shared / "data" / "flickr8k" / "images").glob("*.jpg"))
    random.Random(0).shuffle(taken)
    clips = sorted((shared / "data" / "dev" / "esc10").glob("*.ogg"))
    made = folder / "made"
    made.mkdir()
    photos(taken[:count], made)
    sounds(clips, made)
    with mmsearch.open(folder / "library", space="starter") as library:
        library.ingest(*taken[: count + others], *clips, made)
        table(library, "image", PHOTO_THRESHOLDS, count, list(ALTERED))
        table(library, "audio", SOUND_THRESHOLDS, len(clips), ["mp3"])


def fast(segments: int, folder: Path) -> None:
    space = registry.load_part("spaces", "starter")()
    vectors = clustered(segments, space.dim)
    chance = np.random.default_rng(1)
    tenth = segments // 10
    noisy = vectors[:tenth] + 0.003 * chance.normal(size=(tenth, space.dim))
    vectors[-tenth:] = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
    _fill(vectors, space.name, space.fingerprint, folder)
    with mmsearch.open(folder, space="starter") as library:
        library._context.indexes().refresh()
        start = perf_counter()
        groups = library.duplicates()
    print(f"\n{segments} pictures: {len(groups)} groups of {tenth} made, {perf_counter() - start:.1f} s")


def _fill(vectors: Vectors, name: str, fingerprint: str, folder: Path) -> None:
    catalog = Catalog.open(folder, VERSION, create=True)
    record = catalog.add_space(name, TARGET, vectors.shape[1], fingerprint)
    batch = Batch()
    for n in range(len(vectors)):
        batch.contents.append(NewContent(f"{n:064x}", "image", {}, ["image"], [Span()], vectors[n : n + 1]))
        batch.placements.append(Placement(f"/media/{n}".encode(), b"/media", f"{n:064x}", 1, 1))
    catalog.commit(batch, record.id)
    catalog.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--others", type=int, default=800)
    parser.add_argument("--segments", type=int, default=20_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fast(given.segments, Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        real(given.shared, given.photos, given.others, Path(folder))


if __name__ == "__main__":
    main()

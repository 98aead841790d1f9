"""Speed of the whole path against the bare parts it is made of, measured in the same run.

    python -m tests.benchmarks.speed --shared ../shared [--only images,vit,large,sounds,warm,cold] [--repeat 3]

Every figure is a ratio: files end to end against the encoder's bare forward pass over the same files; a query
against the text encoder's own forward pass; a cold query against `python -c "import torch"`.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import pytest
from PIL import Image

import mmsearch
from mmsearch.catalog import Batch, Catalog, NewContent, Placement
from mmsearch.core import registry
from mmsearch.core.config import Settings
from mmsearch.core.version import VERSION
from mmsearch.library import Library
from mmsearch.media.events import DecodeJob, PreparedSegment
from mmsearch.media.pool import DecodePool
from mmsearch.types import Modality, Prepared, Segment, Space, Span
from tests.benchmarks import vit

TARGET = registry.target_of("spaces", "starter")
SEGMENTS = 10_000


def timed(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def copies(originals: Sequence[Path], count: int, folder: Path) -> list[Path]:
    """`count` files of distinct content: a few bytes after the end of a JPEG or an Ogg stream change nothing in it."""
    folder.mkdir(parents=True)
    made = []
    for n in range(count):
        original = originals[n % len(originals)]
        path = folder / f"{n:05d}{original.suffix}"
        path.write_bytes(original.read_bytes() + n.to_bytes(8, "little"))
        made.append(path)
    return made


def prepared(paths: Sequence[Path], target: str, space: Space, modality: Modality) -> list[Prepared]:
    with DecodePool(target, space.windowing, Settings().limits, 2) as pool:
        events = pool.run(DecodeJob(path) for path in paths)
        return [event.array for event in events if isinstance(event, PreparedSegment) and event.modality == modality]


def forward_s(space: Space, modality: Modality, arrays: list[Prepared]) -> float:
    encoder = space.encoders[modality]
    size = encoder.spec.batch_size
    return timed(lambda: [encoder.encode(arrays[i : i + size]) for i in range(0, len(arrays), size)])


def ingest(
    title: str, originals: Sequence[Path], count: int, modality: Modality, repeat: int, name: str = "starter"
) -> None:
    """End to end against the bare forward pass, in turn, so that both see the machine in the same mood."""
    with tempfile.TemporaryDirectory() as folder:
        media = copies(originals, count, Path(folder) / "media")
        with mmsearch.open(Path(folder) / "library", space=name) as library:
            library.ingest(originals[0])  # loads the weights and starts the workers
            space, _ = library._context.embedding()
            arrays = prepared(media, registry.target_of("spaces", name), space, modality)
            forward_s(space, modality, arrays[:64])
            ratios, bare, whole = [], [], []
            for _ in range(repeat):
                bare.append(forward_s(space, modality, arrays))
                report = library.ingest(Path(folder) / "media")
                whole.append(report.wall_s + report.seconds["publish"])
                ratios.append(bare[-1] / whole[-1])
                library.remove(Path(folder) / "media")
        stages = ", ".join(f"{stage} {spent:.2f}" for stage, spent in report.seconds.items())
    print(f"{title}: {count / median(whole):.1f}/s end to end, {count / median(bare):.1f}/s bare forward, ", end="")
    print(f"ratio {median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
    print(f"  last run, seconds: {stages}, wall {report.wall_s:.2f}")


def first_ingest(title: str, originals: Sequence[Path], count: int, repeat: int, name: str) -> None:
    """Into a new library, with all that is done beside the files: its scores' background too, by texts that no library
    on the machine has had encoded before, and by those that are known."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        media = copies(originals, count, Path(folder) / "media")
        space = registry.load_part("spaces", name)()
        arrays = prepared(media, registry.target_of("spaces", name), space, "image")
        forward_s(space, "image", arrays[:64])
        ratios: dict[str, list[float]] = {"first on this machine": [], "texts known": []}
        for turn in range(repeat):
            patch.setenv("XDG_CACHE_HOME", f"{folder}/cache-{turn}")
            for number, found in enumerate(ratios.values()):
                with mmsearch.open(Path(folder) / f"library-{turn}-{number}", space=name) as library:
                    library.ingest(originals[0])  # loads the weights and starts the workers
                    if not number:
                        shutil.rmtree(f"{folder}/cache-{turn}/mmsearch/neutral")
                    bare = forward_s(space, "image", arrays)
                    report = library.ingest(Path(folder) / "media")
                    seconds = report.wall_s + sum(report.seconds[stage] for stage in ("calibrate", "publish"))
                    found.append(bare / seconds)
    for which, found in ratios.items():
        print(f"{title}, new library, {which}: ratio {median(found):.2f} ({min(found):.2f}-{max(found):.2f})")


def large_photos(originals: Sequence[Path], folder: Path, count: int = 6) -> Iterator[Path]:
    """12-megapixel JPEGs made from the photos."""
    for path in originals[:count]:
        target = folder / f"{path.stem}-12mp.jpg"
        with Image.open(path) as image:
            image.convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC).save(target, quality=90)
        yield target


def clustered(count: int, dim: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    chance = np.random.default_rng(0)
    centres = chance.normal(size=(64, dim))
    rows = centres[chance.integers(64, size=count)] + 0.5 * chance.normal(size=(count, dim))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def fill(folder: Path) -> None:
    """A library of 10,000 one-segment items, half pictures, half sounds, without the files."""
    space = registry.load_part("spaces", "starter")()
    catalog = Catalog.open(folder, VERSION, create=True)
    record = catalog.add_space(space.name, TARGET, space.dim, space.fingerprint)
    vectors = clustered(SEGMENTS, space.dim)
    batch = Batch()
    for n in range(SEGMENTS):
        kind = "image" if n % 2 else "audio"
        batch.contents.append(NewContent(f"{n:064x}", kind, {}, [kind], [Span()], vectors[n : n + 1]))
        batch.placements.append(Placement(f"/media/{n}".encode(), b"/media", f"{n:064x}", 1, 1))
    catalog.commit(batch, record.id)
    catalog.close()


def warm_query(library: Library, repeat: int) -> None:
    texts = [f"a photo of thing number {n} near the sea" for n in range(40 * repeat)]
    space, _ = library._context.embedding()
    encoder = space.encoders["text"]
    library.search(texts[0])
    whole, bare = [], []
    for text in texts:
        whole.append(timed(lambda text=text: library.search(text)))  # type: ignore[misc]
        bare.append(timed(lambda text=text: encoder.encode([encoder.prepare(Segment("text", text))], query=True)))  # type: ignore[misc]
    beyond = [a - b for a, b in zip(whole, bare, strict=True)]
    print(f"warm query over {SEGMENTS} segments: p50 {1e3 * median(whole):.1f} ms, ", end="")
    print(f"encoder alone {1e3 * median(bare):.1f} ms, beyond it {1e3 * median(beyond):.1f} ms")


def cold_query(folder: Path, repeat: int) -> None:
    ask = [sys.executable, "-m", "mmsearch", "query", "waves on a beach", "--library", str(folder)]
    bare = [sys.executable, "-c", "import torch"]
    times = [(_process_s(ask), _process_s(bare)) for _ in range(2 * repeat + 1)]
    ratio = median(a / b for a, b in times)
    print(
        f"cold query: {median(a for a, _ in times):.2f} s, import torch {median(b for _, b in times):.2f} s, ", end=""
    )
    print(f"ratio {ratio:.2f}")


def _process_s(command: list[str]) -> float:
    return timed(lambda: subprocess.run(command, check=True, capture_output=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--only", default="images,vit,large,sounds,warm,cold")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--count", type=int, default=480)
    given = parser.parse_args()
    wanted = given.only.split(",")
    photos = sorted((given.shared / "data/dev/coco").glob("*.jpg"))
    sounds = sorted((given.shared / "data/dev/esc10").glob("*.ogg"))
    if "images" in wanted:
        ingest("COCO photos", photos, given.count, "image", given.repeat)
    if "vit" in wanted:
        with tempfile.TemporaryDirectory() as folder:
            name = vit.save(Path(folder) / "ViT-B-32")
            ingest("COCO photos, ViT-B-32", photos, max(4 * given.count // 5, 1), "image", given.repeat, name)
            first_ingest("COCO photos, ViT-B-32", photos, max(4 * given.count // 5, 1), given.repeat, name)
    if "large" in wanted:
        with tempfile.TemporaryDirectory() as folder:
            ingest("12-megapixel photos", list(large_photos(photos, Path(folder))), 60, "image", given.repeat)
    if "sounds" in wanted:
        ingest("5-second sounds", sounds, given.count, "audio", given.repeat)
    if {"warm", "cold"} & set(wanted):
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder))
            with mmsearch.open(folder, space="starter") as library:
                library.search("publishes the indexes")
                if "warm" in wanted:
                    warm_query(library, given.repeat)
            if "cold" in wanted:
                cold_query(Path(folder), given.repeat)


if __name__ == "__main__":
    main()

"""Montages: is every scene seen, found, and told from its start to its end?

    python -m tests.benchmarks.shots --shared DIR [--count 10] [--pairs 3]

makes films of 20 scenes of photos (held still, panned and zoomed) and of free films, joined by cuts and dissolves, in
keyframes near and far; puts them into a library, asks for each scene by another moment of it and by the photo that it
was made of, of which it may show a third, and times decoding and ingest beside those of even spans. One more film, of
70 s, has 35 short scenes. PySceneDetect's detectors are asked too, where it is installed.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from time import process_time
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from PIL import Image

import mmsearch
from mmsearch.encoders import starter
from mmsearch.encoders.starter.regions import REGIONS
from mmsearch.media.cuts import CutFinder, small
from mmsearch.media.video import VideoDecoder
from mmsearch.types import Limits, Query, Windowing

WIDTH, HEIGHT, RATE = 640, 360, 25
KEYFRAMES = (250, 25, 50, 250, 12)
NEAR_S, FOUND_S = 0.5, 0.25
"""A scene's start and end, and a cut, may be off by so much."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A part of a montage."""

    source: Path
    start: float
    end: float
    """Seconds; a dissolve ends and begins scenes in its middle."""


SECONDS = (0.6, 7.0)
"""Of a scene."""
MANY, SHORT = 35, (0.6, 3.4)
"""Scenes of a film of some 70 s, and how long they are."""
STILL_AT = 0.3
"""Where in a scene the moment lies that it is asked for by; its frame is from its middle."""


def montage(
    path: Path,
    photos: list[Path],
    films: list[Path],
    seed: int,
    scenes: int = 20,
    seconds: tuple[float, float] = SECONDS,
) -> list[Scene]:
    """Write one, whose every fifth join is a dissolve if the seed is above 3."""
    chosen = random.Random(seed)
    sources = [*chosen.sample(photos, scenes - 2), *chosen.sample(films, 2)]
    chosen.shuffle(sources)
    starts, before, at = [], None, 0
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.gop_size = KEYFRAMES[seed % len(KEYFRAMES)]
        stream.options = {"crf": "26", "preset": "veryfast", **({"sc_threshold": "0"} if seed % 2 else {})}
        for source in sources:
            count = round(chosen.uniform(*seconds) * RATE)
            mixed = round(chosen.uniform(0.3, 0.8) * RATE) if before is not None and chosen.random() < 0.2 else 0
            mixed = mixed if seed > 3 else 0
            starts.append((at + mixed / 2) / RATE)
            for number, shown in enumerate(_shown(source, count, chosen)):
                share = (number + 1) / (mixed + 1)
                pixels = shown if before is None or number >= mixed else before * (1 - share) + shown * share
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels, np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
                at += 1
            before = np.asarray(shown, np.float32)
        container.mux(stream.encode())
    ends = [*starts[1:], at / RATE]
    return [Scene(source, start, end) for source, start, end in zip(sources, starts, ends, strict=True)]


def _shown(source: Path, count: int, chosen: random.Random) -> Iterator[NDArray[np.uint8]]:
    if source.suffix == ".mp4":
        with av.open(str(source)) as container:
            frames = [
                np.asarray(one.reformat(WIDTH, HEIGHT, "rgb24").to_ndarray(), np.uint8)
                for one in container.decode(video=0)
            ]
        first = chosen.randrange(max(1, len(frames) - count))
        yield from frames[first : first + count]
        return
    picture = Image.open(source).convert("RGB")
    scale = 1.25 * max(WIDTH / picture.width, HEIGHT / picture.height)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
    left, top, moved, zoom = (chosen.random(), chosen.random(), *chosen.choice([(0, 0), (0.3, 0), (0, 0.15)]))
    for number in range(count):
        share = number / max(1, count - 1)
        part = 1.15 / (1 + zoom * share)
        width, height = min(WIDTH * part, picture.width), min(HEIGHT * part, picture.height)
        x = min(left + moved * share, 1) * (picture.width - width)
        y = top * (picture.height - height)
        box = (x, y, x + width, y + height)
        yield np.asarray(picture.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box=box))


def cuts_found(path: Path) -> list[float]:
    finder, reformatter, found = CutFinder(), VideoReformatter(), []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if finder.wants(float(frame.time or 0)):
                found += finder.add(float(frame.time or 0), small(frame, reformatter))
    return [*found, *finder.rest()]


def detected(path: Path, name: str) -> list[float]:
    """By a detector of PySceneDetect. Raises: ImportError."""
    import scenedetect

    detector: Any = getattr(scenedetect, name)(min_scene_len=RATE // 2)
    return [float(start.seconds) for start, _ in scenedetect.detect(str(path), detector)][1:]


def matched(found: list[float], right: list[float]) -> tuple[int, int]:
    """Right cuts that were found, and cuts that are none."""
    left, hits = list(found), 0
    for moment in right:
        near = min(left, key=lambda one: abs(one - moment), default=None)
        if near is not None and abs(near - moment) <= FOUND_S:
            left.remove(near)
            hits += 1
    return hits, len(left)


def report_cuts(made: dict[Path, list[Scene]]) -> None:
    right = {path: [scene.start for scene in scenes[1:]] for path, scenes in made.items()}
    print(f"{sum(map(len, right.values()))} joins: found, too many, CPU seconds")
    for name in ("CutFinder", "ContentDetector", "AdaptiveDetector"):
        began = process_time()
        try:
            told = [
                matched(cuts_found(path) if name == "CutFinder" else detected(path, name), right[path]) for path in made
            ]
        except ImportError:
            continue
        hits, extra = (sum(numbers) for numbers in zip(*told, strict=True))
        print(f"  {name:<18}{hits:>5}{extra:>5}{process_time() - began:>7.1f}")


def report_frames(made: dict[Path, list[Scene]]) -> None:
    for title, windowing in (("even spans", Windowing()), ("shots", Windowing(shots=1))):
        began, unseen, frames = process_time(), 0, 0
        for path, scenes in made.items():
            spans = [one.span for one in VideoDecoder(windowing, Limits()).decode(path) if one.modality == "image"]
            frames += len(spans)
            middles = [((span.start or 0) + (span.end or 0)) / 2 for span in spans]
            unseen += sum(not any(scene.start < middle < scene.end for middle in middles) for scene in scenes)
        print(
            f"{title:<12} {frames} frames, {unseen} scenes without one, decoded in {process_time() - began:.1f} s CPU"
        )


def still(path: Path, scene: Scene, target: Path) -> Path:
    """A frame of a scene, as a photo."""
    moment = scene.start + STILL_AT * (scene.end - scene.start)
    with av.open(str(path)) as container:
        shown = next(one for one in container.decode(video=0) if float(one.time or 0) >= moment)
        pixels = np.asarray(shown.to_ndarray(format="rgb24"), np.uint8)
    Image.fromarray(pixels).save(target, quality=80)
    return target


def report_search(made: dict[Path, list[Scene]], library: mmsearch.Library, folder: Path) -> None:
    for title in ("another moment", "the photo it was made of"):
        asked = first = placed = 0
        for path, scenes in made.items():
            for scene in scenes:
                if scene.source.suffix == ".mp4":
                    continue
                asked += 1
                query = scene.source if title != "another moment" else still(path, scene, folder / "still.jpg")
                hits = library.search(Query(image=query), 1, modalities=["video"])
                if not hits or hits[0].path != path:
                    continue
                start, end = hits[0].start or 0.0, hits[0].end or 0.0
                first += scene.start - NEAR_S < (start + end) / 2 < scene.end + NEAR_S
                placed += abs(start - scene.start) < NEAR_S and abs(end - scene.end) < NEAR_S
        print(f"{asked} scenes by {title}: first {first / asked:.1%}, start and end right {placed / asked:.1%}")


def report_ingest(place: Path, pairs: int) -> None:
    """CPU seconds of whole ingests, each in a process of its own, in turns."""
    spent: dict[str, list[float]] = {"even": [], "shots": []}
    for _ in range(pairs):
        for name, seconds in spent.items():
            command = [sys.executable, "-m", "tests.benchmarks.shots", "--ingest", name, "--shared", str(place)]
            seconds.append(float(json.loads(subprocess.run(command, check=True, capture_output=True).stdout)))
            print(f"  ingest, {name}: {seconds[-1]:.1f} CPU-s", flush=True)
    if pairs:
        print(f"ingest, shots / even spans: {sum(spent['shots']) / sum(spent['even']):.2f}")


def ingest(place: Path, windows: str) -> float:
    """CPU seconds of taking a folder into a library of its own."""
    if windows == "even":
        starter.SECOND = Windowing(regions=REGIONS)
    with tempfile.TemporaryDirectory() as folder:
        with mmsearch.open(Path(folder) / "library", workers=1, ocr="off", speech="off") as library:
            began = _cpu_seconds()
            library.ingest(place)
        return _cpu_seconds() - began


def _cpu_seconds() -> float:
    return sum(used.ru_utime + used.ru_stime for used in map(getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=3, help="Ingests of each way that are timed.")
    parser.add_argument("--ingest", choices=("even", "shots"), help="Take in --shared, and print the CPU seconds.")
    options = parser.parse_args()
    if options.ingest:
        print(ingest(options.shared, options.ingest))
        return
    photos = sorted((options.shared / "data" / "dev" / "coco").rglob("*.jpg"))
    photos += sorted((options.shared / "data" / "flickr8k" / "images").rglob("*.jpg"))[:3000]
    films = sorted((options.shared / "data" / "dev" / "videos").glob("*.mp4"))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "films"
        place.mkdir()
        made = {place / f"{n:02d}.mp4": montage(place / f"{n:02d}.mp4", photos, films, n) for n in range(options.count)}
        report_cuts(made)
        report_frames(made)
        long = Path(folder) / "long.mp4"
        report_frames({long: montage(long, photos, films, 0, MANY, SHORT)})
        with mmsearch.open(Path(folder) / "library", workers=1, ocr="off", speech="off") as library:
            library.ingest(place)
            report_search(made, library, Path(folder))
        report_ingest(place, options.pairs)


if __name__ == "__main__":
    main()

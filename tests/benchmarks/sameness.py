"""Sameness: what is wrong in `duplicates --paths`, what is wrongly folded, and what is found of each kind of change.

    python -m tests.benchmarks.sameness --shared ../shared/data [--photos 7000] [--altered 500] [--half 0]

Photos are COCO's of dev and those of Flickr8k's train and dev splits; some of them are altered, and shot a second time;
sounds are ESC-10, spoken digits and the stamps' with MP3 and Opus twins; pages, logos and signs are drawn
(`sameness_data`). Two files are the same if they are of one original; a file of another original in a group, or folded
into a hit, is wrong. `--half` takes every second original only, the even (0) or the odd (1) ones: what is chosen on one
half is reported on the other.
"""

import argparse
import json
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter

import mmsearch
from mmsearch.library import Library
from mmsearch.media.sameness.proof import SAME
from tests.benchmarks import sameness_data as data

NEEDED = {"q60": 0.99, "half": 0.95, "crop": 0.8, "grey": 0.95, "mp3": 0.95, "opus": 0.95, "video": 0.95}
"""Change -> share that must be found."""


def original(path: Path) -> str:
    return path.stem.partition("~")[0]


def change(path: Path) -> str:
    name = path.stem.partition("~")[2]
    return "video" if name in data.VIDEO_CHANGES else name


def is_wrong(one: Path, other: Path) -> bool:
    """Whether two files are not the same thing; a burst is a shot of its own."""
    return original(one) != original(other) or "burst" in (change(one), change(other))


def media(shared: Path, folder: Path, given: argparse.Namespace) -> list[Path]:
    """All files and folders to take in."""
    flickr = sorted((shared / "flickr8k" / "images").glob("*.jpg"))
    random.Random(given.half or 0).shuffle(flickr)
    coco = sorted((shared / "dev" / "coco").glob("*.jpg"))
    sounds = sorted((shared / "dev" / "esc10").glob("*.ogg")) + sorted((shared / "dev" / "fsdd").glob("*.wav"))
    sounds += sorted((shared / "dev" / "stamps").rglob("*.ogg"))
    videos = sorted(path for path in (shared / "dev" / "videos").iterdir() if path.suffix in (".mp4", ".webm"))
    if given.half is not None:
        flickr, coco, sounds = flickr[given.half :: 2], coco[given.half :: 2], sounds[given.half :: 2]
    photos = (coco + flickr)[: given.photos]
    stamps = sorted((shared / "dev" / "stamps").rglob("*.png"))
    made = folder / "made"
    made.mkdir()
    data.alter_photos(photos[: given.altered], made)
    data.bursts(photos[: given.altered], made)
    data.alter_sounds(sounds, made)
    data.silences(made)
    data.draw_pictures(made, given.pages)
    data.alter_videos(videos, made)
    return [*photos, *stamps, *sounds, *videos, made]


def pairs(library: Library, kinds: Sequence[str]) -> Iterator[tuple[Path, Path, str, float]]:
    """Each group's first file and every other one, its kind and the figure."""
    for group in library.duplicates(kinds=kinds):
        first = group.files[0]
        yield from ((first.path, one.path, str(one.kind), one.figure or 0.0) for one in group.files[1:])


def folded_wrongly(library: Library, queries: Sequence[str]) -> set[tuple[str, str]]:
    wrong = set()
    for query in queries:
        for hit in library.search(query, 200):
            wrong |= {
                (hit.path.name, other.name)
                for other in hit.duplicates
                if is_wrong(hit.path, other) and hit.path.read_bytes() != other.read_bytes()
            }
    return wrong


QUERIES = (
    "a dog", "people on a beach", "children playing", "a receipt", "invoice with amounts", "a sign with an arrow",
    "a man on a bike", "mountains", "spoken digit", "rain", "a white picture", "football", "rooster", "water",
    "a street", "logo",
)  # fmt: skip


def report(library: Library, altered: int) -> None:
    start = perf_counter()
    found = list(pairs(library, list(SAME)))
    seconds = perf_counter() - start
    differing = [one for one in found if one[2] != "copy" and is_wrong(one[0], one[1])]
    recorded = [one for one in differing if one[2] == "transcoded" and data.one_recording(one[0], one[1])]
    wrong = [one for one in differing if one not in recorded]
    print(f"\nin --paths: {len(found)}, wrong: {len(wrong)} ({seconds:.1f} s)")
    print("two names of one recording:", sorted({(one[0].name, original(one[1])) for one in recorded}))
    for one in wrong:
        print("  wrong:", one[0].name, one[1].name, one[2], one[3])
    folded = folded_wrongly(library, QUERIES)
    print(f"wrongly folded in {len(QUERIES)} searches, 200 deep: {len(folded)} {sorted(folded)}")
    found += pairs(library, ["cropped", "recoloured", "burst"])
    right = {path for a, b, _, _ in found if original(a) == original(b) for path in (a, b)}
    everything = Counter(change(path) for path in _all(library))
    grouped = Counter(change(path) for path in right)
    others = Counter(kind for a, b, kind, _ in found if kind not in SAME and original(a) != original(b))
    print(f"other originals by --kind: {dict(others)}")
    print("| change | found | of | needed |\n|---|---|---|---|")
    for name, needed in NEEDED.items():
        share = grouped[name] / max(everything[name], 1)
        print(f"| {name} | {share:.3f} | {everything[name]} | {needed} |")
    missed = sorted(path.name for path in _all(library) if change(path) in NEEDED and path not in right)
    print(f"missed, of {altered}: {missed[:40]}")
    drawn = Counter((change(path), path in right) for path in _all(library) if original(path).startswith("page"))
    print(f"of the pages alone: {dict(drawn)}")


def _all(library: Library) -> list[Path]:
    from sqlalchemy import select

    from mmsearch.catalog.tables import ItemRow

    with library._context.catalog().reading() as snapshot:
        return [Path(row[0].decode()) for row in snapshot.execute(select(ItemRow.path))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=7060)
    parser.add_argument("--altered", type=int, default=500)
    parser.add_argument("--pages", type=int, default=50)
    parser.add_argument("--half", type=int, choices=(0, 1))
    parser.add_argument("--keep", type=Path, help="Folder for the media and the library; go on there after a stop.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        listed = folder / "media.json"
        if not listed.exists():
            shutil.rmtree(folder / "made", ignore_errors=True)
            files = media(given.shared, folder, given)
            listed.write_text(json.dumps([str(path.resolve()) for path in files]))
        with mmsearch.open(folder / "library", space="starter", ocr="off", speech="off") as library:
            print(library.ingest(*map(Path, json.loads(listed.read_text()))).as_dict())
        with mmsearch.open(folder / "library", space="starter", ocr="off", speech="off") as library:
            report(library, given.altered)


if __name__ == "__main__":
    main()

"""How well text in pictures is read: `python -m tests.benchmarks.written --shared ../shared [--only NAME ...]`.

| measure | what is asked |
|---|---|
| letters | characters wrong (CER) of rendered lines in five languages, four sizes, four angles: 80 cells |
| pages | the same of ten scanned pages, as pictures and as one scanned PDF, and whether a search finds their words |
| pictures | 500 signs, receipts, slides and pages: whether their words find them first, through ingest and search |
| kept | what is kept of COCO's photos, drawn box by box on sheets (`--sheets DIR`) for eyes to judge |
| cost | CPU of reading a COCO photo by that of embedding it |

Fonts are looked for below `--fonts`: DejaVu (Debian's fonts-dejavu) and Droid's fallback (fonts-droid-fallback), which
has Chinese and Japanese. What is drawn comes of fixed seeds; pages hold this project's own guide and, in German and
French, the translated captions of Flickr8k.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import mmsearch
from mmsearch.core import registry
from mmsearch.extract.cuts import passes
from mmsearch.extract.ocr import OcrExtractor
from mmsearch.media.image import ImageDecoder
from mmsearch.types import Limits, SeesRegions, Space, TextLine
from tests.benchmarks.quality import rows
from tests.benchmarks.said import errors
from tests.benchmarks.written_data import (
    ANGLES,
    DPI,
    KINDS,
    LATIN,
    QUALITY,
    SIZES,
    TEXTS,
    WIDE,
    Fonts,
    deal,
    draw_lines,
    draw_page,
    pictures,
    prose,
    scan,
)

PAGES = ("en",) * 6 + ("de",) * 2 + ("fr",) * 2
"""Languages of the scanned pages."""

WORDS_A_PAGE = 700
"""More than there is room for."""

BATCH = 32
"""Photos embedded together, as an ingest does."""


def kept_in(extractor: OcrExtractor, path: Path) -> list[TextLine]:
    return [line for line in extractor.extract(path) if line is not None and passes(line)]


def measure_letters(options: argparse.Namespace) -> Iterator[str]:
    extractor, fonts = OcrExtractor(Limits()), Fonts(options.fonts)
    path, worst, clean = options.made / "letters.png", 0.0, 0
    for language, (name, lines) in TEXTS.items():
        shares = []
        for size in SIZES:
            for angle in ANGLES:
                draw_lines(fonts(name, size), lines, angle).save(path)
                read = " ".join(line.text for line in kept_in(extractor, path))
                shares.append(_share(" ".join(lines), read, spaces=name != WIDE))
        clean, worst = clean + shares.count(0.0), max(worst, *shares)
        yield f"{language} CER {100 * np.mean(shares):.2f} % on average, {100 * max(shares):.1f} % at worst"
    yield f"{clean} of {len(TEXTS) * len(SIZES) * len(ANGLES)} cells without an error, {100 * worst:.1f} % at worst"


def _share(written: str, read: str, *, spaces: bool = True) -> float:
    """Characters wrong, as a share of those that are written."""
    if not spaces:
        written, read = written.replace(" ", ""), read.replace(" ", "")
    same = _shared(written, read)
    until = _shared(written[same:][::-1], read[same:][::-1])
    return errors(written[same : len(written) - until], read[same : len(read) - until]) / len(written)


def _shared(one: str, other: str) -> int:
    """With how many characters both begin."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def measure_pages(options: argparse.Namespace) -> Iterator[str]:
    extractor, fonts = OcrExtractor(Limits()), Fonts(options.fonts)
    noise, chance = np.random.default_rng(1), random.Random(1)
    dealt = deal(chance)
    pages, texts, shares = [], [], []
    for number, language in enumerate(PAGES):
        image, text = draw_page(fonts, _prose(language, options.shared, chance, dealt))
        path = options.made / f"page{number}.jpg"
        scan(image, noise).save(path, quality=QUALITY, dpi=(DPI, DPI))
        shares.append(_share(text, " ".join(line.text for line in kept_in(extractor, path))))
        pages.append(path)
        texts.append(text)
        yield f"page {number} ({language}, {len(text)} characters) CER {100 * shares[-1]:.2f} %"
    yield f"pictures of ten pages: CER {100 * np.mean(shares):.2f} %"
    folder = options.made / "documents"
    folder.mkdir()
    first, *others = (Image.open(path) for path in pages)
    first.save(folder / "scan.pdf", save_all=True, append_images=others, resolution=DPI)
    read: dict[int, list[str]] = {}
    for line in kept_in(extractor, folder / "scan.pdf"):
        read.setdefault(line.page or 0, []).append(line.text)
    shares = [_share(text, " ".join(read.get(number, ()))) for number, text in enumerate(texts, 1)]
    yield f"PDF of ten pages: CER {100 * np.mean(shares):.2f} %, {100 * max(shares):.2f} % at worst"
    with mmsearch.open(options.made / "pages.library", ocr="on", workers=1) as library:
        library.ingest(folder)
        right = [_page_found(library, text, number, chance) for number, text in enumerate(texts, 1)]
    yield f"six words of a page lead to it: {sum(right)} of {len(right)}"


def _prose(language: str, shared: Path, chance: random.Random, dealt: Iterator[str]) -> list[str]:
    if language == "en":
        return prose(WORDS_A_PAGE, dealt)
    captions = [row[language] for row in rows(shared / "data" / "flickr8k" / "captions_multilingual_dev.tsv")]
    return [" ".join(chance.sample(captions, 10)) for _ in range(8)]


def _page_found(library: mmsearch.Library, text: str, page: int, chance: random.Random) -> bool:
    words = text.split()
    first = chance.randrange(len(words) - 6)
    hits = library.search(mmsearch.Query(text=" ".join(words[first : first + 6])), 1)
    return bool(hits) and hits[0].page == page and hits[0].path.name == "scan.pdf"


def measure_pictures(options: argparse.Namespace) -> Iterator[str]:
    photos = sorted((options.shared / "data" / "flickr8k" / "images").iterdir())
    media = options.made / "pictures"
    media.mkdir()
    asked = []
    for number, one in enumerate(pictures(Fonts(options.fonts), photos, options.most)):
        if one.kind not in options.kinds:
            continue
        path = media / f"{number:04d}.jpg"
        one.image.save(path, quality=85)
        asked.append((one.words, one.kind, path))
    right: Counter[str] = Counter()
    with mmsearch.open(options.made / "pictures.library", ocr="on", workers=1) as library:
        library.ingest(media)
        for words, kind, path in asked:
            hits = library.search(mmsearch.Query(text=words), 1)
            if hits and hits[0].path == path:
                right[kind] += 1
            else:
                found = f"{hits[0].path.name} {hits[0].passage!r}" if hits else "nothing"
                own = library.search(mmsearch.Query(text=words), 1, filter=f'name = "{path.name}"')
                sys.stderr.write(f"{path.name} {kind} {words!r}: {found}; own {own[0].passage if own else None!r}\n")
    for kind in options.kinds:
        yield f"{kind}: first {right[kind]} of {sum(one == kind for _, one, _ in asked)}"
    yield f"all: first {right.total()} of {len(asked)}, {100 * right.total() / len(asked):.1f} %"


SHEET_ROWS, ROW, EDGE = 12, 90, 0.3
"""Lines on a sheet, pixels of a row, and what is shown around a box, as a share of its height."""


def measure_kept(options: argparse.Namespace) -> Iterator[str]:
    extractor, found = OcrExtractor(Limits()), []
    photos = sorted((options.shared / "data" / "dev" / "coco").iterdir())
    flickr = sorted((options.shared / "data" / "flickr8k" / "images").iterdir())
    photos += random.Random(1).sample(flickr, options.others)
    for photo in photos:
        found += [(photo, line) for line in kept_in(extractor, photo)]
    for at in range(0, len(found), SHEET_ROWS):
        sheet = Image.new("RGB", (1000, SHEET_ROWS * ROW), "white")
        for place, (photo, line) in enumerate(found[at : at + SHEET_ROWS]):
            crop = _crop(photo, line)
            sheet.paste(crop, (10, place * ROW + 5))
            told = f"{at + place}: {line.text}  {line.scores['score']:.2f}  {photo.stem}"
            sys.stderr.write(f"{told}\n")
            font = Fonts(options.fonts)(LATIN, 20)
            ImageDraw.Draw(sheet).text((470, place * ROW + 30), told, font=font, fill="black")
        if options.sheets is not None:
            options.sheets.mkdir(exist_ok=True)
            sheet.save(options.sheets / f"sheet{at // SHEET_ROWS:02d}.png")
    yield f"{len(found)} lines kept in {len({photo for photo, _ in found})} of {len(photos)} photos"


def _crop(photo: Path, line: TextLine) -> Image.Image:
    with Image.open(photo) as opened:
        image = opened.convert("RGB")
    left, top, right, bottom = line.box or (0.0, 0.0, 1.0, 1.0)
    width, height = image.size
    edge = EDGE * min((bottom - top) * height, (right - left) * width) + 4
    box = (left * width - edge, top * height - edge, right * width + edge, bottom * height + edge)
    crop = image.crop(box)
    scale = min((ROW - 10) / crop.height, 450 / crop.width)
    return crop.resize(
        (max(1, round(crop.width * scale)), max(1, round(crop.height * scale))), Image.Resampling.BICUBIC
    )


def measure_cost(options: argparse.Namespace) -> Iterator[str]:
    photos = sorted((options.shared / "data" / "dev" / "coco").iterdir())[:BATCH]
    space: Space = registry.load_part("spaces", "starter")("cpu")
    extractor = OcrExtractor(Limits())
    steps: dict[str, Callable[[], object]] = {
        "embedding": lambda: _embed(space, photos),
        "reading": lambda: [kept_in(extractor, photo) for photo in photos],
    }
    for step in steps.values():
        step()  # models load
    cpu: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(3):
        for name, step in steps.items():
            start = time.process_time()
            step()
            cpu[name].append((time.process_time() - start) / len(photos))
    best = {name: min(seconds) for name, seconds in cpu.items()}
    told = ", ".join(f"{name} {seconds:.3f} CPU-s a photo" for name, seconds in best.items())
    yield f"{told}: {best['reading'] / best['embedding']:.2f} times (the least of three turns)"


def _embed(space: Space, photos: Sequence[Path]) -> None:
    """As an ingest does: photos are decoded, and seen whole and in parts."""
    decoder, encoder = ImageDecoder(space.windowing, Limits()), space.encoders["image"]
    prepared = [encoder.prepare(segment) for photo in photos for segment in decoder.decode(photo)]
    assert isinstance(encoder, SeesRegions)
    encoder.encode_regions(prepared, space.windowing.regions)


MEASURES: dict[str, Callable[[argparse.Namespace], Iterator[str]]] = {
    "letters": measure_letters,
    "pages": measure_pages,
    "pictures": measure_pictures,
    "kept": measure_kept,
    "cost": measure_cost,
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--fonts", type=Path, nargs="+", default=[Path("/usr/share/fonts")])
    parser.add_argument("--most", type=int, default=500, help="pictures with text")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="which of these pictures")
    parser.add_argument("--others", type=int, default=0, help="photos of Flickr8k that are read besides COCO's")
    parser.add_argument("--sheets", type=Path, help="where the boxes of kept lines are drawn")
    parser.add_argument("--made", type=Path, help="a folder that keeps the pictures and libraries that are made")
    parser.add_argument("--only", nargs="+", choices=list(MEASURES), default=list(MEASURES))
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as made:
        options.made = options.made or Path(made)
        for name in options.only:
            for line in MEASURES[name](options):
                sys.stdout.write(f"{name:<8} {line}\n")
                sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Pictures with text that is known, for `tests.benchmarks.written`: all drawn, the same ones from the same seed."""

import random
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from mmsearch.resources.chapters import chapter_text, chapters

LATIN, SERIF, FIXED, WIDE = "DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf", "DroidSansFallbackFull.ttf"

TEXTS = {
    "en": (LATIN, ("Open every day except Sunday", "Tickets are sold at gate 14")),
    "de": (LATIN, ("Geöffnet täglich außer Sonntag", "Fahrkarten gibt es am Gleis 14")),
    "fr": (LATIN, ("Ouvert tous les jours sauf le dimanche", "Les billets sont vendus à la porte 14")),
    "zh": (WIDE, ("图书馆开放时间每天上午九点", "请在入口处购买门票")),
    "ja": (WIDE, ("図書館は毎日午前九時に開きます", "切符は入口で買ってください")),
}
"""Language -> its font, and two lines to be read."""

SIZES, ANGLES = (14, 18, 24, 32), (0, 15, 90, 180)

DPI, POINTS = 200, 11
"""Of a scanned page of A4."""

NOISE, BLUR, QUALITY, MOST_SKEW = 10.0, 0.7, 60, 1.5
"""Of a scan: levels of 255, pixels, of JPEG, degrees."""

PAGE_WORDS, PAGE_LINES, PAGE_WIDTH, ASKED_WORDS = 60, 14, 62, 6
"""Of a page among pictures: words at least, lines at most, and signs of a line; words that it is looked for by."""

KINDS = ("sign", "receipt", "slide", "page")


class Fonts:
    """Fonts by the names of their files, somewhere below some folders."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._files = {path.name: path for folder in folders for path in folder.rglob("*.ttf")}

    def __call__(self, name: str, size: int) -> ImageFont.FreeTypeFont:
        return ImageFont.truetype(str(self._files[name]), size)


def draw_lines(font: ImageFont.FreeTypeFont, lines: Sequence[str], angle: float) -> Image.Image:
    """Black on white, turned counter-clockwise by some degrees."""
    width = 60 + round(max(map(font.getlength, lines)))
    image = Image.new("RGB", (width, 60 + 2 * len(lines) * int(font.size)), "white")
    for place, line in enumerate(lines):
        ImageDraw.Draw(image).text((30, 30 + 2 * place * int(font.size)), line, font=font, fill="black")
    return image.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor="white")


@cache
def paragraphs() -> tuple[str, ...]:
    """Prose of this project's own: paragraphs of its guide, each once, without marks."""
    texts = (chapter_text(topic) for topic in sorted(chapters()))
    blocks = (part for text in texts for part in text.split("\n\n") if not part.startswith(_NO_PROSE))
    found = (" ".join(re.sub(r"[`*]|\]\([^)]*\)|\[", "", block).split()) for block in blocks)
    return tuple(dict.fromkeys(one for one in found if one.isascii() and len(one.split()) >= 25))


_NO_PROSE = ("#", "|", "```", "-", " ", "<", ">")


def deal(chance: random.Random) -> Iterator[str]:
    """The paragraphs in a random order, each once."""
    yield from chance.sample(paragraphs(), len(paragraphs()))


def prose(words: int, dealt: Iterator[str]) -> list[str]:
    """The next paragraphs, of so many words together at least."""
    chosen = [next(dealt)]
    while sum(len(part.split()) for part in chosen) < words:
        chosen.append(next(dealt))
    return chosen


def draw_page(fonts: Fonts, texts: Sequence[str]) -> tuple[Image.Image, str]:
    """A page of A4, and what stands on it: as many of the texts' lines as there is room for."""
    width, height = round(8.27 * DPI), round(11.69 * DPI)
    font = fonts(SERIF, round(POINTS * DPI / 72))
    image = Image.new("L", (width, height), 250)
    pen, top, margin, step = ImageDraw.Draw(image), DPI, DPI, round(1.5 * font.size)
    drawn: list[str] = []
    for text in texts:
        for line in _wrapped(text, font, width - 2 * margin):
            if top > height - margin - step:
                return image, " ".join(drawn)
            pen.text((margin, top), line, font=font, fill=25)
            drawn.append(line)
            top += step
        top += step // 2
    return image, " ".join(drawn)


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def scan(page: Image.Image, chance: np.random.Generator) -> Image.Image:
    """As a cheap scanner has it: askew, unevenly lit, blurred and noisy."""
    askew = page.rotate(float(chance.uniform(-MOST_SKEW, MOST_SKEW)), Image.Resampling.BICUBIC, fillcolor=250)
    pixels = np.asarray(askew.filter(ImageFilter.GaussianBlur(BLUR)), np.float64)
    light = np.linspace(1.0, float(chance.uniform(0.8, 0.95)), pixels.shape[1])
    noisy = pixels * light + chance.normal(0, NOISE, pixels.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture with text, and the words that somebody looks for it by."""

    image: Image.Image
    words: str
    kind: str


STREETS = (
    "Mill", "Park", "Station", "Castle", "Market", "Harbour", "Abbey", "Orchard", "Victoria", "Chapel", "Garden",
    "Bridge",
)  # fmt: skip
TRADES = (
    "Bakery", "Pharmacy", "Bookshop", "Florist", "Hardware", "Butcher", "Library", "Museum", "Laundry", "Tailor",
    "Optician", "Cinema",
)  # fmt: skip
NAMES = (
    "Henderson", "Okafor", "Lindqvist", "Moreau", "Petrov", "Tanaka", "Silva", "Novak", "Becker", "Rossi",
    "Dubois", "Larsen",
)  # fmt: skip
GOODS = (
    "Milk", "Bread", "Butter", "Apples", "Coffee", "Cheese", "Tomatoes", "Rice", "Pasta", "Soap", "Batteries",
    "Candles", "Notebook", "Tea",
)  # fmt: skip
TOPICS = (
    "Revenue", "Staff", "Energy use", "Visitor numbers", "Product returns", "Website traffic", "Delivery times",
    "Safety audits",
)  # fmt: skip
PLACES = (
    "northern", "southern", "eastern", "western", "coastal", "central", "Alpine", "Baltic", "Iberian", "Atlantic",
)  # fmt: skip
YEARS = tuple(range(2009, 2026))
POINTS_OF_SLIDES = (
    "Costs fell faster than planned", "Two suppliers were replaced", "Training starts in spring",
    "Customers ask for repairs", "The new system is in place", "Open questions for the board",
)  # fmt: skip


def pictures(fonts: Fonts, photos: Sequence[Path], count: int, seed: int = 1) -> Iterator[Picture]:
    """Signs, receipts, slides and pages in turn, the last three over a photo where a camera would see them so."""
    chance = random.Random(seed)
    pages = iter(_pages(chance, -(-count // len(KINDS))))
    draw: dict[str, Callable[[Fonts, random.Random], tuple[Image.Image, str]]] = {
        "sign": _sign, "receipt": _receipt, "slide": _slide, "page": lambda fonts, chance: _page(fonts, chance, pages),
    }  # fmt: skip
    asked: set[str] = set()
    while len(asked) < count:
        kind = KINDS[len(asked) % len(KINDS)]
        image, words = draw[kind](fonts, chance)
        behind = chance.choice(photos)
        if words in asked:
            continue
        asked.add(words)
        yield Picture(image if kind == "slide" else _over(image, behind, chance), words, kind)


def _over(image: Image.Image, behind: Path, chance: random.Random) -> Image.Image:
    """Somewhat askew, in front of a photo."""
    turned = image.convert("RGBA").rotate(chance.uniform(-8, 8), Image.Resampling.BICUBIC, expand=True)
    size = (round(turned.width * chance.uniform(1.1, 1.5)), round(turned.height * chance.uniform(1.1, 1.4)))
    with Image.open(behind) as photo:
        whole = photo.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    whole.paste(turned, (chance.randrange(size[0] - turned.width), chance.randrange(size[1] - turned.height)), turned)
    return whole


def _sign(fonts: Fonts, chance: random.Random) -> tuple[Image.Image, str]:
    words = (
        f"{chance.choice(NAMES)} {chance.choice(TRADES)}",
        f"{chance.choice(STREETS)} Street {chance.randrange(1, 200)}",
    )
    font = fonts(LATIN, chance.randrange(22, 44))
    ink, ground = chance.choice((("white", "#1d4e89"), ("white", "#2d6a4f"), ("black", "#ffd166"), ("#222", "#eee")))
    shown = [line.upper() if chance.random() < 0.5 else line for line in words]
    image = Image.new("RGB", (round(max(map(font.getlength, shown))) + 60, 60 + 3 * int(font.size)), ground)
    for place, line in enumerate(shown):
        ImageDraw.Draw(image).text((30, 30 + 1.5 * place * font.size), line, font=font, fill=ink)
    return image, " ".join(words).lower()


def _receipt(fonts: Fonts, chance: random.Random) -> tuple[Image.Image, str]:
    shop, number = (
        f"{chance.choice(NAMES)} {chance.choice(('Market', 'Stores', 'Foods'))}",
        chance.randrange(10000, 99999),
    )
    bought = [(one, chance.randrange(49, 1999)) for one in chance.sample(GOODS, chance.randrange(4, 9))]
    day = f"{chance.randrange(1, 29):02d}.{chance.randrange(1, 13):02d}.{chance.choice(YEARS)}"
    lines = [shop, f"{chance.choice(STREETS)} Street {chance.randrange(1, 99)}", f"Receipt {number}", day, ""]
    lines += [f"{name:<14}{cents / 100:>8.2f}" for name, cents in bought]
    lines += ["", f"{'TOTAL':<14}{sum(cents for _, cents in bought) / 100:>8.2f}"]
    font = fonts(FIXED, chance.randrange(15, 20))
    image = Image.new(
        "RGB", (round(font.getlength("0" * 22)) + 40, 40 + round(1.4 * len(lines) * font.size)), "#fafaf5"
    )
    for place, line in enumerate(lines):
        ImageDraw.Draw(image).text((20, 20 + 1.4 * place * font.size), line, font=font, fill="#333")
    return image, f"receipt {number} {shop.lower()}"


def _slide(fonts: Fonts, chance: random.Random) -> tuple[Image.Image, str]:
    title = f"{chance.choice(TOPICS)} in the {chance.choice(PLACES)} region {chance.choice(YEARS)}"
    ground, ink = chance.choice((("white", "#202020"), ("#10243e", "white"), ("#f4ecd8", "#5b3a29")))
    image = Image.new("RGB", (960, 540), ground)
    pen = ImageDraw.Draw(image)
    pen.text((60, 50), title, font=fonts(LATIN, 34), fill=ink)
    for place, line in enumerate(chance.sample(POINTS_OF_SLIDES, 4)):
        pen.text((90, 160 + 70 * place), f"- {line}", font=fonts(LATIN, 26), fill=ink)
    return image, title.lower()


def _pages(chance: random.Random, count: int) -> list[tuple[list[str], str]]:
    """The lines of pages, each with paragraphs of its own, and six words of it that follow each other and that no other
    page has all."""
    dealt = deal(chance)
    pages = [textwrap.wrap(" ".join(prose(PAGE_WORDS, dealt)), PAGE_WIDTH)[:PAGE_LINES] for _ in range(count)]
    words = [" ".join(lines).split() for lines in pages]
    held = [set(map(_plain, one)) for one in words]
    asked = []
    for number, own in enumerate(words):
        some = [own[first : first + ASKED_WORDS] for first in range(len(own) - ASKED_WORDS + 1)]
        others = [one for place, one in enumerate(held) if place != number]
        alone = [one for one in some if not any(other.issuperset(map(_plain, one)) for other in others)]
        asked.append(" ".join(chance.choice(alone)).lower())
    return list(zip(pages, asked, strict=True))


def _plain(word: str) -> str:
    return word.strip(".,:;!?()\"'").lower()


def _page(fonts: Fonts, chance: random.Random, pages: Iterator[tuple[list[str], str]]) -> tuple[Image.Image, str]:
    font, (lines, words) = fonts(SERIF, chance.randrange(15, 19)), next(pages)
    image = Image.new(
        "RGB", (round(max(map(font.getlength, lines))) + 80, 80 + round(1.5 * len(lines) * font.size)), "#f8f8f2"
    )
    for place, line in enumerate(lines):
        ImageDraw.Draw(image).text((40, 40 + 1.5 * place * font.size), line, font=font, fill="#222")
    return image, words

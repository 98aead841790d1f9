"""Sixty documents with a phrase in each, and the place where it is to be found."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.media.documents import made, ole

_ADJECTIVES = ("amber", "brisk", "crooked", "dappled", "eerie", "frosty", "gilded", "hollow", "ivory", "jagged")
_NOUNS = ("abacus", "beacon", "cobbler", "dulcimer", "ember", "falcon", "gondola", "harpoon", "inkwell", "kestrel")
_FILLER = (
    "The committee met in the morning and spoke about the state of the roads, the price of bread and the new school "
    "by the river, which opens in autumn if the roof is done by then. "
)


class Planted(NamedTuple):
    path: Path
    phrase: str
    place: str | None
    page: int | None


def plant(folder: Path) -> Iterator[Planted]:
    """Ten each of DOCX, PPTX, XLSX and EPUB, eight of OpenDocument, eight .eml, four .msg."""
    random = Random(17)
    pairs = [f"{adjective} {noun}" for adjective in _ADJECTIVES for noun in _NOUNS]
    phrases = iter(random.sample(pairs, 60))
    for n in range(10):
        at = random.randrange(5)
        phrase = next(phrases)
        texts = [_FILLER * random.randint(1, 12) for _ in range(5)]
        texts[at] += f"Here is the {phrase} at last. " + _FILLER
        yield _word(folder / f"{n}.docx", texts, at, phrase)
        phrase, texts[at] = next(phrases), ""
        texts[at] = f"{_FILLER} {phrase}."
        yield Planted(made.write_pptx(folder / f"{n}.pptx", texts), phrase, f"slide {at + 1}", at + 1)
        yield _sheet(folder / f"{n}.xlsx", random, next(phrases))
        phrase = next(phrases)
        texts[at] = f"{_FILLER} {phrase}."
        chapters = {f"Part {number}": f"<p>{text}</p>" for number, text in enumerate(texts, 1)}
        path = made.write_epub(folder / f"{n}.epub", chapters, title=f"Book {n}", author="Jane Doe", nav=n % 2 == 0)
        yield Planted(path, phrase, f"chapter Part {at + 1}", at + 1)
    for n in range(8):
        yield _opendocument(folder, n, random, next(phrases))
    for n in range(8):
        yield _mail(folder / f"{n}.eml", n, next(phrases))
    for n in range(4):
        phrase = next(phrases)
        yield Planted(ole.write_message(folder / f"{n}.msg", f"Letter {n}", f"{_FILLER}{phrase}"), phrase, None, None)


def _word(path: Path, texts: list[str], at: int, phrase: str) -> Planted:
    made.write_docx(path, {f"Heading {number}": [text] for number, text in enumerate(texts, 1)})
    return Planted(path, phrase, f"section Heading {at + 1}", at + 1)


def _sheet(path: Path, random: Random, phrase: str) -> Planted:
    """The phrase stands in a row of its own between long ones."""
    at, row = random.randrange(3), random.randint(3, 60)
    sheets = {f"Sheet {n + 1}": [[f"entry {random.random():.6f}", number] for number in range(80)] for n in range(3)}
    name = f"Sheet {at + 1}"
    # What has this many words is a passage by itself.
    sheets[name][row - 1] = [f"{phrase} {_FILLER * 6}", 1]
    made.write_xlsx(path, sheets)
    return Planted(path, phrase, f"sheet {name}, rows ~{row}", at + 1)


def _opendocument(folder: Path, n: int, random: Random, phrase: str) -> Planted:
    at = random.randrange(3)
    texts = [_FILLER, _FILLER, _FILLER]
    texts[at] += phrase
    if n % 3 == 0:
        body = "".join(
            f'<text:h text:outline-level="1">Top {number}</text:h><text:p>{text}</text:p>'
            for number, text in enumerate(texts, 1)
        )
        path = made.write_opendocument(folder / f"{n}.odt", "text", body)
        return Planted(path, phrase, f"section Top {at + 1}", at + 1)
    if n % 3 == 1:
        body = "".join(f"<draw:page><text:p>{text}</text:p></draw:page>" for text in texts)
        path = made.write_opendocument(folder / f"{n}.odp", "presentation", body)
        return Planted(path, phrase, f"slide {at + 1}", at + 1)
    rows = "".join(
        f"<table:table-row><table:table-cell><text:p>{text}</text:p></table:table-cell></table:table-row>"
        for text in texts
    )
    path = made.write_opendocument(
        folder / f"{n}.ods", "spreadsheet", f'<table:table table:name="Only">{rows}</table:table>'
    )
    return Planted(path, phrase, f"sheet Only, rows ~{at + 1}", 1)


def _mail(path: Path, n: int, phrase: str) -> Planted:
    if n % 2:
        mail = made.mail(f"Letter {n}", _FILLER)
        mail.add_attachment(f"{_FILLER}{phrase}", filename="notes.txt")
        return Planted(made.write_mail(path, mail), phrase, "attachment notes.txt", None)
    mail = made.mail(f"Letter {n}", f"{_FILLER}{phrase}", html=f"<p>{_FILLER}{phrase}</p>" if n % 4 else None)
    return Planted(made.write_mail(path, mail), phrase, None, None)


def agrees(place: str | None, wanted: str | None) -> bool:
    """Whether a hit's place is the one wanted: of rows, whether they hold the row after the ~."""
    if wanted is None or "~" not in wanted or place is None:
        return place == wanted
    sheet, _, row = wanted.partition(", rows ~")
    found, _, rows = place.removeprefix(sheet).strip(", ").partition(" ")
    first, _, last = rows.partition("-")
    return (
        place.startswith(f"{sheet}, row") and found in ("row", "rows") and int(first) <= int(row) <= int(last or first)
    )

"""Whether one list loses anything: `python -m tests.benchmarks.ranking --shared DIR [--prose DIR] [--only NAME ...]`.

    prose   names of objects -> photos, in a library of photos, and in the same with prose texts beside them
    kinds   one list of photos and sounds against each kind's own: object words, captions, names of sounds
    notes   25 questions to six notes, among photos, sounds and prose texts
    docs    headings and first sentences of this project's docs -> the rest of their section, among samples and prose
    names   whole file names, and quoted phrases: each must come first
    order   1,000 random queries to photos and sounds: sorted by the number shown, the same at every depth and page

Flickr8k's train photos and the first half of the texts ("chosen") chose the constants of
`mmsearch.search.word_evidence`; the dev photos and the other half ("reported") chose nothing; `docs` chose
`word_evidence.LIFT`, and `notes` reports it. A photo shows an object if one of its five captions names it, and a name
is asked for if two captions of some photos do. Without `--prose`, the texts are sections of this project's own docs,
half for each part; with it, every .txt below a folder: the figures in RANKING.md are with Debian's `fortunes`, in
pieces of some 280 words. `--work` keeps the libraries between runs.
"""

import argparse
import csv
import json
import random
import re
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import mean

import mmsearch
from mmsearch.catalog.word_candidates import fold_case
from mmsearch.library import Library
from mmsearch.search.keywords import Mode
from tests.benchmarks.quality import rows
from tests.conftest import CHECKOUT

SAMPLES = CHECKOUT / "mmsearch" / "resources" / "samples"
PHOTOS = 600
"""Of each split."""
TEXTS = 168
SECTION_WORDS = 60
"""Words of a section of the docs that counts as a text, at least."""

_NAMED = """
dog cat horse bird boat car truck bus bike bicycle motorcycle train snow beach ocean water river lake
mountain tree grass flower field sand rock ball football basketball baseball soccer tennis hat helmet
camera guitar umbrella bench table chair stairs bridge building street fence tent fire fish sheep cow
baby skateboard snowboard surfboard sled kayak canoe swing slide trampoline pool fountain cliff waterfall
desert forest balloon flag sunglasses mask costume microphone cellphone laundry cigarette beer pizza cake
puppy frisbee stick goal race wheelchair ladder rope sunset bubbles toy sign bottle backpack scarf
"""
OBJECTS = _NAMED.split()

QUESTIONS = {
    "bilge-pump.txt": (
        "why does the pump keep running",
        "how do I replace the impeller",
        "the automatic switch does not turn off",
        "water in the bottom of the boat",
    ),
    "herons-at-the-weir.md": (
        "which birds were seen by the river",
        "how many ducklings did the mallards have",
        "a diary of watching water birds",
        "when did the kingfisher come",
    ),
    "letter-after-the-storm.txt": (
        "what did the storm do to the orchard",
        "a letter from my aunt",
        "trees that fell in the wind",
        "no electricity, we lit a lamp",
    ),
    "repair-workshop.html": (
        "when is the repair cafe open",
        "can they fix my microwave",
        "where to have a lamp mended",
        "volunteers who help to repair things",
        "which tram goes there",
    ),
    "rye-bread.md": (
        "how long must the dough rest",
        "recipe with sourdough",
        "how hot should the oven be",
        "what does the loaf sound like when it is done",
    ),
    "teaching-a-puppy.md": (
        "how to get a young dog used to being alone",
        "the puppy howls when I leave",
        "rewards to give a dog",
        "leaving the house for a few minutes",
    ),
}
"""Note -> questions that it answers, written before any result was looked at."""


def docs() -> list[tuple[str, str]]:
    """(file name, text) of this project's handwritten docs."""
    folders = (CHECKOUT, CHECKOUT / "tests" / "benchmarks", CHECKOUT / "mmsearch" / "resources" / "docs")
    return [(page.name, page.read_text("utf-8")) for folder in folders for page in sorted(folder.glob("*.md"))]


def prose(folder: Path | None, part: int) -> list[tuple[str, str]]:
    """(name, text) of the texts of a part, 0 or 1."""
    if folder is not None:
        # Some were written for typewriters that strike a letter twice.
        texts = [re.sub(".\x08", "", path.read_text("utf-8", "replace")) for path in sorted(folder.rglob("*.txt"))]
    else:
        sections = (one for _, page in docs() for one in re.split(r"\n(?=#+ |- \*\*)", page))
        texts = [one for one in sections if len(one.split()) >= SECTION_WORDS]
    return [(f"text{n:04}.txt", text) for n, text in enumerate(texts) if n % 2 == part][:TEXTS]


def captions(shared: Path) -> dict[str, list[set[str]]]:
    """File name of a Flickr8k photo -> the words of each of its captions."""
    found = defaultdict(list)
    for row in rows(shared / "data" / "flickr8k" / "captions.tsv"):
        found[row["filename"]].append(set(re.findall("[a-z]+", row["caption"].lower())))
    return found


def photos(shared: Path, split: str) -> list[Path]:
    folder = shared / "data" / "flickr8k"
    with (folder / "captions.tsv").open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        names = sorted({row["filename"] for row in table if row["split"] == split})
    return [folder / "images" / name for name in names[:: max(1, len(names) // PHOTOS)][:PHOTOS]]


def times_named(noun: str, spoken: Sequence[set[str]]) -> int:
    return sum(not words.isdisjoint((noun, f"{noun}s", f"{noun}es")) for words in spoken)


def objects_right(library: Library, shown: Sequence[Path], spoken: dict[str, list[set[str]]], mode: Mode) -> str:
    """How many names of objects find a photo of it first, and how many of the first five are texts."""
    asked = [noun for noun in OBJECTS if sum(times_named(noun, spoken[path.name]) >= 2 for path in shown) >= 2]
    right = texts = 0
    for noun in asked:
        hits = library.search(mmsearch.Query(text=noun), 5, mode=mode)
        right += times_named(noun, spoken.get(hits[0].path.name, [])) >= 1
        texts += sum(hit.modality == "text" for hit in hits)
    return f"first right {right}/{len(asked)} = {right / len(asked):.1%}, texts among five {texts / len(asked):.2f}"


MODES: tuple[Mode, ...] = ("hybrid", "vector")


def measure_prose(work: Path, shared: Path, folder: Path | None) -> Iterator[str]:
    spoken = captions(shared)
    for part, (title, split) in enumerate((("chosen", "train"), ("reported", "dev"))):
        shown, alone, beside = photos(shared, split), work / f"{title}-photos", work / f"{title}-prose"
        made = filled(alone, shown)
        texts = written(work / f"{title}-texts", prose(folder, part))
        if not beside.exists():
            shutil.copytree(alone, beside)
        with made as library:
            yield f"{title:<9} photos alone            {objects_right(library, shown, spoken, 'hybrid')}"
        with filled(beside, [texts]) as library:
            for mode in MODES:
                found = objects_right(library, shown, spoken, mode)
                yield f"{title:<9} with texts, {mode:<10}  {found}"


def measure_kinds(work: Path, shared: Path, folder: Path | None) -> Iterator[str]:
    dev = shared / "data" / "dev"
    media = [dev / "coco", dev / "stamps" / "sounds", dev / "esc10"]
    with (dev / "manifest.jsonl").open(encoding="utf-8") as file:
        seen = {row["path"]: row["labels"] for row in map(json.loads, file) if row["path"].startswith("coco/")}
    labels = sorted({label for labels in seen.values() for label in labels})
    pictures = rows(dev / "queries" / "text_to_image.tsv")
    asked: dict[str, tuple[str, list[tuple[str, set[str]]]]] = {
        "object words": ("image", [(name, {path for path in seen if name in seen[path]}) for name in labels]),
        "captions, COCO": ("image", [_pair(row) for row in pictures if row["relevant"].startswith("coco/")]),
        "names of sounds": ("audio", [_pair(row) for row in rows(dev / "queries" / "text_to_audio.tsv")]),
    }
    files = [path for folder in media for path in folder.rglob("*.*")]
    with filled(work / "kinds", media) as library:
        for title, (kind, pairs) in asked.items():
            held = [pair for pair in pairs if all((dev / name).is_file() for name in pair[1])]
            # "dog" asks for a recording that is called "dog" as much as for a photo that shows one.
            others = [path for path in files if (path.suffix == ".jpg") is not (kind == "image")]
            shared_name = [any(_is_named(path, query) for path in others) for query, _ in held]
            for mode in MODES:
                own, one = (
                    [_right(library, query, dev, (modalities, mode), right) for query, right in held]
                    for modalities in ((kind,), None)
                )
                labelled, named = (
                    f"own list {mean(some[at] for some in own):.1%}, one list {mean(some[at] for some in one):.1%}"
                    for at in (0, 1)
                )
                alone = [n for n, also in enumerate(shared_name) if not also]
                only = ", ".join(f"{mean(some[n][0] for n in alone):.1%}" for some in (own, one))
                yield (
                    f"{title:<16} {mode:<7} {labelled}  ({len(held)}); what is named so counts too: {named}; "
                    f"what no other kind is called alone: {only} ({len(alone)})"
                )


def _pair(row: dict[str, str]) -> tuple[str, set[str]]:
    return row["query"], set(row["relevant"].split(","))


def _right(
    library: Library, query: str, dev: Path, asked: tuple[Sequence[str] | None, Mode], right: set[str]
) -> tuple[bool, bool]:
    """Whether the first hit is one of those that are right, and whether it is that or bears the query as its name."""
    hits = library.search(mmsearch.Query(text=query), 1, modalities=asked[0], mode=asked[1])
    if not hits:
        return False, False
    same = [hits[0].path, *hits[0].duplicates][0]
    labelled = same.relative_to(dev).as_posix() in right
    return labelled, labelled or _is_named(same, query)


def _is_named(path: Path, query: str) -> bool:
    return set(_stems(query)) <= set(_stems(path.stem))


def _stems(words: str) -> list[str]:
    return [word.removesuffix("s") for word in fold_case(words.replace("_", " "))]


def measure_notes(work: Path, shared: Path, folder: Path | None) -> Iterator[str]:
    texts = written(work / "notes-texts", [*prose(folder, 0), *prose(folder, 1)][:TEXTS])
    with filled(work / "notes", [SAMPLES, texts]) as library:
        for mode in MODES:
            ranks = [_place(library, one, note, mode) for note, questions in QUESTIONS.items() for one in questions]
            among = _among(ranks, (1, 3, 5, 10))
            yield f"{mode:<7} of {len(ranks)} questions, the note is among the first 1/3/5/10: {among}"


GENERATED = ("api.md", "shell.md", "errors.md", "names.md", "contents.md")


def sections() -> Iterator[tuple[str, str, str]]:
    """Heading, first sentence and the rest of each section of the docs that has more; either may be empty."""
    for name, page in docs():
        for section in re.split(r"\n(?=#+ )", page) if name not in GENERATED else ():
            heading = re.match(r"#+ (.+)\n", section)
            body = " ".join(section[heading.end() :].split()) if heading else ""
            if heading is None or body.startswith("|") or len(body.split()) < SECTION_WORDS:
                continue
            sentence = re.match(r"([A-Z][^.`|]{25,140}?)[.:](?=\s)", body)
            first = sentence[1] if sentence and len(body.split()) > 1.5 * SECTION_WORDS else ""
            yield heading[1].strip(), first, body[sentence.end() :] if sentence and first else body


def measure_docs(work: Path, shared: Path, folder: Path | None) -> Iterator[str]:
    some = [(f"section{n:03}.txt", *section) for n, section in enumerate(sections())]
    texts = [(name, body) for name, _, _, body in some] + (prose(folder, 0) if folder else [])
    asked = {
        "headings": [(heading, name) for name, heading, _, _ in some if len(heading.split()) > 1],
        "first sentences": [(sentence, name) for name, _, sentence, _ in some if sentence],
    }
    with filled(work / "docs", [SAMPLES, written(work / "docs-texts", texts)]) as library:
        for title, pairs in asked.items():
            ranks = [_place(library, query, name, "hybrid") for query, name in pairs]
            yield f"{title:<16} of {len(ranks)}, their section is among the first 1/3/10: {_among(ranks)}"


def _place(library: Library, query: str, name: str, mode: Mode) -> int:
    hits = library.search(mmsearch.Query(text=query), 10, mode=mode)
    return next((hit.rank for hit in hits if hit.path.name == name), 11)


def _among(ranks: Sequence[int], counts: Sequence[int] = (1, 3, 10)) -> str:
    return " / ".join(f"{sum(rank <= k for rank in ranks)}" for k in counts)


def measure_names(work: Path, shared: Path, folder: Path | None) -> Iterator[str]:
    texts = prose(folder, 0)
    with filled(work / "names", [SAMPLES, written(work / "names-texts", texts)]) as library:
        files = [path for path in SAMPLES.rglob("*") if path.is_file() and path.parent != SAMPLES]
        named = [_called(library, name) == path.name for path in files for name in (path.name, path.stem)]
        yield f"names: {sum(named)} of {len(named)} first"
        phrases = [(name, phrase) for name, text in texts for phrase in _rare_phrases(text, texts)]
        quoted = [_called(library, f'"{phrase}"') == name for name, phrase in phrases]
        yield f"quoted phrases: {sum(quoted)} of {len(quoted)} first"


QUERIES = 1000


def measure_order(work: Path, shared: Path, folder: Path | None) -> Iterator[str]:
    chosen = random.Random(0)
    said = sorted({word for spoken in captions(shared).values() for words in spoken for word in words})
    dev = shared / "data" / "dev"
    wrong: Counter[str] = Counter()
    with filled(work / "kinds", [dev / "coco", dev / "stamps" / "sounds", dev / "esc10"]) as library:
        for number in range(QUERIES):
            text = " ".join(chosen.choices(OBJECTS if number % 2 else said, k=chosen.randint(1, 5)))
            query = mmsearch.Query(text=chosen.choice((text, text, f"photo of {text}", f'"{text}"')))
            whole = library.search(query, 50)
            shown = [hit.confidence or 0.0 for hit in whole]
            wrong["order"] += shown != sorted(shown, reverse=True)
            wrong["depth"] += any(library.search(query, k) != whole[:k] for k in (1, 10))
            wrong["page"] += library.search(query, 10, offset=10) != whole[10:20]
    yield f"{QUERIES} queries; not sorted {wrong['order']}, other at a depth {wrong['depth']}, a page {wrong['page']}"


def _called(library: Library, query: str) -> str:
    hits = library.search(mmsearch.Query(text=query), 1)
    return hits[0].path.name if hits else ""


def _rare_phrases(text: str, texts: Iterable[tuple[str, str]]) -> list[str]:
    """Two words of a text that follow each other in no other."""
    pairs = re.findall(r"\b([a-z]{4,}) (?=([a-z]{4,})\b)", text)
    others = [other for _, other in texts if other is not text]
    found = (" ".join(pair) for pair in pairs[::5])
    return [phrase for phrase in found if not any(phrase in " ".join(other.lower().split()) for other in others)][:1]


def written(folder: Path, texts: Iterable[tuple[str, str]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts:
        (folder / name).write_text(text, "utf-8")
    return folder


def filled(folder: Path, media: Sequence[Path]) -> Library:
    library = mmsearch.open(folder)
    library.ingest(*media)
    return library


MEASURES: dict[str, Callable[[Path, Path, Path | None], Iterator[str]]] = {
    "prose": measure_prose,
    "kinds": measure_kinds,
    "notes": measure_notes,
    "docs": measure_docs,
    "names": measure_names,
    "order": measure_order,
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--prose", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--only", nargs="+", choices=list(MEASURES), default=list(MEASURES))
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.only:
            work = (options.work or Path(temporary)).resolve()
            for line in MEASURES[name](work, options.shared.resolve(), options.prose):
                sys.stdout.write(f"{name:<6} {line}\n")
                sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

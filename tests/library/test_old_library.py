"""A library that an older version made opens, and answers as it did (`tests/assets/library`)."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

import mmsearch
from mmsearch.catalog.tables import Content
from mmsearch.library import Library
from mmsearch.types import Hit
from tests.generated import agreeing_evidence

ASSETS = Path(__file__).resolve().parents[1] / "assets" / "library"
ROOT = Path("/home/ada/Pictures")
ANSWERS = [json.loads(line) for line in (ASSETS / "answers.jsonl").read_text("utf-8").splitlines()]

COSINE = 2e-4
"""What a cosine may differ by: another processor adds up float32 in another order."""
CONFIDENCE = 2e-3

NUMBERS = {"cosine": COSINE, "keyword_score": 1e-6, "confidence": CONFIDENCE}
"""Of a hit, and what they may differ by. None is recorded as absent."""


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("old") / "library"
    shutil.copytree(ASSETS, folder, ignore=shutil.ignore_patterns("README.md", "answers.jsonl"))
    with mmsearch.open(folder) as library:
        give_evidence(library)
        yield library


def give_evidence(library: Library) -> None:
    """Its media are not here, so `duplicates` can't make the evidence that it has none of: it is given one that makes
    all of a modality the same, so that cosines decide what is folded, as they did when the answers were recorded."""
    with library._context.catalog().reading() as snapshot:
        contents = snapshot.execute(select(Content.id)).scalars().all()
    library._context.catalog().keep_evidence(dict.fromkeys(contents, agreeing_evidence()))


def asked(library: Library, answer: dict[str, Any]) -> list[Hit]:
    query = answer["query"] if isinstance(answer["query"], str) else mmsearch.Query(like=answer["query"]["like"])
    return library.search(
        query,
        answer["k"],
        offset=answer.get("offset", 0),
        modalities=answer.get("modalities"),
        mode=answer["mode"],
        filter=answer.get("filter"),
        dedup=answer.get("dedup"),
        moments=answer.get("moments", False),
    )


def below(path: Path | None) -> str | None:
    return None if path is None else path.relative_to(ROOT).as_posix()


def facts(hit: Hit) -> dict[str, Any]:
    """A hit but for its numbers that may differ in the last places."""
    return {
        "path": below(hit.path), "modality": hit.modality, "by": list(hit.by), "level": hit.level,
        "matched": hit.matched, "start": hit.start, "end": hit.end, "page": hit.page,
        "passage": hit.passage and hit.passage[:40], "duplicates": [below(path) for path in hit.duplicates],
        "members": [below(path) for path in hit.members], "part": below(hit.part),
    }  # fmt: skip


def recorded(hit: dict[str, Any]) -> dict[str, Any]:
    absent: dict[str, Any] = {
        "matched": hit["modality"], "start": None, "end": None, "page": None, "passage": None,
        "duplicates": [], "members": [], "part": None,
    }  # fmt: skip
    return absent | {name: value for name, value in hit.items() if name not in {*NUMBERS, "moments"}}


@pytest.mark.parametrize("answer", ANSWERS, ids=[str(number) for number in range(len(ANSWERS))])
def test_an_old_library_gives_its_recorded_answers(old: Library, answer: dict[str, Any]) -> None:
    hits = asked(old, answer)
    assert [rounded(facts(hit)) for hit in hits] == [recorded(hit) for hit in answer["hits"]]
    for hit, was in zip(hits, answer["hits"], strict=True):
        for name, tolerance in NUMBERS.items():
            number = was.get(name)
            assert getattr(hit, name) == (None if number is None else pytest.approx(number, abs=tolerance)), name
        moments = [[one.matched, one.start, one.end, pytest.approx(one.cosine, abs=COSINE)] for one in hit.moments]
        assert was.get("moments", []) == moments


def rounded(found: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in found.items()}


def test_two_hundred_answers_are_recorded() -> None:
    assert len(ANSWERS) == 200


def test_an_old_library_has_its_recorded_items_failures_and_duplicates(old: Library) -> None:
    status = old.status()
    assert [(one.modality, one.items, one.missing, one.vectors) for one in status.counts] == [
        ("audio", 18, 0, 16), ("image", 21, 0, 21), ("text", 13, 1, 20), ("video", 2, 0, 9),
    ]  # fmt: skip
    assert [(below(one.path), one.failure) for one in old.failures()] == [("broken.jpg", "corrupt")]
    found = old.duplicates(0.999, modalities=["audio"]) + old.duplicates(0.95, modalities=["image"])
    groups = [[below(file.path) for file in group.files] for group in found]
    assert groups == [
        ["2024 trip/IMG_1.ogg", "sounds/waves-in-corsica.ogg"],
        ["sounds/copy-of-a-rooster.ogg", "sounds/rooster-crowing.ogg"],
        # Not gull-over-the-beach.jpg: whether the larger IMG_1.jpg shows more can't be seen, since it is not there.
        ["photos/dog-saved-again.jpg", "photos/dog-at-a-laptop.jpg"],
    ]


def test_an_old_library_without_evidence_folds_copies_alone(tmp_path: Path) -> None:
    shutil.copytree(ASSETS, tmp_path / "library", ignore=shutil.ignore_patterns("README.md", "answers.jsonl"))
    with mmsearch.open(tmp_path / "library") as library:
        groups = [[(below(file.path), file.kind) for file in group.files] for group in library.duplicates()]
        folded = {below(path) for hit in library.search("an animal", 60) for path in hit.duplicates}
    assert all(kind in (None, "copy") for group in groups for _, kind in group)
    assert "photos/dog-saved-again.jpg" not in folded | {path for group in groups for path, _ in group}


@pytest.mark.slow
def test_a_slice_of_all_of_it_answers_as_it_does(old: Library) -> None:
    some = old.only("size >= 0")
    for answer in [one for one in ANSWERS if isinstance(one["query"], str)][:12]:
        found, own = asked(old, answer), asked(some, answer)
        assert [hit.path for hit in own] == [hit.path for hit in found]
        assert [hit.confidence for hit in own] == pytest.approx([hit.confidence for hit in found], abs=0.02)
    some.close()

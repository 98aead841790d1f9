"""Names, phrases, words, meanings and mixtures of them, each with the file that should come first.

tests/assets/hybrid_cases.tsv was written before any result was looked at. Column `now` says where search stands:
"first", or "fails" for a case that is known to fail, which is kept so that it is counted.
"""

import csv
from collections import Counter
from collections.abc import Iterator
from functools import cache

import pytest

import mmsearch
from mmsearch.library import Library
from mmsearch.search.keywords import Mode
from tests.conftest import CHECKOUT

pytestmark = pytest.mark.slow

SAMPLES = CHECKOUT / "mmsearch" / "resources" / "samples"
TABLE = CHECKOUT / "tests" / "assets" / "hybrid_cases.tsv"

FAILING = {"semantic": 2}
"""Kind -> how many cases fail, of the sizes below."""

SIZES = {"name": 20, "part": 17, "phrase": 17, "words": 13, "semantic": 35, "mixed": 16}


@cache
def cases() -> list[dict[str, str]]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """The packaged samples in the starter space."""
    with mmsearch.open(tmp_path_factory.mktemp("hybrid") / "library") as library:
        assert library.ingest(SAMPLES, exclude=["CREDITS.md"]).new == 43
        yield library


def first(library: Library, case: dict[str, str], mode: Mode = "hybrid") -> str:
    modalities = (case["within"],) if case["within"] else None
    hits = library.search(mmsearch.Query(text=case["query"]), 1, modalities=modalities, mode=mode)
    return hits[0].path.relative_to(SAMPLES).as_posix() if hits else ""


def right(library: Library, case: dict[str, str], mode: Mode = "hybrid") -> bool:
    return first(library, case, mode) in case["expected"].split("|")


def test_the_table_of_hybrid_cases_has_its_recorded_sizes() -> None:
    assert Counter(case["kind"] for case in cases()) == SIZES
    assert Counter(case["kind"] for case in cases() if case["now"] == "fails") == FAILING
    for case in cases():
        assert all((SAMPLES / name).is_file() for name in case["expected"].split("|")), case


def test_every_hybrid_case_ranks_first_as_recorded(samples: Library) -> None:
    seen = {case["query"]: "first" if right(samples, case) else "fails" for case in cases()}
    assert seen == {case["query"]: case["now"] for case in cases()}


def test_hybrid_search_ranks_named_cases_better_and_semantic_cases_no_worse(samples: Library) -> None:
    """Against search by meaning alone: better for every kind that names something, no worse for the others."""
    alone = Counter(case["kind"] for case in cases() if right(samples, case, "vector"))
    together = Counter(case["kind"] for case in cases() if right(samples, case))
    assert all(together[kind] > alone[kind] for kind in ("name", "part", "phrase", "words", "mixed"))
    assert together["semantic"] >= alone["semantic"]


def test_keyword_mode_finds_names_phrases_and_words(samples: Library) -> None:
    named = [case for case in cases() if case["kind"] in ("name", "part", "phrase", "words")]
    assert [case["query"] for case in named if not right(samples, case, "keyword")] == []

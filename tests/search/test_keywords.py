"""Words and meaning in one list: what is lifted, by how much, and what is shown of it."""

import math
from pathlib import Path

import pytest

from mmsearch.calibration import sentence_share
from mmsearch.errors import InvalidInput
from mmsearch.library import Library
from mmsearch.search.keywords import (
    KEYWORDS,
    VECTOR,
    WEAK,
    fuse_keywords,
    match_keywords,
    query_text,
    retrieve_keywords,
)
from mmsearch.search.kinds import ANY_KIND, OTHER_KIND
from mmsearch.search.ranking import Depth, RankedItem, Ranking
from mmsearch.search.vector import VectorSearch
from mmsearch.search.word_evidence import EXACT
from mmsearch.types import Hit, Modality, Query
from tests.generated import picture, sound, video, words
from tests.module_library import ModuleLibrary

NO_SEARCH: VectorSearch = object()  # type: ignore[assignment]
"""For a ranking that is complete, nothing is searched."""


def fill(folder: Path) -> None:
    picture(folder / "IMG_1.png", "red")
    picture(folder / "clipart" / "pumpkin.png", "green")
    for n in range(20):
        picture(folder / "clipart" / f"{n}.png", "blue", mark=n)
        words(folder / f"note {n}.txt", f"nothing of interest {n}")
    words(folder / "soup.txt", "a soup of lentils and a bus stop")
    words(folder / "long.txt", " ".join(["other words"] * 90 + ["the walnut case"] + ["yet more"] * 60))
    words(folder / "dog.txt", "nothing")
    sound(folder / "walnut.wav", "low")
    video(folder / "film.mp4", "red", "green")


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


def first(library: Library, query: str, **options: object) -> Hit:
    return library.search(query, 1, **options)[0]  # type: ignore[arg-type]


def test_what_words_and_meaning_say_adds_up(library: Library) -> None:
    both = first(library, "a red pumpkin", modalities=("image",), filter="name = pumpkin.png")
    alone = first(library, "a red pumpkin", modalities=("image",), filter="name = pumpkin.png", mode="vector")
    assert (both.by, both.cosine) == (("vector", "keywords"), alone.cosine)
    assert both.confidence is not None and alone.confidence is not None and both.keyword_score is not None
    assert both.confidence == pytest.approx(1 - (1 - alone.confidence) * (1 - both.keyword_score))
    assert (alone.by, alone.keyword_score) == (("vector",), None)
    only = first(library, "a red pumpkin", modalities=("image",), filter="name = pumpkin.png", mode="keyword")
    assert (only.by, only.cosine, only.confidence) == (("keywords",), None, both.keyword_score)


def test_an_exact_name_and_a_quoted_phrase_come_first_and_are_certain(library: Library) -> None:
    named = first(library, "dog")
    assert (named.path.name, named.confidence, named.keyword_score, named.level) == ("dog.txt", 1, 1, "sure")
    assert first(library, "note 7.txt").path.name == "note 7.txt"
    phrase = first(library, 'red "walnut case"')
    assert (phrase.path.name, phrase.confidence, phrase.matched) == ("long.txt", 1, "text")
    assert phrase.passage is not None and "walnut case" in phrase.passage


@pytest.mark.slow
def test_of_files_that_hold_a_quoted_phrase_the_likelier_comes_first(tmp_path: Path, library: Library) -> None:
    words(tmp_path / "a oars.txt", "red oars, as they say " * 3)
    words(tmp_path / "b.txt", "the red-oars")
    words(tmp_path / "z red.txt", "red oars, as they say " * 3 + "and the quartzite")
    library.ingest(tmp_path)
    hits = library.search('"red oars" quartzite', 3, mode="keyword")
    assert [(hit.path.name, hit.confidence) for hit in hits] == [("z red.txt", 1), ("a oars.txt", 1), ("b.txt", 1)]


def test_one_common_word_does_not_pass_what_means_the_query(library: Library) -> None:
    hits = library.search("a red bus", 40)
    places = {hit.path.name: hit.rank for hit in hits}
    assert places["IMG_1.png"] < places["soup.txt"]


def test_a_folder_s_name_lifts_no_file_above_one_that_is_named(library: Library) -> None:
    hits = library.search("clipart of a pumpkin", 5)
    assert hits[0].path.name == "pumpkin.png"
    assert all((hit.keyword_score or 0) < 0.1 for hit in hits[1:])


def test_the_kind_that_a_query_names_comes_first(library: Library) -> None:
    assert first(library, "walnut").path.name == "walnut.wav"
    assert {hit.modality for hit in library.search("photo of a walnut, red", 1)} == {"image"}
    assert {hit.modality for hit in library.search("sound of something red", 1)} <= {"audio", "video"}
    assert first(library, "video of something red").path.name == "film.mp4"
    quoted = first(library, 'photo of a "walnut case"')
    assert (quoted.path.name, quoted.confidence) == ("long.txt", 1), "whatever its kind"


def test_only_a_positive_query_by_words_has_words_to_look_for() -> None:
    assert query_text(Query(text="dog")) == "dog"
    assert query_text(Query(text="dog") + Query(text="cat")) == "dog cat"
    for query in (
        Query(text="dog") - Query(text="cat"),
        Query(),
        Query(text="dog", image="x.png"),
        Query(image="x.png"),
        Query(text=Path("dog.txt")),
    ):
        assert query_text(query) == ""


@pytest.mark.slow
def test_a_keyword_search_needs_words_and_a_mode_must_be_known(library: Library) -> None:
    with pytest.raises(InvalidInput, match="needs words"):
        library.search(Query(text="dog") - Query(text="cat"), mode="keyword")
    with pytest.raises(InvalidInput, match="mode can't be 'maybe'"):
        library.search("dog", mode="maybe")  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_hit_by_an_item_without_words_has_a_finite_confidence(library: Library) -> None:
    hits = library.search(Query(image=library.search("red", 1, modalities=("image",))[0].path), 5)
    assert all(hit.confidence is not None and math.isfinite(hit.confidence) for hit in hits)


def test_words_that_say_little_raise_what_a_sentence_means() -> None:
    meant = RankedItem(1, 1, b"/a", "text", evidence=0.2, cosine=0.3)
    words = RankedItem(1, 2, b"/a", "text", evidence=0.0, keyword_score=0.0, by=(KEYWORDS,), lift=math.log(3))
    (both,) = fuse_keywords(Ranking([meant], complete=True), [words], NO_SEARCH).items
    assert math.expm1(both.evidence or 0.0) == pytest.approx(3 * math.expm1(0.2)), "the odds are three times as high"
    assert (both.by, both.segment_id) == (("vector", "keywords"), 1)
    assert fuse_keywords(Ranking(complete=True), [words], NO_SEARCH).items == [], "without a meaning they say nothing"
    unknown = meant._replace(evidence=None)
    assert fuse_keywords(Ranking([unknown], complete=True), [words], NO_SEARCH).items == [unknown]


def test_words_lift_in_sentences_and_not_names(library: Library) -> None:
    found = {
        query: next(one for one in match_keywords(query, 9, library._context.catalog()) if b"pumpkin" in one.path)
        for query in ("a red pumpkin", "a pumpkin, red and green", "a pumpkin, red and green, on the table outside")
    }
    name, longer, sentence = (one.lift for one in found.values())
    assert name == 0 < longer and sentence > 0
    assert sentence_share("a pumpkin, red and green") == pytest.approx(1 / 3)


def test_words_that_say_little_pass_nothing_that_meaning_found() -> None:
    def item(evidence: float, **known: object) -> RankedItem:
        return RankedItem(1, 1, b"/a", "text", evidence=evidence, **known)  # type: ignore[arg-type]

    meant = item(0.2, cosine=0.3)
    for worth, both in ((WEAK * 0.99, 0.2), (WEAK, 0.2 + WEAK)):
        found = fuse_keywords(Ranking([meant], complete=True), [item(worth, by=(KEYWORDS,))], NO_SEARCH)
        assert [one.evidence for one in found.items] == [pytest.approx(both)]
    alone = fuse_keywords(Ranking(complete=True), [item(WEAK / 2)], NO_SEARCH)
    assert [one.evidence for one in alone.items] == [WEAK / 2], "what only words know of stays in the list"


def test_of_a_ranking_that_goes_on_all_is_certain_down_to_its_last_item() -> None:
    first, last = (RankedItem(n, n, b"/%d" % n, "text", evidence=1.0 / n, cosine=0.3) for n in (1, 2))
    words = RankedItem(3, 3, b"/3", "text", evidence=0.3, by=(KEYWORDS,))
    behind, by_both = words._replace(evidence=0.4), last._replace(evidence=0.9, by=(VECTOR, KEYWORDS))

    class NothingNear:
        def score_items(self, items: list[int]) -> dict[int, RankedItem]:
            return {}

    search: VectorSearch = NothingNear()  # type: ignore[assignment]
    found = fuse_keywords(Ranking([first, last], complete=False), [words], search)
    assert ([one.item_id for one in found.items], found.complete) == ([1, 2], False), "behind the last is what may come"
    found = fuse_keywords(Ranking([first, last], complete=False), [behind._replace(evidence=0.6)], search)
    assert [one.item_id for one in found.items] == [1, 3, 2]
    found = fuse_keywords(Ranking([first, last], complete=False), [words._replace(item_id=2, evidence=0.4)], search)
    assert [(one.item_id, one.evidence) for one in found.items] == [(1, 1.0), (2, pytest.approx(by_both.evidence))]


@pytest.mark.parametrize(("worth", "segment"), [(EXACT * OTHER_KIND, 2), (EXACT * OTHER_KIND * 0.99, 1)])
def test_the_passage_of_a_phrase_is_shown_and_that_of_weaker_words_is_not(worth: float, segment: int) -> None:
    meant = RankedItem(1, 1, b"/a", "text", evidence=0.2, cosine=0.3)
    words = RankedItem(1, 2, b"/a", "text", evidence=worth, by=(KEYWORDS,))
    (both,) = fuse_keywords(Ranking([meant], complete=True), [words], NO_SEARCH).items
    assert both.segment_id == segment


def test_a_search_for_words_knows_when_it_has_seen_all(library: Library) -> None:
    catalog = library._context.catalog()
    found = retrieve_keywords("pumpkin", Depth(5), catalog, None, None, ANY_KIND)
    assert found.complete and [one.path.rpartition(b"/")[2] for one in found.items] == [b"pumpkin.png"]


@pytest.mark.parametrize(
    ("modality", "matched", "worth", "shown"),
    [
        ("audio", "audio", 0.6, 2), ("video", "image", 0.6, 2), ("audio", "audio", 0.4, 1),
        ("audio", "text", 0.6, 2), ("audio", "text", 0.4, 1), ("text", "text", 0.6, 1),
    ],
)  # fmt: skip
def test_what_is_said_is_shown_where_it_is_more_of_a_reason_than_the_sound_or_other_words(
    modality: Modality, matched: Modality, worth: float, shown: int
) -> None:
    meant = RankedItem(1, 1, b"/a", modality, evidence=0.5, cosine=0.3, matched=matched)
    words = RankedItem(1, 2, b"/a", modality, evidence=worth, matched="text", by=(KEYWORDS,))
    (both,) = fuse_keywords(Ranking([meant], complete=True), [words], NO_SEARCH).items
    assert (both.segment_id, both.matched) == (shown, "text" if shown == 2 else matched)

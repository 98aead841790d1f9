"""From lines to segments: what passes the gates, and where one segment ends and the next begins."""

from itertools import pairwise

import pytest

from mmsearch.extract.cuts import LONGEST_S, MOST_WORDS, cut_lines, passes
from mmsearch.types import TextBox, TextLine


def said(text: str, start: float, end: float, **scores: float) -> TextLine:
    return TextLine(text, start, end, scores=scores, language="en")


def written(text: str, box: TextBox = (0.1, 0.1, 0.2, 0.2), page: int | None = None, score: float = 0.9) -> TextLine:
    return TextLine(text, page=page, box=box, scores={"score": score})


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (said("Good morning.", 0, 1, logprob=-0.99, compression=2.39), True),
        (said("Good morning.", 0, 1, logprob=-1.0), False),
        (said("Thanks, thanks, thanks.", 0, 1, logprob=-0.1, compression=2.4), False),
        (said("7", 0, 1, logprob=-0.5), True),
        (said("...", 0, 1, logprob=-0.5), False),
        (written("STOP", score=0.8), True),
        (written("STOP", score=0.79), False),
        (written("I|"), False),
        (written("图书馆"), True),
    ],
)
def test_a_line_passes_by_what_its_model_says_of_it(line: TextLine, kept: bool) -> None:
    assert passes(line) is kept
    assert bool(cut_lines([line], "said")) is kept


def test_sentences_that_follow_each_other_are_one_segment_and_a_pause_ends_it() -> None:
    lines = [said("Good morning.", 0.5, 1.5), said("Sit down.", 1.75, 2.5), said("And now the news.", 3.5, 5.0)]
    found = [(span.start, span.end, span.text, span.source) for span in cut_lines(lines, "said")]
    assert found == [(0.5, 2.5, "Good morning. Sit down.", "said"), (3.5, 5.0, "And now the news.", "said")]


def test_a_long_speech_is_cut_in_segments_that_share_a_sentence() -> None:
    lines = [said(f"This is sentence number {n} of a speech.", 4.0 * n, 4.0 * n + 4.0) for n in range(30)]
    spans = cut_lines(lines, "said")
    assert spans[0].start == 0.0 and spans[-1].end == 120.0
    for one, later in pairwise(spans):
        assert later.start is not None and one.end is not None and later.start == one.end - 4.0
    for span in spans:
        assert len((span.text or "").replace(" (", "(").split()) <= MOST_WORDS + 4
        assert (span.end or 0.0) - (span.start or 0.0) <= LONGEST_S


def test_what_stands_in_a_picture_is_one_segment_with_the_box_around_it_and_a_page_ends_it() -> None:
    lines = [
        written("PALAIS", (0.1, 0.1, 0.5, 0.2), 1),
        written("DU LOUVRE", (0.2, 0.25, 0.75, 0.4), 1),
        written("Entrée", (0.0, 0.5, 0.3, 0.6), 2),
    ]
    found = [(span.page, span.text, span.box, span.source) for span in cut_lines(lines, "written")]
    assert found == [
        (1, "PALAIS DU LOUVRE", (0.1, 0.1, 0.75, 0.4), "written"), (2, "Entrée", (0.0, 0.5, 0.3, 0.6), "written"),
    ]  # fmt: skip


def test_a_spoken_number_is_found_by_its_word_and_by_its_digits() -> None:
    (span,) = cut_lines([said("Press 1, then 12. Not 2026, and not 13.", 0, 1)], "said")
    assert span.text == "Press 1, (one) then 12. (twelve) Not 2026, and not 13."
    (span,) = cut_lines([said("One of the two dogs is Seven.", 0, 1)], "said")
    assert span.text == "One of the two (2) dogs is Seven. (7)"
    (span,) = cut_lines([said("One, two, 3.", 0, 1)], "said")
    assert span.text == "One, (1) two, (2) 3. (three)"
    (span,) = cut_lines([written("Gate 7 and two")], "written")
    assert span.text == "Gate 7 and two"


def test_a_nought_before_letters_was_a_capital_o() -> None:
    (span,) = cut_lines([written("0kafor Market 0PEN at 07.00, 0xface 0.5 007 0ABC B0B 80km")], "written")
    assert span.text == "Okafor Market 0PEN at 07.00, 0xface 0.5 007 0ABC B0B 80km"
    (span,) = cut_lines([written("0KAFOR 0slo")], "written")
    assert span.text == "OKAFOR 0slo"

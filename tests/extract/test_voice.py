"""Where somebody speaks, and the lines that words make in it."""

from mmsearch.extract.voice import RATE, HeardWord, Stretch, heard_lines, voiced


def seconds(*stretches: tuple[float, float]) -> list[Stretch]:
    return [(round(start * RATE), round(end * RATE)) for start, end in stretches]


def test_utterances_are_transcribed_together_over_short_pauses_with_silence_around() -> None:
    spoken = seconds((0.1, 1), (1.4, 2), (2.6, 4), (5, 5.2))
    # The last is too short by itself; the pause of 0.6 s has room for both paddings.
    assert voiced(spoken, 10 * RATE) == seconds((0, 2.2), (2.4, 4.2))
    assert voiced(seconds((1, 9.9)), 10 * RATE) == seconds((0.8, 10))
    assert voiced([], RATE) == []


def lines(spoken: list[Stretch], *words: tuple[str, float, float]) -> list[tuple[str, float, float]]:
    found = heard_lines([HeardWord(*word) for word in words], spoken)
    return [("".join(one.word for one in line), line[0].start, line[-1].end) for line in found]


def test_a_line_ends_at_a_full_stop_and_at_a_silence_that_a_word_hides() -> None:
    spoken = seconds((0.5, 2), (2.5, 5))
    words = (" Hold", 0.2, 0.8), (" on.", 0.8, 1.2), (" Caller", 1.2, 1.9), (" welcome", 1.9, 3.2), (" all", 3.2, 3.5)
    assert lines(spoken, *words) == [(" Hold on.", 0.5, 1.2), (" Caller", 1.2, 1.9), (" welcome all", 2.5, 3.5)]


def test_a_line_ends_where_no_word_is_for_a_quarter_of_a_second() -> None:
    spoken = seconds((0, 4))
    words = (" one", 0.0, 0.5), (" two", 0.74, 1.0), (" three", 1.25, 2.0), (" four", 6.0, 6.5)
    assert lines(spoken, *words) == [(" one two", 0.0, 1.0), (" three", 1.25, 2.0), (" four", 6.0, 6.5)]

"""Subtitles are lines with their times and without markup, whatever the format and however broken the file."""

from pathlib import Path
from typing import Any

import pytest

from mmsearch.media import subtitles
from mmsearch.media.audio import AudioDecoder
from mmsearch.media.subtitles import Line, are_subtitles, lines_of
from mmsearch.media.text import TextDecoder
from mmsearch.media.video import VideoDecoder
from mmsearch.types import Limits, Windowing
from tests.track_files import SRT, with_words

VTT = """WEBVTT - a title

STYLE
::cue { color: red }

NOTE
01:00.000 --> is no time here

intro
00:01.500 --> 00:02.500 align:start
<v Ada>Where is the <c.loud>lighthouse</c>?</v>

01:02.000 --> 01:04.250
- Behind the dunes,
- as ever &amp; always.
"""
ASS = """[Script Info]
Title: x
[V4+ Styles]
Format: Name, Fontname
Style: Default,Arial
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:01:02.00,0:01:04.25,Default,,0,0,0,,- Behind the dunes,\\N- as {\\b1}ever{\\b0} & always.
Dialogue: 0,0:00:01.50,0:00:02.50,Default,,0,0,0,,Where is the {\\i1}lighthouse{\\i0}?
Dialogue: 1,0:00:01.50,0:00:02.50,Default,,0,0,0,,{\\blur3}Where is the lighthouse?
Comment: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,not said
Dialogue: 0,0:00:05.00,0:00:06.00,Default,,0,0,0,,{\\p1}m 0 0 l 10 10{\\p0}
"""
SAID = [Line(1.5, 2.5, "Where is the lighthouse?"), Line(62.0, 64.25, "- Behind the dunes, - as ever & always.")]


@pytest.mark.parametrize("text", [SRT, SRT.replace("\n", "\r\n"), VTT, ASS], ids=["srt", "crlf", "vtt", "ass"])
def test_lines_have_their_times_and_no_markup(text: str) -> None:
    assert are_subtitles(text)
    assert lines_of(text) == SAID


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1\n0:0:1.5 --> 0:0:2,5\nHi\n", [Line(1.5, 2.5, "Hi")]),
        ("1\n00:00:01,000 --> 00:00:02,000\nOne\n\nmore\n2\n00:00:03,000 --> 00:00:04,000\n42", [(1, 2), (3, 4)]),
        ("1\n00:00:05,000 --> 00:00:04,000\nBackwards\n", [Line(5.0, 5.0, "Backwards")]),
        ("1\n00:00:01,000 --> 00:00:02,000\n\n2\n00:00:03,000 --> 00:00:04,000\n♪\n", []),
        ("1\n00:00:01,000 --> broken\nNothing\n", []),
        ("1\n00:00:01,000 -->", []),
        ("WEBVTT\n\n", []),
        ("[Script Info]\n[Events]\nDialogue: 1,2\nDialogue:", []),
    ],
)
def test_a_damaged_file_gives_what_can_be_read(text: str, expected: list[Any]) -> None:
    found = lines_of(text)
    assert found == expected or [(line.start, line.end) for line in found] == expected


def test_captions_that_roll_are_said_once() -> None:
    text = (
        "WEBVTT\n\n00:00.000 --> 00:02.000\nso this is\n\n00:02.000 --> 00:02.010\nso this is\n\n"
        "00:02.010 --> 00:04.000\nso this is\nthe old<00:03.000><c> mill</c>\n"
    )
    assert lines_of(text) == [Line(0.0, 2.01, "so this is"), Line(2.01, 4.0, "the old mill")]


def test_what_only_looks_like_subtitles_is_a_text() -> None:
    assert not are_subtitles("We met at 10:30 --> the station")
    assert not are_subtitles("WEBVTTX is a name")
    assert not are_subtitles("# Notes\n\n00:00:01,000 --> 00:00:02,000\n")


@pytest.mark.slow
def test_lines_are_bounded_in_number_and_length() -> None:
    rows = [f"{n}\n00:{n // 60 % 60:02}:{n % 60:02},0 --> 00:00:01,0\nline {n}\n" for n in range(9000)]
    rows[0] += "a" * 2000
    found = lines_of("\n".join(rows))
    assert len(found) == 3000
    assert max(len(line.text) for line in found) <= subtitles.LONGEST + 100


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252", "cp1251"])
def test_a_file_is_read_in_any_encoding_a_line_a_passage(tmp_path: Path, encoding: str) -> None:
    words = (
        "Где же маяк? Он стоит за дюнами, как всегда" if encoding == "cp1251" else "Où est le phare, là-bas, très loin?"
    )
    path = tmp_path / "film.srt"
    path.write_bytes(
        f"1\n00:00:01,500 --> 00:00:02,500\n{words}\n\n2\n00:00:03,0 --> 00:00:04,0\nJa.\n".encode(encoding)
    )
    first, second = TextDecoder(Windowing(), Limits()).decode(path)
    assert (first.data, first.span.start, first.span.end, first.span.text) == (words, 1.5, 2.5, words)
    assert (second.span.start, second.span.char_start, second.span.char_end) == (3.0, len(words) + 1, len(words) + 4)


def test_subtitles_with_other_times_are_another_text(tmp_path: Path) -> None:
    found = []
    for shift in (1, 2):
        path = tmp_path / f"{shift}.srt"
        path.write_text(f"1\n00:00:0{shift},000 --> 00:00:05,000\nHello there\n")
        steps = TextDecoder(Windowing(), Limits()).decode(path)
        next(steps)
        with pytest.raises(StopIteration) as end:
            next(steps)
        found.append(end.value.value["left_out"])
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mkv", "subrip"), (".mkv", "ass"), (".mp4", "mov_text"), (".mov", "mov_text"), (".webm", "webvtt")],
)
def test_a_text_track_gives_lines_after_pictures(tmp_path: Path, suffix: str, codec: str) -> None:
    said = "Where is the {\\i1}lighthouse{\\i0}?" if codec == "ass" else "Where is the <i>lighthouse</i>?"
    path = with_words(tmp_path / f"x{suffix}", codec, [[(1.5, 2.5, said), (3.0, 4.0, "Gone.")]])
    segments = list(VideoDecoder(Windowing(), Limits()).decode(path))
    assert [one.modality for one in segments] == ["image"] * (len(segments) - 2) + ["text"] * 2
    assert [(one.span.start, one.span.end, one.span.text) for one in segments[-2:]] == [
        (1.5, 2.5, "Where is the lighthouse?"),
        (3.0, 4.0, "Gone."),
    ]


def test_tracks_in_several_languages_are_all_read_each_line_once(tmp_path: Path) -> None:
    same = (1.0, 2.0, "Hello.")
    path = with_words(tmp_path / "x.mkv", "subrip", [[same, (3.0, 4.0, "Bye.")], [same, (3.0, 4.0, "Tschüss.")]])
    words = [one for one in VideoDecoder(Windowing(), Limits()).decode(path) if one.modality == "text"]
    assert [one.data for one in words] == ["Hello.", "Bye.", "Tschüss."]
    assert [one.span.char_start for one in words] == [0, 7, 12]


def test_the_words_of_a_sound_are_read_too(tmp_path: Path) -> None:
    path = with_words(tmp_path / "x.mkv", "subrip", [[(1.0, 2.0, "La la land")]], pictures=False)
    segments = list(AudioDecoder(Windowing(), Limits()).decode(path))
    assert [one.data for one in segments if one.modality == "text"] == ["La la land"]


def test_a_damaged_text_track_harms_no_picture(tmp_path: Path) -> None:
    path = with_words(tmp_path / "x.mkv", "ass", [[(1.0, 2.0, "Hello.")]])
    path.write_bytes(path.read_bytes().replace(b"0,0,Default,,0,0,0,,Hello.", b"\xff\xfe\x00\x00" + b"," * 22))
    assert {one.modality for one in VideoDecoder(Windowing(), Limits()).decode(path)} == {"image"}

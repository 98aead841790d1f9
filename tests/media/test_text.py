"""Documents become overlapping passages whose offsets point into the extracted text."""

import codecs
from pathlib import Path
from typing import Any

import pytest

from mmsearch.errors import Corrupt, LimitExceeded, Unsupported
from mmsearch.media import html, plaintext
from mmsearch.media.text import TextDecoder, passages
from mmsearch.types import Limits, Segment, Windowing
from tests.media_files import pdf

DECODER = TextDecoder(Windowing(), Limits())


def decode(path: Path, limits: Limits | None = None, **windowing: Any) -> list[Segment]:
    return list(TextDecoder(Windowing(**windowing), limits or Limits()).decode(path))


def texts(segments: list[Segment]) -> list[str]:
    return [str(segment.data) for segment in segments]


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("count", "words", "overlap", "expected"),
    [
        (0, 4, 1, []),
        (1, 4, 1, [(0, 1)]),
        (4, 4, 1, [(0, 4)]),
        (5, 4, 1, [(0, 4), (3, 5)]),
        (7, 4, 1, [(0, 4), (3, 7)]),
        (8, 4, 1, [(0, 4), (3, 7), (6, 8)]),
        (6, 4, 0, [(0, 4), (4, 6)]),
        (6, 4, 9, [(0, 4), (1, 5), (2, 6)]),
    ],
)
def test_passages_overlap_and_stop_at_the_end(
    count: int, words: int, overlap: int, expected: list[tuple[int, int]]
) -> None:
    # Word i is "w" and stands at 2 i.
    text = " ".join("w" * count)
    found = [(start // 2, (end + 1) // 2) for start, end in passages(text, words, overlap)]
    assert found == expected


def test_scripts_without_spaces_and_endless_words_are_cut() -> None:
    assert list(passages("日本語の", 2, 0)) == [(0, 2), (2, 4)]
    assert list(passages("x" * 150, 1, 0)) == [(0, 64), (64, 128), (128, 150)]


def test_passage_offsets_point_into_the_text(tmp_path: Path) -> None:
    text = "Geese  cross\n\nthe frozen\tlake. " * 30
    segments = decode(write(tmp_path / "x.txt", text), passage_words=20, passage_overlap=5)
    assert len(segments) == 10
    for segment in segments:
        assert text[segment.span.char_start : segment.span.char_end] == segment.data == segment.span.text


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-32-le", codecs.BOM_UTF32_LE),
        ("utf-32-be", codecs.BOM_UTF32_BE),
    ],
)
def test_every_unicode_encoding_is_read(tmp_path: Path, encoding: str, mark: bytes) -> None:
    text = "Größe: שלום, ไทย, 日本 😀"
    path = tmp_path / "x.txt"
    path.write_bytes(mark + text.encode(encoding))
    assert DECODER.accepts(path, path.read_bytes())
    assert texts(decode(path)) == [text]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Die Straße über den Fluß führt durch schöne Wälder, große Gärten und öde Höfe zurück. "),
        ("cp1251", "Широкая электрификация южных губерний даст мощный толчок подъёму сельского хозяйства. "),
        ("shift_jis", "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"),
    ],
)
def test_older_encodings_are_detected(tmp_path: Path, encoding: str, text: str) -> None:
    path = write(tmp_path / "x.txt", text * 8, encoding)
    assert DECODER.accepts(path, path.read_bytes()[:8192])
    assert texts(decode(path))[0].startswith(text[:20])


GARDEN = "Frau Müller brachte Kürbissetzlinge mit, Herr Böhm die Gießkannen. Nächster Termin: Café Süd."


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (GARDEN.encode().replace("é S".encode(), b"\xc3"), GARDEN.replace("é S", "\ufffd")),
        (GARDEN.encode().replace(b"Herr", b"Herr\xa0"), GARDEN.replace("Herr", "Herr\ufffd")),
        ("Caf\u00e9, na\u00efve".encode()[:5] + b"\xc3", "Caf\u00e9\ufffd"),
    ],
    ids=["damaged", "stray byte", "cut off"],
)
def test_utf8_with_a_few_bad_bytes_is_utf8(tmp_path: Path, data: bytes, text: str) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(data)
    assert DECODER.accepts(path, data)
    assert texts(decode(path)) == [text]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Bonjour, ça va très bien. Le café est déjà prêt."),
        ("cp1252", "Notiz: Frau Müller holt die Kürbisse."),
        ("cp1250", "Zażółć gęślą jaźń: w Łodzi jest piękna żaba, źle śpiąca na łące. " * 4),
        ("cp1251", "Заметка: бабушка привезёт яблоки и мёд в субботу."),
        ("cp866", "Заметка: бабушка привезёт яблоки и мёд в субботу. " * 4),
        ("gb18030", "会议室预约在星期二。请大家准时参加。" * 4),
        ("shift_jis", "会議室の予約は火曜日です。"),
        ("utf-16-le", "Shopping list: apples, honey and a new kettle. Café.\r\n"),
        ("utf-16-le", "Shopping list: apples"),
        ("utf-16-be", "Shopping list: apples, honey and a new kettle. Café.\r\n"),
    ],
)
def test_short_texts_in_older_encodings_read_right(tmp_path: Path, encoding: str, text: str) -> None:
    path = write(tmp_path / "x.txt", text, encoding)
    assert DECODER.accepts(path, path.read_bytes())
    assert plaintext.decoded_text(path.read_bytes()) == text


@pytest.mark.parametrize("stray", ["\b", "\x00", "\x7f", "\x01\x02"])
def test_a_stray_control_character_makes_no_text_binary(tmp_path: Path, stray: str) -> None:
    text = f"Apples, honey{stray} and a new kettle for the house."
    assert texts(decode(write(tmp_path / "x.txt", text))) == [text]
    assert DECODER.accepts(tmp_path / "x.txt", text.encode())


def test_a_stray_control_character_makes_no_older_text_binary(tmp_path: Path) -> None:
    path = write(tmp_path / "x.txt", "Notiz: Frau Müller holt die Kürbisse\b am nächsten schönen Samstag ab.", "cp1252")
    assert DECODER.accepts(path, path.read_bytes())
    assert "Kürbisse" in texts(decode(path))[0]


def test_a_head_cut_inside_a_character_is_still_text() -> None:
    assert plaintext.is_text(("é" * 5000).encode()[:8191])


def test_a_declared_charset_beats_detection(tmp_path: Path) -> None:
    page = '<html><head><meta charset="iso-8859-7"></head><body><p>Αθήνα</p></body></html>'
    assert texts(decode(write(tmp_path / "x.html", page, "iso-8859-7"))) == ["Αθήνα"]


@pytest.mark.parametrize(
    "head",
    [
        b"\x00\x01\x02\x03 binary",
        b"ID3\x04\x00\x00\x00\x00",
        b"\x89PNG\r\n\x1a\n",
        bytes(range(256)),
        b"{\\rtf1 some text}",
        b"%!PS-Adobe-3.0\n",
        b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
        codecs.BOM_UTF16_LE + b"\x00\xd8\x00\xd8",
        b"\x07" * 100,
    ],
)
def test_a_binary_head_is_not_accepted_as_text(head: bytes) -> None:
    assert not DECODER.accepts(Path("x.txt"), head)


def test_binary_behind_a_textual_beginning_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"words " * 2000 + b"\x00\x01\x02" * 5000)
    with pytest.raises(Unsupported, match="binary"):
        decode(path)


def test_a_text_without_words_is_unsupported(tmp_path: Path) -> None:
    for text in (" \n\t ", "--- *** ---"):
        with pytest.raises(Unsupported, match="no text"):
            decode(write(tmp_path / "x.txt", text))


def test_the_size_limit_is_exact(tmp_path: Path) -> None:
    path = write(tmp_path / "x.txt", "word " * 20)
    assert decode(path, Limits(text_bytes=100))
    with pytest.raises(LimitExceeded, match="99 bytes"):
        decode(path, Limits(text_bytes=99))


PAGE = """<!DOCTYPE html>
<html><head><title> A  page </title><style>p { color: red }</style></head>
<body><!-- not this --><script>var hidden = 1;</script><noscript>nor this</noscript>
<h1>Geese</h1><p>They <b>cross</b>ed the
lake&nbsp;&amp; left.</p><ul><li>one<li>two</ul>a<br>b
<div hidden>unseen</div><div style="display: none">unseen</div><svg><text>unseen</text></svg>
</body></html>"""


def test_html_gives_its_visible_text(tmp_path: Path) -> None:
    path = write(tmp_path / "x.html", PAGE)
    assert texts(decode(path)) == ["Geese\nThey crossed the lake & left.\none\ntwo\na\nb"]
    assert DECODER.describe(path) == {"title": "A page"}


def test_deeply_nested_html_is_read_without_recursion(tmp_path: Path) -> None:
    assert html.html_text("<html><body>" + "<div>" * 20_000 + "deep") == "deep"


def test_a_text_about_html_is_not_read_as_html(tmp_path: Path) -> None:
    text = "The tag <html> comes first, then <body>."
    assert texts(decode(write(tmp_path / "x.md", text))) == [text]


@pytest.mark.parametrize(
    ("text", "title"),
    [("intro\n# Geese at *dawn* #\n", "Geese at *dawn*"), ("Geese\n=====\n\nwords", "Geese"), ("no heading", None)],
)
def test_the_title_of_a_plain_text_is_its_first_line(tmp_path: Path, text: str, title: str | None) -> None:
    facts = DECODER.describe(write(tmp_path / "x.md", text))
    assert facts == ({"title": title} if title else {})


def test_a_pdf_gives_passages_with_page_numbers(tmp_path: Path) -> None:
    path = pdf(tmp_path / "x.bin", ["first page words", "", "third page words"], title="On geese")
    segments = decode(path)
    assert [(segment.data, segment.span.page) for segment in segments] == [
        ("first page words", 1),
        ("third page words", 3),
    ]
    assert (segments[1].span.char_start, segments[1].span.char_end) == (0, 16)
    assert DECODER.describe(path) == {"pages": 3, "title": "On geese"}


def test_a_scan_without_text_is_unsupported(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="no text"):
        decode(pdf(tmp_path / "x.pdf", ["", ""]))


def test_a_broken_pdf_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "x.pdf"
    path.write_bytes(b"%PDF-1.7\n" + b"garbage " * 100)
    with pytest.raises(Corrupt, match="PDF"):
        decode(path)


def test_a_pdf_with_a_non_ascii_name_is_read(tmp_path: Path) -> None:
    assert texts(decode(pdf(tmp_path / "größe%20.pdf", ["words"]))) == ["words"]


def test_the_title_of_a_long_document_is_read_from_its_beginning(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-16"):
        path = write(tmp_path / "x.md", "# Gänse\n\n" + "Größe und Gänse 日本\n" * 20_000, encoding)
        assert DECODER.describe(path) == {"title": "Gänse"}


HOSTILE = {
    "comments": "<!-- note -->\n" * 30 + "# Title\n\nA red apple.\n",
    "spaces in a heading": "# a" + " " * 4000 + "b\n\nA red apple.\n",
    "attributes": "<html><body><p " + " ".join(f"a{i}" for i in range(50_000)) + ">A red apple.",
    "nested elements": "<html><body>" + "<div>" * 50_000 + "A red apple." + "</p>" * 50_000,
    "a charset nowhere": "<meta charset=" * 20 + " " * 3600 + "\n\nA réd apple.\n",
    "digits of a reference": "<html><body>&#" + "9" * 100_000 + "; A red apple.",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_reading_html_takes_time_linear_in_its_length(tmp_path: Path, kind: str) -> None:
    # No clock: with a pattern that tries again, or a parser that looks through all that is open, they take from many
    # seconds to longer than anybody waits. tests/benchmarks/linear.py measures the growth.
    path = write(tmp_path / "x.txt", HOSTILE[kind], "cp1252")
    head = path.read_bytes()[:8192]
    assert DECODER.accepts(path, head)
    DECODER.describe(path)
    assert "apple." in texts(decode(path))[-1]


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("<!-- a --> <!-- b -->\n<!DOCTYPE html>", True),
        ('<?xml version="1.0"?>\n<!-- a --><html>', True),
        ("  <Body class=x>", True),
        ("<!-- a", False),
        ("<!-- a -->" * 500 + "<html>", False),
        ("<htmlx>", False),
        ("<p>words", False),
    ],
)
def test_html_is_recognised_by_its_beginning(text: str, page: bool) -> None:
    assert html.is_html(text) is page


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("one<?xml:namespace prefix = o />two", "onetwo"),
        ("one<![CDATA[ x ]]>two<!-->three<!--x--!>four", "onetwothreefour"),
        ("<p>one<p hidden>two<p>three", "one\nthree"),
        ("<ul hidden><li>one</ul>two", "two"),
        ("<div hidden><div>one</div>two</div>three", "three"),
        ("<ul><li>one<li style='display:none'>two<li>three</ul>", "one\nthree"),
        ("<table><tr><td hidden>one<td>two<tr><td>three</table>", "two\nthree"),
        ("one<script>if (a<b) '<p>'</script><style>p > b</style>two", "onetwo"),
        ("<svg><style>x</style><path d='M0'/><g/>one</svg>two", "two"),
        ("<svg><foreignObject><div>one</div></foreignObject></svg>two<svg>three<p>four", "two\nfour"),
        ('<img alt="a > b" hidden>one <b title=\'"\'>two</b>', "one two"),
        ("a < b &lt;i&gt; &eacute;&#233;&#x1f600; &nosuch; &#xD800;", "a < b <i> éé\U0001f600 &nosuch; \ufffd"),
        ("one<span>\n</span><b>two</b>\n<i>three</i>", "one two three"),
        ("<textarea>one <b>two</b></textarea>", "one <b>two</b>"),
        ("one</p></div></span>two</body>three</html>", "one\ntwothree"),
        ("one<br>two<hr>three<wbr>four", "one\ntwo\nthreefour"),
        ("one<p", "one"),
        ("", ""),
    ],
)
def test_odd_html_gives_its_visible_words(body: str, words: str) -> None:
    assert html.html_text(f"<html><head><title>T</title></head><body>{body}") == words


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# Geese #  \r\nx", "Geese"),
        ("### Deeper\n## Geese", "Geese"),
        ("#Geese\n#\n# #\n", None),
        ("======\nGeese\n======\n", "Geese"),
        (" Geese\n======\n", None),
        ("Geese\n==\n", None),
        ("words\n\n======\n", None),
        ("# " + "a" * 5000, "a" * 200),
    ],
)
def test_a_markdown_title_is_its_first_heading(tmp_path: Path, text: str, title: str | None) -> None:
    facts = DECODER.describe(write(tmp_path / "x.md", text))
    assert facts == ({"title": title} if title else {})


def test_a_declared_codec_that_is_no_charset_is_ignored() -> None:
    page = b'<html><meta charset="unicode_escape"><body>\\ud800 caf\xe9 au lait, tr\xe8s chaud'
    plaintext.decoded_text(page).encode()

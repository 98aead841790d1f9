"""How tables fit: exact lines for exact widths."""

from rich.cells import cell_len

from mmsearch.cli.fitting import beginning, cut_lines, folded, shortened_path
from mmsearch.cli.table import Line, laid_out

COLUMNS = ("#", "kind", "path", "where")
ROWS = [
    ["1", "image", "photos/2024/summer in the north/red hut.jpg", ""],
    ["10", "text", "notes/hut.md", "we found the red hut by the lake at the end of a long day"],
]


def shown(columns: tuple[str, ...], rows: list[list[str]], texts: tuple[str, ...], width: int) -> list[str]:
    header, records = laid_out(columns, rows, texts, width)
    return [_text(line) for line in [*header, *(line for record in records for line in record)]]


def _text(line: Line) -> str:
    return "".join(piece.text for piece in line).rstrip()


def test_a_wide_terminal_shows_all_in_columns() -> None:
    assert shown(COLUMNS, ROWS, ("where",), 130) == [
        " #  kind   path                                         where",
        " 1  image  photos/2024/summer in the north/red hut.jpg",
        "10  text   notes/hut.md                                 "
        "we found the red hut by the lake at the end of a long day",
    ]


def test_a_path_loses_its_middle_and_a_passage_its_end() -> None:
    assert shown(COLUMNS, ROWS, ("where",), 64) == [
        " #  kind   path                         where",
        " 1  image  photos/…/red hut.jpg",
        "10  text   notes/hut.md                 we found the red hut by",
        "                                        the lake at the end of…",
    ]


def test_below_sixty_columns_a_hit_takes_two_lines() -> None:
    assert shown(COLUMNS, ROWS, ("where",), 50) == [
        " #  kind",
        "   path  where",
        " 1  image",
        "   photos/2024/summer in the north/red hut.jpg",
        "10  text",
        "   notes/hut.md  we found the red hut by the lake…",
    ]


def test_a_reason_is_folded_and_never_cut() -> None:
    reason = "the picture says that it has 90,000 x 90,000 pixels, and the limit is 250,000,000"
    for width in range(24, 140):
        lines = shown(("class", "path", "reason"), [["limit", "a/b/huge.png", reason]], ("reason",), width)
        parts = "".join("".join(lines[1:]).split()).replace("path", "").replace("reason", "")
        assert "90,000x90,000pixels,andthelimitis250,000,000" in parts.replace("a/b/huge.png", ""), width
        assert max(map(cell_len, lines)) <= width


def test_without_room_for_columns_each_row_becomes_a_record() -> None:
    columns = ("list", "preset", "vectors", "recall@10 of queries")
    assert shown(columns, [["image/image", "flat", "12,345", "exact"]], (), 30) == [
        "list",
        "image/image",
        "   preset flat  vectors 12,345",
        "   recall@10 of queries exact",
    ]


def test_no_width_loses_a_column_or_breaks_a_word_into_letters() -> None:
    for width in range(30, 200):
        lines = shown(COLUMNS, ROWS, ("where",), width)
        head = " ".join(lines[:2])
        assert all(column in head for column in COLUMNS), width
        assert max(map(cell_len, lines)) <= width
        assert sum(len(line.strip()) <= 2 for line in lines) == 0, width
        assert any("hut.jpg" in line for line in lines), width


def test_paths_are_shortened_from_the_middle() -> None:
    path = "/home/ann/Pictures/2024/June/DSC_0001.jpg"
    assert shortened_path(path, 41) == path
    assert shortened_path(path, 35) == "/…/Pictures/2024/June/DSC_0001.jpg"
    assert shortened_path(path, 20) == "/…/June/DSC_0001.jpg"
    assert shortened_path(path, 14) == "…/DSC_0001.jpg"
    assert shortened_path(path, 12) == "DSC_0001.jpg"


def test_wide_characters_are_whole_and_counted_twice() -> None:
    assert beginning("日本語の写真", 8) == "日本語…"
    assert cell_len(shortened_path("日本語の長い名前の写真.jpg", 15)) <= 15
    assert beginning("👨\u200d👩\u200d👧 family", 5) == "👨\u200d👩\u200d👧 f…"
    assert beginning("e\u0301te\u0301 1999", 5) == "e\u0301te\u0301…"


def test_texts_are_folded_between_words_and_after_commas() -> None:
    assert folded("a long text of words", 9) == ["a long", "text of", "words"]
    assert folded("image=0.95,audio=0.999,text=0.98", 24) == ["image=0.95,audio=0.999,", "text=0.98"]
    assert folded("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]
    assert cut_lines(["one", "two", "three"], 2, 7) == ["one", "two th…"]

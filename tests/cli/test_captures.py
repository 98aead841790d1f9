"""What a terminal shows at four widths, kept in tests/assets/captures: `WRITE_CAPTURES=1 pytest` of this file makes
them anew, to be read by eye."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.cli.test_terminal import RICH, Ended, shell, terminal, tmp_path  # noqa: F401
from tests.conftest import CHECKOUT
from tests.generated import picture, sound, video, words

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs pseudo-terminals")

KEPT = CHECKOUT / "tests" / "assets" / "captures"
WIDTHS = (50, 60, 80, 140, 200)

DEEP = "holidays/2024 - two weeks in the far north of the country/day 11/DSC_0001 the red hut by the lake.txt"
CHINESE = "旅行/二零二四年夏天在北方的湖边小屋度过的两个星期的照片和笔记.txt"
HEBREW = "דוח שנתי על מצב הים והחוף במזרח הארץ.txt"
EMOJI = "👨\u200d👩\u200d👧 family 🇩🇪 at the sea ❤\ufe0f.txt"
LONG = f"{'x' * 120}.txt"

COMMANDS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "query": (
        ["query", "red", "--no-dedup", "-k", "8"],
        ("#", "confidence", "kind", "path", "where"),
    ),
    "failures": (["failures"], ("class", "tries", "path", "reason")),
    "status": (["status"], ()),
    "ingest": (["ingest", "later", "--dry-run", "--exclude", "*.tmp"], ()),
    "label": (["label", "--as", "red,green,blue"], ("label", "confidence", "or", "kind", "path")),
    "duplicates": (["duplicates"], ("group", "what", "proof", "size", "pixels", "path")),
    "items": (["items"], ("id", "kind", "path", "tags", "metadata")),
    "index": (
        ["index", "status"],
        ("list", "preset", "vectors", "since", "memory", "files", "generation", "recall@10"),
    ),
}
"""Name -> the command, and the columns of its table."""


REASON = "its header is damaged"


def fill(media: Path) -> None:
    for name in (DEEP, CHINESE, HEBREW, EMOJI, LONG):
        words(media / name, f"a red house, {len(name)} steps from the sea, where we stayed for a week in the rain")
    picture(media / "holidays/red.png", "red")
    (media / "a copy of the note on the red hut.txt").write_bytes((media / DEEP).read_bytes())
    sound(media / "low.wav", "low")
    video(media / "film.mp4", "red", "green")
    (media / f"holidays/{'broken ' * 8}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    words(media.parent / "later" / "new.txt", "a green field")
    words(media.parent / "later" / "old.tmp", "a green field")


CHANGING = (
    (re.compile(r"catalog [\d.]+ [kMG]?B"), "catalog 1.0 MB"),
    (re.compile(r"started [\d-]+T[\d:]+"), "started 2026-01-01T00:00:00"),
    (re.compile(r"fingerprint \w+"), "fingerprint 0123456789ab"),
    (re.compile(r"library  .*/"), "library  /"),
    (re.compile(r"\b[4-9]\d\d B\b"), "499 B"),  # an index file says which commit and when, in digits
)
"""What differs from run to run, or between versions of SQLite."""


def captured(run: "Callable[..., Ended]", name: str, columns: int) -> str:
    code, seen = run(*COMMANDS[name][0], columns=columns, term="xterm")
    assert code == 0, seen
    shown = "".join(f"{line.rstrip()}\n" for line in RICH.sub("", seen).splitlines())
    for pattern, instead in CHANGING:
        shown = pattern.sub(instead, shown)
    return shown


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_looks_as_it_was_found_good(terminal: "Callable[..., Ended]", name: str) -> None:  # noqa: F811
    for columns in WIDTHS:
        file = KEPT / f"{name}-{columns}.txt"
        shown = captured(terminal, name, columns)
        if os.environ.get("WRITE_CAPTURES"):
            file.parent.mkdir(exist_ok=True)
            file.write_text(shown, "utf-8")
        assert shown == file.read_text("utf-8"), f"{name} at {columns} columns"
        looked_at(shown, name, columns)


def looked_at(shown: str, name: str, width: int) -> None:
    """No line is too long, no column lost, and none stacked."""
    lines, columns = shown.splitlines(), COMMANDS[name][1]
    table = [line for line in lines if not re.match(r"[A-Z].*\.$|\d+ groups|\d+ labelled", line)]
    if columns:
        assert all(cell_len(line) <= width for line in table), "a line is too long"
        assert all(re.search(rf"(^|\s){re.escape(column)}(\s|$)", shown) for column in columns), "a column is lost"
        words_alone = [line for line in table if 0 < len(line.strip()) <= 2]
        assert len(words_alone) <= 1, "a column is stacked"
    whole = "".join(shown.split())
    if name == "failures":
        assert REASON in " ".join(shown.split()), "a reason is cut"
    if name in ("items", "label"):
        assert whole.count(".txt") == 6 and whole.count(".png") == 1, "a file's suffix is lost"


def test_an_empty_list_says_none(terminal: "Callable[..., Ended]") -> None:  # noqa: F811
    assert terminal("items", "--filter", "tag = unheard-of") == (0, "none\n")
    assert terminal("duplicates", "--kind", "cropped")[1].splitlines()[0] == "none"


def test_a_long_table_ends_with_its_header(terminal: "Callable[..., Ended]") -> None:  # noqa: F811
    """The terminal of the tests has 50 lines."""
    assert terminal("tag", "media", *(word for n in range(9) for word in ("--add", f"number {n}")))[0] == 0
    seen = RICH.sub("", terminal("items", columns=60, term="xterm")[1]).splitlines()
    assert len(seen) > 50 and seen[0] == seen[-1] and seen[0].split() == ["id", "kind", "path", "tags", "metadata"]
    assert sum(line == seen[0] for line in seen) == 2


@pytest.mark.parametrize("off", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_and_links_are_off_where_they_are_not_wanted(
    terminal: "Callable[..., Ended]",  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    off: dict[str, str],
) -> None:
    seen = terminal("query", "red", "--in", "image", term="xterm-256color")[1]
    assert "\x1b[32m1.00" in seen and "\x1b]8;" in seen and "/media/holidays/red.png\x1b\\" in seen
    monkeypatch.setenv("NO_COLOR", off.get("NO_COLOR", ""))
    seen = terminal("query", "red", "--in", "image", term=off.get("TERM", "xterm-256color"))[1]
    assert "\x1b" not in seen

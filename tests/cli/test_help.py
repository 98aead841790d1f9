"""`mmsearch help`: chapters of the shipped docs."""

import io
import os
import re
from pathlib import Path

import pytest
from rich.console import Console

from mmsearch.cli.markdown import WIDEST, print_chapter
from mmsearch.resources.chapters import DOCS, chapters
from tests.conftest import Run
from tests.packaging import terminal


def test_help_lists_each_chapter_with_a_line(run: Run) -> None:
    lines = run("help").stdout.decode().splitlines()
    assert [line.split("\t")[0] for line in lines] == list(chapters())
    assert "filters\t--filter keeps only the items that match a condition, exactly." in lines


def test_a_pipe_gets_a_chapter_as_it_was_written(run: Run) -> None:
    assert run("help", "filters").stdout == (DOCS / "filters.md").read_bytes()
    assert run("help", "Library-Format.md").stdout == (DOCS / "library_format.md").read_bytes()


@pytest.mark.parametrize(
    ("topic", "hint"),
    [
        ("setings", "did you mean settings"),
        ("query", "for the command: mmsearch query --help"),
        ("../guide", "did you mean guide"),
        ("zzzzzz", "mmsearch help lists the chapters"),
    ],
)
def test_an_unknown_topic_is_bad_usage_and_names_what_is_close(run: Run, topic: str, hint: str) -> None:
    done = run("help", topic)
    assert done.returncode == 2 and done.stdout == b""
    assert f"there is no chapter '{topic}'" in done.stderr.decode() and hint in done.stderr.decode()


@pytest.mark.parametrize(("topic", "columns"), [*((topic, 80) for topic in [*chapters(), "contents"]), ("guide", 120)])
def test_a_terminal_shows_a_chapter_whole(topic: str, columns: int) -> None:
    text = (DOCS / f"{topic}.md").read_text("utf-8")
    file = io.StringIO()
    print_chapter(text, Console(width=columns, file=file))
    shown = file.getvalue()
    assert max(map(len, shown.splitlines())) <= min(columns, WIDEST)
    assert shown.count("…") == text.count("…"), "a table lost words"
    assert not re.search(r"\]\(|\s\(\w+\.md\)", shown), "links to chapters are commands"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a terminal is a POSIX one here")
def test_a_terminal_gets_a_drawn_chapter(tmp_path: Path) -> None:
    shown = terminal.on_terminal("mmsearch help filters", terminal.environment(tmp_path))
    assert "\x1b[" in shown and "# Filters" not in shown and "Filters" in shown

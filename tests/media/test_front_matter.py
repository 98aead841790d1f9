"""Title, tags and date of a document's front matter are its facts."""

from pathlib import Path
from typing import Any

import pytest

from mmsearch.media.front_matter import front_matter
from mmsearch.media.text import TextDecoder
from mmsearch.types import Limits, Windowing

HARBOUR = {"title": "A day: at the harbour", "keywords": ["boats", "New York"], "taken": "2024-05-02"}


@pytest.mark.parametrize(
    "text",
    [
        "---\ntitle: A day: at the harbour\ntags: [boats, New York]\ndate: 2024-05-02\n---\n# Another heading\n",
        "---\r\nTitle: \"A day: at the harbour\"  # said\r\ntags:\r\n  - boats\r\n  - 'New York'\r\n"
        "date: 2024-05-02\r\n---\r\n",
        "---\ntitle: 'A day: at the harbour'\nlayout: post\nauthor:\n  name: x\ntags: boats, New York\n"
        "date: 2024/5/2\n...\n",
        '+++\ntitle = "A day: at the harbour"\ntags = ["boats", "New York"]\ndate = 2024-05-02\n+++\nWords\n',
        '+++\ntitle = "A day: at the harbour"\ndate = "2024-05-02"\n[taxonomies]\ntags = ["boats", "New York"]\n+++\n',
    ],
    ids=["brackets", "below", "commas", "toml", "zola"],
)
def test_title_tags_and_date_are_read(text: str) -> None:
    assert front_matter(text) == HARBOUR


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("2024-05-02 10:30:00 +0200", "2024-05-02T10:30:00"),
        ("2024-05-02T10:30:00Z", "2024-05-02T10:30:00"),
        ("2024-05-02T10:30", "2024-05-02T10:30:00"),
        ("'2024-05-02'", "2024-05-02"),
        ("2024-13-45", None),
        ("yesterday", None),
    ],
)
def test_a_date_is_read_as_it_is_written(written: str, taken: str | None) -> None:
    assert front_matter(f"---\ndate: {written}\n---\n").get("taken") == taken


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("travel norway", ["travel", "norway"]),
        ("[]", []),
        ("['a, b', \"c\"]", ["a, b", "c"]),
        ("\n- '#one'\n- two # too\n- one", ["one", "two"]),
        ("[unclosed, list", ["unclosed", "list"]),
        ("&a [x, *a]", ["&a [x", "*a]"]),
    ],
)
def test_tags_are_lists_of_words(tags: str, expected: list[str]) -> None:
    assert front_matter(f"---\ntags: {tags}\n---\n").get("keywords", []) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Words\n---\ntitle: x\n---\n",
        "---\ntitle: never closed\n",
        "---\n" + "a: b\n" * 10_000 + "title: x\n---\n",
        "+++\ntitle = broken\n+++\n",
        "+++\na = " + "[" * 5000 + "\n+++\n",
        "---\n---\n",
        "----\ntitle: x\n----\n",
    ],
)
def test_what_is_no_front_matter_says_nothing(text: str) -> None:
    assert front_matter(text) == {}


def test_a_document_is_described_by_its_front_matter_before_its_heading(tmp_path: Path) -> None:
    decoder: Any = TextDecoder(Windowing(), Limits())
    path = tmp_path / "x.md"
    path.write_text("---\ntitle: Front\n---\n# Heading\nWords\n")
    assert decoder.describe(path) == {"title": "Front"}
    path.write_text("---\ntags: [sea]\n---\n# Heading\nWords\n")
    assert decoder.describe(path) == {"title": "Heading", "keywords": ["sea"]}

"""The Python of the chapter on items runs, and every line that shows a value has that value."""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmsearch.library import Library
from tests.generated import picture, sound, words

CHAPTER = Path(__file__).resolve().parents[2] / "mmsearch" / "resources" / "docs" / "items.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", CHAPTER.read_text("utf-8"), re.M | re.S)


@pytest.mark.slow
def test_the_chapter_s_python_shows_what_happens(
    open_tiny: Callable[..., Library], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(folder / "photos" / "red.png", "red")
    picture(folder / "photos" / "green.png", "green", side=64)
    sound(folder / "low.wav", "low")
    words(folder / "note.txt", "a blue house")
    library = open_tiny()
    library.ingest(folder)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"library": library}
    shown = 0
    for line in "\n".join(BLOCKS).splitlines():
        code, _, value = line.partition("  # ")
        if value:
            assert eval(code, names) == ast.literal_eval(value), line
            shown += 1
        else:
            exec(code, names)
    assert shown >= 20

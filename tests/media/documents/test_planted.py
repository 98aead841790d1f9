"""Each of sixty phrases is found in its document, at its slide, sheet, chapter, section or attachment."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mmsearch.library import Library
from tests.media.documents.planted import Planted, agrees, plant


def missed(library: Library, planted: list[Planted]) -> list[tuple[object, ...]]:
    """What was not found where it is: (name, phrase, place wanted, hit's name, hit's place)."""
    wrong: list[tuple[object, ...]] = []
    for one in planted:
        hit = library.search(f'"{one.phrase}"', k=1)[0]
        if hit.path != one.path or not agrees(hit.place, one.place) or hit.page != one.page:
            wrong.append((one.path.name, one.phrase, one.place, hit.path.name, hit.place))
    return wrong


@pytest.mark.extras
@pytest.mark.slow
def test_each_planted_phrase_is_found_at_its_place(open_tiny: Callable[..., Library], folder: Path) -> None:
    planted = list(plant(folder))
    assert len(planted) == len({one.path for one in planted}) == len({one.phrase for one in planted}) == 60
    library = open_tiny()
    assert library.ingest(folder).new == 60
    assert missed(library, planted) == []

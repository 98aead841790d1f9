"""A library copied to another place answers the same; one whose copy was not finished says so, until it is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mmsearch.errors import LibraryEmpty, LibraryError
from mmsearch.library import Library
from tests.generated import picture, words


@pytest.mark.slow
def test_an_unfinished_copy_takes_nothing_in_and_is_gone_on_with(
    open_tiny: Callable[..., Library], folder: Path, tmp_path: Path
) -> None:
    picture(folder / "red.png", "red")
    words(folder / "note.txt", "a red boat")
    source = open_tiny()
    source.ingest(folder)
    expected = [(hit.item_id, hit.path, hit.cosine) for hit in source.search("red")]
    place = tmp_path / "copy"

    def stop(table: str, rows: int) -> None:
        if table == "items":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        source.move_to(place, on_table=stop)
    copy = open_tiny("copy")
    with pytest.raises(LibraryError, match="not finished") as told:
        copy.ingest(folder)
    assert told.value.hint == "go on with it: mmsearch move SOURCE TARGET; or remove it"
    with pytest.raises(LibraryEmpty):
        copy.search("red")
    copy.close()
    moved = source.move_to(place)
    assert (moved.rows["items"], moved.rows["embeddings"]) == (2, 2)
    with open_tiny("copy") as finished:
        assert [(hit.item_id, hit.path, hit.cosine) for hit in finished.search("red")] == expected
        assert finished.ingest(folder).unchanged == 2

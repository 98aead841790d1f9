"""Data sets of Hugging Face and webdataset shards, as the package `datasets` writes and reads them."""

import io
import json
import tarfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import datasets
import pytest

from mmsearch.errors import InvalidInput
from mmsearch.integrations.datasets import ingest_dataset
from mmsearch.library import Library
from tests import tiny
from tests.generated import picture, sound

pytestmark = [pytest.mark.slow, pytest.mark.extras]

COLOURS = ("red", "green", "blue")


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def birds(folder: Path) -> datasets.Dataset:
    """Three pictures, with a class, a number, a time, words, a list and an object."""
    rows: dict[str, list[Any]] = {
        "image": [str(picture(folder / f"{colour}.png", colour)) for colour in COLOURS],
        "kind": [0, 1, 1],
        "rating": [5, 3, None],
        "seen": [datetime(2024, 5, day) for day in (1, 2, 3)],
        "place": ["the weir", "a garden", ""],
        "words": [["wet", "cold"], [], ["dry"]],
        "shot": [{"lens": 50, "nested": {"deep": 1}}] * 3,
    }
    made = datasets.Dataset.from_dict(rows)
    made = made.cast_column("image", datasets.Image())
    return made.cast_column("kind", datasets.ClassLabel(names=["heron", "gull"]))


def test_a_row_is_an_item_and_its_columns_are_metadata(library: Library, tmp_path: Path) -> None:
    report = ingest_dataset(library, birds(tmp_path), name="birds")
    assert (report.new, report.files) == (3, 3)
    first, second, third = sorted(library.items(), key=lambda item: str(item.path))
    assert str(first.path) == "mem:/birds%2F0/red.png"
    assert first.meta == {
        "kind": "heron", "rating": 5, "seen": datetime(2024, 5, 1), "place": "the weir", "words": "wet, cold",
        "shot.lens": 50,
    }  # fmt: skip
    assert second.meta["kind"] == "gull" and "words" not in second.meta and "rating" not in third.meta
    (hit,) = library.search("green", filter='meta.kind = gull and meta.place contains "garden"')
    assert hit.media_id == "birds/1" and hit.path.name == "green.png"
    assert [hit.path.name for hit in library.search("red", filter="meta.seen > 2024-05-02")] == ["blue.png"]


def test_a_second_run_decodes_nothing_and_changes_what_changed(library: Library, tmp_path: Path) -> None:
    rows = birds(tmp_path)
    ingest_dataset(library, rows, name="birds")
    generation, encoded = library.generation, tiny.ENCODED.total()
    assert ingest_dataset(library, rows, name="birds").unchanged == 3
    assert (library.generation, tiny.ENCODED.total()) == (generation, encoded)
    changed = rows.map(lambda row: {"rating": 1}, load_from_cache_file=False)
    assert ingest_dataset(library, changed, name="birds").unchanged == 3
    assert [item.meta["rating"] for item in library.items()] == [1, 1, 1]


def test_a_folder_that_was_saved_is_read_with_its_splits(library: Library, tmp_path: Path) -> None:
    rows = birds(tmp_path)
    datasets.DatasetDict({"train": rows, "test": rows.select([1])}).save_to_disk(tmp_path / "saved")
    with pytest.raises(InvalidInput, match="several splits") as refused:
        ingest_dataset(library, tmp_path / "saved")
    assert refused.value.hint == "split= one of train, test"
    assert ingest_dataset(library, tmp_path / "saved", split="test").new == 1
    assert [item.path.name for item in library.items()] == ["green.png"]


def test_parquet_is_read_where_it_lies(library: Library, tmp_path: Path) -> None:
    (tmp_path / "birds").mkdir()
    birds(tmp_path).to_parquet(tmp_path / "birds" / "train-0.parquet")
    assert ingest_dataset(library, tmp_path / "birds").new == 3
    assert {str(item.path) for item in library.items()} >= {"mem:/birds%2F2/blue.png"}
    assert {item.meta["kind"] for item in library.items()} == {"heron", "gull"}


def test_sounds_are_handed_over_as_they_are_stored(library: Library, tmp_path: Path) -> None:
    stored = [{"bytes": sound(tmp_path / f"{tone}.wav", tone).read_bytes(), "path": None} for tone in ("low", "high")]
    rows = datasets.Dataset.from_dict({"audio": stored, "loud": [True, False]})
    rows = rows.cast_column("audio", datasets.Audio())
    assert ingest_dataset(library, rows, name="tones").new == 2
    (hit,) = library.search("high", filter="meta.loud = false")
    assert str(hit.path) == "mem:/tones%2F1/1.wav"
    assert ingest_dataset(library, rows.to_iterable_dataset(), name="tones").unchanged == 2


def shard(path: Path, samples: dict[str, dict[str, bytes]]) -> None:
    with tarfile.open(path, "w") as archive:
        for key, parts in samples.items():
            for suffix, data in parts.items():
                entry = tarfile.TarInfo(f"{key}.{suffix}")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))


def test_shards_of_webdataset_are_read_with_their_keys(library: Library, tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    tones = {tone: sound(tmp_path / f"{tone}.wav", tone).read_bytes() for tone in ("low", "mid", "high")}
    samples = {
        f"s{number}": {"wav": data, "json": json.dumps({"tone": tone, "loud": number}).encode(), "cls": b"%d" % number}
        for number, (tone, data) in enumerate(tones.items())
    }
    shard(tmp_path / "shards" / "000.tar", dict(list(samples.items())[:2]))
    shard(tmp_path / "shards" / "001.tar", dict(list(samples.items())[2:]))
    assert ingest_dataset(library, tmp_path / "shards", name="tones").new == 3
    (hit,) = library.search("mid", filter="meta.loud >= 1", k=1)
    assert hit.media_id == "tones/s1" and hit.modality == "audio"
    item = library.get(hit.item_id)
    assert item is not None and item.meta == {"tone": "mid", "loud": 1, "cls": 1}


def test_texts_are_items_and_a_row_that_is_none_harms_no_other(library: Library) -> None:
    rows = datasets.Dataset.from_dict({"text": ["a red house", "", "a blue boat"], "page": [1, 2, 3]})
    report = ingest_dataset(library, rows, name="notes", id="page")
    assert report.new == 2 and report.skipped == {"empty": 1}
    (hit,) = library.search("blue", k=1)
    assert hit.media_id == "notes/3" and hit.passage == "a blue boat"
    broken = datasets.Dataset.from_dict({"image": [{"bytes": b"\x89PNG\r\n\x1a\n broken", "path": None}]})
    broken = broken.cast_column("image", datasets.Image(decode=False))
    assert ingest_dataset(library, broken, name="broken").failed.total() == 1
    assert [str(one.path) for one in library.failures()] == ["mem:/broken%2F0/0.png"]


def test_what_is_no_data_set_or_has_no_such_column_is_said(library: Library, tmp_path: Path) -> None:
    rows = birds(tmp_path)
    for wrong in (tmp_path / "nowhere", tmp_path, 17):
        with pytest.raises(InvalidInput) as refused:
            ingest_dataset(library, wrong)
        assert refused.value.hint
    two = rows.add_column("other", [str(tmp_path / "red.png")] * 3).cast_column("other", datasets.Image())
    with pytest.raises(InvalidInput, match="which column is the medium") as unclear:
        ingest_dataset(library, two)
    assert unclear.value.hint == "medium= one of image, other"
    with pytest.raises(InvalidInput, match="no column 'photo'"):
        ingest_dataset(library, rows, medium="photo")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.tar").write_bytes(b"no tar")
    with pytest.raises(InvalidInput, match="can't be read"):
        ingest_dataset(library, tmp_path / "bad")


@pytest.fixture
def library(open_tiny: Callable[..., Library]) -> Library:
    return open_tiny()

"""The readers of public data sets, which the benchmarks ask."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mmsearch.errors import InvalidInput
from mmsearch.evaluate import Pair
from mmsearch.library import Library
from tests.benchmarks import datasets
from tests.generated import sound


def test_flickr8k_reads_the_dev_split(tmp_path: Path) -> None:
    (tmp_path / "captions.tsv").write_text('split\tfilename\tcaption\ntrain\ta.jpg\tno\ndev\tb.jpg\t"yes" .\n')
    judged, media = datasets.read_dataset("flickr8k", tmp_path)
    photo = tmp_path / "images" / "b.jpg"
    assert judged.pairs == [Pair('"yes" .', (photo,), 3, tmp_path / "captions.tsv")]
    assert media == (photo,)


def test_stamps_are_read_both_ways_and_without_speech(tmp_path: Path) -> None:
    queries = tmp_path / "queries"
    queries.mkdir()
    (queries / "text_to_image.tsv").write_text("query\trelevant\nA cat.\tstamps/images/c.png\nroad\tcoco/1.jpg\n")
    (queries / "text_to_audio.tsv").write_text("query\trelevant\nmeow\tstamps/sounds/c.ogg\nfive\tfsdd/5.wav\n")
    (queries / "image_audio_pairs.tsv").write_text("image\taudio\nstamps/images/c.png\tstamps/sounds/c.ogg\n")
    image, audio = tmp_path / "stamps/images/c.png", tmp_path / "stamps/sounds/c.ogg"
    found = datasets.read_dataset("stamps", tmp_path)
    assert [(pair.query, pair.relevant) for pair in found.judged.pairs] == [
        ("A cat.", (image,)),
        ("meow", (audio,)),
        (image, (audio,)),
        (audio, (image,)),
    ]
    assert [(pair.query, pair.relevant) for pair in datasets.read_dataset("coco", tmp_path).judged.pairs] == [
        ("road", (tmp_path / "coco/1.jpg",))
    ]


def test_a_dataset_s_folder_is_written_as_an_ingest_writes_it(tmp_path: Path) -> None:
    (tmp_path / "real" / "checkout").mkdir(parents=True)
    (tmp_path / "here" / "flickr8k").mkdir(parents=True)
    (tmp_path / "here" / "flickr8k" / "captions.tsv").write_text("split\tfilename\tcaption\ndev\ta.jpg\ta dog\n")
    # `here/link/../flickr8k` means here/flickr8k to a scan, whatever the link points to.
    (tmp_path / "here" / "link").symlink_to(tmp_path / "real" / "checkout", target_is_directory=True)
    judged, _ = datasets.read_dataset("flickr8k", tmp_path / "here" / "link" / ".." / "flickr8k")
    assert judged.pairs[0].relevant == (tmp_path / "here" / "flickr8k" / "images" / "a.jpg",)


def test_datasets_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="unknown dataset 'mnist'"):
        datasets.read_dataset("mnist", tmp_path)
    with pytest.raises(InvalidInput, match=r"can't read .*captions\.tsv"):
        datasets.read_dataset("flickr8k", tmp_path)
    (tmp_path / "captions.tsv").write_text("split\tname\n")
    with pytest.raises(InvalidInput, match="has not the columns"):
        datasets.read_dataset("flickr8k", tmp_path)
    (tmp_path / "captions.tsv").write_text("split\tfilename\tcaption\ndev\tb.jpg\n")
    with pytest.raises(InvalidInput, match="line 2: too few columns"):
        datasets.read_dataset("flickr8k", tmp_path)


@pytest.mark.slow
def test_a_dataset_is_taken_in_and_measured(open_tiny: Callable[..., Library], tmp_path: Path) -> None:
    data = tmp_path / "data"
    for tone in ("low", "mid", "high"):
        sound(data / "esc10" / f"{tone}.wav", tone, seconds=2)
    (data / "queries").mkdir()
    rows = ["query\trelevant\tdataset", "low\tesc10/low.wav\tESC-10", "high\tesc10/mid.wav,esc10/high.wav\tESC-10"]
    (data / "queries" / "text_to_audio.tsv").write_text("\n".join(rows))
    found = datasets.evaluate_dataset(open_tiny("measured"), "esc10", data)
    (direction,) = found.directions
    assert (direction.items, [one.ranks for one in direction.outcomes]) == (3, [(1,), (1, 3)])

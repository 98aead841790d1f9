"""What is said and written is found: extracted once, cut into segments, searched, and forgotten without a trace."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mmsearch.catalog.extractions import lines_of
from mmsearch.errors import InvalidInput, UnknownName
from mmsearch.extract import job
from mmsearch.library import Library
from mmsearch.types import Progress
from tests import tiny_extractor
from tests.generated import picture, sound, words
from tests.tiny_extractor import with_lines

BOX = [0.1, 0.2, 0.5, 0.3]


@pytest.fixture(autouse=True)
def tiny_extractors(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_extractor.register(monkeypatch)


def scan(path: Path, side: int = 50) -> Path:
    """A document whose one page is a picture."""
    Image.new("RGB", (side, side), "white").save(path, "PDF")
    return path


def fill(folder: Path) -> None:
    """A sign that is red and says blue, a plain picture, a talk, a note."""
    with_lines(
        picture(folder / "sign.png", "red"),
        {"text": "blue letters", "box": BOX, "scores": {"score": 0.9}},
        {"text": "of doubt", "box": BOX, "scores": {"score": 0.5}},
    )
    picture(folder / "plain.png", "green")
    with_lines(
        sound(folder / "talk.wav", "low", seconds=8.0),
        {"text": "Good morning.", "start": 0.5, "end": 2.0, "scores": {"logprob": -0.3}, "language": "en"},
        {"text": "The sea is blue.", "start": 4.0, "end": 6.5, "scores": {"logprob": -0.4}, "language": "en"},
        {"text": "Thank you, thank you, thank you.", "start": 6.5, "end": 8.0, "scores": {"compression": 3.0}},
    )
    words(folder / "note.txt", "a dark night")


def answers(library: Library) -> list[object]:
    """What some searches say, all of it."""
    asked = [("blue", "hybrid"), ("blue letters", "keyword"), ("red", "vector"), ("good morning", "hybrid")]
    return [
        [(hit.path.name, hit.confidence, hit.cosine, hit.passage, hit.start, hit.box) for hit in found]
        for query, mode in asked
        for found in [library.search(query, mode=mode)]  # type: ignore[arg-type]
    ]


@pytest.fixture
def library(open_tiny: Callable[..., Library], folder: Path) -> Library:
    fill(folder)
    made = open_tiny()
    made.ingest(folder)
    return made


@pytest.mark.slow
def test_what_is_written_and_said_is_found_with_its_place_and_forgotten_without_a_trace(
    library: Library, folder: Path
) -> None:
    before = answers(library)
    estimate = library.extract.estimate("tiny-ocr")
    assert (dict(estimate.contents), estimate.cpu_s) == ({"image": 2, "text": 1}, 1.0)
    done = library.extract.add("tiny-ocr")
    assert (done.files, done.with_lines, done.lines, done.segments, done.problems) == (3, 1, 2, 1, ())
    assert library.extract.add("tiny-speech").segments == 2
    (sign, *_) = library.search("blue", modalities=["image"])
    assert (sign.path.name, sign.source, sign.passage, sign.box) == ("sign.png", "written", "blue letters", tuple(BOX))
    assert (sign.matched, sign.cosine) == ("text", 1.0)
    (talk, *_) = library.search("the sea", mode="keyword")
    assert (talk.path.name, talk.source, talk.start, talk.end) == ("talk.wav", "said", 4.0, 6.5)
    assert talk.passage == "The sea is blue."
    (talk, *_) = library.search("blue", modalities=["audio"], moments=True)
    assert [(one.start, one.source) for one in talk.moments if one.source] == [(4.0, "said")]
    for source, names in (
        ("said", ["talk.wav"]), ("written", ["sign.png", "note.txt"]), ("seen", ["plain.png", "sign.png"]),
        ("heard", ["talk.wav"]),
    ):  # fmt: skip
        found = library.search("blue", filter=f"source = {source}")
        assert sorted(hit.path.name for hit in found) == sorted(names)
        assert all(hit.source in (source, None) for hit in found)
    assert [hit.path.name for hit in library.search("talk", mode="keyword")] == ["talk.wav"]
    assert library.search("talk", mode="keyword", filter="source = said") == []
    counts = {one.extractor: (one.source, one.contents, one.with_text, one.segments) for one in library.extract.list()}
    assert counts == {"tiny-speech": ("said", 1, 1, 2), "tiny-ocr": ("written", 3, 1, 1)}
    assert library.extract.add("tiny-ocr").files == 0, "nothing is looked at twice"
    dropped = library.extract.drop("tiny-ocr")
    assert (dropped.contents, dropped.segments) == (3, 1)
    assert library.extract.drop("tiny-speech").segments == 2
    assert answers(library) == before
    assert b"letters of" not in (library.path / "catalog.sqlite").read_bytes()


@pytest.mark.extras
@pytest.mark.slow
def test_lines_are_kept_as_the_model_gave_them(library: Library) -> None:
    library.extract.add("tiny-speech")
    library.extract.add("tiny-ocr")
    catalog = library._context.catalog()
    with catalog.reading() as snapshot:
        rows: dict[str, int] = {
            str(name): int(content)
            for name, content in snapshot.exec_driver_sql("SELECT name, content_id FROM items").all()
        }
        said, written = lines_of(snapshot, rows["talk.wav"], "said"), lines_of(snapshot, rows["sign.png"], "written")
    assert [(one.text, one.start, one.language) for one in said] == [
        ("Good morning.", 0.5, "en"), ("The sea is blue.", 4.0, "en"), ("Thank you, thank you, thank you.", 6.5, None),
    ]  # fmt: skip
    assert [(one.text, one.box, dict(one.scores)) for one in written] == [
        ("blue letters", tuple(BOX), {"score": 0.9}), ("of doubt", tuple(BOX), {"score": 0.5}),
    ]  # fmt: skip


@pytest.mark.extras
@pytest.mark.slow
def test_a_broken_file_and_a_dead_worker_cost_one_file_each_and_are_tried_again_when_asked(
    library: Library, folder: Path
) -> None:
    with_lines(picture(folder / "bad.png", "blue"), "broken")
    with_lines(picture(folder / "worse.png", "dark"), "crash")
    library.ingest(folder)
    done = library.extract.add("tiny-ocr")
    assert [(one.path.name, one.failure) for one in done.problems] == [("bad.png", "corrupt"), ("worse.png", "crashed")]
    assert (done.files, done.segments) == (5, 1)
    (counts,) = library.extract.list()
    assert (counts.contents, counts.failed) == (3, 2)
    assert library.extract.add("tiny-ocr").files == 0
    assert library.extract.add("tiny-ocr", retry=True).files == 2


@pytest.mark.extras
@pytest.mark.slow
def test_another_model_gets_the_segments_without_a_second_look(library: Library, folder: Path) -> None:
    library.extract.add("tiny-ocr")
    (folder / "sign.png").unlink()
    picture(folder / "sign2.png", "red")
    library.model.add("tests.model_spaces:wide")
    assert library.extract.add("tiny-ocr").files == 0
    with library._context.catalog().reading() as snapshot:
        found = snapshot.exec_driver_sql(
            "SELECT spaces.name, segments.text FROM segments JOIN embeddings ON segment_id = segments.id"
            " JOIN spaces ON spaces.id = space_id WHERE source = 'written' ORDER BY spaces.name"
        ).all()
    assert [tuple(row) for row in found] == [("tiny", "blue letters"), ("wide", "blue letters")]


@pytest.mark.slow
def test_subtitles_that_are_there_are_used_instead_of_a_model(library: Library, folder: Path) -> None:
    (folder / "talk.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nBlue sky\n")
    library.ingest(folder)
    done = library.extract.add("tiny-speech")
    assert (done.files, dict(done.skipped)) == (0, {"it has subtitles": 1})


@pytest.mark.slow
def test_a_scanned_document_is_taken_in_by_its_pages_and_goes_with_them(
    open_tiny: Callable[..., Library], folder: Path
) -> None:
    with_lines(scan(folder / "scan.pdf"), {"text": "red letters", "page": 1, "box": BOX}, {"text": "dark", "page": 2})
    scan(folder / "blank.pdf", 40)
    words(folder / "note.txt", "a blue house")
    library = open_tiny()
    assert library.ingest(folder).failed == {"unsupported": 2}
    done = library.extract.add("tiny-ocr")
    assert (done.files, done.with_lines, done.segments) == (3, 1, 2)
    (first, *_) = library.search("red")
    assert (first.path.name, first.page, first.source, first.box) == ("scan.pdf", 1, "written", tuple(BOX))
    assert [one.path.name for one in library.failures()] == ["blank.pdf"]
    assert library.extract.add("tiny-ocr").files == 0
    assert library.ingest(folder).unchanged == 2
    library.extract.drop("tiny-ocr")
    assert [hit.path.name for hit in library.search("red")] == ["note.txt"]
    assert library.ingest(folder).failed == {"unsupported": 1}


@pytest.mark.extras
@pytest.mark.slow
def test_a_run_that_ends_early_goes_on_where_it_was(library: Library, folder: Path) -> None:
    for mark in range(6):
        with_lines(picture(folder / f"more-{mark}.png", "dark", mark=mark + 1), {"text": f"word number {mark}"})
    library.ingest(folder)
    stop = threading.Event()
    seen: list[Progress] = []

    def shown(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == 3:
            stop.set()

    first = library.extract.add("tiny-ocr", on_progress=shown, cancel=stop)
    assert (first.interrupted, first.files) == (True, 3)
    second = library.extract.add("tiny-ocr")
    assert (second.interrupted, second.files) == (False, 6)
    with library._context.catalog().reading() as snapshot:
        texts = snapshot.exec_driver_sql("SELECT text FROM segments WHERE source IS NOT NULL ORDER BY id").scalars()
        assert list(texts) == ["blue letters", *(f"word number {mark}" for mark in range(6))]


@pytest.mark.extras
@pytest.mark.slow
def test_only_what_lies_below_a_path_is_looked_at(library: Library, folder: Path) -> None:
    assert dict(library.extract.estimate("tiny-ocr", folder / "sign.png").contents) == {"image": 1}
    assert library.extract.add("tiny-ocr", folder / "sign.png").files == 1
    assert library.extract.add("tiny-ocr").files == 2


@pytest.mark.slow
def test_what_is_said_makes_subtitles(library: Library, folder: Path) -> None:
    with pytest.raises(InvalidInput, match="nothing is known of what is said"):
        library.extract.transcript(folder / "talk.wav")
    library.extract.add("tiny-speech")
    assert [line.text for line in library.extract.transcript(folder / "talk.wav")] == [
        "Good morning.", "The sea is blue.",
    ]  # fmt: skip
    assert library.extract.subtitles(folder / "talk.wav", "srt") == (
        "1\n00:00:00,500 --> 00:00:02,000\nGood morning.\n\n2\n00:00:04,000 --> 00:00:06,500\nThe sea is blue.\n"
    )
    vtt = library.extract.subtitles(folder / "talk.wav", "vtt")
    assert vtt.startswith("WEBVTT\n\n00:00:00.500 --> 00:00:02.000\nGood morning.\n")
    (folder / "talk.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nBlue sky\n")
    library.ingest(folder)
    assert [line.text for line in library.extract.transcript(folder / "talk.wav")] == ["Blue sky"]


@pytest.mark.extras
@pytest.mark.slow
def test_the_moment_of_what_is_said_is_that_of_the_lines_with_the_words(
    open_tiny: Callable[..., Library], folder: Path
) -> None:
    with_lines(
        sound(folder / "talk.wav", "low", seconds=8.0),
        {"text": "Good morning, you two.", "start": 0.5, "end": 2.0, "scores": {"logprob": -0.3}, "language": "en"},
        {"text": "The sea is blue.", "start": 2.2, "end": 4.0, "scores": {"logprob": -0.4}},
        {"text": "Boats, boats, boats.", "start": 3.0, "end": 4.1, "scores": {"logprob": -2.0}},
        {"text": "A ship goes by.", "start": 4.2, "end": 6.0, "scores": {"logprob": -0.4}},
    )
    library = open_tiny()
    library.ingest(folder)
    assert library.extract.add("tiny-speech").segments == 1
    for query, moment in (
        ("the sea", (2.2, 4.0)),
        ("ship", (4.2, 6.0)),
        ("2", (0.5, 2.0)),
        ("morning ship", (0.5, 6.0)),
    ):
        (hit,) = library.search(query, mode="keyword")
        assert (query, hit.start, hit.end) == (query, *moment)
        assert hit.passage == "Good morning, you two. (2) The sea is blue. A ship goes by."


def test_an_unknown_extractor_is_refused(library: Library) -> None:
    with pytest.raises(UnknownName, match="nobody"):
        library.extract.add("nobody")
    with pytest.raises(InvalidInput, match="nobody"):
        library.extract.drop("nobody")


@pytest.mark.extras
@pytest.mark.slow
def test_lines_that_are_cut_anew_into_the_same_segments_keep_their_vectors(
    open_tiny: Callable[..., Library], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("talk", "song"):
        with_lines(sound(folder / f"{name}.wav", "low"), {"text": f"The {name} is over.", "start": 0.0, "end": 1.0})
    library = open_tiny()
    library.ingest(folder)
    assert library.extract.add("tiny-speech").segments == 2
    before = [(hit.path, hit.segment_id, hit.passage) for hit in library.search("over", mode="keyword")]
    monkeypatch.setattr(job, "CUT", "another")
    library.extract.fill()
    assert [(hit.path, hit.segment_id, hit.passage) for hit in library.search("over", mode="keyword")] == before
    assert library.extract.fill() == 0

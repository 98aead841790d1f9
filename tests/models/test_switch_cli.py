"""Another model for a library: added beside the one that serves, used, dropped; by whoever is interrupted when."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mmsearch.catalog.file_groups import file_texts
from mmsearch.errors import InvalidInput, LibraryLocked, LibraryNotFound, SpaceChanged, SpaceIncomplete, UnknownName
from mmsearch.library import Library
from mmsearch.models.switch import ModelSwitched
from mmsearch.types import Hit, Progress, Query
from tests import tiny
from tests.conftest import Run
from tests.generated import picture, sound, video, words
from tests.training.test_train_apply import stored, swapping

pytestmark = pytest.mark.slow

OpenTiny = Callable[..., Library]

TWIN, WIDE, MUTE = "tests.model_spaces:twin", "tests.model_spaces:wide", "tests.model_spaces:mute"
NOTE = "the harbour lies quiet in the evening and nobody counts the boats that come home with a red lantern " * 2


@pytest.fixture
def media(folder: Path) -> Path:
    for n, colour in enumerate(("red", "green", "blue", "red", "green", "blue")):
        picture(folder / f"{colour}{n}.png", colour, mark=n)
    sound(folder / "low.wav", "low", "mid", seconds=2.0)
    sound(folder / "high.wav", "high")
    words(folder / "note.txt", NOTE)
    words(folder / "plain.txt", "a quiet valley, and a green hill")
    video(folder / "film.mp4", "blue", "red")
    return folder


def told(hit: Hit) -> tuple[object, ...]:
    moments = [(m.start, m.end, m.passage, round(m.cosine, 5)) for m in hit.moments]
    found = (hit.path.name, round(hit.cosine or 0, 5), hit.start, hit.end, hit.passage, hit.matched, hit.by)
    return (*found, hit.confidence, moments)


def answers(library: Library) -> list[object]:
    """What a library says, whatever its ids are."""
    asked: list[Query | str] = ["red", "a green hill", "low", Query(image=library.path.parent / "media/red0.png")]
    found: list[object] = [[told(hit) for hit in library.search(query, 12, moments=True)] for query in asked]
    found.append([told(hit) for hit in library.search("quiet lantern", mode="keyword")])
    found.append([told(hit) for hit in library.search("red", filter="modality in (video, text) and size > 1")])
    found.append([[file.path.name for file in group.files] for group in library.duplicates(0.99)])
    found.append([(c.modality, c.items, c.missing, c.segments, c.vectors) for c in library.status().counts])
    with library._context.catalog().reading() as snapshot:
        found.append([(file.path, file.kinds, file.texts) for file in file_texts(snapshot)])
    return found


def first(library: Library, query: str = "red") -> str:
    return library.search(query, 1, modalities=["image"], mode="vector")[0].path.name[:-5]


def layouts(library: Library) -> int:
    with closing(sqlite3.connect(library.path / "catalog.sqlite")) as db:
        return int(db.execute("SELECT count(DISTINCT layout) FROM segments").fetchone()[0])


def test_a_second_model_answers_like_a_library_made_with_it(open_tiny: OpenTiny, media: Path) -> None:
    library, fresh = open_tiny(), open_tiny("fresh", space=WIDE)
    library.ingest(media)
    fresh.ingest(media)
    tiny_says, wide_says = answers(library), answers(fresh)
    assert tiny_says != wide_says
    added = library.model.add(WIDE)
    assert (added.name, added.completed, added.lacking, added.problems) == ("wide", 11, 0, ())
    assert answers(library) == tiny_says and first(library) == "red", "nothing changed for searches"
    assert [(m.name, m.active, m.lacking, m.dim) for m in library.model.list()] == [
        ("tiny", True, 0, 8),
        ("wide", False, 0, 12),
    ]
    switched = library.model.switch("wide")
    assert switched is not None and (switched.before, dict(switched.unreachable)) == ("tiny", {})
    assert answers(library) == wide_says and first(library) == "blue"
    hit = library.search("low", 1, modalities=["audio"])[0]
    assert hit.end is not None and hit.start is not None and hit.end - hit.start == 1.0
    assert library.explain("low", hit).score == pytest.approx(hit.cosine, abs=1e-5)
    assert library.search(Query(like=library.search("red", 1, modalities=["image"])[0]), 1, modalities=["image"])
    library.close()
    assert answers(library) == wide_says, "and it is so for whoever opens it"
    library.model.switch("tiny")
    assert answers(library) == tiny_says
    with pytest.raises(InvalidInput, match="changed its model since"):
        library.explain("low", hit)
    library.model.drop("wide")
    assert answers(library) == tiny_says and layouts(library) == 1
    assert [path.name for path in (library.path / "indexes").iterdir()] == ["tiny"]
    assert [m.name for m in library.model.list()] == ["tiny"]


def test_models_of_one_layout_share_segments(open_tiny: OpenTiny, media: Path) -> None:
    library = open_tiny()
    library.ingest(media)
    count = "SELECT (SELECT count(*) FROM segments), (SELECT count(*) FROM embeddings)"
    with closing(sqlite3.connect(library.path / "catalog.sqlite")) as db:
        segments, vectors = db.execute(count).fetchone()
        library.model.add(TWIN)
        assert db.execute(count).fetchone() == (segments, 2 * vectors)
        library.model.switch(TWIN)
        assert first(library) == "green"
        library.model.drop("tiny")
        assert db.execute(count).fetchone() == (segments, vectors)
    assert first(library) == "green"


def test_an_ingest_may_run_while_a_model_is_added(open_tiny: OpenTiny, media: Path) -> None:
    library = open_tiny(commit_segments=4)
    library.ingest(media)
    late = picture(media / "late" / "blue9.png", "blue", mark=9)

    def ingest(_: Progress) -> None:
        if not library.status().failures and late.exists() and not library.search("blue9", mode="keyword"):
            assert library.ingest(media).new == 1

    library.model.add(WIDE, on_progress=ingest)
    picture(media / "late" / "blue8.png", "blue", mark=8)
    assert library.ingest(media).new == 1, "it went to the model that searches use"
    with pytest.raises(SpaceIncomplete, match="not looked at 1 of the library's files") as caught:
        library.model.switch("wide")
    assert caught.value.hint is not None and "--when-complete" in caught.value.hint
    assert {m.name: m.lacking for m in library.status().models} == {"tiny": 0, "wide": 1}
    tiny.reset()
    assert library.model.switch("wide", when_complete=True) is not None
    assert tiny.ENCODED["image"] == 1, "nothing was embedded twice"
    assert len([h for h in library.search("red", 9, modalities=["image"], mode="vector") if (h.cosine or 0) > 0.9]) == 4
    picture(media / "late" / "red7.png", "red", mark=7)
    library.ingest(media)
    assert {m.name: m.lacking for m in library.status().models} == {"tiny": 1, "wide": 0}
    assert first(library, "green") == "red"
    with pytest.raises(SpaceIncomplete):
        library.model.switch("tiny")
    library.model.add("tiny")
    library.model.switch("tiny")
    assert len([h for h in library.search("red", 9, modalities=["image"], mode="vector") if (h.cosine or 0) > 0.9]) == 3


def test_missing_files_are_listed_and_added_once_they_are_back(open_tiny: OpenTiny, media: Path) -> None:
    library = open_tiny()
    library.ingest(media)
    away = media.parent / "away.png"
    (media / "red0.png").rename(away)
    picture(media / "red3.png", "green", side=40)
    (media / "green1.png").touch()
    added = library.model.add(WIDE)
    assert (added.completed, added.lacking) == (8, 3)
    assert sorted((p.path.name, p.failure) for p in added.problems) == [
        ("green1.png", "changed"),
        ("red0.png", "missing"),
        ("red3.png", "changed"),
    ]
    report = library.ingest(media)
    assert (report.missing, report.changed, report.unchanged) == (1, 1, 9)
    assert library.model.add(WIDE).completed == 2
    library.model.switch(WIDE)
    assert [m.lacking for m in library.model.list()] == [0, 0], "what is missing is not findable anyway"
    away.rename(media / "red0.png")
    tiny.reset()
    assert (library.ingest(media).restored, tiny.ENCODED["image"]) == (1, 1)
    assert [h.path.name for h in library.search("green", 1, modalities=["image"], mode="vector")] == ["red0.png"]
    library.close()
    assert [h.path.name for h in library.search("green", 1, modalities=["image"], mode="vector")] == ["red0.png"]


def test_a_cancelled_model_add_can_be_resumed(open_tiny: OpenTiny, media: Path) -> None:
    library, stop = open_tiny(workers=1, commit_segments=1), threading.Event()
    library.ingest(media)
    added = library.model.add(WIDE, on_progress=lambda _: stop.set(), cancel=stop)
    assert added.interrupted and added.completed + added.lacking == 11 and added.lacking > 0
    assert library.model.switch(WIDE, when_complete=True, cancel=stop) is None
    assert first(library) == "red"
    assert library.model.add(WIDE).completed == added.lacking


def test_items_of_modalities_the_model_lacks_are_reported_unreachable(open_tiny: OpenTiny, media: Path) -> None:
    library = open_tiny()
    library.ingest(media)
    added = library.model.add(MUTE)
    assert (added.completed, added.not_embedded, added.lacking, added.problems) == (9, 2, 0, ())
    switched = library.model.switch(MUTE)
    assert switched is not None and dict(switched.unreachable) == {"audio": 2}
    assert first(library) == "green"
    assert "audio" not in {hit.modality for hit in library.search("low", 50, mode="vector")}
    assert library.search("high", mode="keyword")[0].path.name == "high.wav", "its name still finds it"
    counts = {c.modality: (c.items, c.segments, c.vectors) for c in library.status().counts}
    assert counts["audio"] == (2, 0, 0)
    sound(media / "new.wav", "mid")
    report = library.ingest(media)
    assert (report.not_embedded, report.unchanged, report.new) == (1, 11, 0)
    back = library.model.switch("tiny")
    assert back is not None and back.forgotten == 1
    assert library.ingest(media).new == 1 and library.search("mid", 1, modalities=["audio"])[0].path.name == "new.wav"


def test_files_a_model_refused_are_retried_only_when_asked(open_tiny: OpenTiny, media: Path) -> None:
    library = open_tiny()
    library.ingest(media)
    library.close()
    strict = open_tiny(pixels=64 * 64 - 1)
    added = strict.model.add(WIDE)
    assert [(p.path.name, p.failure) for p in added.problems] == [("film.mp4", "limit")]
    assert added.lacking == 0
    strict.close()
    assert library.model.add(WIDE).completed == 0
    assert library.model.add(WIDE, retry=True).completed == 1


def test_projections_belong_to_their_model(open_tiny: OpenTiny, media: Path) -> None:
    library = open_tiny()
    library.ingest(media)
    swapping(library)
    library.train.apply("swap")
    assert first(library) == "green"
    assert library.model.switch(WIDE, when_complete=True) == ModelSwitched("wide", "tiny+swap", {}, 0)
    assert first(library) == "blue"
    with pytest.raises(SpaceChanged) as caught:
        library.train.apply("swap")
    assert caught.value.hint is not None and "mmsearch model switch" in caught.value.hint
    late = picture(media / "green9.png", "green", mark=90)
    library.ingest(media)
    library.model.switch("tiny", when_complete=True)
    assert (first(library), [m.active for m in library.model.list()]) == ("red", [True, False, False])
    library.train.apply("swap")
    assert len(stored(library, "tiny+swap")) == len(stored(library, "tiny"))
    reds = library.search("red", 4, modalities=["image"], mode="vector")
    assert late.name in {hit.path.name for hit in reds} and {hit.path.name[:-5] for hit in reds[:3]} == {"green"}
    library.model.switch("wide")
    library.model.drop("tiny")
    assert [m.name for m in library.model.list()] == ["wide"] and first(library) == "blue"
    assert [path.name for path in (library.path / "indexes").iterdir()] == ["wide"]


def test_senseless_model_commands_are_refused(open_tiny: OpenTiny, media: Path, tmp_path: Path) -> None:
    library = open_tiny()
    with pytest.raises(LibraryNotFound):
        library.model.add(WIDE)
    library.ingest(media)
    with pytest.raises(UnknownName):
        library.model.add("no-such-model")
    with pytest.raises(InvalidInput, match="no model 'wide'"):
        library.model.switch("wide")
    with pytest.raises(InvalidInput, match="another model named 'tiny'"):
        library.model.add("tests.tiny:other_weights")
    with pytest.raises(InvalidInput, match="searches use the model 'tiny'"):
        library.model.drop("tiny")

    def twice(_: Progress) -> None:
        with pytest.raises(LibraryLocked, match="adding a model"):
            library.model.add(TWIN)
        with pytest.raises(LibraryLocked, match="adding a model"):
            library.model.drop(WIDE)

    library.model.add(WIDE, on_progress=twice)
    with closing(sqlite3.connect(library.path / "catalog.sqlite")) as db:
        db.execute("UPDATE spaces SET fingerprint = 'of other weights' WHERE name = 'wide'")
        db.commit()
    for attempt in (library.model.add, library.model.switch):
        with pytest.raises(SpaceChanged, match="another version"):
            attempt(WIDE)
    assert first(library) == "red"
    library.model.drop("wide")
    assert library.model.add(WIDE).completed == 11
    with pytest.raises(SpaceChanged, match="has the model 'tiny'") as caught:
        open_tiny(space=WIDE).ingest(media)
    assert caught.value.hint is not None and "mmsearch model add" in caught.value.hint


def test_the_model_commands_add_switch_and_report(run: Run, process: Run, media: Path) -> None:
    assert run("ingest", media).returncode == 0
    added = process("model", "add", MUTE)
    assert added.returncode == 0, added.stderr.decode()
    assert "mute: 9 distinct files" in added.stdout.decode() and "mmsearch model switch mute" in added.stdout.decode()
    picture(media / "more.png", "red", mark=50)
    assert run("ingest", media).returncode == 0
    assert "mute lacks 1 distinct file: mmsearch model add mute" in run("status").stdout.decode()
    used = run("model", "switch", MUTE, "--when-complete")
    assert used.returncode == 0 and "2 audio" in used.stderr.decode(), used.stderr.decode()
    listed = run("model", "list").stdout.decode().splitlines()
    assert ["ready" in listed[0], "in use" in listed[1]] == [True, True]
    assert run("model", "drop", "tiny").stdout.decode().startswith("tiny is gone, ")

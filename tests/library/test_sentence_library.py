"""Libraries over one model for words, pictures, sounds and videos: all directions, clips, pages, joint queries."""

import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmsearch
from mmsearch.core import registry
from mmsearch.errors import InvalidInput
from mmsearch.library import Library
from mmsearch.media.pdf import pdf_pictures
from mmsearch.models import download
from mmsearch.search.query import embed_queries
from mmsearch.types import Limits, Modality, Query, Segment, Space
from tests import sentence
from tests.benchmarks.full_size import decoded
from tests.generated import pattern, sound, video, words
from tests.media_files import pdf

pytestmark = pytest.mark.extras

OpenTiny = Callable[..., Library]


@pytest.fixture
def filled(folder: Path) -> Path:
    for colour in ("red", "green", "blue"):
        pattern(folder / f"{colour}.png", colour, seed=len(colour))
    sound(folder / "low.wav", "low")
    sound(folder / "high.wav", "high", "low")
    video(folder / "film.mp4", "red", "green", "blue", seconds=8.0)
    words(folder / "note.txt", "waves on a beach")
    pdf(folder / "report.pdf", ["Figures of May", "W" * 60], title="Report")
    return folder


def found(library: Library, query: str | Query, *modalities: str) -> list[str]:
    return [hit.path.name for hit in library.search(query, 9, modalities=list(modalities) or None, mode="vector")]


def test_every_medium_finds_itself_and_the_others(open_tiny: OpenTiny, filled: Path) -> None:
    library = open_tiny(space=sentence.space("gemma"))
    report = library.ingest(filled)
    assert (report.new, report.failed.total(), report.not_embedded) == (8, 0, 0)
    assert found(library, Query(image=filled / "red.png"))[0] == "red.png"
    assert found(library, Query(audio=filled / "high.wav"))[0] == "high.wav"
    assert found(library, Query(video=filled / "film.mp4"), "video") == ["film.mp4"]
    for kind in ("image", "audio", "video", "text"):
        for query in ("waves", Query(image=filled / "red.png"), Query(audio=filled / "low.wav")):
            assert found(library, query, kind)


FILES = {"image": "coco/*.jpg", "audio": "esc10/*.ogg", "video": "videos/mdn_*.webm"}
"""Item modality -> development media."""


def stored(library: Library) -> dict[tuple[str, str], list[np.ndarray[Any, Any]]]:
    """(name of a file, segment modality) -> its vectors, in order."""
    with closing(sqlite3.connect(library.path / "catalog.sqlite")) as db:
        rows = db.execute(
            "SELECT path, modality, vector FROM items JOIN segments USING (content_id) "
            "JOIN embeddings ON segment_id = segments.id ORDER BY path, ordinal"
        ).fetchall()
    found: dict[tuple[str, str], list[np.ndarray[Any, Any]]] = {}
    for path, modality, vector in rows:
        found.setdefault((Path(path.decode()).name, modality), []).append(np.frombuffer(vector, "<f4"))
    return found


@pytest.fixture
def dev(folder: Path, shared: Path) -> Path:
    """Pictures, sounds, a video and documents; the sounds shorter than a window."""
    for pattern_ in FILES.values():
        for path in sorted((shared / "data" / "dev").glob(pattern_))[:4]:
            shutil.copy(path, folder)
    words(folder / "note.txt", "waves on a beach " * 30)
    pdf(folder / "report.pdf", ["Figures of May", "W" * 60], title="Report")
    return folder


@pytest.mark.parametrize("variant", sentence.VARIANTS)
def test_real_media_have_the_librarys_own_vectors_and_are_found_in_all_directions(
    variant: str, open_tiny: OpenTiny, dev: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMSEARCH_MODELS", str(tmp_path / "models"))
    name, takes = f"st:tests/{variant}", sentence.TAKES[variant]
    download.prepare(name, sentence.model_folder(variant))
    library = open_tiny(space=name)
    assert library.ingest(dev).failed.total() == 0
    made, model = stored(library), sentence.library_model(variant)
    if "video" in takes:
        model[0].processing_kwargs = {"video": {"do_sample_frames": False}}
    space = library._context.embedding()[0]
    for path in dev.iterdir():
        kind: Modality | None = next((kind for kind, one in FILES.items() if path.match(Path(one).name)), None)
        if kind is None:
            continue
        for modality, listed in decoded(space, [path], kind).items():
            if modality in takes:
                own = np.stack([model.encode_document([one], normalize_embeddings=True)[0] for one in listed])
                np.testing.assert_allclose(np.stack(made[path.name, modality]), own, atol=1e-5)
    queries = {"text": Query("waves"), "image": Query(image=next(dev.glob("*.jpg")))}
    if "audio" in takes:
        queries["audio"] = Query(audio=next(dev.glob("*.ogg")))
    if "image" in takes:
        queries["video"] = Query(video=next(dev.glob("*.webm")))
    for query in queries.values():
        for kind, glob in {**FILES, "text": "note.txt"}.items():
            expected = (
                sorted(path.name for path in dev.glob(Path(glob).name)) if kind != "audio" or "audio" in takes else []
            )
            hits = library.search(query, 9, modalities=[kind], mode="vector")
            assert sorted(hit.path.name for hit in hits if hit.path.suffix != ".pdf") == expected
    # One vector against one of each file: the order is that of the cosines.
    asked = model.encode_query(["waves"], normalize_embeddings=True)[0]
    pictures = library.search("waves", 9, modalities=["image"], mode="vector")
    cosines = {file: float(vectors[0] @ asked) for (file, kind), vectors in made.items() if file.endswith(".jpg")}
    assert [hit.path.name for hit in pictures] == sorted(cosines, key=lambda file: -cosines[file])
    assert [hit.cosine for hit in pictures] == pytest.approx(sorted(cosines.values(), reverse=True), abs=1e-5)


def test_a_video_has_clips_with_their_times(open_tiny: OpenTiny, filled: Path) -> None:
    library = open_tiny(space=sentence.space("gemma"))
    library.ingest(filled)
    with closing(sqlite3.connect(library.path / "catalog.sqlite")) as db:
        rows = db.execute('SELECT start, "end" FROM segments WHERE modality = ? ORDER BY ordinal', ["video"]).fetchall()
    assert rows == [(0.0, 8.0), (8.0, 16.0), (16.0, 24.0)]
    hit = library.search(Query(video=filled / "film.mp4"), 1, modalities=["video"], mode="vector")[0]
    assert hit.matched in ("video", "image", "audio") and hit.start is not None


def test_a_page_is_found_by_what_it_looks_like(open_tiny: OpenTiny, filled: Path, tmp_path: Path) -> None:
    from PIL import Image

    library = open_tiny(space=sentence.space("gemma"))
    library.ingest(filled)
    side = library._context.serving(None)[0].windowing.page_side
    for _, drawn in pdf_pictures(filled / "report.pdf", side, Limits()):
        Image.fromarray(drawn).save(tmp_path / "page.png")
        hit = library.search(Query(image=tmp_path / "page.png"), 1, modalities=["text"], mode="vector")[0]
        # Which page is nearest is chance: random weights see little of them, and have other words before queries.
        assert (hit.path.name, hit.matched) == ("report.pdf", "image") and hit.page in (1, 2)
    with closing(sqlite3.connect(library.path / "catalog.sqlite")) as db:
        pages = db.execute("SELECT page FROM segments WHERE modality = 'image' AND page IS NOT NULL ORDER BY ordinal")
        assert pages.fetchall() == [(1,), (2,)]


def test_words_with_a_picture_are_the_models_own_joint_input(open_tiny: OpenTiny, filled: Path) -> None:
    library = open_tiny(space=sentence.space("gemma"))
    library.ingest(filled)
    space: Space = registry.load_part("spaces", sentence.space("gemma"))("cpu")
    context = library._context
    pool = context.query_decoding(context.serving(None)[1])
    joint = Query(text="waves", image=filled / "red.png")
    made = embed_queries([joint, Query("waves") + Query(image=filled / "red.png")], space, lambda: pool)
    assert np.abs(made[0] - made[1]).max() > 0.01
    from PIL import Image

    picture = np.asarray(Image.open(filled / "red.png").convert("RGB"))
    reader: Any = space.encoders["text"]
    parts = {
        "text": reader.prepare(Segment("text", "waves")),
        "image": space.encoders["image"].prepare(Segment("image", picture)),
    }
    np.testing.assert_allclose(made[:1], reader.encode_joint(parts), atol=1e-5)
    assert found(library, joint)
    with pytest.raises(InvalidInput, match="can't be composed jointly"):
        library.search(Query(text="waves", compose="joint"))


def test_a_model_that_joins_nothing_adds_up_or_says_why(open_tiny: OpenTiny, filled: Path) -> None:
    library = open_tiny(space=sentence.space("clip"))
    library.ingest(filled)
    query = Query(text="waves", image=filled / "red.png")
    added = Query("waves") + Query(image=filled / "red.png")
    assert found(library, query) == found(library, added)
    with pytest.raises(InvalidInput, match="doesn't take several kinds"):
        library.search(Query(text="waves", image=filled / "red.png", compose="joint"))


def test_a_library_changes_to_such_a_model_and_back_while_it_is_searched(open_tiny: OpenTiny, filled: Path) -> None:
    library = open_tiny()
    library.ingest(filled)
    before, stop, failed = found(library, "red"), threading.Event(), list[BaseException]()

    def search() -> None:
        while not stop.is_set():
            try:
                assert library.search("red", 5)
            except BaseException as error:  # shown by the test
                failed.append(error)
                return

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        name = sentence.space("gemma", ",dimensions=32")
        assert library.model.add(name).lacking == 0
        switched = library.model.switch(name)
        assert switched is not None and switched.name.endswith(",dimensions=32")
        back = library.model.switch("tiny")
        assert back is not None and back.name == "tiny"
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failed
    assert found(library, "red") == before


def test_such_a_library_opens_again(open_tiny: OpenTiny, filled: Path) -> None:
    name = sentence.space("gemma", ",dimensions=32,max_soft_tokens=140")
    library = open_tiny(space=name)
    library.ingest(filled)
    with mmsearch.open(library.path) as again:
        assert found(again, Query(image=filled / "blue.png"))[0] == "blue.png"

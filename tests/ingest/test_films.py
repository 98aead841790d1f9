"""Films, songs and notes as their owners know them: what is said in them, by whom they are, and when."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mmsearch.catalog import Catalog
from mmsearch.library import Library
from mmsearch.types import Hit, Query
from tests.media.test_subtitles import VTT
from tests.media_files import GREEN, RED, clip, photo, sound
from tests.module_library import ModuleLibrary
from tests.track_files import SRT, film, joined, with_words

LANGUAGES = ["de", "en", "fr", "it", "es", "pt", "nl", "sv", "no", "da", "fi"]
TAGS = {
    "title": "So What", "artist": "Miles Davis", "album": "Kind of Blue", "album_artist": "Sextet",
    "genre": "Modal Jazz", "track": "1/5", "date": "1959-08-17", "composer": "Evans",
}  # fmt: skip


def fill(folder: Path) -> None:
    clip(folder / "film.mp4", [RED] * 10)
    photo(folder / "film.jpg")
    (folder / "film.en.forced.srt").write_text(SRT)
    (folder / "film.vtt").write_text(VTT.replace("lighthouse", "windmill"))
    (folder / "film.fr.srt").write_bytes(b"1\n00:00:01,000 --> \xff\xfe\x00\x00\n")
    clip(folder / "many.mp4", [RED] * 10)
    for number, language in enumerate(LANGUAGES):
        (folder / f"many.{language}.srt").write_text(SRT.replace("lighthouse", f"beacon{number}"))
    with_words(folder / "inside.mkv", "subrip", [[(1.0, 2.0, "<b>a green</b> pear"), (2.5, 3.5, "nothing else")]])
    with_words(folder / "silent.mkv", "subrip", [])
    parts = [
        film(folder.parent / f"{n}.ts", colours=colours, codec="mpeg2video")
        for n, colours in enumerate(([RED] * 100, [GREEN] * 200))
    ]
    joined(folder / "joined.ts", *parts)
    sound(folder / "x.flac", 1.0, "flac", tags=TAGS)
    sound(folder / "other.flac", 1.5, "flac")
    (folder / "note.md").write_text(
        "---\ntitle: At sea\ntags: [boats, New York]\ndate: 2024-05-02\n---\nWe sailed for days.\n"
    )


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


def hits(library: Library, words: str) -> list[tuple[str, float | None, float | None, str | None]]:
    return [(hit.path.name, hit.start, hit.end, hit.passage) for hit in library.search(words, mode="keyword")]


def names(found: list[Hit]) -> list[str]:
    return [hit.path.name for hit in found]


def test_words_in_subtitles_beside_a_film_find_the_film_at_their_moment(library: Library, folder: Path) -> None:
    assert hits(library, "lighthouse") == [("film.mp4", 1.5, 2.5, "Where is the lighthouse?")]
    assert hits(library, "windmill") == [("film.mp4", 1.5, 2.5, "Where is the windmill?")]
    assert hits(library, "beacon7") == [("many.mp4", 1.5, 2.5, "Where is the beacon7?")]


def test_the_kind_of_the_film_is_that_of_its_subtitles(library: Library, folder: Path) -> None:
    for mode in ("keyword", "hybrid"):
        first = library.search("lighthouse", modalities=["video"], mode=mode)[0]
        assert (first.path, first.modality, first.part) == (
            folder / "film.mp4",
            "video",
            folder / "film.en.forced.srt",
        )
        assert (first.start, first.end, first.passage) == (1.5, 2.5, "Where is the lighthouse?")
    assert not library.search("lighthouse", mode="keyword", modalities=["image"])
    assert names(library.search("lighthouse", mode="keyword", modalities=["text"])) == ["film.en.forced.srt"]


@pytest.mark.slow
def test_words_inside_a_film_find_its_moment_by_meaning_too(library: Library) -> None:
    assert hits(library, "pear") == [("inside.mkv", 1.0, 2.0, "a green pear")]
    found = {hit.path.name: hit for hit in library.search("green", mode="vector", moments=True)}["inside.mkv"]
    assert (found.matched, found.start, found.end, found.passage) == ("text", 1.0, 2.0, "a green pear")
    assert (1.0, 2.0, "a green pear") in [(one.start, one.end, one.passage) for one in found.moments]


def test_a_film_as_a_query_is_what_it_shows_not_what_is_said(library: Library, folder: Path) -> None:
    inside = library.get(folder / "inside.mkv")
    assert inside is not None
    queries = (folder / "inside.mkv", folder / "silent.mkv", Query(like=inside.id))
    found = [{hit.path: hit.cosine for hit in library.search(query)}[folder / "joined.ts"] for query in queries]
    assert found == pytest.approx([found[0]] * 3)


def test_the_whole_length_of_a_joined_film_is_known_to_filters(library: Library) -> None:
    found = library.search("green", filter="duration > 11 and duration < 13", mode="vector")
    assert names(found) == ["joined.ts"]
    assert found[0].start == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize("words", ["davis", "kind of blue", "modal jazz", "sextet", "evans", "so what davis"])
def test_who_made_a_song_is_words(library: Library, words: str) -> None:
    assert [hit[0] for hit in hits(library, words)] == ["x.flac"]


@pytest.mark.parametrize(
    ("condition", "name"),
    [
        ('meta.artist = "Miles Davis"', "x.flac"),
        ("meta.album contains Blue", "x.flac"),
        ("meta.genre glob '*Jazz'", "x.flac"),
        ("meta.year = 1959 and meta.track = 1", "x.flac"),
        ("meta.album_artist is known", "x.flac"),
        ('title = "So What"', "x.flac"),
        ('title = "At sea"', "note.md"),
        ("tag = boats", "note.md"),
        ('tag = "New York"', "note.md"),
        ("taken = 2024-05-02", "note.md"),
    ],
)
def test_facts_are_columns(library: Library, condition: str, name: str) -> None:
    assert names(library.search("anything", filter=condition)) == [name]


def test_what_changed_is_read_again_and_what_a_person_said_stays(library: Library, folder: Path) -> None:
    subtitles, song = folder / "film.vtt", folder / "x.flac"
    library.set_meta(song, {"artist": "Nina Simone"})
    subtitles.write_text(VTT.replace("lighthouse", "sawmill"))
    (folder / "film.en.forced.srt").unlink()
    sound(song, 1.5, "flac", tags={"artist": "unknown artist", "genre": "Soul"})
    report = library.ingest(folder)
    assert (report.changed, report.new, report.missing) == (2, 0, 1), "the film itself is not decoded again"
    assert hits(library, "windmill") == hits(library, "lighthouse") == []
    assert [hit[0] for hit in hits(library, "sawmill")] == ["film.mp4"]
    item = library.get(song)
    assert item is not None and item.meta == {"artist": "Nina Simone", "genre": "Soul"}


def test_an_older_library_gets_the_words_and_the_groups(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    shutil.copy(Path(__file__).resolve().parents[1] / "assets" / "library" / "catalog.sqlite", old)
    with closing(sqlite3.connect(old / "catalog.sqlite")) as db, db:
        (first, path), (second, _) = db.execute("SELECT id, path FROM items ORDER BY id LIMIT 2").fetchall()
        tell = "UPDATE contents SET metadata = json_set(metadata, '$.artist', 'Miles Davis') WHERE id ="
        db.execute(f"{tell} (SELECT content_id FROM items WHERE id = ?)", [first])
        beside = path.rpartition(b".")[0] + b".en.srt"
        wrong = beside.removesuffix(b".srt")
        db.execute(
            "UPDATE items SET path = ?, display = ?, bundle = ? WHERE id = ?", [beside, beside.decode(), wrong, second]
        )
    Catalog.open(old, "new").close()
    with closing(sqlite3.connect(old / "catalog.sqlite")) as db, db:
        assert db.execute("SELECT key, kind, text FROM meta").fetchall() == [("artist", "text", "Miles Davis")]
        found = db.execute("SELECT rowid FROM item_words WHERE item_words MATCH 'title : davis'").fetchall()
        assert found == [(first,)]
        assert len(set(db.execute("SELECT bundle FROM items WHERE id IN (?, ?)", [first, second]))) == 1
        db.execute("UPDATE contents SET metadata = json_set(metadata, '$.artist', 'Coltrane')")
        assert db.execute("SELECT count(*) FROM item_words WHERE item_words MATCH 'davis'").fetchone() == (0,)

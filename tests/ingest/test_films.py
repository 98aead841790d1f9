"""Films, songs and notes as their owners know them: what is said in them, by whom they are, and when."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mmsearch.library import Library
from mmsearch.media.container import stream_facts
from mmsearch.types import Query
from tests.media.test_subtitles import SRT, VTT, with_words
from tests.media_files import GREEN, RED, clip, photo, sound
from tests.track_files import film, joined


def hits(library: Library, words: str, **options: Any) -> list[tuple[Path, float | None, float | None, str | None]]:
    return [(hit.path, hit.start, hit.end, hit.passage) for hit in library.search(words, mode="keyword", **options)]


def test_words_in_subtitles_beside_a_film_find_the_film_at_their_moment(library: Library, folder: Path) -> None:
    video = clip(folder / "film.mp4", [RED] * 10)
    photo(folder / "film.jpg")
    (folder / "film.en.forced.srt").write_text(SRT)
    (folder / "film.vtt").write_text(VTT.replace("lighthouse", "windmill"))
    assert library.ingest(folder).new == 4
    assert hits(library, "lighthouse") == [(video, 1.5, 2.5, "Where is the lighthouse?")]
    assert hits(library, "windmill") == [(video, 1.5, 2.5, "Where is the windmill?")]
    (hit,) = library.search("lighthouse", mode="keyword", modalities=["video"])
    assert (hit.path, hit.modality, hit.part, hit.start) == (video, "video", folder / "film.en.forced.srt", 1.5)
    assert not library.search("lighthouse", mode="keyword", modalities=["image"])


def test_changed_subtitles_are_read_again_and_gone_ones_forgotten(library: Library, folder: Path) -> None:
    video = clip(folder / "film.mkv", [RED] * 10)
    words = folder / "film.de.srt"
    words.write_text(SRT)
    library.ingest(folder)
    words.write_text(SRT.replace("lighthouse", "windmill"))
    report = library.ingest(folder)
    assert (report.changed, report.unchanged) == (1, 1), "the film itself is not decoded again"
    assert hits(library, "lighthouse") == []
    assert [hit[0] for hit in hits(library, "windmill")] == [video]
    words.unlink()
    library.ingest(folder)
    assert hits(library, "windmill") == []


def test_broken_subtitles_harm_no_film(library: Library, folder: Path) -> None:
    video = clip(folder / "film.mp4", [RED] * 10)
    (folder / "film.srt").write_bytes(b"1\n00:00:01,000 --> \xff\xfe\x00\x00\n")
    (folder / "film.en.srt").write_bytes(b"")
    report = library.ingest(folder)
    assert report.new >= 1
    assert [hit.path for hit in library.search("red", modalities=["video"])] == [video]


def test_many_languages_are_still_one_film(library: Library, folder: Path) -> None:
    video = clip(folder / "film.mp4", [RED] * 10)
    for number, language in enumerate(["de", "en", "fr", "it", "es", "pt", "nl", "sv", "no", "da", "fi", "pl"]):
        (folder / f"film.{language}.srt").write_text(SRT.replace("lighthouse", f"beacon{number}"))
    library.ingest(folder)
    assert [hit[0] for hit in hits(library, "beacon7")] == [video]


def test_words_inside_a_film_find_its_moment_by_meaning_too(library: Library, folder: Path) -> None:
    lines = [(1.0, 2.0, "<b>a green</b> pear"), (2.5, 3.5, "nothing else")]
    video = with_words(folder / "film.mkv", "subrip", [lines])
    library.ingest(folder)
    assert hits(library, "pear") == [(video, 1.0, 2.0, "a green pear")]
    (hit,) = library.search("green", mode="vector")
    assert (hit.path, hit.matched, hit.start, hit.end, hit.passage) == (video, "text", 1.0, 2.0, "a green pear")
    (hit,) = library.search("green", mode="vector", moments=True)
    assert (1.0, 2.0, "a green pear") in [(one.start, one.end, one.passage) for one in hit.moments]


def test_a_film_as_a_query_is_what_it_shows_not_what_is_said(library: Library, folder: Path) -> None:
    video = with_words(folder / "film.mkv", "subrip", [[(1.0, 2.0, "green")]])
    plain = with_words(folder / "plain.mkv", "subrip", [])
    sound(folder / "x.wav", 1.0, "pcm_s16le")
    library.ingest(folder)
    (item,) = [one for one in library.items() if one.path == video]
    found = [library.search(query, modalities=["audio"])[0].cosine for query in (video, plain, Query(like=item.id))]
    assert found == pytest.approx([found[0]] * 3)


def test_the_whole_length_of_a_joined_film_is_known_to_filters(library: Library, folder: Path, tmp_path: Path) -> None:
    parts = [
        film(tmp_path / f"{n}.ts", colours=[colour] * 100, codec="mpeg2video") for n, colour in enumerate((RED, GREEN))
    ]
    video = joined(folder / "film.ts", *parts)
    library.ingest(folder)
    (hit,) = library.search("green", filter="duration > 7 and duration < 9", mode="vector")
    assert hit.path == video
    assert hit.end == pytest.approx(8.0, abs=0.1)


TAGS = {
    "title": "So What", "artist": "Miles Davis", "album": "Kind of Blue", "album_artist": "Miles Davis Sextet",
    "genre": "Modal Jazz", "track": "1/5", "date": "1959-08-17", "composer": "Evans",
}  # fmt: skip


def test_who_made_a_song_is_words_and_columns(library: Library, folder: Path) -> None:
    song = sound(folder / "x.flac", 1.0, "flac", tags=TAGS)
    sound(folder / "other.wav", 1.0, "pcm_s16le")
    library.ingest(folder)
    for words in ("davis", "kind of blue", "modal jazz", "sextet", "evans", "so what davis"):
        assert [hit[0] for hit in hits(library, words)] == [song], words
    for condition in (
        'meta.artist = "Miles Davis"',
        "meta.album contains Blue",
        "meta.genre glob '*Jazz'",
        "meta.year = 1959 and meta.track = 1",
        "meta.album_artist is known",
        'title = "So What"',
    ):
        assert [hit.path for hit in library.search("a sound", filter=condition)] == [song], condition
    (item,) = [one for one in library.items() if one.path == song]
    assert (item.meta["artist"], item.meta["year"]) == ("Miles Davis", 1959)


def test_a_person_says_more_of_a_song_than_its_file(library: Library, folder: Path) -> None:
    song = sound(folder / "x.flac", 1.0, "flac", tags={"artist": "Unknown", "genre": "Other"})
    library.ingest(folder)
    library.set_meta(song, {"artist": "Nina Simone"})
    sound(song, 1.5, "flac", tags={"artist": "unknown artist", "genre": "Soul"})
    assert library.ingest(folder).changed == 1
    (item,) = library.items()
    assert item.meta == {"artist": "Nina Simone", "genre": "Soul"}


def test_the_title_of_a_track_is_not_that_of_the_film(library: Library, folder: Path) -> None:
    path = folder / "film.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.metadata["title"] = "Commentary"
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    library.ingest(folder)
    (item,) = library.items()
    assert item.title is None


def test_one_picture_beside_a_sound_is_its_cover(tmp_path: Path, library: Library, folder: Path) -> None:
    for name, count in (("book.mkv", 1), ("film.mkv", 3)):
        with av.open(str(folder / name), "w") as container:
            art: Any = container.add_stream("mjpeg", rate=10)
            art.width, art.height, art.pix_fmt = 16, 16, "yuvj420p"
            heard: Any = container.add_stream("aac", rate=16_000, layout="mono")
            for _ in range(count):
                picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
                container.mux(art.encode(picture.reformat(format="yuvj420p")))
            container.mux(art.encode(None))
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 16_000
            container.mux(heard.encode(frame))
            container.mux(heard.encode(None))
    assert [stream_facts(folder / name).video for name in ("book.mkv", "film.mkv")] == [False, True]
    sound(folder / "song.mp3", 1.0, "libmp3lame", cover=True)
    library.ingest(folder)
    assert {one.path.name: one.modality for one in library.items()} == {
        "book.mkv": "audio",
        "film.mkv": "video",
        "song.mp3": "audio",
    }


def test_front_matter_is_title_tags_and_date(library: Library, folder: Path) -> None:
    note = folder / "note.md"
    note.write_text("---\ntitle: At sea\ntags: [boats, New York]\ndate: 2024-05-02\n---\nWe sailed for days.\n")
    library.ingest(folder)
    for condition in ('title = "At sea"', "tag = boats", 'tag = "New York"', "taken = 2024-05-02"):
        assert [hit.path for hit in library.search("sailed", filter=condition)] == [note], condition


def test_an_older_library_gets_the_words_and_the_groups(
    library: Library, folder: Path, open_tiny: Callable[..., Library]
) -> None:
    song = sound(folder / "x.flac", 1.0, "flac", tags=TAGS)
    video = clip(folder / "film.mp4", [RED] * 10)
    (folder / "film.en.srt").write_text(SRT)
    library.ingest(folder)
    library.close()
    path = folder.parent / "library" / "catalog.sqlite"
    downgrade(path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM meta")
        db.execute("UPDATE items SET bundle = ? WHERE name LIKE '%.srt'", [str(folder / "film.en").encode()])
        assert db.execute("SELECT title FROM item_words WHERE name = 'x.flac'").fetchone() == ("So What",)
    again = open_tiny()
    assert [hit[0] for hit in hits(again, "davis")] == [song]
    assert [hit[0] for hit in hits(again, "lighthouse")] == [video]
    assert [hit.path for hit in again.search("a", filter='meta.artist = "Miles Davis"')] == [song]


def downgrade(path: Path) -> None:
    """To the schema before artist and album were words."""
    from alembic import command

    from mmsearch.catalog import database, schema

    engine = database.connect(path)
    config = schema._config()
    with database.writing(engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")
    engine.dispose()

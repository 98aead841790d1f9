"""A library that was opened for some of its items answers as one that holds no others."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

import mmsearch
from mmsearch.context.context import SLICES
from mmsearch.errors import InvalidInput, LibraryReadOnly, UnknownName
from mmsearch.library import Library
from mmsearch.maintenance.restriction import READS
from tests.generated import pattern, words
from tests.library.restricted import SECRET, answer, differences, libraries, names_of, plain, requests, within
from tests.surface.walk import methods

EVERYTHING = [
    ("search", {"query": "red", "k": 30, "moments": True, "dedup": True}),
    ("search", {"query": SECRET, "k": 30}),
    ("search", {"query": '"boat on day"', "k": 9, "mode": "keyword"}),
    ("search", {"query": "harbour", "k": 9, "mode": "vector"}),
    *(("like", number) for number in range(0, 45, 5)),
    *(("item", number) for number in range(45)),
    ("preview", 20),
    ("explain", ("a green boat", 0, False)),
    ("mixed", ("red", 30, 0.3)),
    ("narrower", ("modality = image", "red")),
    ("file", 30),
    ("count", (None, None)),
    ("items", (None, None)),
    ("label", ("red", "green")),
    ("duplicates", None),
    *((what, None) for what in ("status", "tags", "roots", "failures", "saved_searches", "folder")),
]


@pytest.mark.slow
def test_it_answers_as_a_library_that_holds_no_others(open_tiny: Callable[..., Library], folder: Path) -> None:
    _, some, alone = libraries(open_tiny, folder)
    known = sorted(path for path in folder.rglob("*") if path.is_file())
    names, own = names_of(some), names_of(alone)
    for request in EVERYTHING:
        one, other = answer(some, folder, known, request), answer(alone, folder, known, request)
        assert differences(plain(one, names), plain(other, own), str(request)) == []


@pytest.mark.slow
@pytest.mark.extras
def test_three_hundred_random_requests(open_tiny: Callable[..., Library], folder: Path) -> None:
    _, some, alone = libraries(open_tiny, folder)
    known = sorted(path for path in folder.rglob("*") if path.is_file())
    names, own = names_of(some), names_of(alone)

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(requests)
    def both_say_the_same(request: tuple[str, object]) -> None:
        one, other = answer(some, folder, known, request), answer(alone, folder, known, request)
        assert differences(plain(one, names), plain(other, own), str(request)) == []

    both_say_the_same()


@pytest.mark.slow
def test_whatever_is_not_said_to_be_safe_refuses(open_tiny: Callable[..., Library], folder: Path) -> None:
    words(folder / "note.txt", "a red boat")
    library = open_tiny()
    library.ingest(folder)
    some, refused = library.only("modality = text"), []
    for name, _ in methods(Library):
        if name in READS or not name[0].isalpha():
            continue
        with pytest.raises(LibraryReadOnly):
            member = getattr(some, name)
            member()
        refused.append(name)
    assert sorted(refused) == [
        "audit", "backup", "copies", "doctor", "encryption", "estimate", "extract", "forget_search", "import_", "index",
        "ingest", "ingest_media", "locations", "mend", "model", "move_to", "privacy", "prune", "remove", "restore",
        "retry", "save_search", "set_excludes", "set_meta", "tag", "tokens", "train", "watch", "work",
    ]  # fmt: skip
    assert READS.keys() <= {name for name, _ in methods(Library)}
    with pytest.raises(LibraryReadOnly):
        some.label(["red", "green"], save=True)


@pytest.mark.slow
@pytest.mark.extras
def test_it_follows_what_changes(open_tiny: Callable[..., Library], folder: Path) -> None:
    public, private = folder / "public", folder / "private"
    for place in (public, private):
        for number in range(3):
            pattern(place / f"{place.name} {number}.png", "red", mark=number, seed=len(place.name) * number)
    library = open_tiny()
    library.ingest(folder)
    some = library.only(within(public))
    tagged = library.only("tag = dear")
    assert [some.count(), tagged.count(), len(some.search("red", 9))] == [3, 0, 3]
    library.tag(private / "private 1.png", ["dear"])
    assert [path.name for path in (hit.path for hit in tagged.search("red", 9))] == ["private 1.png"]
    library.tag(private / "private 1.png", remove=["dear"])
    assert [tagged.count(), tagged.search("red")] == [0, []]
    os.rename(private / "private 2.png", public / "moved.png")
    words(public / "new.txt", "a red boat")
    (public / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    library.ingest(folder)
    assert [some.count(), len(some.search("red", 9)), len(some.failures())] == [5, 5, 1]
    library.remove(public / "public 0.png")
    assert [some.count(), len(some.search("red", 9)), some.get(public / "public 0.png")] == [4, 4, None]
    again = mmsearch.open(library.path, space="tests.tiny:space", workers=1, dedup=False, only=within(public))
    assert again.count() == 4
    again.close()


@pytest.mark.slow
def test_nothing_of_what_was_forgotten_stays_in_a_slice(open_tiny: Callable[..., Library], folder: Path) -> None:
    words(folder / "secret.txt", f"a red boat in {SECRET}")
    words(folder / "note.txt", "a red boat")
    library = open_tiny()
    library.ingest(folder)
    some = library.only("modality = text")
    assert len(some.search(SECRET, 5)) == 2
    library.remove(folder / "secret.txt")
    assert not any(SECRET.encode() in path.read_bytes() for path in library.path.rglob("*") if path.is_file())
    assert [hit.path.name for hit in some.search(SECRET, 5)] == ["note.txt"]
    assert (library.path / SLICES).stat().st_mode & 0o77 == 0


@pytest.mark.slow
def test_a_hit_of_another_file_is_none_of_its_own(open_tiny: Callable[..., Library], folder: Path) -> None:
    words(folder / "secret.txt", f"a red boat in {SECRET}")
    words(folder / "note.txt", "a red boat")
    library = open_tiny()
    library.ingest(folder)
    some = library.only("name = note.txt")
    (own,) = some.search("red", 5)
    other = next(hit for hit in library.search("red", 5) if hit.path.name == "secret.txt")
    assert some.explain("red", own).by == own.by
    for forged in (other, replace(own, part=other.path)):
        with pytest.raises(UnknownName):
            some.explain("red", forged)
        with pytest.raises(UnknownName):
            some.stills([replace(forged, modality="image")])
    with pytest.raises(UnknownName):
        some.open_file(other.item_id)
    with pytest.raises(InvalidInput, match="there is no item"):
        some.search(mmsearch.Query(like=other.item_id))

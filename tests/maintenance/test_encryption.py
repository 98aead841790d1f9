"""An encrypted library: nothing plain in any file, no way in without its key, nothing lost by a kill."""

import ctypes
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keyring
import numpy as np
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail, null

import mmsearch
from mmsearch.catalog import encrypting
from mmsearch.catalog.embeddings import vectors_by_id
from mmsearch.catalog.lists import list_keys, list_segments
from mmsearch.core import key_stores, memory_files, sealed, vault
from mmsearch.core.filters import filter_of
from mmsearch.errors import InvalidInput, LibraryEncrypted, LibraryError, LibraryLocked
from mmsearch.library import Library
from tests.conftest import Run
from tests.faults.world import image, lay, open_library, text
from tests.forked import forked

OLD = Path(__file__).resolve().parents[1] / "assets" / "library"

MEDIA = {
    "Zanzibarstrasse/Quirinius.txt": text("red Mortadella"),
    "Zanzibarstrasse/Schattenfuchs.txt": text("green Wolkenkuckuck"),
    "Quirinius at sea.png": image(200, 30, 40),
}
SECRETS = (
    *("Zanzibarstrasse", "Quirinius", "Mortadella", "Wolkenkuckuck", "Schattenfuchs", "Nebelkerze", "Geheimsuche"),
    *("mortadella", "wolkenkuckuck", "Tintenfisch"),
)
"""File names, words of passages as they are and folded, a tag, a saved search, what a token's filter asks for."""


@pytest.fixture(autouse=True)
def locked(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Forgets every key that this process has; before each test."""

    def lock() -> None:
        vault._unlocked.clear()
        key_stores._offered.clear()

    lock()
    monkeypatch.setattr(key_stores, "_asking", [])
    return lock


def fill(tmp_path: Path, **options: Any) -> Library:
    lay(tmp_path / "root", MEDIA)
    library = open_library(tmp_path / "library", **options)
    library.ingest(tmp_path / "root")
    library.tag(tmp_path / "root" / "Quirinius at sea.png", add=["Nebelkerze"])
    library.save_search("Geheimsuche", "text=red&filter=tag = Nebelkerze")
    library.tokens.create("ann", filter="path glob '*/Tintenfisch/*'")
    return library


def plain_in(*places: Path) -> set[str]:
    """Secrets that a file holds, or its name."""
    found = set()
    for place in places:
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            content = path.read_bytes() if path.is_file() else b""
            found |= {one for one in SECRETS if one.encode() in content or one in path.name}
    return found


def contents_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def answers(library: Library) -> list[tuple[str, float | None, float | None]]:
    asked = [library.search(query, 10) for query in ("red", "Mortadella", "Wolkenkuckuck")]
    return [(hit.path.name, hit.cosine, hit.confidence) for hits in asked for hit in hits]


def stored_vectors(library: Library) -> list[bytes]:
    context = library._context
    _, record = context.embedding()
    with context.catalog().reading() as snapshot:
        ids = np.concatenate([list_segments(snapshot, key) for key in list_keys(snapshot, record.name)])
        return [row.tobytes() for row in vectors_by_id(snapshot, record.id, record.dim, ids)[1]]


def key_file(tmp_path: Path) -> str:
    return f"file:{tmp_path / 'the.key'}"


def test_no_byte_of_an_encrypted_library_is_plain(tmp_path: Path) -> None:
    with fill(tmp_path, encrypt=key_file(tmp_path), audit="on", audit_queries=True) as library:
        (hit,) = library.only("name = Quirinius.txt").search("red", 1)
        assert hit.path.name == "Quirinius.txt"
        library.audit.record("ann", "search", query="Mortadella by the sea")
        assert [one.query for one in library.audit.entries()] == ["Mortadella by the sea"]
        assert library.audit.verify().problems == ()
        library._context.previews.get("ab" * 32, "small", lambda: b"Schattenfuchs")
        assert library._context.previews.get("ab" * 32, "small", lambda: b"") == b"Schattenfuchs"
        library.backup(tmp_path / "kept.backup")
        assert plain_in(library.path, tmp_path / "kept.backup") == set()
        everything = b"".join(contents_of(library.path).values()) + (tmp_path / "kept.backup").read_bytes()
        vectors = stored_vectors(library)
        assert len(vectors) == 3
        assert not any(row in everything or row[:12] in everything for row in vectors)
        assert not (library.path / "indexes").exists(), "lists are in memory alone"
        assert [one.filter for one in library.tokens.list()] == ["path glob '*/Tintenfisch/*'"]
    assert plain_in(tmp_path / "library") == set(), "what is written as it closes"


@pytest.mark.slow
def test_of_a_plain_library_the_same_search_finds_all(tmp_path: Path) -> None:
    with fill(tmp_path) as library:
        assert plain_in(library.path) == set(SECRETS)
        everything = b"".join(contents_of(library.path).values())
        assert all(row in everything for row in stored_vectors(library))


def test_an_encrypted_library_answers_as_a_plain_one(tmp_path: Path) -> None:
    with fill(tmp_path, encrypt=key_file(tmp_path)) as library:
        encrypted = answers(library)
    shutil.rmtree(tmp_path / "library")
    with fill(tmp_path) as library:
        assert answers(library) == encrypted


@pytest.mark.slow
def test_without_the_key_nothing_is_told_and_nothing_changes(tmp_path: Path, locked: Callable[[], None]) -> None:
    with fill(tmp_path, encrypt="passphrase", passphrase="correct horse") as library:
        right = answers(library)
    before = contents_of(tmp_path / "library")
    locked()
    for wrong in ({}, {"passphrase": "wrong horse"}):
        with open_library(tmp_path / "library", **wrong) as library, pytest.raises(LibraryEncrypted) as told:
            library.search("red", 1)
        assert ("that passphrase is not its" if wrong else "no passphrase is given") in told.value.message
        with pytest.raises(LibraryEncrypted):
            library.ingest(tmp_path / "root")
        assert library.encryption.status().protection == "passphrase", "which needs no key"
        locked()
    assert contents_of(tmp_path / "library") == before
    with open_library(tmp_path / "library", passphrase="correct horse") as library:
        assert answers(library) == right


def test_a_lost_key_file_is_said(tmp_path: Path, locked: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    with fill(tmp_path, encrypt=key_file(tmp_path)) as library:
        right = answers(library)
    assert not tmp_path.joinpath("the.key").stat().st_mode & 0o077
    locked()
    (tmp_path / "the.key").rename(tmp_path / "moved.key")
    with open_library(tmp_path / "library") as library:
        with pytest.raises(LibraryEncrypted, match="its key file is not there"):
            library.count()
        monkeypatch.setenv("MMSEARCH_KEY_FILE", str(tmp_path / "moved.key"))
        assert answers(library) == right
    locked()
    (tmp_path / "moved.key").write_text("00" * 32)
    with open_library(tmp_path / "library") as library, pytest.raises(LibraryEncrypted, match="that key is not its"):
        library.count()


class MemoryKeyring(KeyringBackend):
    """A keyring of this process."""

    priority = 1.0

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture
def ring() -> Iterator[MemoryKeyring]:
    before, made = keyring.get_keyring(), MemoryKeyring()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


@pytest.mark.slow
def test_a_key_in_the_keyring_opens_unasked(tmp_path: Path, ring: MemoryKeyring, locked: Callable[[], None]) -> None:
    with fill(tmp_path, encrypt="keyring") as library:
        right = answers(library)
        (first,) = ring.kept
        assert vault.opens_unasked(library.path), "so that a warm process may stay"
        library.encryption.rekey()
        (second,) = ring.kept
        assert first != second
        locked()
        assert answers(library) == right
        library.encryption.rekey("passphrase", passphrase="horse")
        assert ring.kept == {}
        assert not vault.opens_unasked(library.path)


@pytest.mark.parametrize("backend", [fail.Keyring, null.Keyring])
def test_without_a_keyring_it_is_said_what_else_there_is(
    tmp_path: Path, ring: MemoryKeyring, backend: type[KeyringBackend]
) -> None:
    keyring.set_keyring(backend())
    with pytest.raises(LibraryEncrypted, match="the keyring of this system can't be used") as told:
        open_library(tmp_path / "library", encrypt="keyring")
    assert "passphrase" in (told.value.hint or "")
    assert not (tmp_path / "library").exists()


@pytest.mark.slow
def test_another_passphrase_takes_the_old_ones_place(tmp_path: Path, locked: Callable[[], None]) -> None:
    with fill(tmp_path, encrypt="passphrase", passphrase="old horse") as library:
        right = answers(library)
        library.backup(tmp_path / "kept.backup")
        catalog = (library.path / "catalog.sqlite").read_bytes()
        library.encryption.rekey(passphrase="new horse")
        assert (library.path / "catalog.sqlite").read_bytes() == catalog, "the data key is the same"
    locked()
    with open_library(tmp_path / "library", passphrase="old horse") as library, pytest.raises(LibraryEncrypted):
        library.count()
    locked()
    with open_library(tmp_path / "library", passphrase="new horse") as library:
        assert answers(library) == right
        library.restore(tmp_path / "kept.backup", overwrite=True)
        assert answers(library) == right, "a backup of before is of the same data key"
    locked()
    with open_library(tmp_path / "elsewhere", passphrase="old horse") as library:
        library.restore(tmp_path / "kept.backup")
        assert answers(library) == right, "by itself it opens with the passphrase it was made with"
        assert library.encryption.status().encrypted


@pytest.mark.slow
def test_a_backup_is_restored_only_where_it_stays_encrypted(tmp_path: Path) -> None:
    with fill(tmp_path, encrypt=key_file(tmp_path)) as library:
        right = answers(library)
        library.backup(tmp_path / "sealed.backup")
    lay(tmp_path / "root", MEDIA)
    with open_library(tmp_path / "plain") as plain:
        plain.ingest(tmp_path / "root")
        plain.backup(tmp_path / "plain.backup")
        with pytest.raises(InvalidInput, match=r"the backup is encrypted, and the library at .* is not"):
            plain.restore(tmp_path / "sealed.backup", overwrite=True)
    with open_library(tmp_path / "library") as library:
        library.restore(tmp_path / "plain.backup", overwrite=True)
        assert [one[0] for one in answers(library)] == [one[0] for one in right]
        assert plain_in(library.path) == set(), "a plain backup is encrypted as it comes"


def old_library(tmp_path: Path) -> Path:
    """Of commit 4c3c6d4."""
    folder = tmp_path / "library"
    shutil.copytree(OLD, folder, ignore=shutil.ignore_patterns("README.md", "answers.jsonl"))
    return folder


def keyword_answers(library: Library) -> list[tuple[str, float | None]]:
    hits = [hit for word in ("dog", "beach", "rain") for hit in library.search(word, 20, mode="keyword")]
    return [(str(hit.path), hit.keyword_score) for hit in hits]


@pytest.mark.slow
def test_the_library_of_4c3c6d4_is_encrypted_moved_and_restored(tmp_path: Path) -> None:
    with mmsearch.open(old_library(tmp_path)) as library:
        library.tokens.create("ann", filter="path glob '*/Tintenfisch/*'")
        library.audit.record("ann", "search")
        right = keyword_answers(library)
        assert len(right) > 10
        named = {os.fsencode(hit.path.name) for hit in library.items()}
        assert any(name in one for name in named for one in contents_of(library.path).values())
        library.encryption.encrypt(key_file(tmp_path))
        library.audit.record("ann", "search")
        assert keyword_answers(library) == right
        assert not any(name in one for name in named for one in contents_of(library.path).values())
        assert not [*library.path.glob("*.bak"), *library.path.glob("encrypted.*"), *library.path.glob("indexes/*")]
        assert [one.name for one in library.tokens.list()] == ["ann"]
        assert (library.audit.verify().entries, library.audit.verify().problems) == (2, ())
        library.backup(tmp_path / "kept.backup")
    (tmp_path / "library").rename(tmp_path / "moved")
    with mmsearch.open(tmp_path / "moved") as library:
        assert keyword_answers(library) == right
        library.restore(tmp_path / "kept.backup", overwrite=True)
        assert keyword_answers(library) == right


def test_who_has_the_library_open_is_waited_for_in_vain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmsearch.catalog.connections.WAIT_S", 0.1)
    with fill(tmp_path) as library, open_library(tmp_path / "library") as reader:
        right = answers(reader)
        reader._context.catalog().read(lambda snapshot: None)
        with pytest.raises(LibraryLocked, match="open"):
            library.encryption.encrypt(key_file(tmp_path))
        assert not (tmp_path / "the.key").exists(), "the key that was made for nothing"
        assert answers(library) == right


EVENTS = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree")


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Whether a forked child was killed at the so many-th change of a folder; else its work came to its end."""

    def child() -> None:
        seen = 0

        def hook(event: str, _arguments: object) -> None:
            nonlocal seen
            if event in EVENTS:
                seen += 1
                if seen == number:
                    os._exit(9)

        sys.addaudithook(hook)
        work()

    try:
        forked(child)
    except EOFError:
        return True
    return False


def encrypted(folder: Path, protection: str) -> Callable[[], object]:
    def work() -> None:
        with open_library(folder) as library:
            library.encryption.encrypt(protection)

    return work


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.extras
def test_a_kill_at_any_moment_of_encrypting_loses_nothing(tmp_path: Path, locked: Callable[[], None]) -> None:
    with fill(tmp_path) as library:
        right = answers(library)
    shutil.copytree(tmp_path / "library", tmp_path / "before")
    ends: set[bool] = set()
    for number in range(1, 100):
        shutil.rmtree(tmp_path / "library")
        shutil.copytree(tmp_path / "before", tmp_path / "library")
        killed = killed_at(number, encrypted(tmp_path / "library", f"file:{tmp_path / f'{number}.key'}"))
        locked()
        with open_library(tmp_path / "library") as library:
            assert answers(library) == right
            now = library.encryption.status().encrypted
            ends.add(now)
            assert not now or plain_in(library.path) == set(), f"killed at {number}"
            if not now:
                library.encryption.encrypt(f"file:{tmp_path / f'{number}-again.key'}")
                assert answers(library) == right
        if not killed:
            break
    assert not killed
    assert number > 15
    assert ends == {True, False}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.extras
def test_a_kill_at_any_moment_of_rekeying_leaves_the_old_key_or_the_new_one(
    tmp_path: Path, locked: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with fill(tmp_path, encrypt=f"file:{tmp_path / '0.key'}") as library:
        right = answers(library)
    shutil.copytree(tmp_path / "library", tmp_path / "before")
    for new_key in (False, True):
        for number in range(1, 100):
            shutil.rmtree(tmp_path / "library")
            shutil.copytree(tmp_path / "before", tmp_path / "library")
            place = f"file:{tmp_path / f'{number}-{new_key}.key'}"

            def work(place: str = place, new_key: bool = new_key) -> None:
                with open_library(tmp_path / "library") as library:
                    library.encryption.rekey(place, new_key=new_key)

            killed = killed_at(number, work)
            locked()
            with open_library(tmp_path / "library") as library:
                assert answers(library) == right
                assert plain_in(library.path) == set()
            if not killed:
                break
        assert not killed


def test_a_sealed_file_that_was_altered_cut_or_moved_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed, "PIECE", 10)
    key = vault.create(tmp_path / "library", key_file(tmp_path))
    path = tmp_path / "library" / "training" / "one" / "plan.json"
    for content in (b"", b"Mortadella", b"Mortadella and Quirinius"):
        sealed.write_bytes(path, content)
        assert sealed.read_bytes(path) == content
    whole = path.read_bytes()
    piece = 10 + sealed.TAG_BYTES
    start = len(sealed.MAGIC) + sealed.SALT_BYTES
    swapped = whole[:start] + whole[start + piece : start + 2 * piece] + whole[start : start + piece]
    for other in (
        b"", b"Mortadella and Quirinius", whole[:-1], whole[: start + piece], swapped + whole[start + 2 * piece :],
        *(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in (0, start - 1, start, len(whole) - 1)),
    ):  # fmt: skip
        path.write_bytes(other)
        with pytest.raises(LibraryError, match="not what this library wrote"):
            sealed.read_bytes(path)
    moved = path.with_name("model.json")
    moved.write_bytes(whole)
    with pytest.raises(LibraryError, match=r"training/one/model\.json"):
        sealed.read_bytes(moved)
    assert sealed.unsealed(sealed.sealed(b"x", key, "a"), key, "a") == b"x"


@pytest.mark.slow
@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"format": 1}', b'{"format": 1, "id": 1, "method": "keyring"}', b"\xff"]
)
def test_a_damaged_header_is_an_error_of_ours(tmp_path: Path, content: bytes) -> None:
    with fill(tmp_path, encrypt=key_file(tmp_path)) as library:
        pass
    (tmp_path / "library" / vault.HEADER).write_bytes(content)
    with pytest.raises(LibraryError, match="is not what mmsearch writes"):
        library.count()


@pytest.mark.slow
def test_a_header_that_was_taken_away_or_exchanged_opens_nothing_and_nothing_plain_is_written(
    tmp_path: Path, locked: Callable[[], None]
) -> None:
    with fill(tmp_path, encrypt=key_file(tmp_path)) as library:
        right = answers(library)
    place = tmp_path / "library"
    header = (place / vault.HEADER).read_bytes()
    vault.create(tmp_path / "theirs", f"file:{tmp_path / 'their.key'}")
    for other in (None, (tmp_path / "theirs" / vault.HEADER).read_bytes()):
        locked()
        (place / vault.HEADER).unlink() if other is None else (place / vault.HEADER).write_bytes(other)
        before = contents_of(place)
        with open_library(place) as library:
            for ask in (lambda: library.search("red", 1), lambda: library.ingest(tmp_path / "root"), library.count):
                with pytest.raises(LibraryError):
                    ask()
        assert contents_of(place) == before and plain_in(place) == set()
        (place / vault.HEADER).write_bytes(header)
    locked()
    with open_library(place) as library:
        assert answers(library) == right


@pytest.mark.slow
def test_files_of_another_library_or_of_nobody_let_nobody_in(tmp_path: Path) -> None:
    """What an attacker who may write in the folder, and has not the key, can put there."""
    with fill(tmp_path, encrypt=key_file(tmp_path)) as library:
        token = library.tokens.create("eve")
        file = library.path / "tokens.json"
        mine = file.read_bytes()
        vault.create(tmp_path / "theirs", f"file:{tmp_path / 'their.key'}")
        sealed.write_bytes(tmp_path / "theirs" / "tokens.json", sealed.read_bytes(file))
        for theirs in ((tmp_path / "theirs" / "tokens.json").read_bytes(), sealed.read_bytes(file), b"", mine[:-1]):
            file.write_bytes(theirs)
            with pytest.raises(LibraryError):
                library.tokens.list()
        file.write_bytes(mine)
        assert [one.name for one in library.tokens.list()] == ["ann", "eve"] and token


def test_what_lies_elsewhere_by_the_name_of_a_header_locks_nothing(tmp_path: Path) -> None:
    (tmp_path / vault.HEADER).write_text("anything")
    with fill(tmp_path) as library:
        assert library.count() == 3
        assert not library.encryption.status().encrypted
        with pytest.raises(InvalidInput, match="not encrypted"):
            library.encryption.rekey()
        with pytest.raises(InvalidInput, match="that is not encrypted"):
            open_library(tmp_path / "library", encrypt="keyring")
    for senseless in ("", "passphrase:x", "file:", "ring", f"file:{tmp_path / 'new' / 'in.key'}"):
        with pytest.raises(InvalidInput):
            vault.create(tmp_path / "new", senseless)


@pytest.mark.extras
def test_trained_models_are_sealed_and_go_along(tmp_path: Path) -> None:
    media = {f"{colour}-{n}.txt": text(f"{colour} {n}") for colour in ("red", "blue") for n in range(12)}
    lay(tmp_path / "root", media)
    rows = [f"root/{name}\t{'Mortadella' if name.startswith('red') else 'Wolkenkuckuck'}" for name in media]
    (tmp_path / "names.tsv").write_text("\n".join(["path\tlabel", *rows]) + "\n")
    with open_library(tmp_path / "library", encrypt=key_file(tmp_path)) as library:
        library.ingest(tmp_path / "root")
        library.train.labels(tmp_path / "names.tsv", "warmth", epochs=2)
        right = [(label.path.name, label.label) for label in library.label(model="warmth")]
        assert {name for _, name in right} >= {"Mortadella"}
        assert plain_in(library.path) == set()
        library.encryption.rekey(f"file:{tmp_path / 'other.key'}", new_key=True)
        assert [(label.path.name, label.label) for label in library.label(model="warmth")] == right
        assert plain_in(library.path) == set()
        library.export(tmp_path / "exported", plain=True)
        with pytest.raises(InvalidInput, match="trains no adapters"):
            library.train.adapter(tmp_path / "names.tsv")
    with open_library(tmp_path / "second", encrypt=f"file:{tmp_path / 'second.key'}") as second:
        second.import_(tmp_path / "exported")
        assert [(label.path.name, label.label) for label in second.label(model="warmth")] == right
        assert plain_in(second.path) == set()


def test_a_plain_export_of_an_encrypted_library_is_made_only_if_that_is_said(tmp_path: Path) -> None:
    with fill(tmp_path, encrypt=key_file(tmp_path)) as library:
        for one in (library, library.only("modality = text")):
            for options in ({}, {"anonymise": ("paths", "texts")}, {"vectors": False}):
                with pytest.raises(InvalidInput, match="an export is not encrypted") as told:
                    one.export(tmp_path / "exported", **options)
                assert "mmsearch backup FILE stays encrypted" in (told.value.hint or "")
        assert not (tmp_path / "exported").exists()
        assert library.export(tmp_path / "exported", plain=True).items == 3
        assert "Mortadella" in plain_in(tmp_path / "exported")
        assert [copy.path for copy in library.copies()] == [tmp_path / "exported"]


def test_media_from_memory_are_taken_in_but_not_kept(tmp_path: Path) -> None:
    with fill(tmp_path, encrypt=key_file(tmp_path)) as library:
        medium = mmsearch.Media("Tintenfisch.txt", b"red Tintenfisch", id="1", keep=True)
        with pytest.raises(InvalidInput, match="an encrypted library keeps no originals") as told:
            library.ingest_media([medium])
        assert "keep=False" in (told.value.hint or "")
        assert library.count() == 3 and not (library.path / "originals").exists()
        library.ingest_media([mmsearch.Media("Tintenfisch.txt", b"red Tintenfisch", id="1")])
        assert library.count() == 4 and plain_in(library.path) == set()


def test_a_library_on_a_server_is_refused_with_what_to_do_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="on a server, which encrypts its own disk") as told:
        mmsearch.open("postgresql://me@nowhere.invalid/media", encrypt="passphrase", passphrase="horse")
    assert "mmsearch help encryption" in (told.value.hint or "")


def test_a_filter_can_not_be_guessed_by_the_name_of_its_slice(tmp_path: Path) -> None:
    from mmsearch.context.restricted import slice_folder

    filter = filter_of("tag = Nebelkerze")
    assert filter is not None
    plain = slice_folder(tmp_path / "plain", filter).name
    vault.create(tmp_path / "one", f"file:{tmp_path / '1.key'}")
    vault.create(tmp_path / "other", f"file:{tmp_path / '2.key'}")
    names = {plain, slice_folder(tmp_path / "one", filter).name, slice_folder(tmp_path / "other", filter).name}
    assert len(names) == 3


def test_a_process_that_has_a_key_dumps_no_core(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")

    def work() -> object:
        vault.create(tmp_path / "library", key_file(tmp_path))
        return resource.getrlimit(resource.RLIMIT_CORE), dumpable()

    assert forked(work) == ((0, 0), 0 if sys.platform == "linux" else None)


def dumpable() -> int | None:
    """Whether Linux would hand this process's memory to whatever `core_pattern` names."""
    return ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) if sys.platform == "linux" else None


def aborted(work: Callable[[], object], folder: Path) -> list[Path]:
    """The cores that a child leaves in a folder which crashes after some work, with no limit of its own."""
    resource = pytest.importorskip("resource")

    def child() -> None:
        os.chdir(folder)
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        work()
        os.abort()

    with pytest.raises(EOFError):
        forked(child)
    return [path for path in folder.iterdir() if path.name.startswith("core")]


@pytest.mark.skipif(sys.platform != "linux", reason="cores lie elsewhere")
@pytest.mark.extras
def test_a_crash_leaves_no_memory_behind(tmp_path: Path) -> None:
    with fill(tmp_path, encrypt=key_file(tmp_path)):
        pass
    cores = tmp_path / "cores"
    cores.mkdir()

    def work() -> None:
        vault._unlocked.clear()
        library = open_library(tmp_path / "library")
        library.search("Mortadella", 5)

    assert aborted(work, cores) == []
    if Path("/proc/sys/kernel/core_pattern").read_text().strip() == "core" and aborted(lambda: None, cores):
        shutil.rmtree(cores)  # which shows that one would have been found


def test_what_a_killed_process_left_in_memory_goes_with_the_next_key(tmp_path: Path) -> None:
    left = memory_files._base() + f"/{memory_files.PREFIX}{2**22 + 1}-test"
    Path(left).mkdir()
    Path(left, "query.txt").write_text("Mortadella")
    vault.create(tmp_path / "library", key_file(tmp_path))
    assert not Path(left).exists() or not Path("/proc/self").is_dir()


@pytest.mark.slow
def test_the_shell_encrypts_says_what_a_loss_means_and_rekeys(
    run: Run, tmp_path: Path, folder: Path, locked: Callable[[], None]
) -> None:
    (folder / "Quirinius.txt").write_text("red Mortadella")
    tried = run("ingest", folder, "--encrypt", f"file:{tmp_path / 'a.key'}", "--dry-run")
    assert (tried.returncode, b"a dry run makes no key" in tried.stderr) == (2, True)
    assert not (tmp_path / "a.key").exists() and not list(tmp_path.rglob("encryption.json"))
    made = run("ingest", folder, "--encrypt", f"file:{tmp_path / 'a.key'}")
    assert made.returncode == 0, made.stderr
    assert b"If its key file is lost, nobody can read the library" in made.stderr
    again = run("ingest", folder, "--encrypt", "keyring")
    assert (again.returncode, b"is encrypted" in again.stderr) == (0, False), "it is so already"
    assert run("query", "red", "--paths").stdout.split() == [os.fsencode(folder / "Quirinius.txt")]
    assert run("rekey", f"file:{tmp_path / 'b.key'}").returncode == 0
    assert run("rekey", "--new-key", f"file:{tmp_path / 'c.key'}").returncode == 0
    (tmp_path / "a.key").unlink()
    (tmp_path / "b.key").unlink()
    locked()
    assert run("query", "Mortadella", "--paths").stdout.split() == [os.fsencode(folder / "Quirinius.txt")]
    assert plain_in(tmp_path / "library") == set()
    locked()
    (tmp_path / "c.key").unlink()
    refused = run("query", "red")
    assert (refused.returncode, refused.stdout) == (3, b"")
    assert b"is encrypted, and its key file is not there" in refused.stderr
    assert not encrypting.unfinished(tmp_path / "library")

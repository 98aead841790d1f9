"""Two hundred planted secrets, searched for byte by byte wherever they may not be: for each choice of what is kept, in
an encrypted library, after forgetting and rekeying, and after twenty kills."""

import logging
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

import mmsearch
from mmsearch.core import key_stores, vault
from mmsearch.errors import InvalidInput, LibraryEmpty, LibraryNotFound
from mmsearch.library import Library
from mmsearch.serve.app import described_application
from mmsearch.serve.options import ServeOptions
from mmsearch.serve.server import served
from tests.forked import forked
from tests.generated import words
from tests.maintenance.test_privacy import answers
from tests.media_files import photo
from tests.serve.running import API, TOKEN

pytestmark = [pytest.mark.slow, pytest.mark.extras]

SEED = 24
EACH = 40
KINDS = ("names", "words", "places", "people", "tags")
"""File names, words of texts; towns and coordinates, people and keywords of sidecars: `EACH` of each."""

KILLS = 20

_XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 photoshop:City="{town}" exif:GPSLatitude="{degrees},{minutes:.4f}N" exif:GPSLongitude="10,44.74068E">
<dc:subject><rdf:Bag><rdf:li>{tag}</rdf:li></rdf:Bag></dc:subject>
<Iptc4xmpExt:PersonInImage><rdf:Bag><rdf:li>{person}</rdf:li></rdf:Bag></Iptc4xmpExt:PersonInImage>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


@dataclass(frozen=True)
class Planted:
    """Secrets by kind; of the second half of the files what is to be forgotten."""

    secrets: dict[str, list[str]]

    def of(self, *kinds: str) -> list[bytes]:
        return [one.encode() for kind in kinds for one in self.secrets[kind]]

    @property
    def all(self) -> list[bytes]:
        return self.of(*KINDS)

    @property
    def forgotten(self) -> list[bytes]:
        """Of the folder `second`."""
        return [one.encode() for kind in KINDS for one in self.secrets[kind][len(self.secrets[kind]) // 2 :]]


def plant(media: Path) -> Planted:
    """Forty photos with sidecars and forty texts in two folders, made up by a seed."""
    chance = random.Random(SEED)

    def made_up() -> str:
        return "".join(chance.choice("bdfgklmnprstvz") + chance.choice("aeiou") for _ in range(6))

    secrets = {kind: [made_up() for _ in range(EACH)] for kind in KINDS}
    for number in range(EACH):
        folder = media / ("first" if number < EACH // 2 else "second")
        folder.mkdir(parents=True, exist_ok=True)
        name, place = secrets["names"][number], secrets["places"][number]
        if number % 2:
            # A coordinate in the place of a town: as the sidecar says it in degrees.
            minutes = round(chance.uniform(1, 59), 4)
            secrets["places"][number] = f"{40 + number + minutes / 60:.10f}"[:7]
            place, degrees = "", 40 + number
        else:
            minutes, degrees = 30.0, 40 + number
        photo(folder / f"{name}.png", width=64 + number)
        told = {"town": place, "tag": secrets["tags"][number], "person": secrets["people"][number]}
        (folder / f"{name}.xmp").write_text(_XMP.format(degrees=degrees, minutes=minutes, **told), "utf-8")
        words(folder / f"{number}.txt", f"{secrets['words'][number]} in a red garden of number {number}")
    planted = Planted(secrets)
    assert len({*planted.all}) == 200
    return planted


def found_in(secrets: Sequence[bytes], *places: Path) -> list[str]:
    """Secrets that any file below some folders holds, or is called by."""
    found = set()
    for place in places:
        for path in [place] if place.is_file() else place.rglob("*"):
            held = os.fsencode(path.name)
            if path.is_file():
                held += b"\0" + path.read_bytes()
            found |= {one.decode() for one in secrets if one in held}
    return sorted(found)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for all temporary files, and for a core, were there one."""
    made = tmp_path / "temporary"
    made.mkdir()
    monkeypatch.setenv("TMPDIR", str(made))
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    monkeypatch.chdir(made)
    yield made


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """What a log file of the level info holds."""
    path = tmp_path / "mmsearch.log"
    handler = logging.FileHandler(path)
    logger = logging.getLogger("mmsearch")
    logger.addHandler(handler)
    before, logger.level = logger.level, logging.INFO
    yield path
    logger.removeHandler(handler)
    logger.setLevel(before)
    handler.close()


OFF: dict[str, dict[str, object]] = {
    "places": {"keep_places": "none"},
    "people": {"keep_people": False},
    "tags": {"keep_tags": False},
    "all": {"keep_places": "none", "keep_people": False, "keep_tags": False, "keep_names": False},
}


def tiny(folder: Path, **settings: object) -> Library:
    chosen = {"space": "tests.tiny:space", "workers": 1, "dedup": False, **settings}
    return mmsearch.open(folder, **chosen)  # type: ignore[arg-type]


def asked_of(client: httpx.Client, ids: Sequence[int], *words: str) -> bytes:
    """All that a server says: every route that is read by every item, and searches and explanations by some words."""
    said = b""
    for path, methods in described_application().openapi()["paths"].items():
        if "get" not in methods or path.endswith("/events"):
            continue
        for number in ids if "{item_id}" in path else (0,):
            place = path.replace("{item_id}", str(number)).replace("{name}", "x").replace("{id}", "x")
            params: dict[str, Any] = {} if "{item_id}" in path else {"text": "garden", "k": 200}
            got = client.get(place, params=params)
            assert got.status_code < 500 or got.status_code == 503, (place, got.text)
            said += got.content + repr(got.headers).encode()
    for word in words:
        parts = [{"text": word}]
        for filter in (None, f"tag = {word}", f"name contains {word}", f"path glob '*{word}*'"):
            asked = {"parts": parts, "k": 50, "filter": filter}
            # What was asked for is said again, in an error for example: of that nothing is learned.
            said += client.post(f"{API}/search", json=asked).content.replace(word.encode(), b"")
        for number in (*ids[:3], *ids[-3:]):
            asked = {"parts": parts, "item_id": number}
            said += client.post(f"{API}/explain", json=asked).content.replace(word.encode(), b"")
    return said


def told_to(library: Library, tokens: Sequence[str | None], *words: str) -> list[bytes]:
    """What a server of a library says to who has a token of it, the owner's, or none."""
    ids = [item.id for item in library.items()]
    with served(library, ServeOptions(port=0, token=TOKEN, made_token=False)) as server:
        found = []
        for token in tokens:
            headers = {} if token is None else {"authorization": f"Bearer {token}"}
            with httpx.Client(base_url=server.address, headers=headers, timeout=60) as client:
                found.append(asked_of(client, ids, *words))
        return found


@pytest.mark.parametrize("off", OFF)
def test_what_is_not_kept_is_nowhere(tmp_path: Path, temporary: Path, log: Path, off: str) -> None:
    planted = plant(tmp_path / "media")
    gone = planted.of(*(("places", "people", "tags") if off == "all" else (off,)))
    with tiny(tmp_path / "library", **OFF[off]) as library:
        assert library.ingest(tmp_path / "media").new >= 2 * EACH
        library.search("garden", 5)
        library.export(tmp_path / "exported")
        library.export(tmp_path / "shared", anonymise=("paths", "names", "places", "dates", "texts"))
        said = tmp_path / "answers"
        said.write_bytes(answers(library) + told_to(library, [TOKEN], "garden")[0])
        assert found_in(gone, library.path, temporary, log, tmp_path / "exported", said) == []
        assert found_in(planted.all, tmp_path / "shared") == []
        assert found_in(planted.of("words"), said) != [], "which shows that answers are looked at"
        library.remove(tmp_path / "media" / "second")
        said.write_bytes(told_to(library, [TOKEN], "garden")[0])
        assert found_in([*gone, *planted.forgotten], said) == []
        library.copies()
        assert found_in(planted.forgotten, library.path) == []
        assert found_in(planted.of("words"), library.path) != [], "which shows that the search finds"


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Whether a forked child was killed at the so many-th file that it opened, renamed or removed."""

    def child() -> None:
        seen = 0

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal seen
            if event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir") or (
                event == "open" and "library" in str(arguments[0])
            ):
                seen += 1
                if seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        work()

    try:
        forked(child)
    except EOFError:
        return True
    return False


def kill_once(work: Callable[[], object], chance: random.Random) -> None:
    """Kill some work at a moment of it, however short it is."""
    most = 60
    while not killed_at(chance.randint(1, most), work):
        assert most > 1, "it opens nothing"
        most //= 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("off", OFF)
def test_what_is_not_kept_is_nowhere_after_twenty_kills(tmp_path: Path, temporary: Path, log: Path, off: str) -> None:
    planted = plant(tmp_path / "media")
    gone = planted.of(*(("places", "people", "tags") if off == "all" else (off,)))
    place, media, chance = tmp_path / "library", tmp_path / "media", random.Random(SEED)

    def ingested() -> None:
        with tiny(place, **OFF[off]) as library:
            library.ingest(media)

    def forgotten() -> None:
        with tiny(place, **OFF[off]) as library, suppress(InvalidInput, LibraryNotFound):
            library.remove(media / "second")

    def copied() -> None:
        with tiny(place, **OFF[off]) as library, suppress(LibraryEmpty, LibraryNotFound):
            library.backup(tmp_path / "kept.backup", overwrite=True)
            shutil.rmtree(tmp_path / "exported", ignore_errors=True)
            library.export(tmp_path / "exported")
            library.restore(tmp_path / "kept.backup", overwrite=True)

    for turn in range(KILLS):
        kill_once((ingested, forgotten, copied)[turn % 3], chance)
        made = [path for path in (tmp_path / "kept.backup", tmp_path / "exported") if path.exists()]
        assert found_in(gone, place, temporary, log, *made) == [], f"after kill {turn}"
    shutil.rmtree(place)
    with tiny(place) as library:
        library.ingest(media)
        assert len(found_in(gone, place)) == len(gone), "all of it is kept, unless it is said not to be"
        chosen: dict[str, Any] = {name.removeprefix("keep_"): value for name, value in OFF[off].items()}
        library.privacy.set(**chosen)

    def applied() -> None:
        with tiny(place) as library:
            library.privacy.apply()

    for _ in range(KILLS):
        kill_once(applied, chance)
    applied()
    assert found_in(gone, place, temporary, log) == []


def test_a_server_of_an_encrypted_library_tells_each_what_is_theirs(tmp_path: Path, temporary: Path, log: Path) -> None:
    planted = plant(tmp_path / "media")
    place, media = tmp_path / "library", tmp_path / "media"
    mine = [one for one in planted.all if one not in planted.forgotten]
    with tiny(place, encrypt=f"file:{tmp_path / 'the.key'}", audit="on", audit_queries=True) as library:
        library.ingest(media)
        for number, tag in enumerate(planted.secrets["tags"]):
            library.tag(media / ("first" if number < EACH // 2 else "second") / f"{number}.txt", add=[tag])
        library.save_search(planted.secrets["people"][-1], f"text={planted.secrets['words'][-1]}")
        guest = library.tokens.create("guest", filter=f"path glob '{media / 'first'}/*'")
        asked = [planted.secrets[kind][number] for kind in ("words", "names") for number in (0, -1)]
        owner, theirs, wrong, nobody = told_to(library, [TOKEN, guest, f"{guest}x", None], "garden", *asked)
        said = tmp_path / "said"
        said.write_bytes(owner)
        assert len(found_in(planted.forgotten, said)) > EACH, "which shows that answers are looked at"
        said.write_bytes(theirs)
        assert found_in(planted.forgotten, said) == []
        assert len(found_in(mine, said)) > EACH
        for refused in (wrong, nobody):
            said.write_bytes(refused)
            assert found_in(planted.all, said) == []
        assert any(one.query and asked[0] in one.query for one in library.audit.entries())
        assert found_in(planted.all, place, temporary, log) == []
        library.remove(media / "second")
        library.forget_search(planted.secrets["people"][-1])
        (after,) = told_to(library, [TOKEN], "garden")
        said.write_bytes(after)
        assert found_in(planted.forgotten, said) == []
        assert found_in(planted.all, place, temporary, log) == []
    assert found_in(planted.all, place, temporary, log) == [], "what is written as it closes"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_an_encrypted_library_tells_nothing_after_twenty_kills(tmp_path: Path, temporary: Path, log: Path) -> None:
    planted = plant(tmp_path / "media")
    place, media, keys = tmp_path / "library", tmp_path / "media", tmp_path / "keys"
    keys.mkdir()
    everywhere = (place, temporary, log, keys)
    chance = random.Random(SEED)

    def opened() -> Library:
        vault._unlocked.clear()
        key_stores._offered.clear()
        return tiny(place)

    def rekeyed(number: int) -> Callable[[], object]:
        def work() -> None:
            with opened() as library:
                library.encryption.rekey(f"file:{keys / str(os.getpid())}", new_key=number % 8 == 1)

        return work

    def ingested() -> None:
        with opened() as library:
            library.ingest(media)
            library.search(media / "first" / "0.txt", 5)

    def forgotten() -> None:
        with opened() as library, suppress(InvalidInput):  # where it was killed before it had taken any in
            library.remove(media / "second")

    def restored() -> None:
        with opened() as library:
            library.restore(tmp_path / "plain.backup", overwrite=True)

    with tiny(tmp_path / "plain") as plain:
        plain.ingest(media)
        plain.backup(tmp_path / "plain.backup")
        assert len(found_in(planted.all, tmp_path / "plain.backup")) == len(planted.all)
    with tiny(place, encrypt=f"file:{keys / 'first'}"):
        pass
    for turn in range(KILLS):
        kill_once((ingested, rekeyed(turn), forgotten, restored)[turn % 4], chance)
        assert found_in(planted.all, *everywhere) == [], f"after kill {turn}"
        assert not [path for path in temporary.rglob("core*") if path.is_file()]
    ingested()
    with opened() as library:
        taken = library.count()
        assert taken >= 2 * EACH
        library.tag(media / "first", add=[planted.secrets["tags"][0]])
        library.backup(tmp_path / "kept.backup")
        assert found_in(planted.all, *everywhere, tmp_path / "kept.backup") == []
        library.export(tmp_path / "shared", anonymise=("paths", "names", "places", "dates", "texts"), plain=True)
        assert found_in(planted.all, tmp_path / "shared") == []
        library.encryption.rekey(f"file:{keys / 'last'}", new_key=True)
        library.remove(media / "second")
        assert found_in(planted.all, *everywhere) == []
        assert len(library.search(planted.secrets["words"][0], 5, mode="keyword")) == 1
        library.restore(tmp_path / "kept.backup", overwrite=True)
        assert library.count() == taken
        assert found_in(planted.all, *everywhere) == []
    shutil.rmtree(place)
    with tiny(place) as library:
        library.ingest(media)
        assert len(found_in(planted.all, place)) == len(planted.all), "which shows that the search finds all"
        library.encryption.encrypt(f"file:{keys / 'later'}")
        assert found_in(planted.all, *everywhere) == []
        library.remove(media / "second")
        assert library.count() == taken // 2
